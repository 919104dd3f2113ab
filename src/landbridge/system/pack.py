"""Writing tar archives from directories: a whole tree (``docker export``) or an overlay's upper directory (``commit``).

Walks by directory descriptors and never follows symlinks, so a tree that changes meanwhile cannot lead out of
itself. Members are sorted, times are whole seconds, owners are numbers: the same tree gives the same archive.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Iterator

from landbridge.model.layer import OPAQUE_XATTR, XATTR_PAX
from landbridge.system.inflate import STEP

_END = bytes(1024)
_OVERLAY_XATTRS = "trusted.overlay."
_NO_XATTRS = 95  # ENOTSUP, for file systems and kinds of files without any

Rename = Callable[[str], str]


def pack_tree(root: str) -> Iterator[bytes]:
    """The archive of everything below `root`, in chunks. Raises: OSError when `root` cannot be read."""
    return _Packer(None, None).run(root)


def pack_entry(at: int, name: str, path: str) -> Iterator[bytes]:
    """The archive of entry `name` of directory fd `at` and all below it, under the name `path`. Raises: OSError."""
    found = os.stat(name, dir_fd=at, follow_symlinks=False)
    yield from _Packer(None, None)._member(at, name, path, found)
    yield _END


def pack_diff(upper: str, whiteout: Rename, opaque: Rename) -> Iterator[bytes]:
    """The layer archive of an overlay upper directory: `whiteout` names the member that deletes a path,
    `opaque` the one that hides what is below a directory. Raises: OSError."""
    return _Packer(whiteout, opaque).run(upper)


class _Packer:
    def __init__(self, whiteout: Rename | None, opaque: Rename | None) -> None:
        self._whiteout = whiteout
        self._opaque = opaque
        self._links: dict[tuple[int, int], str] = {}

    def run(self, root: str) -> Iterator[bytes]:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from self._directory(fd, "")
        finally:
            os.close(fd)
        yield _END

    def _directory(self, fd: int, path: str) -> Iterator[bytes]:
        for name in sorted(os.listdir(fd), key=os.fsencode):
            try:
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                yield from self._member(fd, name, f"{path.rstrip('/')}/{name}" if path else name, found)
            except FileNotFoundError:
                continue  # removed while we walk: as if we had come later

    def _member(self, at: int, name: str, path: str, found: os.stat_result) -> Iterator[bytes]:
        if stat.S_ISDIR(found.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            try:
                yield _header(path, found, tarfile.DIRTYPE, xattrs=self._xattrs(f"/proc/self/fd/{fd}/."))
                if self._opaque and _is_opaque(fd):
                    yield _mark(self._opaque(path), found, mode=stat.S_IMODE(found.st_mode), mtime=0)
                yield from self._directory(fd, path)
            finally:
                os.close(fd)
        elif stat.S_ISREG(found.st_mode):
            yield from self._file(at, name, path, found)
        elif stat.S_ISLNK(found.st_mode):
            target = os.readlink(name, dir_fd=at)
            yield _header(path, found, tarfile.SYMTYPE, link=target, xattrs=self._xattrs(f"/proc/self/fd/{at}/{name}"))
        elif stat.S_ISCHR(found.st_mode):
            if self._whiteout and found.st_rdev == 0:
                yield _mark(self._whiteout(path), found, mode=0o600, mtime=int(found.st_mtime))
            else:
                yield _header(path, found, tarfile.CHRTYPE)
        elif stat.S_ISBLK(found.st_mode):
            yield _header(path, found, tarfile.BLKTYPE)
        elif stat.S_ISFIFO(found.st_mode):
            yield _header(path, found, tarfile.FIFOTYPE)
        # a socket has no form in tar and means nothing without its process

    def _file(self, at: int, name: str, path: str, found: os.stat_result) -> Iterator[bytes]:
        key = (found.st_dev, found.st_ino)
        if found.st_nlink > 1:
            if key in self._links:
                yield _header(path, found, tarfile.LNKTYPE, link=self._links[key])
                return
            self._links[key] = path
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            yield _header(path, found, tarfile.REGTYPE, size=found.st_size, xattrs=self._xattrs(fd))
            left = found.st_size
            while left:
                # a file that shrinks while it is read is filled up: the header has promised its size
                piece = os.read(fd, min(left, STEP)) or bytes(min(left, STEP))
                left -= len(piece)
                yield piece
            if found.st_size % 512:
                yield bytes(512 - found.st_size % 512)
        finally:
            os.close(fd)

    def _xattrs(self, where: int | str) -> dict[str, str]:
        try:
            names = os.listxattr(where, follow_symlinks=isinstance(where, int))
            return {
                XATTR_PAX + name: os.getxattr(where, name, follow_symlinks=isinstance(where, int)).decode(
                    "utf-8", "surrogateescape"
                )
                for name in names
                if not name.startswith(_OVERLAY_XATTRS)
            }
        except OSError as error:
            if error.errno == _NO_XATTRS:
                return {}
            raise


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, OPAQUE_XATTR) == b"y"
    except OSError:
        return False  # ENODATA: the common case; nothing else can be told apart usefully


def _mark(path: str, found: os.stat_result, *, mode: int, mtime: int) -> bytes:
    """An empty file whose name is the message; attributes as Docker writes them, so that digests agree."""
    info = tarfile.TarInfo(path)
    info.mode, info.mtime, info.uid, info.gid = mode, mtime, found.st_uid, found.st_gid
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _header(
    path: str,
    found: os.stat_result,
    kind: bytes,
    *,
    size: int = 0,
    link: str = "",
    xattrs: dict[str, str] | None = None,
) -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.size, info.linkname = kind, size, link
    info.mode = stat.S_IMODE(found.st_mode)
    info.uid, info.gid = found.st_uid, found.st_gid
    info.mtime = int(found.st_mtime)
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    info.pax_headers = xattrs or {}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
