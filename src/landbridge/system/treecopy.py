"""A directory tree copied from one descriptor into another, with everything a file system keeps about it.

Only descriptors and names in them are used, nothing is followed: the target may change under our hands.
A failed copy removes what it made, so that a second try finds an empty target again.
"""

import errno
import os
import shutil
import stat

from landbridge.system.beneath import open_in_root

_CHUNK = 1 << 24
_NO_XATTR = (errno.ENOTSUP, errno.EPERM, errno.EACCES)


def copy_tree(source: int, target: int) -> None:
    """Everything in directory fd `source` into the empty directory fd `target`, then the directory's own owner,
    mode, attributes and times. Raises: OSError.
    """
    links: dict[tuple[int, int], str] = {}
    top = os.dup(target)
    try:
        _copy_directory(source, target, "", top, links)
    except OSError:
        for name in os.listdir(top):
            _remove(name, top)
        raise
    finally:
        os.close(top)


def _copy_directory(source: int, target: int, prefix: str, top: int, links: dict[tuple[int, int], str]) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        path = f"{prefix}{name}"
        if stat.S_ISDIR(found.st_mode):
            _copy_subdirectory(name, source, target, path, top, links)
            continue
        key = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and key in links:
            _link(links[key], top, name, target)
            continue
        if stat.S_ISREG(found.st_mode):
            _copy_file(name, source, target, found)
        else:
            _copy_special(name, source, target, found)
        if found.st_nlink > 1:
            links[key] = path
    _keep(source, target, os.fstat(source))


def _copy_subdirectory(
    name: str, source: int, target: int, path: str, top: int, links: dict[tuple[int, int], str]
) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(name, 0o700, dir_fd=target)
    inner = os.open(name, flags, dir_fd=source)
    try:
        made = os.open(name, flags, dir_fd=target)
        try:
            _copy_directory(inner, made, f"{path}/", top, links)
        finally:
            os.close(made)
    finally:
        os.close(inner)


def _copy_file(name: str, source: int, target: int, found: os.stat_result) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        writer = os.open(name, flags, 0o600, dir_fd=target)
        try:
            _copy_content(reader, writer, found.st_size)
            _keep(reader, writer, found)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_content(reader: int, writer: int, size: int) -> None:
    """copy_file_range(2) shares blocks where the file system can; across file systems the kernel may refuse."""
    left = size
    try:
        while left > 0 and (done := os.copy_file_range(reader, writer, min(left, _CHUNK))):
            left -= done
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    while left > 0 and (done := os.sendfile(writer, reader, None, min(left, _CHUNK))):
        left -= done


def _copy_special(name: str, source: int, target: int, found: os.stat_result) -> None:
    """Symlinks, devices, pipes and sockets; these have no content to open."""
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    else:
        os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=target)
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
        try:
            # A path descriptor cannot be given to fchmod(2); its link under /proc leads to the same inode.
            os.chown(f"/proc/self/fd/{handle}", found.st_uid, found.st_gid)
            os.chmod(f"/proc/self/fd/{handle}", stat.S_IMODE(found.st_mode))
        finally:
            os.close(handle)
    os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _link(first: str, top: int, name: str, target: int) -> None:
    """`name` becomes another name of the file copied to `first` (from `top`), wherever symlinks may point now."""
    handle = open_in_root(top, first, os.O_PATH | os.O_NOFOLLOW)
    try:
        os.link(f"/proc/self/fd/{handle}", name, dst_dir_fd=target, follow_symlinks=True)
    finally:
        os.close(handle)


def _keep(source: int, target: int, found: os.stat_result) -> None:
    """Owner first: chown drops set-id bits and capabilities, which mode and attributes then restore."""
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    try:
        for name in os.listxattr(source):
            if not name.startswith("trusted.overlay."):
                os.setxattr(target, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _remove(name: str, directory: int) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=directory)
    else:
        os.unlink(name, dir_fd=directory)
