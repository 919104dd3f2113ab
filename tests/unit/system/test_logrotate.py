"""Turning logs, with a stand-in for their writer that goes on in a new file when its FIFO says so, as conmon does."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from landbridge.model.process import LogEntry
from landbridge.system.logfile import entries, follow
from landbridge.system.logrotate import LogRotation, Rotated, turn

PATIENCE = 20.0


class Writer:
    """Has a log open and reads a control FIFO."""

    def __init__(self, directory: Path) -> None:
        self.path, self.control = directory / "log", directory / "ctl"
        os.mkfifo(self.control)
        self.reading = os.open(self.control, os.O_RDWR | os.O_NONBLOCK)
        self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        self.asked: list[bytes] = []
        self.number = 0

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            self.file.write(b"%d F x\n" % self.number)

    def reopen(self) -> None:
        """Do what the FIFO says, if anything."""
        try:
            self.asked.append(os.read(self.reading, 100))
        except BlockingIOError:
            return
        new = open(f"{self.path}.tmp", "wb", buffering=0)  # noqa: SIM115
        os.rename(f"{self.path}.tmp", self.path)
        self.file.close()
        self.file = new

    def end(self) -> None:
        """Twice is no error."""
        if not self.file.closed:
            os.close(self.reading)
            self.file.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    yield made
    made.end()


def parse(line: bytes) -> LogEntry:
    time, tag, text = line.split(b" ", 2)
    return LogEntry(time=int(time), stream="stdout", data=text, partial=tag == b"P")


def seen(writer: Writer) -> list[int]:
    return [entry.time for entry in entries(str(writer.path), parse)]


def names(writer: Writer) -> set[str]:
    return {path.name for path in writer.path.parent.glob("log*")}


def test_a_full_log_is_turned_and_the_oldest_goes(writer: Writer) -> None:
    log = Rotated(str(writer.path), str(writer.control), 12, 3)
    writer.write(1)
    assert turn(log) and names(writer) == {"log"}  # not full yet
    kept = []
    for _ in range(4):
        writer.write(2)
        assert not turn(log)
        writer.write(1)  # before its writer has heard: it goes where the rest is
        assert not turn(log)  # nor is it turned twice
        kept.append(seen(writer))  # and not read twice
        writer.reopen()
        assert turn(log) and seen(writer) == kept[-1]
    assert kept == [list(range(1, 5)), list(range(1, 8)), list(range(5, 11)), list(range(8, 14))]
    assert names(writer) == {"log", "log.1", "log.2"}
    assert writer.asked == [b"2 0 0\n"] * 4


def test_of_two_files_one_is_old(writer: Writer) -> None:
    log = Rotated(str(writer.path), str(writer.control), 12, 2)
    for _ in range(3):
        writer.write(2)
        assert not turn(log)
        writer.reopen()
    assert (seen(writer), names(writer)) == ([5, 6], {"log", "log.1"})


def test_a_log_whose_writer_has_ended_stays(writer: Writer) -> None:
    writer.write(9)
    writer.end()
    assert turn(Rotated(str(writer.path), str(writer.control), 12, 3))
    assert turn(Rotated(str(writer.path) + "no", str(writer.control), 12, 3))
    assert names(writer) == {"log"}


@asynccontextmanager
async def kept_small(writer: Writer, *, files: int = 3) -> AsyncIterator[LogRotation]:
    rotation = LogRotation()
    rotation.watch("one", Rotated(str(writer.path), str(writer.control), 30, files))
    try:
        yield rotation
    finally:
        rotation.close()


async def turned(writer: Writer, count: int) -> None:
    """Until the writer was told so often."""
    async with asyncio.timeout(PATIENCE):
        while len(writer.asked) < count:
            await asyncio.sleep(0.005)
            writer.reopen()


def test_logs_are_turned_as_they_grow(writer: Writer) -> None:
    async def scenario() -> None:
        async with kept_small(writer) as rotation:
            for turns in range(1, 4):
                writer.write(8)
                await turned(writer, turns)
            assert names(writer) == {"log", "log.1", "log.2"}
            assert seen(writer) == list(range(9, 25))
            rotation.unwatch("one")
            rotation.unwatch("one")
            writer.write(50)
            await asyncio.sleep(0.3)
            writer.reopen()
            assert len(writer.asked) == 3

    asyncio.run(scenario())


def test_a_reader_that_lags_behind_misses_nothing_that_is_kept(writer: Writer) -> None:
    async def scenario() -> None:
        log = Rotated(str(writer.path), str(writer.control), 1, 4)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        writer.write(3)
        reader = follow(str(writer.path), parse, ended=ended)
        got = [(await anext(reader)).time]
        for _ in range(3):  # it still holds the file that is log.3 in the end
            writer.write(2)
            assert not turn(log)
            writer.reopen()
        writer.write(1)
        ended.set_result(None)
        got += [entry.time async for entry in reader]
        assert got == list(range(1, 11))

    asyncio.run(scenario())


def test_a_turn_its_writers_end_cut_short_is_taken_back(writer: Writer) -> None:
    async def scenario() -> None:
        writer.write(2)
        os.link(writer.path, f"{writer.path}.1")
        async with kept_small(writer):
            assert names(writer) == {"log"}
            assert seen(writer) == [1, 2]

    asyncio.run(scenario())
