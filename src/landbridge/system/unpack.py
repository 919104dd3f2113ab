"""Making the files of one layer from its archive, in the form overlayfs wants as a lower directory.

Every name is resolved by the kernel inside the layer (`beneath`), and nothing already made is ever replaced but
a whiteout: an archive that names a path twice is refused, as Docker does. So a directory, once opened, stays
the right one and its descriptor can be kept, and every payload can be found again (`split`).
"""

import errno
import os
import stat
from collections.abc import Callable

from landbridge.errors import Internal
from landbridge.model.layer import OPAQUE_XATTR, Member, Placement
from landbridge.system.beneath import open_in_root
from landbridge.system.split import SplitWriter
from landbridge.system.tar_headers import invalid
from landbridge.system.tar_stream import TarStream

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES = 64
_NODES = {"3": ("mknod", stat.S_IFCHR), "4": ("mknod", stat.S_IFBLK), "6": ("mkfifo", stat.S_IFIFO)}


def _said(verb: str, path: str, error: OSError) -> Internal:
    """The error in the words of Go's os package, which Docker passes on."""
    return Internal(f"{verb} /{path}: {(error.strerror or str(error)).lower()}")


def _verb(member: Member) -> str:
    match member.type:
        case "1":
            return f"link {os.path.normpath('/' + _rooted(member.link))}"
        case "2":
            return f"symlink {member.link}"
        case "5":
            return "mkdir"
        case kind:
            return _NODES[kind][0] if kind in _NODES else "open"


def _rooted(link: str) -> str:
    return "/".join(part for part in link.split("/") if part not in ("", "."))


def duplicate() -> Internal:
    """Docker's refusal of an archive that makes one path twice."""
    return Internal("duplicates of file paths not supported")


