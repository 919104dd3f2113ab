"""``docker save``: which images a list of names means, and their archive as a stream."""

import hashlib
from collections.abc import Iterator, Sequence

from landbridge.errors import Internal, NotFound
from landbridge.images.layers import LayerShelf
from landbridge.images.names import ImageNames
from landbridge.images.records import ImageRecords
from landbridge.model.image import Reference
from landbridge.model.layer import Layer
from landbridge.model.reference import parse_any
from landbridge.oci.saved import END, SavedImage, saved


class ImageSaver:
    """`choose` answers at once; `archive` blocks and belongs in a worker thread."""

    def __init__(self, records: ImageRecords, names: ImageNames, shelf: LayerShelf) -> None:
        self._records = records
        self._names = names
        self._shelf = shelf

    def choose(self, texts: Sequence[str]) -> tuple[SavedImage, ...]:
        """The images `texts` mean: a name without a tag means all tags of its repository, an id no name at all.

        Raises: Invalid, NotFound with Docker's sentences.
        """
        chosen: dict[str, list[Reference]] = {}
        for text in texts:
            for identity, names in self._meant(text):
                known = chosen.setdefault(identity, [])
                known.extend(name for name in names if name not in known)
        found = []
        for identity, names in chosen.items():
            image = self._names.resolve(identity)
            found.append(SavedImage(image, self._shelf.layers_of(image), tuple(names)))
        return tuple(found)

    def _meant(self, text: str) -> list[tuple[str, list[Reference]]]:
        wanted = parse_any(text)
        if isinstance(wanted, str):
            return [(self._names.resolve(wanted).id, [])]
        if not wanted.tag and not wanted.digest:
            every = [
                (identity, [name])
                for identity, names in self._records.names_by_image().items()
                for name in names
                if name.tag and (name.registry, name.repository) == (wanted.registry, wanted.repository)
            ]
            if every:
                return every
        try:
            image = self._names.resolve(text)
        except NotFound:
            known = not wanted.tag and not wanted.digest
            raise NotFound(f"No such image: {wanted}" if known else "reference does not exist") from None
        return [(image.id, [wanted] if wanted.tag and self._records.named(wanted) == image.id else [])]

    def archive(self, images: Sequence[SavedImage]) -> Iterator[bytes]:
        """The archive in chunks. Raises: Internal when a layer is not what it was, after part of it was given."""
        for piece in saved(images):
            yield piece.data
            if piece.layer is not None:
                yield from self._verified(piece.layer)
                yield piece.padding
        yield END

    def _verified(self, layer: Layer) -> Iterator[bytes]:
        seen = hashlib.sha256()
        try:
            for chunk in self._shelf.archive(layer):
                seen.update(chunk)
                yield chunk
        except OSError as error:
            raise Internal(f"layer {layer.diff_id} is damaged: {error}") from error
        if f"sha256:{seen.hexdigest()}" != layer.diff_id:
            raise Internal(f"layer {layer.diff_id} is damaged: its files have changed since it was unpacked")
