"""Streams of bytes between the event loop and worker threads, both ways, bounded.

Inwards: an asynchronous stream is read as a plain iterator in a thread.
The producer waits when more than ROOM bytes are unread. The thread gets everything that is there at
once. If the producer fails, the thread's iterator raises its error; if the thread stops reading, the rest
of the stream is not taken.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from landbridge.errors import Internal

ROOM = 4 << 20
BATCH = 256 << 10

T = TypeVar("T")


class _Feed:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._filled = threading.Condition()
        self._chunks: list[bytes] = []
        self._unread = 0
        self._ended = False
        self._error: BaseException | None = None

    async def pump(self, stream: AsyncIterable[bytes]) -> None:
        error: BaseException | None = None
        try:
            async for chunk in stream:
                await self._room.wait()
                with self._filled:
                    self._chunks.append(chunk)
                    self._unread += len(chunk)
                    if self._unread >= ROOM:
                        self._room.clear()
                    self._filled.notify()
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.end(error)

    def end(self, error: BaseException | None) -> None:
        with self._filled:
            self._ended = True
            self._error = self._error or error
            self._filled.notify()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._filled:
                while not self._chunks and not self._ended:
                    self._filled.wait()
                taken, self._chunks, self._unread = self._chunks, [], 0
                error = self._error
            self._loop.call_soon_threadsafe(self._room.set)
            if error is not None:
                raise Internal(f"the stream was cut off: {error!r}") from error
            if not taken:
                return
            yield from taken


async def in_thread(
    stream: AsyncIterable[bytes], work: Callable[[Iterator[bytes]], T], discard: Callable[[T], object] = id
) -> T:
    """Run `work` in a worker thread with the bytes of `stream`, and return its result.

    Raises: what `work` raises, or the stream's own error when that is why `work` failed. When the caller is
    cancelled, `work` sees its iterator fail and is waited for, so that it can clean up; a result it has all the
    same is given to `discard`, in a thread.
    """
    feed = _Feed()
    pump = asyncio.ensure_future(feed.pump(stream))
    # A thread of its own: a slow client must not occupy one of the few that everything else shares.
    pool = ThreadPoolExecutor(1, "landbridge-feed")
    worker = asyncio.get_running_loop().run_in_executor(pool, work, iter(feed))
    pool.shutdown(wait=False)
    both: tuple[asyncio.Future[Any], ...] = (pump, worker)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            pump.cancel()
        await asyncio.wait(both)
    except asyncio.CancelledError:
        pump.cancel()
        feed.end(asyncio.CancelledError())
        await asyncio.wait(both)
        if worker.exception() is None:  # else seen: the cancellation is what the caller gets
            await asyncio.to_thread(discard, worker.result())
        raise
    if not pump.cancelled() and (error := pump.exception()) is not None and worker.exception() is not None:
        raise error
    return worker.result()


async def from_thread(make: Callable[[], Iterator[bytes]]) -> AsyncGenerator[bytes, None]:
    """The chunks of a blocking iterator, made and read in a worker thread, one step ahead of the reader.

    The iterator is closed in the thread, also when the reader stops early. Raises: what the iterator raises.
    """
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1, "landbridge-feed")
    chunks: Iterator[bytes] = iter(())
    try:
        chunks = await loop.run_in_executor(pool, make)
        ahead = loop.run_in_executor(pool, _batch, chunks)
        try:
            while batch := await ahead:
                ahead = loop.run_in_executor(pool, _batch, chunks)
                yield batch
        finally:
            ahead.cancel()
    finally:
        pool.submit(_close, chunks)
        pool.shutdown(wait=False)


def _close(chunks: Iterator[bytes]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()


def _batch(chunks: Iterator[bytes]) -> bytes:
    """Enough chunks to be worth a change of threads; empty at the end."""
    taken: list[bytes] = []
    size = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            break
    return b"".join(taken)
