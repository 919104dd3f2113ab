"""A tar archive without the contents of its files: what is needed to write it again, byte for byte.

A layer's digest is that of the tar it came as. Keeping that tar would double the disk; keeping everything but
the payloads that lie unpacked beside it costs some hundred bytes per file (compressed) and gives the same tar.
The price: `join` must find every file unchanged; it says so when the digest does not come out.

On disk, inside one zlib stream: ``R`` u32 length, bytes | ``F`` u16 length, path, u64 offset, u64 length.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from landbridge.system.beneath import open_in_root
from landbridge.system.inflate import STEP, Source

_RAW = struct.Struct(">cI")
_FILE = struct.Struct(">QQ")


class SplitWriter:
    """Takes the pieces of an archive in order. `finish` must be called once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._deflate = zlib.compressobj(1)
        self._raw = bytearray()

    def raw(self, data: bytes) -> None:
        """Bytes to be kept as they are."""
        self._raw += data
        if len(self._raw) >= STEP:
            self._flush()

    def file(self, path: str, offset: int, length: int) -> None:
        """Payload that can be read from `path` in the layer."""
        self._flush()
        name = os.fsencode(path)
        record = b"F" + struct.pack(">H", len(name)) + name + _FILE.pack(offset, length)
        self._file.write(self._deflate.compress(record))

    def finish(self) -> None:
        """Write what is held back."""
        self._flush()
        self._file.write(self._deflate.flush())

    def _flush(self) -> None:
        if self._raw:
            self._file.write(self._deflate.compress(_RAW.pack(b"R", len(self._raw)) + bytes(self._raw)))
            self._raw.clear()


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    decoder = zlib.decompressobj()
    while data := file.read(STEP):
        while data:
            yield decoder.decompress(data, STEP)
            data = decoder.unconsumed_tail
    yield decoder.flush()


def join(split: Path, layer: Path) -> Iterator[bytes]:
    """The archive again, in chunks. Raises: OSError when a file is gone or short."""
    root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with split.open("rb") as file:
            source = Source(_inflated(file))
            while kind := source.take(1):
                if kind == b"R":
                    (length,) = struct.unpack(">I", source.take(4))
                    yield source.take(length)
                else:
                    (length,) = struct.unpack(">H", source.take(2))
                    path = os.fsdecode(source.take(length))
                    yield from _area(root, path, *_FILE.unpack(source.take(_FILE.size)))
    finally:
        os.close(root)


def _area(root: int, path: str, offset: int, length: int) -> Iterator[bytes]:
    fd = open_in_root(root, path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while length:
            piece = os.pread(fd, min(length, STEP), offset)
            if not piece:
                raise OSError(f"{path}: shorter than when it was unpacked")
            yield piece
            offset += len(piece)
            length -= len(piece)
    finally:
        os.close(fd)