class Unpacker:
    """Puts members below directory fd `root`. `size` is the sum of the sizes of the files and symlinks made."""

    def __init__(self, root: int, tar: TarStream, split: SplitWriter) -> None:
        self._root = root
        self._tar = tar
        self._split = split
        self._open: dict[str, int] = {}
        self._made: set[str] = set()
        self._times: list[tuple[str, int, int]] = []
        self.size = 0

    def run(self, place: Callable[[Member], Placement]) -> None:
        """Unpack the whole archive. Raises: Internal with Docker's text when a member cannot be made."""
        try:
            while member := self._tar.next():
                placement = place(member)
                try:
                    self._put(member, placement)
                except OSError as error:
                    raise _said(_verb(member), placement.path, error) from error
                except (OverflowError, ValueError):  # an id or a device number no kernel has, a NUL in a name
                    raise invalid() from None
            for path, atime, mtime in reversed(self._times):
                fd = open_in_root(self._root, path, _DIRECTORY)
                try:
                    os.utime(fd, ns=(atime, mtime))
                finally:
                    os.close(fd)
        finally:
            self._close_directories()

    def _close_directories(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def _put(self, member: Member, placement: Placement) -> None:
        if placement.action == "skip":
            return
        parent, _, base = placement.path.rpartition("/")
        if placement.action == "opaque":
            os.setxattr(self._directory(placement.path), OPAQUE_XATTR, b"y")
            return
        at = self._directory(parent)
        if placement.action == "whiteout":
            self._whiteout(at, base, member, placement.path)
            return
        if placement.path in self._made:
            raise duplicate()
        self._made.add(placement.path)
        self._make(at, base, member, placement)

    def _directory(self, path: str) -> int:
        """A descriptor of directory `path`, made with its parents when missing."""
        if path in self._open:
            return self._open[path]
        try:
            fd = open_in_root(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            parent, _, base = path.rpartition("/")
            above = self._directory(parent)
            try:
                os.mkdir(base, 0o755, dir_fd=above)
            except FileExistsError:  # a symlink to nowhere
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
            os.chmod(base, 0o755, dir_fd=above)
            fd = os.open(base, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        if len(self._open) >= _OPEN_DIRECTORIES:
            self._close_directories()
        self._open[path] = fd
        return fd

    def _whiteout(self, at: int, base: str, member: Member, path: str) -> None:
        try:
            os.mknod(base, stat.S_IFCHR, 0, dir_fd=at)
        except OSError as error:
            raise Internal(f'failed to mknod("/{path}", S_IFCHR, 0): {str(error.strerror).lower()}') from error
        os.chown(base, member.uid, member.gid, dir_fd=at, follow_symlinks=False)

    def _make(self, at: int, base: str, member: Member, placement: Placement) -> None:
        match member.type:
            case "0":
                self._file(at, base, member, placement)
                return
            case "5":
                self._make_directory(at, base, member, placement)
                return
            case "1":
                self._link(at, base, member)
                return
            case "2":
                self._create(at, base, lambda: os.symlink(member.link, base, dir_fd=at))
                self.size += len(os.fsencode(member.link))
            case kind:
                mode = _NODES[kind][1] | member.mode
                device = os.makedev(*member.device)
                self._create(at, base, lambda: os.mknod(base, mode, device, dir_fd=at))
        os.chown(base, member.uid, member.gid, dir_fd=at, follow_symlinks=False)
        for name, value in placement.xattrs:
            os.setxattr(f"/proc/self/fd/{at}/{base}", name, value, follow_symlinks=False)
        if member.type != "2":
            os.chmod(base, member.mode, dir_fd=at)
        os.utime(base, ns=(member.atime_ns, member.mtime_ns), dir_fd=at, follow_symlinks=False)

    def _create(self, at: int, base: str, make: Callable[[], None]) -> bool:
        """Call `make`; a whiteout of the same name in the same layer gives way (True), anything else does not."""
        try:
            make()
            return False
        except FileExistsError:
            found = os.stat(base, dir_fd=at, follow_symlinks=False)
            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != 0:
                raise duplicate() from None
            os.unlink(base, dir_fd=at)
            make()
            return True

    def _file(self, at: int, base: str, member: Member, placement: Placement) -> None:
        fd = -1

        def make() -> None:
            nonlocal fd
            fd = os.open(base, _CREATE, 0o600, dir_fd=at)

        self._create(at, base, make)
        try:
            if member.sparse is None:
                self._fill(fd, placement.path, 0, member.size)
            else:
                os.ftruncate(fd, member.size)
                for offset, length in member.sparse:
                    self._fill(fd, placement.path, offset, length)
            self._attributes(fd, member, placement)
            os.utime(fd, ns=(member.atime_ns, member.mtime_ns))
        finally:
            os.close(fd)
        self.size += member.size

    def _fill(self, fd: int, path: str, offset: int, length: int) -> None:
        """Copy `length` payload bytes to `offset`, and note where they are."""
        if not length:
            return
        self._split.file(path, offset, length)
        while length:
            piece = memoryview(self._tar.take(min(length, 1 << 20)))
            length -= len(piece)
            while piece:
                written = os.pwrite(fd, piece, offset)
                offset += written
                piece = piece[written:]

    def _make_directory(self, at: int, base: str, member: Member, placement: Placement) -> None:
        hiding = False
        try:
            os.mkdir(base, 0o700, dir_fd=at)
        except FileExistsError:  # made before as somebody's parent, or hidden by a whiteout
            if not stat.S_ISDIR(os.stat(base, dir_fd=at, follow_symlinks=False).st_mode):
                hiding = self._create(at, base, lambda: os.mkdir(base, 0o700, dir_fd=at))
        fd = os.open(base, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            if hiding:  # the whiteout still says that nothing below shows through
                os.setxattr(fd, OPAQUE_XATTR, b"y")
            self._attributes(fd, member, placement)
        finally:
            os.close(fd)
        self._times.append((placement.path, member.atime_ns, member.mtime_ns))

    def _attributes(self, fd: int, member: Member, placement: Placement) -> None:
        """Owner first: changing it clears set-id bits and capabilities."""
        os.fchown(fd, member.uid, member.gid)
        for name, value in placement.xattrs:
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                raise _said(f"lsetxattr {name}", placement.path, error) from error
        os.fchmod(fd, member.mode)

    def _link(self, at: int, base: str, member: Member) -> None:
        """The target is resolved inside the layer; a symlink as the last part is linked itself."""
        parent, _, name = _rooted(member.link).rpartition("/")
        source = open_in_root(self._root, parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self._create(at, base, lambda: os.link(name, base, src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False))
        finally:
            os.close(source)
