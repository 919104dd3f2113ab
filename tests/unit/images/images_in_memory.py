"""A layer store in memory for tests of the engine's image part, and archives to load into it.

The store objects: keeping twice, removing what is not there, or reading a removed layer is an error.
"""

import hashlib
import io
import json
import sqlite3
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from landbridge.errors import Internal
from landbridge.images.effects import ImageUser, Place, Rename
from landbridge.images.images import Images
from landbridge.images.records import ImageRecords
from landbridge.model.image import Image
from landbridge.model.layer import Layer, Member
from landbridge.oci.archive import Platform


class MemoryStaged:
    def __init__(self, store: "MemoryLayers", data: bytes) -> None:
        self._store = store
        self._data = data
        self.diff_id = self.blob = "sha256:" + hashlib.sha256(data).hexdigest()
        self.length = len(data)
        self.size = 100
        self._open = True
        store.staged += 1

    def keep(self) -> Layer:
        self.drop()
        self._store.made += 1
        directory = f"layer{self._store.made}"
        self._store.kept[directory] = self._data
        return Layer(self.diff_id, directory, self.size, len(self._data))

    def drop(self) -> None:
        assert self._open, "dropped or kept before"
        self._open = False
        self._store.staged -= 1


class MemoryArchive:
    def __init__(self, store: "MemoryLayers", data: bytes) -> None:
        self._store = store
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self._members = {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
        store.spooled += 1

    @property
    def names(self) -> Collection[str]:
        return self._members

    def _find(self, name: str) -> bytes:
        if name not in self._members:
            raise Internal(f"open {name}: no such file or directory")
        return self._members[name]

    def size(self, name: str) -> int:
        return len(self._find(name))

    def read(self, name: str, most: int) -> bytes:
        if self.size(name) > most:
            raise Internal("too large")
        return self._find(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        return iter([self._find(name)])

    def close(self) -> None:
        self._store.spooled -= 1


class MemoryLayers:
    """`staged` and `spooled` count what is open; both must be zero when nothing is going on."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.made = self.staged = self.spooled = 0
        self.gate = threading.Event()  # a layer that begins with "slow" is unpacked only when this is set
        self.waiting = threading.Event()  # set when one stands before it

    def stage(self, chunks: Iterable[bytes], place: Place) -> MemoryStaged:
        data = b"".join(chunks)
        if data.startswith(b"slow"):
            self.waiting.set()
            assert self.gate.wait(60), "nobody opened the gate"
        if data.startswith(b"bad"):
            raise Internal("archive/tar: invalid tar header")
        assert place(Member(name="x")).path == "x"
        return MemoryStaged(self, data)

    def spool(self, chunks: Iterable[bytes]) -> MemoryArchive:
        return MemoryArchive(self, b"".join(chunks))

    def path(self, directory: str) -> str:
        return f"/layers/{directory}"

    def archive(self, directory: str) -> Iterator[bytes]:
        return iter([self.kept[directory]])

    def remove(self, directory: str) -> None:
        del self.kept[directory]

    def sweep(self, known: Collection[str]) -> tuple[str, ...]:
        gone = tuple(name for name in self.kept if name not in known)
        for name in gone:
            del self.kept[name]
        return gone

    def pack_diff(self, upper: str, whiteout: Rename, opaque: Rename) -> Iterator[bytes]:
        return iter([f"changes of {upper} {whiteout('a')} {opaque('b')}".encode()])


class Engine:
    """Images over a store in memory, with what it said and who uses what."""

    def __init__(self) -> None:
        self.layers = MemoryLayers()
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.users: dict[str, list[ImageUser]] = {}
        self.events: list[tuple[str, str, str]] = []
        self.now = 1_700_000_000_000_000_000
        self.images = self.restart()

    def restart(self) -> Images:
        self.images = Images(
            ImageRecords(self.db),
            self.layers,
            emit=lambda *event: self.events.append(event),
            in_use=lambda identity: self.users.get(identity, []),
            platform=Platform("linux", "amd64"),
            clock=self._clock,
        )
        return self.images

    def _clock(self) -> int:
        self.now += 1_000_000_000
        return self.now

    def quiet(self) -> bool:
        """Nothing staged, nothing spooled."""
        return self.layers.staged == self.layers.spooled == 0

    async def load(self, data: bytes) -> list[str]:
        """The lines said while loading."""
        return [message.stream async for message in self.images.load(stream(data), quiet=True)]

    async def add(self, *names: str, layers: Sequence[bytes] = (b"base",), **document: Any) -> Image:
        """Load one image with these names; returns it."""
        data, identity = archive(names, layers, **document)
        await self.load(data)
        return self.images.get(identity)


async def stream(data: bytes, step: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def archive(
    names: Sequence[str],
    layers: Sequence[bytes],
    *,
    lie: Callable[[dict[str, bytes]], None] = lambda members: None,
    **document: Any,
) -> tuple[bytes, str]:
    """(a docker-archive, the image's id); `lie` may change its members, `document` the configuration."""
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {},
        "history": [{"created_by": f"step {number}"} for number in range(len(layers))],
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        **document,
    }
    raw = json.dumps(config).encode()
    members = {f"{number}.tar": layer for number, layer in enumerate(layers)}
    tags = [name if ":" in name else f"{name}:latest" for name in names]
    manifest = [{"Config": "config.json", "RepoTags": tags or None, "Layers": list(members)}]
    members |= {"config.json": raw, "manifest.json": json.dumps(manifest).encode()}
    lie(members)
    return tar(members), "sha256:" + hashlib.sha256(raw).hexdigest()
