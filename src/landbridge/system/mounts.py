"""mount(2) and its relatives, without a fork. Unmounting forgives; nothing here knows what the mounts are for.

An overlay is set up through the newer fsopen(2) calls: there each lower directory is its own argument, so the
number of layers is not bound by the page that mount(2) takes for all options (about 40 long paths).
"""

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from landbridge.errors import Internal

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 20
_MNT_DETACH = 2

# Numbers common to all architectures (they came after the tables were unified).
_SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 429, 430, 431, 432
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.syscall.restype = ctypes.c_long


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

    `work` must be empty and on `upper`'s file system. Raises: Internal.
    """
    if not _overlay_by_parts(lower, target, upper, work):
        _overlay_in_one_page(lower, target, upper, work)


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


def has_content(path: str) -> bool:
    """True when `path` is a directory with something in it."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode) and next(Path(path).iterdir(), None) is not None
    except OSError:
        return False


def _overlay_by_parts(lower: Sequence[str], target: str, upper: str, work: str) -> bool:
    """With fsopen and ``lowerdir+`` (Linux 6.8). False when this kernel has none of that."""
    context = _libc.syscall(_SYS_FSOPEN, b"overlay", _FSOPEN_CLOEXEC)
    if context < 0:
        return False
    try:
        pairs = [("lowerdir+", path) for path in lower]
        pairs += [("upperdir", upper), ("workdir", work)] if upper else []
        for key, value in (("source", "overlay"), *pairs):
            if _fsconfig(context, _FSCONFIG_SET_STRING, key, value) < 0:
                if key == "lowerdir+" and ctypes.get_errno() == errno.EINVAL and os.path.isdir(value):
                    return False
                raise _failed(f"overlay {key}={value}")
        if _fsconfig(context, _FSCONFIG_CMD_CREATE) < 0:
            raise _failed(f"overlay at {target}")
        made = _libc.syscall(_SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
        if made < 0:
            raise _failed(f"overlay at {target}")
    finally:
        os.close(context)
    try:
        moved = _libc.syscall(
            _SYS_MOVE_MOUNT, made, b"", _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
        )
        if moved < 0:
            raise _failed(f"overlay at {target}")
    finally:
        os.close(made)
    return True


def _fsconfig(context: int, command: int, key: str = "", value: str = "") -> int:
    name = os.fsencode(key) if key else None
    text = os.fsencode(value) if value else None
    result: int = _libc.syscall(_SYS_FSCONFIG, context, command, name, text, 0)
    return result


def _overlay_in_one_page(lower: Sequence[str], target: str, upper: str, work: str) -> None:
    """With mount(2), whose options end with the page; a colon or comma in a path is escaped as overlayfs wants."""
    options = "lowerdir=" + ":".join(_escape(path) for path in lower)
    if upper:
        options += f",upperdir={_escape(upper)},workdir={_escape(work)}"
    if len(os.fsencode(options)) >= os.sysconf("SC_PAGESIZE"):
        raise Internal(f"too many layers for this kernel: {len(lower)} at {target}")
    mount("overlay", target, source="overlay", options=options)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _unescape(field: bytes) -> bytes:
    """Octal escapes of /proc/self/mountinfo: space, tab, newline, backslash."""
    for code, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, byte)
    return field


def _failed(what: str) -> Internal:
    number = ctypes.get_errno()
    return Internal(f"{what}: {os.strerror(number)}")
