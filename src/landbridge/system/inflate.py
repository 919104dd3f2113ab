"""Streams of bytes, by iterator: what compressed them, and undoing it.

Everything here is pull-driven and bounded: a decompressor never makes more than STEP bytes at once,
whatever the archive claims.
"""

import bz2
import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

from landbridge.errors import Internal
from landbridge.model.layer import Compression
from landbridge.system.zstd import unzstd

STEP = 256 * 1024

_MARKS: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


class _Decoder(Protocol):
    """What bz2 and lzma decoders share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression(start: bytes) -> Compression:
    """What the first bytes of a stream say about it."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "")


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of a stream that may be compressed.

    Raises: Internal when it ends too early, is damaged, or is compressed in a way not known here.
    """
    source = iter(chunks)
    start = b""
    for chunk in source:
        start += chunk
        if len(start) >= 6:
            break
    stream = chain([start], source) if start else iter(())
    match compression(start):
        case "gzip":
            return _gunzip(stream)
        case "bzip2":
            return _decode(stream, bz2.BZ2Decompressor)
        case "xz":
            return _decode(stream, lzma.LZMADecompressor)
        case "zstd":
            return unzstd(stream, STEP)
    return stream


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Members may follow each other (RFC 1952, 2.2)."""
    decoder = zlib.decompressobj(31)
    for chunk in chunks:
        data = chunk
        while data:
            if decoder.eof:
                decoder = zlib.decompressobj(31)
            try:
                out = decoder.decompress(data, STEP)
            except zlib.error as error:
                raise Internal(f"gzip: {error}") from error
            if out:
                yield out
            data = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    while not decoder.eof:  # what the last call held back because of STEP
        out = decoder.decompress(b"", STEP)
        if not out and not decoder.eof:
            raise Internal("unexpected EOF")
        yield out


def _decode(chunks: Iterator[bytes], make: Callable[[], _Decoder]) -> Iterator[bytes]:
    decoder = make()
    for chunk in chunks:
        data = chunk
        while data or not decoder.needs_input:
            if decoder.eof:
                if not data:
                    break
                decoder = make()
            try:
                out = decoder.decompress(data, STEP)
            except (OSError, lzma.LZMAError) as error:
                raise Internal(f"damaged archive: {error}") from error
            if out:
                yield out
            data = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise Internal("unexpected EOF")


class Hashed:
    """Passes chunks through and remembers their sha256 and number."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        """``sha256:…`` of what passed so far."""
        return "sha256:" + self._hash.hexdigest()


class Source:
    """Reads by size from a stream of chunks of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self._at = 0

    def some(self, most: int) -> bytes:
        """1 to `most` bytes; empty at the end."""
        while self._at == len(self._held):
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._held, self._at = chunk, 0
        if self._at == 0 and len(self._held) <= most:
            self._at = len(self._held)
            return self._held
        piece = self._held[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def take(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        first = self.some(size)
        if len(first) == size or not first:
            return first
        pieces = [first]
        missing = size - len(first)
        while missing and (piece := self.some(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        while piece := self.some(STEP):
            yield piece
