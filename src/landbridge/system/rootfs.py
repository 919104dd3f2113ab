"""Paths inside a container's root, resolved as the container would see them.

An image may hold any symlink; none of them may lead a read, a new directory or a mount point of ours outside.
The kernel does the resolving (`beneath`), so there is no window between check and use. Works on a mounted root
whether the container runs or not.
"""

import errno
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager

from landbridge.errors import Invalid, NotFound
from landbridge.system.beneath import open_in_root


@contextmanager
def opened(rootfs: str, path: str, flags: int = os.O_PATH) -> Iterator[int]:
    """A descriptor of `path` inside `rootfs`, symlinks followed within it. Raises: OSError."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root, path, flags)
    finally:
        os.close(root)
    try:
        yield fd
    finally:
        os.close(fd)


def read_file(rootfs: str, path: str, *, limit: int = 1 << 20) -> bytes:
    """The beginning of a regular file, empty when there is none. A FIFO or device of that name is not opened."""
    try:
        with opened(rootfs, path) as fd:
            if not _is_regular(fd):
                return b""
            # Opened again through /proc: O_PATH descriptors cannot be read.
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                return file.read(limit)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return b""
        raise


def resolve(rootfs: str, path: str) -> str:
    """The host path of `path` inside `rootfs`. The last component may be missing, its directory must be there.

    Whoever opens the result must expect a container to have changed it meanwhile; `opened` has no such gap.
    Raises: NotFound with Docker's sentence.
    """
    directory, name = posixpath.split(posixpath.normpath("/" + path))
    try:
        with opened(rootfs, path) as fd:
            return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        pass  # missing, or its directory is: the next step tells which
    try:
        with opened(rootfs, directory, os.O_PATH | os.O_DIRECTORY) as fd:
            return os.path.join(os.readlink(f"/proc/self/fd/{fd}"), name)
    except OSError:
        raise NotFound(f"Could not find the file {path} in container") from None


def make_directory(rootfs: str, path: str, *, uid: int = 0, gid: int = 0, mode: int = 0o755) -> None:
    """Make `path` and every missing directory above it; new ones belong to `uid`:`gid`. Existing is fine.

    Raises: Invalid with Docker's sentence when a part of it is no directory.
    """
    _walk(rootfs, posixpath.normpath("/" + path).split("/")[1:], path, owner=(uid, gid), mode=mode)


def make_mount_point(rootfs: str, path: str, *, directory: bool) -> None:
    """Something to mount on at `path`: a directory, or an empty file in a directory. Existing is fine.

    Raises: Invalid when a file is where a directory is needed, or the other way round.
    """
    if directory:
        make_directory(rootfs, path)
        return
    parent, name = posixpath.split(posixpath.normpath("/" + path))
    make_directory(rootfs, parent)
    with opened(rootfs, parent, os.O_RDONLY | os.O_DIRECTORY) as parent_fd:
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=parent_fd))
        except FileExistsError:
            pass  # a file, or a symlink the runtime will follow inside the root
    try:
        with opened(rootfs, path, os.O_PATH | os.O_DIRECTORY):
            pass
    except OSError:
        return
    raise Invalid(f"cannot mount a file over the directory {path}")


def _walk(rootfs: str, parts: list[str], whole: str, *, owner: tuple[int, int], mode: int) -> None:
    done = "/"
    for part in filter(None, parts):
        following = posixpath.join(done, part)
        try:
            with opened(rootfs, following, os.O_PATH | os.O_DIRECTORY):
                pass
        except NotADirectoryError:
            raise Invalid(f"Cannot mkdir: {whole} is not a directory") from None
        except FileNotFoundError:
            _make_one(rootfs, done, part, owner=owner, mode=mode)
        done = following


def _make_one(rootfs: str, parent: str, name: str, *, owner: tuple[int, int], mode: int) -> None:
    with opened(rootfs, parent, os.O_RDONLY | os.O_DIRECTORY) as fd:
        try:
            os.mkdir(name, mode, dir_fd=fd)
        except FileExistsError:
            # A symlink to nowhere: there is no saying where it should be made.
            raise Invalid(f"Cannot mkdir: {posixpath.join(parent, name)} is not a directory") from None
        os.chmod(name, mode, dir_fd=fd)  # whatever our umask is
        os.chown(name, *owner, dir_fd=fd, follow_symlinks=False)


def _is_regular(fd: int) -> bool:
    return (os.fstat(fd).st_mode & 0o170000) == 0o100000
