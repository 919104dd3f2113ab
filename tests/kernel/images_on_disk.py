"""Archives, kind and hostile, and a real layer store for the tests of images on a real file system."""

import importlib.util
import io
import os
import sqlite3
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from landbridge.images.effects import ImageUser
from landbridge.images.images import Images
from landbridge.images.records import ImageRecords
from landbridge.model.layer import Layer
from landbridge.oci.archive import Platform
from landbridge.oci.layers import place
from landbridge.system.layers import LayerStore

FILE, DIR, LINK, SYM, CHR, BLK, FIFO = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)


def entry(name: str, kind: bytes = FILE, data: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*entries: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as out:
        for info, data in entries:
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def chunks(data: bytes, step: int = 3000) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


async def stream(data: bytes, step: int = 65536) -> AsyncIterator[bytes]:
    for chunk in chunks(data, step):
        yield chunk


def unpack(store: LayerStore, data: bytes) -> Layer:
    with store.stage(chunks(data), place) as staged:
        return staged.keep()


def listing(root: str | Path) -> dict[str, str]:
    """Every path below `root` with what it is: ``-rwxr-xr-x 0:0 5 -> target``."""
    found = {}
    for path in sorted(Path(root).rglob("*")):
        info = path.lstat()
        text = f"{stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid}"
        if stat.S_ISREG(info.st_mode):
            text += f" {info.st_size}"
        if stat.S_ISLNK(info.st_mode):
            text += f" -> {os.readlink(path)}"
        if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            text += f" {os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
        found[str(path.relative_to(root))] = text
    return found


def demo_images() -> ModuleType:
    """The demo's builder of images, which is a script and no package."""
    path = Path(__file__).parents[2] / "demo" / "images.py"
    spec = importlib.util.spec_from_file_location("landbridge_demo_images", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Machine:
    """Images on a real store and a real database below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = LayerStore(root / "layers")
        self.db = sqlite3.connect(root / "engine.db", isolation_level=None)
        self.users: dict[str, list[ImageUser]] = {}
        self.images = Images(
            ImageRecords(self.db),
            self.store,
            emit=lambda *event: None,
            in_use=lambda identity: self.users.get(identity, []),
            platform=Platform("linux", "amd64"),
        )

    def close(self) -> None:
        self.db.close()

    async def load(self, data: bytes) -> list[str]:
        return [message.stream async for message in self.images.load(stream(data), quiet=True)]

    async def save(self, *names: str) -> bytes:
        return b"".join([chunk async for chunk in self.images.save(names)])

    def on_disk(self) -> list[str]:
        return sorted(os.listdir(self.root / "layers"))
