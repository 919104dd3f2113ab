"""The control socket: who may change the table, one request after the other, each answered.

Any number of peers may ask for `stats`; the first other request makes its sender the owner and hangs up on the
owner before it, so a restarted daemon takes over from one that is gone or stuck. Losing the owner changes nothing.
What a request means is decided by the table; what it looks like by the protocol.
"""

import os
import select
import socket
from collections.abc import Callable

from landbridge.errors import HoldFailed
from landbridge.proxy.limits import Limits
from landbridge.proxy.loop import Loop
from landbridge.proxy.protocol import BadRequest, Lines, Request, answer, failure_to_json, parse_request, refusal
from landbridge.proxy.table import HoldTable

READ = 256 * 1024
BACK_OFF = 0.1


class Peer:
    """One connected client of the control socket."""

    __slots__ = ("_control", "_lines", "_loop", "_out", "_sock")

    def __init__(self, control: "Control", loop: Loop, sock: socket.socket) -> None:
        self._control = control
        self._loop = loop
        self._sock = sock
        self._lines = Lines()
        self._out = bytearray()
        loop.watch(sock.fileno(), select.EPOLLIN, self._on_event)

    def hang_up(self) -> None:
        """Close the connection. Twice is fine."""
        if self._control.forget(self):
            self._loop.discard(self._sock)

    def _on_event(self, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._flush()
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read()
        except BlockingIOError:
            pass  # another event will come
        except (OSError, BadRequest):
            self.hang_up()  # gone, or not speaking this protocol
        except Exception:
            self.hang_up()  # a mistake of ours: nobody shall wait for an answer; the loop tells the rest
            raise

    def _read(self) -> None:
        data = self._sock.recv(READ)
        if not data:
            self.hang_up()
            return
        for line in self._lines.feed(data):
            self._out += self._control.handle(self, line)
        self._flush()

    def _flush(self) -> None:
        if self._out:
            try:
                del self._out[: self._sock.send(self._out)]
            except BlockingIOError:
                pass  # the rest goes out when EPOLLOUT says so
        # A peer that does not read its answers is not read from either.
        self._loop.change(self._sock.fileno(), select.EPOLLOUT if self._out else select.EPOLLIN)


class Control:
    """Listens on the control socket and carries requests to the table."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        table: HoldTable,
        limits: Limits,
        traffic: Callable[[], dict[str, int]],
    ) -> None:
        """`traffic()` gives the relays' counters for `stats`."""
        self._loop = loop
        self._listener = listener
        self._table = table
        self._limits = limits
        self._traffic = traffic
        self._peers: set[Peer] = set()
        self._owner: Peer | None = None
        self._listen()

    def forget(self, peer: Peer) -> bool:
        """`peer` is gone. Returns whether it was known."""
        if peer not in self._peers:
            return False
        self._peers.discard(peer)
        if self._owner is peer:
            self._owner = None
        return True

    def handle(self, peer: Peer, line: bytes) -> bytes:
        """Do what `line` asks. Returns the answer; an error leaves everything as it was."""
        try:
            request = parse_request(line)
        except BadRequest as error:
            return refusal(error.seq, {"reason": "EPROTO", "key": "", "message": error.message})
        if request.op != "stats" and self._owner is not peer:
            if self._owner is not None:
                self._owner.hang_up()
            self._owner = peer
        try:
            with self._limits.headroom():
                return answer(request.seq, **self._do(request))
        except HoldFailed as failure:
            return refusal(request.seq, failure_to_json(failure))

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        for peer in tuple(self._peers):
            peer.hang_up()
        self._loop.discard(self._listener)

    def _do(self, request: Request) -> dict[str, object]:
        match request.op:
            case "hold":
                self._table.hold(request.holds)
            case "release":
                self._table.release(request.keys)
            case "retarget":
                self._table.retarget(request.targets)
            case "replace":
                return {"failures": [failure_to_json(failure) for failure in self._table.replace(request.holds)]}
            case "quit":
                self._loop.soon(self._loop.stop)
            case "stats" | "hello":
                return self._stats()
        return {}

    def _stats(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "holds": len(self._table),
            "ports": self._table.ports,
            "descriptors": self._table.descriptors,
            **self._traffic(),
        }

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), select.EPOLLIN, self._on_connect)

    def _on_connect(self, events: int) -> None:
        try:
            with self._limits.headroom():
                sock, _ = self._listener.accept()
        except OSError:
            # Gone again, or even the last descriptors are in use: let them wait instead of asking all the time.
            self._loop.unwatch(self._listener.fileno())
            self._loop.later(BACK_OFF, self._listen)
            return
        sock.settimeout(0.0)
        self._peers.add(Peer(self, self._loop, sock))
