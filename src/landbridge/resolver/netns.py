"""Making sockets inside another network namespace.

A socket stays in the namespace it was made in, so the thread enters, makes it, and returns in one synchronous block.
Python 3.11 has no os.setns; libc's is called through ctypes.
"""

import ctypes
import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Namespaces:
    """The way into sandboxes and back to the namespace the process started in."""

    def __init__(self) -> None:
        # /proc/self is the process's first thread; thread-self is the one that will move.
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def call(self, namespace: int | None, work: Callable[[], T]) -> T:
        """Run `work` inside the namespace of that descriptor (None: where we are at home).

        Raises: OSError from entering, or whatever `work` raises.
        """
        if namespace is None:
            return work()
        _enter(namespace)
        try:
            return work()
        finally:
            try:
                _enter(self._home)
            except OSError:
                # In the wrong namespace every later socket would be a leak between containers.
                os._exit(70)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
