"""Tar archives of `cp`: packing what is here, unpacking what a container sent.

What a container sends is not trusted: nothing lands outside the target directory, whatever names and links the
archive holds. `tarfile` itself guards against that only from Python 3.11.4 on.
"""

from __future__ import annotations

import os
import tarfile

from landbridge.cli.files import reason_of
from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class StreamFile:
    """Pieces of bytes as a file `tarfile` can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.pending = chunks, b""

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end."""
        parts, have = [self.pending], len(self.pending)
        while size < 0 or have < size:
            data = next(self.chunks, None)
            if data is None:
                break
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        cut = len(whole) if size < 0 else size
        self.pending = whole[cut:]
        return whole[:cut]


class Pieces:
    """A file `tarfile` writes to; what was written is taken out piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data


def unpack(chunks: Iterator[bytes], parent: str, rename: Callable[[str], str], *, keep_owner: bool) -> int:
    """Unpack under `parent`, each name through `rename` (empty: leave out); gives the number of bytes of files.

    Raises: CommandError, also for entries that would land outside.
    """
    root = os.path.realpath(parent)
    total = 0
    with tarfile.open(fileobj=StreamFile(chunks), mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            name = rename(member.name.rstrip("/")).rstrip("/")
            if not name or name == ".":
                continue
            member.name = name
            if member.islnk():
                member.linkname = rename(member.linkname)
                _inside(root, member.linkname)
            _inside(root, name)
            if not keep_owner:
                member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            target = os.path.join(root, name)
            if os.path.islink(target) and not member.isdir():
                os.unlink(target)  # replace a link, do not write through it
            try:
                archive.extract(member, root, numeric_owner=True)
            except OSError as error:
                raise CommandError(f"{name}: {reason_of(error)}") from None
            total += member.size if member.isreg() else 0
    return total


def _inside(root: str, name: str) -> None:
    """Refuse a name whose directory is not below `root` once its links are followed."""
    where = os.path.realpath(os.path.join(root, os.path.dirname(name)))
    outside = where != root and not where.startswith(root.rstrip("/") + "/")
    if os.path.isabs(name) or os.path.basename(name) == ".." or outside:
        raise CommandError(f"refusing to write outside of {root}: {name}")


def pack(source: str, name: str) -> Iterator[bytes]:
    """The tar archive of a file or directory, called `name` in it, in pieces."""
    pieces = Pieces()
    with tarfile.open(fileobj=pieces, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for path, inner in _walk(source, name):
            member = archive.gettarinfo(path, inner)
            if member is None:  # a socket: nothing an archive can hold
                continue
            if member.isreg():
                with open(path, "rb") as file:
                    archive.addfile(member, file)
            else:
                archive.addfile(member)
            yield pieces.take()
    yield pieces.take()


def _walk(path: str, name: str) -> Iterator[tuple[str, str]]:
    yield path, name
    if os.path.isdir(path) and not os.path.islink(path):
        for entry in sorted(os.listdir(path)):
            yield from _walk(os.path.join(path, entry), f"{name}/{entry}")
