"""Output on its way to a client that may be slow: a little in memory, much on disk, and a limit.

A container must not wait for somebody who has stopped reading, nor may what he has not read fill memory. What
does not fit in memory goes to a nameless file; writes to it go to the page cache and take microseconds, so they
are made from the event loop.
"""

import asyncio
import os
from collections import deque

MEMORY = 1 << 20
DISK = 256 << 20
# How long a full spool waits for its reader; the writer waits as long.
PATIENCE_SECONDS = 10.0
_PIECE = 256 << 10


class Spool:
    """First in, first out, for one writer and one reader. `close` forgets what is left."""

    def __init__(
        self, directory: str, *, memory: int = MEMORY, disk: int = DISK, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._directory = directory
        self._patience = patience
        self._memory = memory
        self._disk = disk
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._fd = -1
        self._written = self._read = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Spool {self._held} bytes in memory, {self._written - self._read} on disk>"

    @property
    def full(self) -> bool:
        """True when nothing more may be put."""
        return self._written >= self._disk

    def put(self, data: bytes) -> None:
        """Add to the end. Order is kept: while something is on disk, everything new goes there."""
        if self._fd < 0 and self._held + len(data) <= self._memory:
            self._chunks.append(data)
            self._held += len(data)
        else:
            self._put_on_disk(data)
        self._changed.set()

    def _put_on_disk(self, data: bytes) -> None:
        if self._fd < 0:
            self._fd = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        view = memoryview(data)
        while view:
            count = os.pwrite(self._fd, view, self._written)
            self._written += count
            view = view[count:]

    def end(self) -> None:
        """Nothing will be put any more."""
        self._ended = True
        self._changed.set()

    async def get(self) -> bytes:
        """The next piece; empty after the last."""
        while True:
            if self._chunks:
                data = self._chunks.popleft()
                self._held -= len(data)
                break
            if self._fd >= 0:
                data = os.pread(self._fd, min(_PIECE, self._written - self._read), self._read)
                self._read += len(data)
                if self._read == self._written:
                    self._drop_file()
                break
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        self._taken.set()
        return data

    async def room(self) -> bool:
        """Wait while it is full; False when the reader took nothing for `patience` seconds."""
        while self.full:
            self._taken.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._taken.wait()
            except TimeoutError:
                return False
        return True

    def _drop_file(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._written = self._read = 0

    def close(self) -> None:
        """Twice is no error."""
        self._chunks.clear()
        self._held = 0
        if self._fd >= 0:
            self._drop_file()
