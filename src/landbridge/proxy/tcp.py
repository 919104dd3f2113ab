"""Relayed TCP connections: accept, connect to the target, two streams, one end.

What a client sees should be what it would see without a relay: a refused or unreachable target resets it, a
half-close travels on alone, a reset arrives as a reset. How bytes move is `stream`'s business; which port leads
where is `held`'s.
"""

import errno
import fcntl
import random
import select
import socket
import struct
import termios
import time
from pathlib import Path

from landbridge.proxy.held import Held, Span
from landbridge.proxy.loop import Loop
from landbridge.proxy.sockets import family_of, reset_on_close
from landbridge.proxy.stream import CHUNK, Ended, Pipes, Stream

# Accepted at one door before the others get their turn.
ACCEPTS = 64
# No descriptors or no memory for another connection: the kernel's queue keeps them meanwhile.
BACK_OFF = 0.1
CONNECT_TIMEOUT = 30.0
FAREWELL = 5.0
KEEPALIVE_IDLE = 30
KEEPALIVE_INTERVAL = 15
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_SOURCE_TRIES = 16


class TcpRelay:
    """Accepts at the doors it is told of and relays what it accepts."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.pipes = Pipes()
        self.live = 0
        self.accepted = 0
        # Oldest first, with the time to give up.
        self._connecting: dict[Connection, float] = {}
        self._watching = False

    def serve(self, span: Span, place: int) -> float:
        """Accept who waits at `place`. Returns how many seconds to leave everybody waiting."""
        try:
            listener = span.door.borrow(place)
        except OSError:
            return BACK_OFF
        try:
            for _ in range(ACCEPTS):
                try:
                    client, _ = listener.accept()
                except BlockingIOError:
                    return 0.0
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        return BACK_OFF
                    continue  # that one client is gone again (ECONNABORTED and the network errors of accept(2))
                self._greet(span.held, client, span.target(place))
        finally:
            span.door.give_back(place)
        return 0.0

    def close(self) -> None:
        """Close what is kept for reuse; connections end with their holds."""
        self.pipes.close()

    def connected(self, connection: "Connection") -> None:
        """`connection` no longer waits for its target."""
        self._connecting.pop(connection, None)

    def _greet(self, held: Held, client: socket.socket, target: tuple[str, int]) -> None:
        self.accepted += 1
        client.settimeout(0.0)
        if not held.hold.relay or held.hold.proto != "tcp":
            reset_on_close(client)
            client.close()
            return
        try:
            upstream = start_connect(*target)
        except OSError:
            reset_on_close(client)
            client.close()
            return
        connection = Connection(self, held, client, upstream)
        self._connecting[connection] = time.monotonic() + CONNECT_TIMEOUT
        if not self._watching:
            self._watching = True
            self.loop.later(CONNECT_TIMEOUT, self._expire)

    def _expire(self) -> None:
        now = time.monotonic()
        self._watching = False
        while self._connecting:
            connection, deadline = next(iter(self._connecting.items()))
            if deadline > now:
                self._watching = True
                self.loop.later(deadline - now, self._expire)
                return
            connection.cut()


class Connection:
    """One client, one upstream socket, a stream each way."""

    __slots__ = ("_again", "_client", "_down", "_held", "_live", "_relay", "_up", "_upstream")

    def __init__(self, relay: TcpRelay, held: Held, client: socket.socket, upstream: socket.socket) -> None:
        """Both sockets are non-blocking and belong to the connection from here on; `upstream` is connecting."""
        self._relay = relay
        self._held = held
        self._client = client
        self._upstream = upstream
        self._up: Stream | None = None
        self._down: Stream | None = None
        self._again = False
        self._live = True
        held.attach(self)
        relay.live += 1
        relay.loop.watch(upstream.fileno(), _EDGES, self._on_connect)

    def cut(self) -> None:
        """Reset both sides. Twice is fine."""
        self._end(Ended.RESET)

    def _on_connect(self, events: int) -> None:
        loop = self._relay.loop
        if self._upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.cut()
            return
        if not events & (select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP):
            return
        self._relay.connected(self)
        loop.unwatch(self._upstream.fileno())
        for sock in (self._client, self._upstream):
            _prepare(sock)
        self._up = Stream(self._client, self._upstream, self._relay.pipes)
        self._down = Stream(self._upstream, self._client, self._relay.pipes)
        # Adding reports what is ready already, edge-triggered or not: nothing is missed.
        loop.watch(self._client.fileno(), _EDGES, self._on_client)
        loop.watch(self._upstream.fileno(), _EDGES, self._on_upstream)

    def _on_client(self, events: int) -> None:
        if events & select.EPOLLHUP and self._down is not None:
            self._down.break_off()
        self._move()

    def _on_upstream(self, events: int) -> None:
        if events & select.EPOLLHUP and self._up is not None:
            self._up.break_off()
        self._move()

    def _move(self) -> None:
        """Move both ways what can be moved, pass ends on, and end the connection after both."""
        if self._up is None or self._down is None:
            return
        more = False
        for stream, sink in ((self._up, self._upstream), (self._down, self._client)):
            if stream.live:
                more = stream.move() or more
                if stream.ended is Ended.EOF:
                    _shut(sink)
                elif stream.ended is Ended.RESET:
                    self._end(Ended.RESET)
                    return
        if not self._up.live and not self._down.live:
            self._end(Ended.EOF)
        elif more and not self._again:
            self._again = True
            self._relay.loop.soon(self._turn)

    def _turn(self) -> None:
        self._again = False
        self._move()

    def _end(self, how: Ended) -> None:
        if not self._live:
            return
        self._live = False
        self._held.detach(self)
        self._relay.connected(self)
        self._relay.live -= 1
        for sock, stream in ((self._client, self._up), (self._upstream, self._down)):
            finished = stream is not None and stream.ended is Ended.EOF
            if stream is not None:
                stream.close()
            if not finished and _unsent(sock):
                Farewell(self._relay.loop, sock)
                continue
            if how is Ended.RESET:
                reset_on_close(sock)
            self._relay.loop.discard(sock)
        self._up = self._down = None


class Farewell:
    """The last bytes on their way to a peer that is still sending.

    To close now would answer what it sends with a reset, and the reset would destroy those bytes (RFC 1122
    4.2.2.13): so what it sends is thrown away until it stops, or for `FAREWELL` seconds.
    """

    __slots__ = ("_loop", "_sock")

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        """`sock` is the farewell's from here on."""
        self._loop = loop
        self._sock = sock
        _shut(sock)
        loop.unwatch(sock.fileno())
        loop.watch(sock.fileno(), _EDGES, self._on_event)
        loop.later(FAREWELL, self._close)

    def _on_event(self, events: int) -> None:
        try:
            while self._sock.recv(CHUNK):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass  # reset: that is an end, too
        self._close()

    def _close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.discard(self._sock)


