"""Moving bytes between this side's standard streams and a container's.

`Demuxer` is pure: Docker's frames (stream number, three zeros, length, payload) to payloads. `pump` is the one loop
that moves bytes: it never blocks on the daemon while the daemon has something to say, closes only the sending half at
the end of stdin, and ends when the container's output does or the detach keys are pressed.
"""

from __future__ import annotations

import _socket
import os
import select

from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from landbridge.cli.client import Connection
    from landbridge.cli.session import Session
    from landbridge.cli.signals import SignalPipe

HEADER = 8
STDERR_STREAM = 2
SYSTEM_ERROR_STREAM = 3
READ_SIZE = 32768
WRITE_AHEAD = 262144  # stop reading stdin while this much waits for the daemon


class Demuxer:
    """Frames to (stream number, bytes); incomplete payloads are given out as they come."""

    def __init__(self) -> None:
        self.pending = b""
        self.stream = 0
        self.left = 0

    def __repr__(self) -> str:
        return f"<Demuxer stream {self.stream}, {self.left} left>"

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """What `data` completes. Raises: CommandError for a stream number there is none of."""
        data = self.pending + data if self.pending else data
        position = 0
        found = []
        while True:
            if self.left:
                piece = data[position : position + self.left]
                if not piece:
                    break
                found.append((self.stream, piece))
                self.left -= len(piece)
                position += len(piece)
                continue
            if len(data) - position < HEADER:
                break
            self.stream = data[position]
            if self.stream > SYSTEM_ERROR_STREAM:
                raise CommandError(f"unrecognized input header: {self.stream}")
            self.left = int.from_bytes(data[position + 4 : position + HEADER], "big")
            position += HEADER
        self.pending = data[position:]
        return found


class Output:
    """Where the container's output goes: raw to stdout, or demultiplexed to stdout and stderr."""

    def __init__(self, session: Session, *, framed: bool) -> None:
        self.stdout, self.stderr = session.stdout, session.stderr
        self.demuxer = Demuxer() if framed else None

    def write(self, data: bytes) -> None:
        if self.demuxer is None:
            self.stdout.write(data)
            self.stdout.flush()
            return
        for stream, piece in self.demuxer.feed(data):
            if stream == SYSTEM_ERROR_STREAM:
                raise CommandError(f"error from daemon in stream: {piece.decode('utf-8', 'replace')}")
            target = self.stderr if stream == STDERR_STREAM else self.stdout
            target.write(piece)
            target.flush()


class DetachKeys:
    """Finds the key sequence in what is typed; keys of an unfinished sequence are held back."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.seen = 0

    def filter(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes to pass on, and whether the sequence is complete."""
        passed = bytearray()
        for byte in data:
            if self.keys and byte == self.keys[self.seen]:
                self.seen += 1
                if self.seen == len(self.keys):
                    return bytes(passed), True
                continue
            passed += self.keys[: self.seen]
            self.seen = 0
            if self.keys and byte == self.keys[0] and len(self.keys) > 1:
                self.seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False


class _Input:
    """Stdin on its way to the daemon."""

    def __init__(self, descriptor: int, connection: Connection, keys: DetachKeys | None) -> None:
        self.descriptor, self.connection, self.keys = descriptor, connection, keys
        self.buffer = b""
        self.open = descriptor >= 0

    def wants_more(self) -> bool:
        return self.open and len(self.buffer) < WRITE_AHEAD

    def read(self) -> bool:
        """Take what is there. True when the detach keys were pressed."""
        try:
            data = os.read(self.descriptor, READ_SIZE)
        except OSError:  # a terminal that went away reads as its end
            data = b""
        if not data:
            self.open = False
            self.flush()
            return False
        detached = False
        if self.keys is not None:
            data, detached = self.keys.filter(data)
        self.buffer += data
        self.flush()
        return detached

    def flush(self) -> None:
        """Send what the daemon takes; after the last byte close the sending half."""
        socket = self.connection.socket
        try:
            if self.buffer:
                self.buffer = self.buffer[socket.send(self.buffer) :]
            if not self.buffer and not self.open and self.descriptor >= 0:
                socket.shutdown(_socket.SHUT_WR)
                self.descriptor = -1
        except BlockingIOError:
            pass
        except OSError:  # the process no longer reads: not our failure
            self.buffer = b""
            self.open = False
            self.descriptor = -1


def pump(
    connection: Connection,
    output: Output,
    *,
    stdin: int = -1,
    keys: DetachKeys | None = None,
    signals: SignalPipe | None = None,
    on_signal: Callable[[int], None] | None = None,
) -> bool:
    """Move bytes until the container's output ends (True) or the detach keys are pressed (False).

    `stdin` is the descriptor to read from, -1 for none. `on_signal` is called for every signal on `signals`.
    """
    connection.socket.setblocking(False)  # noqa: FBT003  # the standard library's signature
    source = _Input(stdin, connection, keys)
    if connection.buffer:
        output.write(connection.receive())
    while True:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | (select.POLLOUT if source.buffer else 0))
        if source.wants_more():
            poll.register(source.descriptor, select.POLLIN)
        if signals is not None:
            poll.register(signals.fileno(), select.POLLIN)
        for descriptor, events in poll.poll():
            if descriptor == connection.fileno():
                if events & select.POLLOUT:
                    source.flush()
                if events & ~select.POLLOUT and not _receive(connection, output):
                    return True
            elif descriptor == source.descriptor:
                if source.read():
                    return False
            elif signals is not None and on_signal is not None:
                for number in signals.read():
                    on_signal(number)


def _receive(connection: Connection, output: Output) -> bool:
    """One read; False at the end of the stream."""
    try:
        data = connection.socket.recv(READ_SIZE)
    except BlockingIOError:
        return True
    except ConnectionError:  # the daemon died: the same end, the exit code tells the rest
        return False
    if data:
        output.write(data)
    return bool(data)
