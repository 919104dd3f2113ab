"""Reading logs: tail of any file, bounds, growth, replacement. Records here are ``TIME F|P TEXT``."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.model.process import LogEntry
from landbridge.system.logfile import entries, follow


def parse(line: bytes) -> LogEntry | None:
    parts = line.split(b" ", 2)
    if len(parts) < 3 or not parts[0].isdigit():
        return None
    return LogEntry(time=int(parts[0]), stream="stdout", data=parts[2], partial=parts[1] == b"P")


def record(time: int, text: str = "x", tag: str = "F") -> bytes:
    return f"{time} {tag} {text}\n".encode()


def times(path: Path, **bounds: int) -> list[int]:
    return [entry.time for entry in entries(str(path), parse, **bounds)]


@given(
    lines=st.lists(st.tuples(st.sampled_from("FFP"), st.integers(0, 70_000)), max_size=12),
    count=st.integers(0, 14),
    unfinished=st.booleans(),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
def test_the_tail_is_what_reading_everything_gives(
    tmp_path_factory: pytest.TempPathFactory, *, lines: list[tuple[str, int]], count: int, unfinished: bool,
    cuts: list[int],
) -> None:  # fmt: skip
    """Also of a log that was turned at `cuts`."""
    path = tmp_path_factory.mktemp("log") / "log"
    records = [record(number, "y" * length, tag) for number, (tag, length) in enumerate(lines)]
    bounds = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    for number, (start, end) in enumerate(zip(bounds[-2::-1], bounds[:0:-1], strict=True)):
        Path(f"{path}.{number}" if number else path).write_bytes(b"".join(records[start:end]))
    with path.open("ab") as newest:
        newest.write(b"99 F cut o" if unfinished else b"")
    # What the program has not ended with a newline is a line, too.
    ends = [number for number, (tag, _) in enumerate(lines) if tag == "F" or number == len(lines) - 1]
    # The last `count` lines: from behind the end of the line before them.
    first = 0 if count >= len(ends) else ends[len(ends) - count - 1] + 1
    expected = list(range(first, len(lines))) if count else []
    assert times(path, tail=count) == expected


def test_bounds_and_what_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(record(1) + b"nonsense\n" + record(2) + b"\n" + record(3) + record(4))
    assert times(path, since=2, until=3) == [2, 3]
    assert times(path, since=3) == [3, 4]


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert times(tmp_path / "none") == []
    assert times(tmp_path / "none", tail=3) == []


def test_a_sparse_giant_is_read_from_its_end(tmp_path: Path) -> None:
    """Eight gigabytes of nothing before the last lines: reading them all would take minutes."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.seek(8 << 30)
        file.write(b"\n" + record(1) + record(2) + record(3))
    assert times(path, tail=2) == [2, 3]


class Follower:
    """`follow` on a path, its entries taken one by one."""

    def __init__(self, path: Path, **options: int) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entries: AsyncIterator[LogEntry] = follow(str(path), parse, ended=self.ended, **options)

    async def next(self) -> int | None:
        async with asyncio.timeout(10):
            entry = await anext(self._entries, None)
        return entry.time if entry else None

    async def close(self) -> None:
        with contextlib.suppress(StopAsyncIteration):
            await self._entries.aclose()  # type: ignore[attr-defined]


def test_following_growth_until_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "log"
        path.write_bytes(record(1) + record(2))
        follower = Follower(path, tail=1)
        assert await follower.next() == 2
        with path.open("ab") as file:
            file.write(b"3 F ha")
            file.flush()
            waiting = asyncio.ensure_future(follower.next())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            file.write(b"lf\n" + record(4))
            file.flush()
            assert await waiting == 3
            assert await follower.next() == 4
            file.write(record(5))
        follower.ended.set_result(None)
        assert await follower.next() == 5
        assert await follower.next() is None

    asyncio.run(scenario())


def test_following_a_log_that_comes_later_and_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "log"
        follower = Follower(path)
        waiting = asyncio.ensure_future(follower.next())
        await asyncio.sleep(0.05)
        path.write_bytes(record(1))
        assert await waiting == 1
        with path.open("ab") as old:
            old.write(record(2))
            old.flush()
            new = tmp_path / "new"
            new.write_bytes(record(3))
            new.rename(path)
        assert [await follower.next(), await follower.next()] == [2, 3]
        path.write_bytes(record(4)[:-1] + b"\n")  # cut short in place
        path.write_bytes(b"")
        waiting = asyncio.ensure_future(follower.next())
        await asyncio.sleep(0.05)
        with path.open("ab") as file:
            file.write(record(5))
        assert await waiting in (4, 5)
        await follower.close()

    asyncio.run(scenario())


def test_following_stops_after_until(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "log"
        path.write_bytes(record(1) + record(5) + record(6))
        follower = Follower(path, until=4)
        assert await follower.next() == 1
        assert await follower.next() is None

    asyncio.run(scenario())


def test_leaving_early_leaks_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "log"
        path.write_bytes(record(1))
        follower = Follower(path)
        assert await follower.next() == 1
        waiting = asyncio.ensure_future(follower.next())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await follower.close()

    asyncio.run(scenario())
