"""One question to one upstream server over one fresh socket.

A fresh socket means a random source port for every question (RFC 5452); with the random id, the connected socket
and the check of the question, a forger off the path has nothing to go on. The outcome is told to the flight.
"""

import os
import socket
from typing import Protocol

from landbridge.dns import wire
from landbridge.resolver.loop import EPOLLIN, EPOLLOUT, Loop

PORT = 53


class Listener(Protocol):
    """Who is told how an attempt ended."""

    def answered(self, attempt: "Attempt", reply: bytes, response: wire.Response) -> None:
        """A reply to our question came."""

    def failed(self, attempt: "Attempt") -> None:
        """There will be none."""


class Attempt(Protocol):
    """What a flight needs of an attempt."""

    server: str
    rank: int
    deadline: float

    def repeat(self) -> None:
        """Send once more if that can help."""

    def close(self) -> None:
        """End it, silently. Twice is no error."""


class UdpAttempt:
    """A datagram out, a datagram in."""

    def __init__(
        self, loop: Loop, listener: Listener, sock: socket.socket, server: str, query: bytes, question: bytes
    ) -> None:
        """Takes over `sock`, a non-blocking datagram socket. Raises: OSError when nothing could be sent."""
        self.server = server
        self.rank = 0
        self.deadline = 0.0
        self._loop, self._listener, self._sock, self._question = loop, listener, sock, question
        self._ident = os.urandom(2)
        self._query = self._ident + query[2:]
        self._repeated = False
        sock.connect(_endpoint(sock, server))
        sock.send(self._query)
        loop.watch(sock.fileno(), EPOLLIN, self._ready)

    def _ready(self, events: int) -> None:
        try:
            reply = self._sock.recv(wire.TCP_SIZE)
        except BlockingIOError:
            return
        except OSError:  # ECONNREFUSED and other ICMP errors: no server there
            self._listener.failed(self)
            return
        if reply[:2] != self._ident:
            return
        response = wire.parse_response(reply, self._question)
        if response is not None:
            self._listener.answered(self, reply, response)

    def repeat(self) -> None:
        """Datagrams get lost: one more, once."""
        if not self._repeated:
            self._repeated = True
            try:
                self._sock.send(self._query)
            except OSError:
                pass  # the first one may still be answered, else the deadline comes

    def close(self) -> None:
        """Close the socket."""
        if self._sock.fileno() >= 0:
            self._loop.forget(self._sock.fileno())
            self._sock.close()


class TcpAttempt:
    """A connection for one question (RFC 7766 framing: two bytes of length)."""

    def __init__(
        self, loop: Loop, listener: Listener, sock: socket.socket, server: str, query: bytes, question: bytes
    ) -> None:
        """Takes over `sock`, a non-blocking stream socket. Raises: OSError when it cannot even try to connect."""
        self.server = server
        self.rank = 0
        self.deadline = 0.0
        self._loop, self._listener, self._sock, self._question = loop, listener, sock, question
        self._ident = os.urandom(2)
        self._out = len(query).to_bytes(2, "big") + self._ident + query[2:]
        self._in = bytearray()
        try:
            sock.connect(_endpoint(sock, server))
        except BlockingIOError:
            pass
        loop.watch(sock.fileno(), EPOLLOUT, self._writable)

    def _writable(self, events: int) -> None:
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self._listener.failed(self)
            return
        self._out = self._out[sent:]
        if not self._out:
            self._loop.watch(self._sock.fileno(), EPOLLIN, self._readable)

    def _readable(self, events: int) -> None:
        try:
            data = self._sock.recv(wire.TCP_SIZE + 2)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        length = int.from_bytes(self._in[:2], "big") if len(self._in) >= 2 else wire.TCP_SIZE
        if len(self._in) < length + 2:
            if not data:
                self._listener.failed(self)
            return
        reply = bytes(self._in[2 : length + 2])
        response = wire.parse_response(reply, self._question) if reply[:2] == self._ident else None
        if response is None:
            self._listener.failed(self)
        else:
            self._listener.answered(self, reply, response)

    def repeat(self) -> None:
        """TCP repeats by itself."""

    def close(self) -> None:
        """Close the connection."""
        if self._sock.fileno() >= 0:
            self._loop.forget(self._sock.fileno())
            self._sock.close()


def family(server: str) -> socket.AddressFamily:
    """The address family of a server written as in resolv.conf."""
    return socket.AF_INET6 if ":" in server else socket.AF_INET


def _endpoint(sock: socket.socket, server: str) -> tuple[str, int] | tuple[str, int, int, int]:
    if sock.family == socket.AF_INET:
        return server, PORT
    address, _, zone = server.partition("%")
    index = 0 if not zone else int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    return address, PORT, 0, index
