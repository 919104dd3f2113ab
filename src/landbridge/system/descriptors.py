"""Non-blocking file descriptors and the event loop: wait, read, write.

A descriptor that may be closed while somebody waits for it belongs to a `Readiness`: closing must first take it
out of the loop, or a late clean-up would hit whoever got the same number next.
"""

import asyncio
import errno
import os


class Readiness:
    """Waits on descriptors of one owner, which may close them at any time after `release`."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, str], asyncio.Future[None]] = {}

    async def readable(self, fd: int) -> None:
        """Return once `fd` can be read, is at its end or was released."""
        await self._wait(fd, "r")

    async def writable(self, fd: int) -> None:
        """Return once `fd` takes data, has lost its reader or was released."""
        await self._wait(fd, "w")

    def release(self, fd: int) -> None:
        """Forget `fd` and wake who waits for it. It may be closed now."""
        for kind in "rw":
            future = self._waiting.pop((fd, kind), None)
            if future:
                self._detach(fd, kind)
                settle(future)

    def wake(self) -> None:
        """Wake everybody who waits; they look again for themselves."""
        for future in self._waiting.values():
            settle(future)

    async def _wait(self, fd: int, kind: str) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        add = loop.add_reader if kind == "r" else loop.add_writer
        add(fd, settle, future)
        self._waiting[(fd, kind)] = future
        try:
            await future
        finally:
            if self._waiting.get((fd, kind)) is future:
                del self._waiting[(fd, kind)]
                self._detach(fd, kind)

    @staticmethod
    def _detach(fd: int, kind: str) -> None:
        loop = asyncio.get_running_loop()
        (loop.remove_reader if kind == "r" else loop.remove_writer)(fd)


def settle(future: "asyncio.Future[None]") -> None:
    """Mark `future` done, unless it is already (cancelled, or told twice)."""
    if not future.done():
        future.set_result(None)


async def readable(fd: int) -> None:
    """Return once `fd` can be read or is at its end. The caller keeps it open until then."""
    await Readiness().readable(fd)


async def read(fd: int, size: int = 65536) -> bytes:
    """The next bytes of `fd`, empty at its end. EIO of a closed terminal is an end."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            await readable(fd)
        except OSError as problem:
            if problem.errno == errno.EIO:
                return b""
            raise


async def read_all(fd: int) -> bytes:
    """Everything until the end of `fd`."""
    pieces = []
    while piece := await read(fd):
        pieces.append(piece)
    return b"".join(pieces)
