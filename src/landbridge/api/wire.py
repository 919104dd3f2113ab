"""One client's connection as bytes: bounded both ways, half-open, and aware of a client that left.

An `asyncio.Protocol`, because asyncio's streams cannot tell a half-close (stdin is at its end, output
goes on) from a client that is gone. Nothing here knows HTTP.

- Input is kept up to `INPUT_LIMIT`; beyond it the socket is not read, so the sender waits.
- `write` returns when the data fits into the transport's bounded buffer.
- Gone means: the connection is lost, or the kernel reports a hang-up. epoll reports EPOLLHUP and
  EPOLLERR whatever was asked for (epoll_ctl(2)); on a unix socket a hang-up needs both directions
  shut, which is the difference to a half-close. asyncio does not show hang-ups, hence `_Hangup`.
"""

import asyncio
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable

INPUT_LIMIT = 64 * 1024
OUTPUT_LIMIT = 256 * 1024
# A body larger than this is written in slices, so that a transport never copies the whole of it.
SLICE = 128 * 1024
TAKEN_SECONDS = 0.2


class ClientGone(ConnectionError):
    """The client left; there is nobody to answer to."""


class _Hangup:
    """Calls back once when the peer of `fd` has hung up. An epoll that asks for nothing, polled by the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._epoll.register(fd, 0)
        loop.add_reader(self._epoll.fileno(), callback)

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class Wire(asyncio.Protocol):
    """See the module. `connected` is called with the wire as soon as it can be used."""

    def __init__(self, connected: Callable[["Wire"], None]) -> None:
        self._connected = connected
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._eof = self._eof_seen = self._lost = self._hung_up = False
        self._paused_input = self._paused_output = self._discarding = False
        self._waiters: list[asyncio.Future[None]] = []
        self._on_gone: Callable[[], None] | None = None
        self._duplex = False
        self._unbroken = self._discarded = self._discard_most = 0
        self._hangup: _Hangup | None = None

    def __repr__(self) -> str:
        state = "lost" if self._lost else "half-open" if self._eof else "open"
        return f"<Wire {state}, {len(self._buffer)} bytes unread>"

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        transport.set_write_buffer_limits(high=OUTPUT_LIMIT)
        self._connected(self)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            self._discarded += len(data)
            if self._discard_most and self._discarded > self._discard_most and not self._paused_input:
                self._paused_input = True
                self._transport.pause_reading()
            return
        self._buffer += data
        if len(self._buffer) > INPUT_LIMIT and not self._paused_input:
            self._paused_input = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._eof = True
        if self._discarding:
            self._eof_seen = True
        self._wake()
        self._check_gone()
        return True  # keeps our direction open

    def connection_lost(self, exc: Exception | None) -> None:
        self._eof = self._lost = True
        self._paused_output = False
        self._wake()
        self._check_gone()
        self.unwatch()

    def pause_writing(self) -> None:
        self._paused_output = True

    def resume_writing(self) -> None:
        self._paused_output = False
        self._wake()

    # --- our side

    async def read(self, limit: int = INPUT_LIMIT) -> bytes:
        """The next bytes, at most `limit`; `b""` when the client has shut its direction."""
        while not self._buffer and not self._eof:
            await self._wait()
        data = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        if self._paused_input and len(self._buffer) <= INPUT_LIMIT // 2 and not self._lost:
            self._paused_input = False
            self._transport.resume_reading()
        if not data:
            self._eof_seen = True
            self._check_gone()
        return data

    def unread(self, data: bytes) -> None:
        """Put back bytes that were read too far; they come first at the next `read`."""
        self._buffer[:0] = data

    def discard_input(self, most: int = 0) -> None:
        """From now on drop what arrives, `most` bytes of it (0: all), and count the client's end as read."""
        self._discarding = True
        self._discarded, self._discard_most = 0, most
        self._buffer.clear()
        if self._paused_input and not self._lost:
            self._paused_input = False
            self._transport.resume_reading()
        if self._eof:
            self._eof_seen = True
            self._check_gone()

    async def wait_eof(self) -> None:
        """Returns when the client has shut its direction or is gone."""
        while not self._eof:
            await self._wait()

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when what is still unsent fits into the bounded buffer. Raises: ClientGone."""
        if len(data) <= SLICE:
            await self._write_slice(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), SLICE):
            await self._write_slice(view[start : start + SLICE])

    async def _write_slice(self, data: bytes | memoryview) -> None:
        if self._lost or self._transport.is_closing():
            raise ClientGone
        self._transport.write(data)
        self._unbroken += len(data)
        if self._unbroken > OUTPUT_LIMIT:
            # A fast reader never fills the buffer: let others have their turn all the same.
            self._unbroken = 0
            await asyncio.sleep(0)
        while self._paused_output:
            await self._wait()
        if self._lost:
            raise ClientGone

    async def wait_taken(self) -> None:
        """Wait, at most `TAKEN_SECONDS`, until a local client has read what was sent.

        The kernel tells how much is unread (SIOCOUTQ, unix(7)) but not when that changes. Over TCP it
        only tells what arrived, so there is nothing to wait for.
        """
        if self._socket.family != socket.AF_UNIX:
            return
        give_up = self._loop.time() + TAKEN_SECONDS
        while not self._transport.is_closing() and self._loop.time() < give_up:
            (unread,) = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
            if not unread and not self._transport.get_write_buffer_size():
                return
            await asyncio.sleep(0.0005)

    def write_eof(self) -> None:
        """Shut our direction after what was written; the client may go on sending. Twice is no error."""
        if not self._lost and not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    @property
    def closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        """Close after what was written has gone."""
        self.unwatch()
        self._transport.close()

    def abort(self) -> None:
        """Close now and drop what is unsent."""
        self.unwatch()
        self._transport.abort()

    # --- a client that leaves

    def watch(self, on_gone: Callable[[], None], *, duplex: bool) -> None:
        """Call `on_gone` once when the client is gone (soon, if it already is).

        In a duplex conversation a client may send its last bytes and leave: it counts as gone only
        when the end of its input has been read. Otherwise nobody reads, and over TCP, where a close
        looks like a half-close until we write, the end of input counts as gone (as in Go's server).
        """
        self._on_gone = on_gone
        self._duplex = duplex
        if not self._transport.is_closing() and self._hangup is None:
            self._hangup = _Hangup(self._loop, self._socket.fileno(), self._saw_hangup)
        self._loop.call_soon(self._check_gone)

    def unwatch(self) -> None:
        self._on_gone = None
        if self._hangup is not None:
            self._hangup.close()
            self._hangup = None

    def _saw_hangup(self) -> None:
        self._hung_up = True
        if self._hangup is not None:
            self._hangup.close()
        self._check_gone()

    def _check_gone(self) -> None:
        if self._on_gone is None:
            return
        if self._duplex:
            gone = self._hung_up and self._eof_seen
        else:
            gone = self._hung_up or (self._eof and self._socket.family != socket.AF_UNIX)
        if gone or self._lost:
            on_gone = self._on_gone
            self.unwatch()
            on_gone()

    # --- waiting: a reader and a writer may wait at once, each looks again at what it waits for

    async def _wait(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
