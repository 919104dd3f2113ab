"""One direction of a relayed connection, on socket pairs: nothing lost, the end passed on, memory bounded."""

import os
import socket
from collections.abc import Iterator

import pytest

from landbridge.proxy.stream import CHUNK, PIPE_SIZE, SPLICE_AFTER, Ended, Pipes, Stream


class Line:
    """writer → (source → stream → sink) → reader"""

    def __init__(self, pipes: Pipes) -> None:
        self.pipes = pipes
        self.writer, self.source = socket.socketpair()
        self.sink, self.reader = socket.socketpair()
        for sock in (self.writer, self.source, self.sink, self.reader):
            sock.settimeout(0)
        self.stream = Stream(self.source, self.sink, pipes)

    def close(self) -> None:
        self.stream.close()
        for sock in (self.writer, self.source, self.sink, self.reader):
            sock.close()

    def fill(self) -> bytes:
        """Write until nothing more is taken."""
        sent = b""
        while True:
            block = os.urandom(CHUNK)
            try:
                count = self.writer.send(block)
            except BlockingIOError:
                return sent
            sent += block[:count]

    def drain(self) -> bytes:
        got = b""
        while True:
            try:
                data = self.reader.recv(CHUNK)
            except BlockingIOError:
                return got
            if not data:
                return got
            got += data


@pytest.fixture(params=[64, 0], ids=["pipes", "no pipe left"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    pipes = Pipes(request.param)
    line = Line(pipes)
    yield line
    line.close()
    pipes.close()
    assert pipes.lent == 0


def test_everything_arrives_in_order_however_the_reader_dawdles(line: Line) -> None:
    sent = got = b""
    while len(sent) < 4 * SPLICE_AFTER:
        sent += line.fill()
        line.stream.move()
        if len(sent) > SPLICE_AFTER:
            got += line.drain()
    line.writer.close()
    while line.stream.live:
        line.stream.move()
        got += line.drain()
    assert line.stream.ended is Ended.EOF
    assert got + line.drain() == sent


def test_the_end_waits_for_what_is_stuck(line: Line) -> None:
    sent = line.fill()
    line.stream.move()
    sent += line.fill()
    line.writer.close()
    line.stream.move()
    assert line.stream.live, "the sink was full: nothing can have ended"
    got = b""
    while line.stream.live:
        got += line.drain()
        line.stream.move()
    assert got + line.drain() == sent


def test_a_stalled_reader_bounds_what_is_taken(line: Line) -> None:
    sent = len(line.fill())
    for _ in range(100):
        line.stream.move()
        sent += len(line.fill())
    # Two socket buffers (net.core.wmem_default, about 208 KiB each) and what the stream itself keeps.
    assert sent < 2 * 256 * 1024 + (PIPE_SIZE if line.pipes.lent else CHUNK)


def test_pipes_are_lent_only_while_something_is_stuck() -> None:
    pipes = Pipes()
    line = Line(pipes)
    while line.stream._moved < 2 * SPLICE_AFTER:
        line.fill()
        line.stream.move()
        line.drain()
    line.stream.move()
    line.drain()
    line.stream.move()
    assert pipes.lent == 0
    line.fill()
    line.stream.move()
    line.fill()
    line.stream.move()
    assert pipes.lent == 1
    line.close()
    assert pipes.lent == 0
    pipes.close()


def test_a_dead_sink_ends_the_stream(line: Line) -> None:
    line.reader.close()
    line.writer.send(b"x")
    line.stream.move()
    assert line.stream.ended is Ended.BROKEN


def test_a_reset_source_is_told_apart_from_its_end_and_nothing_before_it_is_lost(line: Line) -> None:
    """A unix socket closed with bytes unread resets its peer, as TCP does."""
    line.source.send(b"never read")
    line.writer.send(b"last words")
    line.writer.close()
    line.stream.move()
    assert line.drain() == b"last words"
    assert line.stream.ended is Ended.RESET


@pytest.mark.parametrize("limit", [0, 64])
def test_one_turn_is_bounded(limit: int) -> None:
    pipes = Pipes(limit)
    with open("/dev/zero", "rb") as endless, open("/dev/null", "wb") as bottomless:
        stream = Stream(endless, bottomless, pipes)  # only their descriptors are used
        assert stream.move()
        assert stream.live
        stream.close()
    assert pipes.lent == 0
    pipes.close()