def start_connect(ip: str, port: int) -> socket.socket:
    """A non-blocking socket on its way to `ip`:`port`. Raises: OSError when that fails at once."""
    family = family_of(ip)
    upstream = _unconnected(family)
    try:
        code = upstream.connect_ex((ip, port))
        if code == errno.EADDRNOTAVAIL:
            upstream.close()
            return _connect_over_time_wait(family, ip, port)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
    except OSError:
        upstream.close()
        raise
    return upstream


def _unconnected(family: socket.AddressFamily) -> socket.socket:
    upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    # Not for this connection but for the one that will want its source port in TIME_WAIT: both must allow it.
    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return upstream


def _connect_over_time_wait(family: socket.AddressFamily, ip: str, port: int) -> socket.socket:
    """All source ports towards this one target are in use, most by connections in TIME_WAIT.

    An explicitly bound port may take over a TIME_WAIT connection, an automatic one may not unless
    net.ipv4.tcp_tw_reuse says so (tcp_twsk_unique in the kernel). Raises: OSError when luck runs out.
    """
    low, high = _source_ports()
    for _ in range(_SOURCE_TRIES):
        upstream = _unconnected(family)
        try:
            upstream.bind(("", random.randint(low, high)))
            code = upstream.connect_ex((ip, port))
        except OSError:
            code = errno.EADDRINUSE
        if code in (0, errno.EINPROGRESS):
            return upstream
        upstream.close()
    raise OSError(errno.EADDRNOTAVAIL, "no source port left")


def _source_ports() -> tuple[int, int]:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


def _prepare(sock: socket.socket) -> None:
    """A relay must not hold small packets back, and must notice peers that vanished."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    except OSError:
        pass  # reset already: the streams will see it


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # reset already: its own direction will see it


def _unsent(sock: socket.socket) -> int:
    """Bytes the peer has not acknowledged: a reset would destroy them."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return 0
