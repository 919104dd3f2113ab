"""mount(2) and its relatives, without a fork.

Unmounting forgives; nothing here knows what the mounts are for. A path may hold any byte but NUL.
"""

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack

from landbridge.errors import Internal

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 20
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


def mount(kind: str, target: str, *, source: str = "none", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises: Internal, with the kernel's reason."""
    arguments = (os.fsencode(source), os.fsencode(target), os.fsencode(kind), flags, os.fsencode(options))
    if _libc.mount(*arguments) < 0:
        raise _failed(f"mount {kind} at {target}")


def unmount(target: str) -> None:
    """Detach whatever is mounted at `target`, busy or not. Nothing mounted there is no error.

    Raises: Internal for any other refusal.
    """
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) < 0 and ctypes.get_errno() not in (errno.EINVAL, errno.ENOENT):
        raise _failed(f"unmount {target}")


def bind(source: str, target: str, *, readonly: bool = False, recursive: bool = False) -> None:
    """Make `source` visible at `target` too. Raises: Internal."""
    flags = MS_BIND | (MS_REC if recursive else 0)
    mount("none", target, source=source, flags=flags)
    if readonly:
        mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def tmpfs(target: str, *, options: str = "mode=755", flags: int = MS_NOSUID | MS_NODEV) -> None:
    """An empty file system in memory at `target`. Raises: Internal."""
    mount("tmpfs", target, source="tmpfs", flags=flags, options=options)


def overlay(lower: Sequence[str], target: str, *, upper: str = "", work: str = "") -> None:
    """Mount the union of `lower` (topmost first) at `target`, writable when `upper` and `work` are given.

    `work` must be empty and on `upper`'s file system. mount(2) takes one page of options: when the paths do not
    fit, they are named by descriptors, which is good for about 200 layers. Raises: Internal.
    """
    pairs = [("upperdir", upper), ("workdir", work)] if upper else []
    options = _overlay_options([_escape(path) for path in lower], [(key, _escape(path)) for key, path in pairs])
    if len(os.fsencode(options)) < os.sysconf("SC_PAGESIZE"):
        mount("overlay", target, source="overlay", options=options)
        return
    with ExitStack() as opened:
        names = [_by_descriptor(path, opened) for path in lower]
        options = _overlay_options(names, [(key, _by_descriptor(path, opened)) for key, path in pairs])
        if len(options) >= os.sysconf("SC_PAGESIZE"):
            raise Internal(f"too many layers: {len(lower)} at {target}")
        mount("overlay", target, source="overlay", options=options)


def is_mount(path: str) -> bool:
    """True when something is mounted exactly at `path` (also a bind of the same file system)."""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo", "rb") as file:
        return any(_unescape(line.split(b" ")[4]) == os.fsencode(real) for line in file)


def mounts_below(directory: str) -> tuple[str, ...]:
    """All mount points below `directory` (and itself), deepest last, as the kernel lists them."""
    real = os.fsencode(os.path.realpath(directory))
    with open("/proc/self/mountinfo", "rb") as file:
        points = [_unescape(line.split(b" ")[4]) for line in file]
    return tuple(os.fsdecode(point) for point in points if point == real or point.startswith(real + b"/"))


def _overlay_options(lower: Sequence[str], others: Sequence[tuple[str, str]]) -> str:
    return ",".join(["lowerdir=" + ":".join(lower), *(f"{key}={path}" for key, path in others)])


def _by_descriptor(path: str, opened: ExitStack) -> str:
    try:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise Internal(f"overlay of {path}: {problem.strerror}") from problem
    opened.callback(os.close, fd)
    return f"/proc/self/fd/{fd}"


def _escape(path: str) -> str:
    """What separates overlayfs options, and the backslash itself, after a backslash."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _unescape(field: bytes) -> bytes:
    """Octal escapes of /proc/self/mountinfo: space, tab, newline, backslash."""
    for code, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, byte)
    return field


def _failed(what: str) -> Internal:
    number = ctypes.get_errno()
    return Internal(f"{what}: {os.strerror(number)}")
