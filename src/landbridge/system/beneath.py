"""Opening paths that must stay inside a directory, whatever symlinks they meet.

The kernel does the resolving (openat2(2), RESOLVE_IN_ROOT): absolute links and ``..`` count from the directory,
as they would after chroot. No string check can say the same.
"""

import ctypes
import errno
import os

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as if directory fd `root` were ``/``; returns a file descriptor (close-on-exec).

    Raises: OSError.
    """
    return _open(root, path, flags, mode, _RESOLVE_IN_ROOT)


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open `path` below directory fd `root`; what leads out, an absolute symlink or too many ``..``, is refused.

    Raises: OSError, with EXDEV where it leads out.
    """
    return _open(root, path, flags, 0, _RESOLVE_BENEATH)


def _open(root: int, path: str, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path) or b"."
    while True:
        fd = _libc.syscall(_SYS_OPENAT2, root, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: a rename elsewhere disturbed a ".."
            raise OSError(code, os.strerror(code), path)


def sync_filesystem(fd: int) -> None:
    """Write the file system of `fd` to disk (syncfs(2)). Raises: OSError."""
    if _libc.syncfs(fd) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
