"""The stdio of a running container, through conmon's attach socket.

The socket is SOCK_SEQPACKET: each packet from conmon is one byte of stream number and the output; packets to it
are input. Shutting our sending side ends the container's input (unless it is to stay open). Any number of
attachers may be connected at once, each sees all output from its connection on.
"""

import asyncio
import os
import socket
from pathlib import Path
from types import TracebackType

from landbridge.errors import Unavailable
from landbridge.model.process import Chunk
from landbridge.system.descriptors import Readiness

# conmon reads and writes at most 8 KiB at a time (its STDIO_BUF_SIZE), plus the stream byte.
_PACKET = 8192
_STREAMS = {2: "stdout", 3: "stderr"}


class Attachment:
    """One connection; iterate for output, `write` and `end_input` for input, `close` at the end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ready = Readiness()
        self._closed = self._reset = False

    async def receive(self) -> Chunk | None:
        """The next output, or None when the container has ended or `close` was called."""
        while not self._closed:
            try:
                packet = self._connection.recv(_PACKET + 1)
            except BlockingIOError:
                await self._ready.readable(self._connection.fileno())
                continue
            except ConnectionResetError:
                # conmon ended with input of ours unread. The kernel tells that once, before the output still queued.
                if self._reset:
                    return None
                self._reset = True
                continue
            if not packet:
                return None
            if packet[0] in _STREAMS and len(packet) > 1:
                return Chunk(stream=_STREAMS[packet[0]], data=packet[1:])
        return None

    async def write(self, data: bytes) -> None:
        """Send input; returns when conmon took it all. Raises: BrokenPipeError when the container has ended."""
        for start in range(0, len(data), _PACKET):
            while not self._closed:
                try:
                    self._connection.send(data[start : start + _PACKET])
                    break
                except BlockingIOError:
                    await self._ready.writable(self._connection.fileno())

    def end_input(self) -> None:
        """No more input from us. Twice is no error."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side is gone, and the input with it

    def close(self) -> None:
        """Let go of the container, which goes on; a pending `receive` returns None. Twice is no error."""
        if not self._closed:
            self._closed = True
            self._ready.release(self._connection.fileno())
            self._connection.close()

    def __aiter__(self) -> "Attachment":
        return self

    async def __anext__(self) -> Chunk:
        chunk = await self.receive()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def __aenter__(self) -> "Attachment":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def attach(bundle: Path) -> Attachment:
    """Connect to the container whose conmon works in `bundle`. Raises: Unavailable when it has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    # sun_path holds 107 bytes: name the directory by a descriptor of ours.
    directory = -1
    try:
        directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY)
        while True:
            try:
                connection.connect(f"/proc/self/fd/{directory}/attach")
                return Attachment(connection)
            except BlockingIOError:  # conmon's backlog is full; it empties it at once
                await asyncio.sleep(0.001)
    except OSError as problem:
        connection.close()
        raise Unavailable(f"cannot attach: {problem.strerror}") from problem
    finally:
        if directory >= 0:
            os.close(directory)


def resize(bundle: Path, *, rows: int, columns: int) -> None:
    """Set the terminal's size through conmon's control FIFO. An ended container is no error."""
    try:
        control = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # ended: its size no longer matters
    try:
        os.write(control, f"1 {rows} {columns}\n".encode())
    finally:
        os.close(control)
