"""inotify(7) for the event loop: learn that a file was written, moved or removed, without polling.

Thin on purpose: events are handed out as the kernel gives them, callers look at the file system again.
"""

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from landbridge.errors import Internal
from landbridge.system.descriptors import read

MODIFY, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE = 0x2, 0x8, 0x40, 0x80, 0x100
DELETE, DELETE_SELF, MOVE_SELF = 0x200, 0x400, 0x800
ONESHOT = 0x80000000  # the watch ends with its first event

_HEADER = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class Event:
    """`name` is the entry of a watched directory the event is about, empty for the watched thing itself."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance. Raises: Internal when the user's instances are used up."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise Internal(f"inotify_init1: {os.strerror(ctypes.get_errno())}")

    def add(self, path: str, mask: int) -> int:
        """Watch `path`. Raises: OSError, as the kernel says."""
        watch: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask))
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return watch

    async def events(self) -> tuple[Event, ...]:
        """Wait for at least one event."""
        return tuple(_parse(await read(self.fd)))

    def close(self) -> None:
        """Forget all watches. Twice is no error.

        The kernel waits for a grace period before it lets an instance go (fsnotify_destroy_group, 5-15 ms), so a
        thread does it: nobody depends on the end of that.
        """
        if self.fd >= 0:
            threading.Thread(target=os.close, args=(self.fd,), name="landbridge-inotify", daemon=True).start()
            self.fd = -1

    def __enter__(self) -> "Inotify":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parse(data: bytes) -> Iterator[Event]:
    offset = 0
    while offset < len(data):
        watch, mask, _cookie, length = _HEADER.unpack_from(data, offset)
        offset += _HEADER.size
        name = data[offset : offset + length].rstrip(b"\0")
        offset += length
        yield Event(watch, mask, os.fsdecode(name))
