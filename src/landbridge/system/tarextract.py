"""An archive unpacked over what is there already, as ``docker cp`` does it.

Unlike an image layer it may replace files, and names a whole root: absolute symlinks met on the way count from
the container's root, links inside the archive from the directory it is unpacked to. Names never lead out.
"""

import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterable

from landbridge.errors import Internal
from landbridge.model.layer import Member
from landbridge.system.beneath import open_in_root
from landbridge.system.inflate import Source, inflate
from landbridge.system.tar_headers import invalid
from landbridge.system.tar_stream import TarStream

Owner = tuple[int, int]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {"3": stat.S_IFCHR, "4": stat.S_IFBLK, "6": stat.S_IFIFO}
_KNOWN = frozenset("0123456")
_NO_XATTRS = (errno.ENOTSUP, errno.EPERM)


class Extraction:
    """One archive into directory `path` below root fd `root`."""

    def __init__(self, root: int, path: str, *, owner: Owner | None, keep_kinds: bool) -> None:
        self._root = root
        self._path = path
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._times: list[tuple[str, int, int]] = []

    def run(self, chunks: Iterable[bytes]) -> None:
        """Unpack everything. Raises: Internal; what was unpacked before stays, as in Docker."""
        tar = TarStream(Source(inflate(chunks)), len)
        try:
            while member := tar.next():
                if member.type in _KNOWN:
                    self._put(tar, member)
                elif member.type != "g":
                    raise Internal(f"unhandled tar header type {ord(member.type)}")
            for path, atime, mtime in reversed(self._times):
                fd = self._open(path, _DIRECTORY)
                try:
                    os.utime(fd, ns=(atime, mtime))
                finally:
                    os.close(fd)
        except OSError as error:
            raise Internal(f"{error.filename or 'unpacking'}: {(error.strerror or str(error)).lower()}") from error
        except (OverflowError, ValueError):
            raise invalid() from None

    def _open(self, path: str, flags: int) -> int:
        return open_in_root(self._root, posixpath.join(self._path, path), flags)

    def _directory(self, path: str) -> int:
        """A descriptor of directory `path`, made with its parents when missing."""
        try:
            return self._open(path, _DIRECTORY)
        except FileNotFoundError:
            parent, _, base = path.rpartition("/")
            above = self._directory(parent)
            try:
                os.mkdir(base, 0o755, dir_fd=above)
            finally:
                os.close(above)
            return self._open(path, _DIRECTORY)

    def _put(self, tar: TarStream, member: Member) -> None:
        path = posixpath.normpath("/" + member.name).lstrip("/")
        if not path:
            return  # the directory itself keeps what it has
        parent, _, base = path.rpartition("/")
        at = self._directory(parent)
        try:
            self._clear(at, base, member, path)
            self._make(tar, at, base, member)
            self._dress(at, base, member)
        finally:
            os.close(at)
        if member.type == "5":
            self._times.append((path, member.atime_ns, member.mtime_ns))

    def _clear(self, at: int, base: str, member: Member, path: str) -> None:
        """What is in the way goes, except a directory where a directory is to be."""
        try:
            found = os.stat(base, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return
        here, wanted = stat.S_ISDIR(found.st_mode), member.type == "5"
        if self._keep_kinds and here is not wanted:
            old, new = ("directory", "non-directory") if here else ("non-directory", "directory")
            shown = posixpath.join(self._path, path)
            raise Internal(f'cannot overwrite {old} "{shown}" with {new} "{self._path}"')
        if here and wanted:
            return
        if here:
            shutil.rmtree(base, dir_fd=at)
        else:
            os.unlink(base, dir_fd=at)

    def _make(self, tar: TarStream, at: int, base: str, member: Member) -> None:
        match member.type:
            case "0":
                fd = os.open(base, _CREATE, 0o600, dir_fd=at)
                try:
                    _fill(tar, fd, member)
                finally:
                    os.close(fd)
            case "1":
                self._link(at, base, member.link)
            case "2":
                os.symlink(member.link, base, dir_fd=at)
            case "5":
                try:
                    os.mkdir(base, 0o700, dir_fd=at)
                except FileExistsError:
                    pass  # `_clear` left it because it is a directory
            case kind:
                os.mknod(base, _NODES[kind] | member.mode, os.makedev(*member.device), dir_fd=at)

    def _link(self, at: int, base: str, link: str) -> None:
        parent, _, name = posixpath.normpath("/" + link).lstrip("/").rpartition("/")
        source = self._open(parent, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(name, base, src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False)
        finally:
            os.close(source)

    def _dress(self, at: int, base: str, member: Member) -> None:
        """Owner first: changing it clears set-id bits. A hard link has the attributes of its file already."""
        if member.type == "1":
            return
        uid, gid = self._owner or (member.uid, member.gid)
        os.chown(base, uid, gid, dir_fd=at, follow_symlinks=False)
        for name, value in member.xattrs:
            try:
                os.setxattr(f"/proc/self/fd/{at}/{base}", name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NO_XATTRS:
                    raise
        if member.type != "2":
            os.chmod(base, member.mode, dir_fd=at)
        if member.type != "5":
            os.utime(base, ns=(member.atime_ns, member.mtime_ns), dir_fd=at, follow_symlinks=False)


def _fill(tar: TarStream, fd: int, member: Member) -> None:
    areas = ((0, member.size),) if member.sparse is None else member.sparse
    if member.sparse is not None:
        os.ftruncate(fd, member.size)
    for offset, length in areas:
        while length:
            piece = memoryview(tar.take(min(length, 1 << 20)))
            length -= len(piece)
            while piece:
                count = os.pwrite(fd, piece, offset)
                offset += count
                piece = piece[count:]
