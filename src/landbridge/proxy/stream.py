"""One direction of a relayed TCP connection: bytes from one socket to the other, half-close included.

Short exchanges go through recv and send; after `SPLICE_AFTER` bytes the kernel moves them through a pipe
(splice(2)). A direction has a pipe only while bytes are stuck in it, so idle connections cost two descriptors and
all pipes together are bounded; when none is left, copying goes on, with at most `CHUNK` bytes held per direction.
Everything is non-blocking and edge-triggered: `move` goes on until one of the sockets says EAGAIN. Connecting,
closing and who talks to whom belong to tcp.
"""

import fcntl
import os
import socket
from enum import Enum

SPLICE_AFTER = 256 * 1024
CHUNK = 64 * 1024
PIPE_SIZE = 1024 * 1024
# One turn of one direction; the rest waits for the other connections' turn.
TURN = 4 * 1024 * 1024
# 64 MiB of kernel memory if every reader stalls.
MAX_PIPES = 64
IDLE_PIPES = 4

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Pipe:
    """A kernel pipe and how many bytes are in it."""

    __slots__ = ("level", "reader", "writer")

    def __init__(self) -> None:
        """Raises: OSError(EMFILE, ENFILE)."""
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.level = 0
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # fs.pipe-max-size or the user's pipe pages say no: 64 KiB at a time is slower, not wrong

    def close(self) -> None:
        """Close both ends; what is inside is lost."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """The pipes of all connections, lent for as long as bytes are in them, and one scratch buffer for all."""

    def __init__(self, limit: int = MAX_PIPES) -> None:
        self._limit = limit
        self._idle: list[Pipe] = []
        self.lent = 0
        self.scratch = memoryview(bytearray(CHUNK))

    def borrow(self) -> Pipe | None:
        """An empty pipe, or None when all are stuck or there are no descriptors left."""
        if self.lent >= self._limit:
            return None
        try:
            pipe = self._idle.pop() if self._idle else Pipe()
        except OSError:
            return None  # EMFILE: copying needs no descriptor
        self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """End of `borrow`; a pipe that still holds bytes is closed with them."""
        self.lent -= 1
        if pipe.level or len(self._idle) >= IDLE_PIPES:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close the idle ones; lent ones belong to their streams."""
        while self._idle:
            self._idle.pop().close()


class Ended(Enum):
    """How a direction ended."""

    NO = "no"
    EOF = "eof"
    """Everything was passed on, and the end of it too."""
    RESET = "reset"
    """The source was reset; everything it sent before was passed on."""
    BROKEN = "broken"
    """The destination takes no more."""


class Stream:
    """Bytes on their way from `source` to `sink`."""

    __slots__ = ("_eof", "_moved", "_pending", "_pipe", "_pipes", "_reset", "_sink", "_source", "ended")

    def __init__(self, source: socket.socket, sink: socket.socket, pipes: Pipes) -> None:
        self._source = source.fileno()
        self._sink = sink.fileno()
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._pending: memoryview | None = None
        self._moved = 0
        self._eof = False
        self._reset = False
        self.ended = Ended.NO

    @property
    def live(self) -> bool:
        """Whether there may be more to move."""
        return self.ended is Ended.NO

    def move(self) -> bool:
        """Move what can be moved now. Returns True when this turn ended before the bytes did.

        Sets `ended`; after that there is nothing more to call here but `close`.
        """
        budget = TURN
        try:
            while budget > 0:
                step = self._step()
                if step < 0:
                    return False
                budget -= step
        except BlockingIOError:
            return False
        except OSError:
            self.break_off()
            return False
        finally:
            if self._pipe is not None and not self._pipe.level:
                self._return_pipe()
        return True

    def break_off(self) -> None:
        """The sink is dead: what is on the way to it is lost."""
        self._finish(Ended.BROKEN)

    def close(self) -> None:
        """Give everything back. Twice is fine."""
        self._pending = None
        if self._pipe is not None:
            self._return_pipe()

    def _step(self) -> int:
        """Write what was read before, else read. Returns bytes read, or -1 at the end.

        Raises: BlockingIOError when a socket has nothing or takes nothing, OSError when the sink is dead.
        """
        if self._pending is not None:
            sent = os.write(self._sink, self._pending)
            self._pending = self._pending[sent:] if sent < len(self._pending) else None
            return 0
        if self._pipe is not None and self._pipe.level:
            self._pipe.level -= os.splice(self._pipe.reader, self._sink, self._pipe.level, flags=_FLAGS)
            return 0
        if self._eof:
            self._finish(Ended.RESET if self._reset else Ended.EOF)
            return -1
        taken = self._take()
        if not taken:
            self._eof = True
        self._moved += taken
        return taken

    def _take(self) -> int:
        """Read some bytes into the pipe or the pending buffer. 0 is the end; a reset is an end, too."""
        if self._moved >= SPLICE_AFTER and self._pipe is None:
            self._pipe = self._pipes.borrow()
        try:
            if self._pipe is not None:
                self._pipe.level = os.splice(self._source, self._pipe.writer, PIPE_SIZE, flags=_FLAGS)
                return self._pipe.level
            taken = os.readv(self._source, [self._pipes.scratch])
        except BlockingIOError:
            raise
        except OSError:
            self._reset = True
            return 0
        if taken:
            self._pass_on(taken)
        return taken

    def _pass_on(self, taken: int) -> None:
        """Send from the shared buffer at once; only what the sink does not take is kept."""
        try:
            sent = os.write(self._sink, self._pipes.scratch[:taken])
        except BlockingIOError:
            sent = 0
        if sent < taken:
            self._pending = memoryview(bytes(self._pipes.scratch[sent:taken]))

    def _finish(self, how: Ended) -> None:
        if self.live:
            self.ended = how
        self.close()

    def _return_pipe(self) -> None:
        assert self._pipe is not None
        self._pipes.give_back(self._pipe)
        self._pipe = None
