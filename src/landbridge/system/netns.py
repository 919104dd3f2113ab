"""Sandboxes as the kernel has them: network namespaces pinned by a bind mount, and stepping into one.

A socket stays in the namespace it was created in, so stepping in is only ever needed to create sockets,
write sysctls or start a process, and lasts microseconds. Stepping in switches the calling *thread* alone
(unshare(2), setns(2) through ctypes: Python has no setns before 3.12); nothing is awaited and no thread is
started meanwhile. A thread that could not switch back would act on the wrong machine's network from then
on, so that ends the process.

Nothing here knows what a sandbox is for.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from landbridge.errors import Conflict, Internal, Invalid, NotFound
from landbridge.model.link import SandboxSpec
from landbridge.system import runtime_errors, sysctl

_OWN = "/proc/thread-self/ns/net"
_IPROUTE2_DIRECTORIES = ("/run/netns", "/var/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SHARED = 0x100000
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


def create(spec: SandboxSpec) -> None:
    """Make a namespace, pin it at `spec.path`, bring its loopback up and write `spec.sysctls` in it.

    The parent directory is made if missing. All or nothing: a failure leaves no pin.
    Raises: Conflict when a namespace is pinned there already, Internal, StartFailed for a setting of `spec`.
    """
    _claim(spec.path)
    try:
        with _fresh():
            _mount(_OWN, spec.path, _MS_BIND)
            _loopback_up()
            for key, value in spec.sysctls:
                _set(key, value)
    except BaseException:
        remove(spec.path)
        raise


def _set(key: str, value: str) -> None:
    """A setting its container's user asked for, refused in a runtime's words. Raises: StartFailed, Internal."""
    try:
        sysctl.write(key, value)
    except NotFound as error:
        raise runtime_errors.sysctl_failed(key, None, "no such file or directory") from error
    except Invalid as error:
        raise runtime_errors.sysctl_failed(key, value, "invalid argument") from error


def remove(path: str) -> None:
    """Let go of the pin at `path`. The namespace ends when its last process and socket do. Twice is fine.

    Returns before the kernel has taken the interfaces down (that takes it tens of milliseconds).
    Raises: Internal.
    """
    while _libc.umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW) == 0:
        pass  # pins can be stacked when the directory was bind-mounted onto itself in between
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOENT):
        raise Internal(f"unpin {path}: {os.strerror(number)}")
    try:
        # Copies of the mount in other mount namespaces do not keep it alive: unlink(2) detaches them.
        os.unlink(path)
    except FileNotFoundError:
        pass  # removed before
    except OSError as error:
        raise Internal(f"unpin {path}: {error.strerror}") from error


def expose(path: str, name: str) -> None:
    """Let ``ip netns exec NAME`` and its like find the pin at `path`: a symbolic link where they look.

    A link keeps nothing alive and needs no mount. One of the same name that leads elsewhere is replaced.
    Raises: Conflict when `name` is a namespace of somebody else's.
    """
    os.makedirs(_IPROUTE2_DIRECTORIES[0], mode=0o755, exist_ok=True)
    conceal(name)
    try:
        os.symlink(path, f"{_IPROUTE2_DIRECTORIES[0]}/{name}")
    except FileExistsError as error:
        raise Conflict(f"a network namespace is named {name} already") from error


def conceal(name: str) -> None:
    """Undo `expose`; a real pin of that name is left alone. Twice is fine."""
    link = f"{_IPROUTE2_DIRECTORIES[0]}/{name}"
    if _leads_to(link) is not None:
        Path(link).unlink(missing_ok=True)


def exposed(directory: str) -> dict[str, str]:
    """What `expose` has made for pins in `directory`, whether they are still there or not: {name: path}."""
    found: dict[str, str] = {}
    try:
        entries = list(os.scandir(_IPROUTE2_DIRECTORIES[0]))
    except FileNotFoundError:
        return found
    for entry in entries:
        target = _leads_to(entry.path)
        if target and os.path.dirname(target) == directory:
            found[entry.name] = target
    return found


def _leads_to(link: str) -> str | None:
    """The target of a symbolic link; None when it is something else or has gone: other engines share the directory."""
    try:
        return os.readlink(link)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def inode(path: str) -> int | None:
    """The identity of the namespace pinned at `path`; None when there is none (a left-over plain file too)."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino if found.st_dev == os.stat(_OWN).st_dev else None


def current() -> int:
    """The identity of the calling thread's network namespace."""
    return os.stat(_OWN).st_ino


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Have the calling thread in the namespace at `path` for the duration of the block.

    Keep the block short and synchronous: no await, no yield to a caller, no new thread.
    Raises: NotFound when nothing is pinned there, Internal.
    """
    with _returning():
        _enter(path)
        yield


def run_inside(path: str, work: Callable[[], _T]) -> _T:
    """`work()` as run by the calling thread inside the namespace at `path`. Raises: as `inside`."""
    with inside(path):
        return work()


def netlink_socket(path: str, family: int = socket.NETLINK_ROUTE) -> socket.socket:
    """A raw netlink socket that lives in the namespace at `path`. Raises: as `inside`."""
    with inside(path):
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)


def read_sysctl(path: str, key: str) -> str:
    """`sysctl.read` inside the namespace at `path`."""
    with inside(path):
        return sysctl.read(key)


def write_sysctls(path: str, settings: Iterable[tuple[str, str]]) -> None:
    """`sysctl.write` of each setting inside the namespace at `path`, in order."""
    with inside(path):
        sysctl.write_all(settings)


@contextmanager
def _fresh() -> Iterator[None]:
    with _returning():
        if _libc.unshare(_CLONE_NEWNET):
            _fail("unshare the network namespace")
        yield


@contextmanager
def _returning() -> Iterator[None]:
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        if _libc.setns(own, _CLONE_NEWNET):
            number = ctypes.get_errno()
            print(f"cannot return to the own network namespace: {os.strerror(number)}", file=sys.stderr, flush=True)
            os.abort()
        os.close(own)


def _enter(path: str) -> None:
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no network namespace at {path}") from error
    try:
        if _libc.setns(target, _CLONE_NEWNET):
            if ctypes.get_errno() == errno.EINVAL:
                raise NotFound(f"no network namespace at {path}")
            _fail(f"enter {path}")
    finally:
        os.close(target)


def _claim(path: str) -> None:
    """Make the empty file that will carry the pin; a plain file left by a crash is taken over."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    if directory in _IPROUTE2_DIRECTORIES:
        _share(directory)
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    except FileExistsError as error:
        if inode(path) is not None:
            raise Conflict(f"a network namespace is pinned at {path} already") from error


def _share(directory: str) -> None:
    """Do what ``ip netns add`` does before its first pin, under the same lock.

    It bind-mounts the directory onto itself, shared. Pins made before that would be covered by their own
    copies and could no longer be unlinked; in a directory of our own nobody does such a thing.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _libc.mount(b"", os.fsencode(directory), b"none", _MS_SHARED | _MS_REC, None):
            if ctypes.get_errno() != errno.EINVAL:  # EINVAL: not a mount point yet
                _fail(f"share {directory}")
            _mount(directory, directory, _MS_BIND | _MS_REC)
            _mount("", directory, _MS_SHARED | _MS_REC)
    finally:
        os.close(handle)


def _mount(source: str, target: str, flags: int) -> None:
    if _libc.mount(os.fsencode(source), os.fsencode(target), b"none", flags, None):
        _fail(f"mount on {target}")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def _fail(what: str) -> NoReturn:
    raise Internal(f"{what}: {os.strerror(ctypes.get_errno())}")
