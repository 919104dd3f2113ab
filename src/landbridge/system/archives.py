"""An archive kept on disk in one nameless file, read by member name.

Members are never made as files, so their names cannot point anywhere: a name is a key, a link is followed
by arithmetic on keys. The file has no name (O_TMPFILE): nothing is left behind after a crash.
"""

import os
import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from landbridge.errors import Internal
from landbridge.system.inflate import STEP, Source, inflate
from landbridge.system.tar_stream import TarStream

_LINKS_MOST = 10


def _key(name: str) -> str:
    """A member name as a key: rooted, dots resolved."""
    return posixpath.normpath("/" + name).lstrip("/")


class _Teed:
    """Writes what passes to a file and knows how much that was."""

    def __init__(self, chunks: Iterable[bytes], fd: int) -> None:
        self._chunks = iter(chunks)
        self._fd = fd

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            piece = memoryview(chunk)
            while piece:
                piece = piece[os.write(self._fd, piece) :]
            yield chunk


class SpooledArchive:
    """The members of an archive by name. Reading is safe from several threads."""

    def __init__(self, fd: int, members: dict[str, tuple[int, int]], links: dict[str, str]) -> None:
        self._fd = fd
        self._members = members
        self._links = links

    @property
    def names(self) -> Collection[str]:
        """Names of the files in the archive, rooted and without a leading slash."""
        return self._members.keys()

    def _find(self, name: str) -> tuple[int, int]:
        key = _key(name)
        for _ in range(_LINKS_MOST):
            if key in self._members:
                return self._members[key]
            if key not in self._links:
                break
            key = self._links[key]
        raise Internal(f"open {name}: no such file or directory")

    def size(self, name: str) -> int:
        """Raises: Internal when there is no such member."""
        return self._find(name)[1]

    def read(self, name: str, most: int) -> bytes:
        """A small member whole. Raises: Internal when it is missing or larger than `most`."""
        offset, size = self._find(name)
        if size > most:
            raise Internal(f"{name}: {size} bytes are more than the {most} allowed")
        return b"".join(self._area(offset, size))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's bytes. Raises: Internal when there is no such member."""
        return self._area(*self._find(name))

    def _area(self, offset: int, size: int) -> Iterator[bytes]:
        end = offset + size
        while offset < end:
            piece = os.pread(self._fd, min(STEP, end - offset), offset)
            if not piece:
                raise Internal("unexpected EOF")
            yield piece
            offset += len(piece)

    def close(self) -> None:
        """Forget the archive. Twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Counted(Source):
    """A source that knows how far it has been read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(chunks)
        self.at = 0

    def some(self, most: int) -> bytes:
        piece = super().some(most)
        self.at += len(piece)
        return piece


def spool(chunks: Iterable[bytes], directory: Path) -> SpooledArchive:
    """Read an archive, plain or compressed, to the end and keep it in a nameless file on `directory`'s file system.

    Raises: Internal when it is damaged. A name that comes twice means its last member.
    """
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    members: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    try:
        source = _Counted(_Teed(inflate(chunks), fd))
        tar = TarStream(source, len)
        while member := tar.next():
            key = _key(member.name)
            if member.type == "0" and member.sparse is None:
                members[key] = (source.at, member.size)
                links.pop(key, None)
            elif member.type == "2":
                links[key] = _key(posixpath.join(posixpath.dirname(key), member.link))
            elif member.type == "1":
                links[key] = _key(member.link)
    except BaseException:
        os.close(fd)
        raise
    return SpooledArchive(fd, members, links)
