"""Kernel settings under /proc/sys, as the calling thread's network namespace has them.

For a sandbox's own settings see `netns.read_sysctl` and `netns.write_sysctls`. Keys are paths
(``net/ipv4/ip_forward``); the dotted form is accepted where it is unambiguous, that is when no interface
name with a dot is in it. Values are text, as in the file.
"""

import errno
import os
from collections.abc import Iterable

from landbridge.errors import Internal, Invalid, NotFound

_ROOT = "/proc/sys/"


def read(key: str) -> str:
    """The value of `key` without the line end.

    Raises: NotFound when the kernel has no such key, Internal when it cannot be read.
    """
    try:
        with open(_file(key)) as file:
            return file.read().rstrip("\n")
    except FileNotFoundError as error:
        raise NotFound(f"sysctl {key}: no such key") from error
    except OSError as error:
        raise Internal(f"sysctl {key}: {error.strerror}") from error


def write(key: str, value: str) -> None:
    """Set `key`.

    Raises: NotFound when the kernel has no such key, Invalid when it refuses the value, Internal otherwise.
    """
    try:
        # Some keys are write-only, and the kernel's verdict comes with the one write(2).
        handle = os.open(_file(key), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, value.encode())
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        raise NotFound(f"sysctl {key}: no such key") from error
    except OSError as error:
        kind = Invalid if error.errno in (errno.EINVAL, errno.ERANGE) else Internal
        raise kind(f"sysctl {key}={value}: {error.strerror}") from error


def write_all(settings: Iterable[tuple[str, str]]) -> None:
    """`write` each, in order; stops at the first refusal."""
    for key, value in settings:
        write(key, value)


def _file(key: str) -> str:
    path = key if "/" in key else key.replace(".", "/")
    if ".." in path.split("/") or path.startswith("/"):
        raise Invalid(f"sysctl {key}: not a key")
    return _ROOT + path
