"""DNS over TCP for the clients of one sandbox (RFC 7766).

Connections may carry many questions, and replies may come out of order. A client that is slow, idle or hostile costs a
bounded amount: so many connections, so much unread output, so long without a whole question.
"""

import socket
import time
from collections.abc import Callable

from landbridge.dns.wire import TCP_SIZE
from landbridge.resolver.loop import EPOLLIN, EPOLLOUT, Loop

CONNECTIONS = 64  # per sandbox; the longest idle one gives way to a new one
IDLE_SECONDS = 10.0
UNREAD = 1 << 18  # bytes of replies before we stop reading questions
OUTSTANDING = 64  # questions not answered yet, likewise
PAUSE_SECONDS = 0.5

# Takes a message and whom to tell later; returns the reply when there is one at once.
Decide = Callable[[bytes, Callable[[bytes], None]], bytes | None]


class TcpServer:
    """A listening socket and its connections, in order of their last whole question."""

    def __init__(self, loop: Loop, listener: socket.socket, decide: Decide) -> None:
        self._loop, self._listener, self.decide = loop, listener, decide
        self._connections: dict[Connection, None] = {}
        self._closed = False
        loop.watch(listener.fileno(), EPOLLIN, self._accept)

    def close(self) -> None:
        """Stop listening and hang up on everybody."""
        self._closed = True
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections):
            connection.close()

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # Out of descriptors: without a pause the loop would spin on the waiting client.
            self._loop.forget(self._listener.fileno())
            self._loop.later(PAUSE_SECONDS, self._resume)
            return
        sock.settimeout(0)
        if len(self._connections) >= CONNECTIONS:
            next(iter(self._connections)).close()
        self._connections[Connection(self._loop, sock, self)] = None

    def _resume(self) -> None:
        if not self._closed:
            self._loop.watch(self._listener.fileno(), EPOLLIN, self._accept)

    def used(self, connection: "Connection") -> None:
        """A whole question came over it: it is the last to go now."""
        self._connections.pop(connection, None)
        self._connections[connection] = None

    def gone(self, connection: "Connection") -> None:
        """It was closed."""
        self._connections.pop(connection, None)


class Connection:
    """One client's stream."""

    __slots__ = ("_in", "_loop", "_open", "_out", "_outstanding", "_sent_all", "_server", "_serving", "_since", "_sock")

    def __init__(self, loop: Loop, sock: socket.socket, server: TcpServer) -> None:
        self._loop, self._sock, self._server = loop, sock, server
        self._in, self._out = bytearray(), bytearray()
        self._outstanding = 0
        self._open = True
        self._sent_all = self._serving = False
        self._since = time.monotonic()
        loop.watch(sock.fileno(), EPOLLIN, self._ready)
        loop.later(IDLE_SECONDS, self._check_idle)

    def close(self) -> None:
        """Hang up. Twice is no error."""
        if self._open:
            self._open = False
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._server.gone(self)

    def _check_idle(self) -> None:
        if not self._open:
            return
        left = self._since + IDLE_SECONDS - time.monotonic()
        if left <= 0:
            self.close()
        else:
            self._loop.later(left, self._check_idle)

    def _ready(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
        if self._open and events & ~EPOLLOUT:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(TCP_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        # A client that has sent all it will may still wait for replies.
        self._sent_all = not data
        self._serve()

    def _serve(self) -> None:
        """Take whole questions from the buffer while the client keeps up with the replies."""
        self._serving = True
        while self._open and not self._is_full() and len(self._in) >= 2:
            end = 2 + int.from_bytes(self._in[:2], "big")
            if len(self._in) < end:
                break
            message = bytes(self._in[2:end])
            del self._in[:end]
            self._since = time.monotonic()
            self._server.used(self)
            self._outstanding += 1
            reply = self._server.decide(message, self._deliver)
            if reply is not None:
                self._answer(reply)
        self._serving = False
        self._flush()

    def _deliver(self, reply: bytes) -> None:
        if self._open:
            self._answer(reply)
            # It may have come while its question was being decided.
            if not self._serving:
                self._serve()

    def _answer(self, reply: bytes) -> None:
        self._outstanding -= 1
        self._out += len(reply).to_bytes(2, "big") + reply

    def _is_full(self) -> bool:
        return len(self._out) > UNREAD or self._outstanding >= OUTSTANDING

    def _flush(self) -> None:
        if not self._open:
            return
        was_full = self._is_full()
        if self._out:
            try:
                del self._out[: self._sock.send(self._out)]
            except BlockingIOError:
                pass
            except OSError:
                self.close()
                return
        if self._sent_all and not self._out and not self._outstanding:
            self.close()
            return
        wanted = (0 if self._is_full() or self._sent_all else EPOLLIN) | (EPOLLOUT if self._out else 0)
        self._loop.watch(self._sock.fileno(), wanted, self._ready)
        if was_full and not self._is_full() and self._in:
            self._serve()
