"""Bytes between the event loop and worker threads: order, bounds, errors from either end, early ends."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from landbridge.images.feed import BATCH, ROOM, from_thread, in_thread


async def count(total: int, size: int, given: list[int] | None = None) -> AsyncIterator[bytes]:
    for number in range(total):
        if given is not None:
            given.append(number)
        yield bytes([number % 256]) * size


def nothing(result: object) -> None:
    raise AssertionError(f"{result!r} was thrown away")


def test_a_thread_sees_all_in_order() -> None:
    async def go() -> None:
        data = await in_thread(count(300, 7), b"".join, nothing)
        assert data == b"".join(bytes([number % 256]) * 7 for number in range(300))

    asyncio.run(go())


def test_a_slow_reader_stops_the_stream() -> None:
    async def go() -> None:
        given: list[int] = []
        may_read = threading.Event()
        waiting = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work(chunks: Iterator[bytes]) -> int:
            loop.call_soon_threadsafe(waiting.set)
            may_read.wait()
            return sum(map(len, chunks))

        task = asyncio.ensure_future(in_thread(count(100, ROOM // 4, given), work, nothing))
        await waiting.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(given) <= 6
        may_read.set()
        assert await task == 100 * (ROOM // 4)

    asyncio.run(go())


def test_work_that_stops_early_stops_the_stream() -> None:
    async def go() -> None:
        given: list[int] = []
        assert await in_thread(count(10**9, 1 << 20, given), lambda chunks: len(next(chunks)), nothing) >= 1
        assert len(given) < 1000

    asyncio.run(go())


def test_works_own_error_comes_out() -> None:
    def fail(chunks: Iterator[bytes]) -> None:
        next(chunks)
        raise ValueError("mine")

    async def go() -> None:
        with pytest.raises(ValueError, match="mine"):
            await in_thread(count(10**9, 100), fail, nothing)

    asyncio.run(go())


def test_a_result_nobody_waits_for_is_discarded() -> None:
    async def go() -> None:
        lost: list[str] = []
        working, go_on = threading.Event(), threading.Event()

        def work(chunks: Iterator[bytes]) -> str:
            working.set()
            assert go_on.wait(60)
            return "result"

        task = asyncio.ensure_future(in_thread(count(1, 1), work, lost.append))
        await asyncio.to_thread(working.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lost == ["result"]

    asyncio.run(go())


def test_chunks_come_out_of_a_thread_joined_and_in_order() -> None:
    async def go() -> None:
        pieces = [bytes([number % 256]) * 1000 for number in range(1000)]
        chunks = [chunk async for chunk in from_thread(lambda: iter(pieces))]
        assert b"".join(chunks) == b"".join(pieces)
        assert all(len(chunk) >= BATCH for chunk in chunks[:-1])

    asyncio.run(go())


def test_an_iterator_is_closed_when_its_reader_stops() -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(BATCH)
        finally:
            closed.set()

    held = endless()  # by us too, so that it is not closed merely because nobody has it any more

    async def go() -> None:
        chunks = from_thread(lambda: held)
        assert await anext(chunks)
        await chunks.aclose()
        assert await asyncio.to_thread(closed.wait, 60)

    asyncio.run(go())


def test_an_iterators_error_comes_out() -> None:
    def fail() -> Iterator[bytes]:
        yield bytes(BATCH)
        raise ValueError("mine")

    async def go() -> None:
        with pytest.raises(ValueError, match="mine"):
            async for _ in from_thread(fail):
                pass

    asyncio.run(go())
