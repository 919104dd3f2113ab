"""The records of images, their names and layers: three tables of the engine's database, and all of it in memory.

Reads never touch the disk. A removed image that a container still stands on stays as *hidden*: found by
`get`, which containers use, but not by names or in lists. Called from the event loop's thread only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from landbridge.model.image import Image, Reference
from landbridge.model.layer import Layer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS image (
    id TEXT PRIMARY KEY, body BLOB NOT NULL, hidden INTEGER NOT NULL DEFAULT 0, tagged TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_name (
    name TEXT PRIMARY KEY, body BLOB NOT NULL, image TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layer (
    diff_id TEXT PRIMARY KEY, directory TEXT NOT NULL, size INTEGER NOT NULL, archive_size INTEGER NOT NULL
) WITHOUT ROWID;
"""


class ImageRecords:
    """`db` is in autocommit mode; writes join a transaction that is open on it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(_SCHEMA)
        self._images: dict[str, Image] = {}
        self._hidden: set[str] = set()
        self._tagged: dict[str, str] = {}
        self._names: dict[str, tuple[Reference, str]] = {}
        self._layers: dict[str, Layer] = {}
        decoder = msgspec.json.Decoder(Image)
        for identity, body, hidden, when in db.execute("SELECT id, body, hidden, tagged FROM image"):
            self._images[identity] = decoder.decode(body)
            self._tagged[identity] = when
            if hidden:
                self._hidden.add(identity)
        for name, body, image in db.execute("SELECT name, body, image FROM image_name"):
            self._names[name] = (msgspec.json.decode(body, type=Reference), image)
        for row in db.execute("SELECT diff_id, directory, size, archive_size FROM layer"):
            self._layers[row[0]] = Layer(*row)

    def __repr__(self) -> str:
        return f"<images: {len(self._images)} ({len(self._hidden)} hidden), {len(self._layers)} layers>"

    @contextmanager
    def _together(self) -> Iterator[None]:
        self._db.execute("SAVEPOINT image_records")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO image_records")
            raise
        finally:
            self._db.execute("RELEASE image_records")

    def get(self, identity: str) -> Image | None:
        """By full id, hidden or not."""
        return self._images.get(identity)

    def visible(self) -> tuple[Image, ...]:
        """Every image that has not been removed."""
        return tuple(image for identity, image in self._images.items() if identity not in self._hidden)

    def every(self) -> tuple[Image, ...]:
        """Every image, hidden or not."""
        return tuple(self._images.values())

    def hidden(self) -> tuple[str, ...]:
        """Ids of removed images kept for their containers."""
        return tuple(self._hidden)

    def is_visible(self, identity: str) -> bool:
        return identity in self._images and identity not in self._hidden

    def put(self, image: Image) -> None:
        """Insert or replace; a hidden image becomes visible again."""
        self._db.execute(
            "INSERT INTO image (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = ?2, hidden = 0",
            (image.id, msgspec.json.encode(image)),
        )
        self._images[image.id] = image
        self._hidden.discard(image.id)
        self._tagged.setdefault(image.id, "")

    def hide(self, identity: str) -> None:
        """Remove the image for everybody but its containers, and all its names."""
        with self._together():
            self._db.execute("UPDATE image SET hidden = 1 WHERE id = ?", (identity,))
            self._db.execute("DELETE FROM image_name WHERE image = ?", (identity,))
        self._forget_names(identity)
        self._hidden.add(identity)

    def remove(self, identity: str) -> None:
        """Remove the image and its names. Twice is fine."""
        with self._together():
            self._db.execute("DELETE FROM image WHERE id = ?", (identity,))
            self._db.execute("DELETE FROM image_name WHERE image = ?", (identity,))
        self._forget_names(identity)
        self._hidden.discard(identity)
        self._images.pop(identity, None)
        self._tagged.pop(identity, None)

    def _forget_names(self, identity: str) -> None:
        self._names = {name: entry for name, entry in self._names.items() if entry[1] != identity}

    def named(self, reference: Reference) -> str | None:
        """The id of the image that has this full name (tag or digest included)."""
        entry = self._names.get(reference.full)
        return entry[1] if entry else None

    def names_of(self, identity: str) -> tuple[Reference, ...]:
        """Every name of an image, tags and digests, in order of the full names."""
        return tuple(reference for _, (reference, image) in sorted(self._names.items()) if image == identity)

    def names_by_image(self) -> dict[str, list[Reference]]:
        """The names of all images at once, for lists."""
        found: dict[str, list[Reference]] = {}
        for _, (reference, image) in sorted(self._names.items()):
            found.setdefault(image, []).append(reference)
        return found

    def set_name(self, reference: Reference, identity: str, when: str) -> None:
        """Give the name to image `identity`, taking it from another if need be. `when` is RFC 3339."""
        with self._together():
            self._db.execute(
                "INSERT INTO image_name VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET image = ?3",
                (reference.full, msgspec.json.encode(reference), identity),
            )
            self._db.execute("UPDATE image SET tagged = ? WHERE id = ?", (when, identity))
        self._names[reference.full] = (reference, identity)
        self._tagged[identity] = when

    def drop_name(self, reference: Reference) -> None:
        """Twice is fine."""
        self._db.execute("DELETE FROM image_name WHERE name = ?", (reference.full,))
        self._names.pop(reference.full, None)

    def last_tagged(self, identity: str) -> str:
        """When the image last got a name; empty: never."""
        return self._tagged.get(identity, "")

    def layer(self, diff_id: str) -> Layer | None:
        return self._layers.get(diff_id)

    def layers(self) -> tuple[Layer, ...]:
        return tuple(self._layers.values())

    def put_layer(self, layer: Layer) -> None:
        row = (layer.diff_id, layer.directory, layer.size, layer.archive_size)
        self._db.execute("INSERT INTO layer VALUES (?, ?, ?, ?)", row)
        self._layers[layer.diff_id] = layer

    def remove_layer(self, diff_id: str) -> None:
        """Twice is fine."""
        self._db.execute("DELETE FROM layer WHERE diff_id = ?", (diff_id,))
        self._layers.pop(diff_id, None)

    def used_layers(self) -> set[str]:
        """diff ids some image, hidden or not, is made of."""
        return {diff_id for image in self._images.values() for diff_id in image.diff_ids}
