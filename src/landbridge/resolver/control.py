"""The daemon's side door: a unix socket on which one daemon at a time says what has changed.

The daemon may go away and come back; until then everything is served as last told. A new connection replaces the
old one, since the old one can only be a daemon that died without the kernel having told us yet.
"""

import json
import os
import socket
import traceback
from typing import Any

from landbridge.errors import LandbridgeError, Unavailable
from landbridge.resolver import protocol
from landbridge.resolver.loop import EPOLLIN, EPOLLOUT, Loop, complain
from landbridge.resolver.server import Server

CHUNK = 1 << 20


def listen(path: str) -> socket.socket:
    """Listen at `path`, mode 0600; a socket left by a dead process is replaced.

    Raises: Unavailable when a living one answers there; OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except FileNotFoundError:
                pass
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                raise Unavailable(f"a resolver is already running at {path}")
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener


class Control:
    """Accepts the daemon and does what it says."""

    def __init__(self, loop: Loop, listener: socket.socket, server: Server) -> None:
        self._loop, self._listener, self._server = loop, listener, server
        self._client: _Client | None = None
        loop.watch(listener.fileno(), EPOLLIN, self._accept)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            complain(f"control: {error}")
            return
        if self._client is not None:
            self._client.close()
        self._client = _Client(self._loop, sock, self)

    def close(self) -> None:
        """Stop listening and hang up, after what was said is sent as far as it goes."""
        if self._client is not None:
            self._client.close()
        self._loop.forget(self._listener.fileno())
        self._listener.close()

    def handle(self, line: bytes) -> dict[str, Any]:
        """Do one message; the acknowledgement."""
        try:
            message = json.loads(line)
        except ValueError as error:
            return {"ack": None, "error": f"not JSON: {error}"}
        if not isinstance(message, dict):
            return {"ack": None, "error": "not an object"}
        ack: dict[str, Any] = {"ack": message.get("seq")}
        try:
            ack |= self._do(message)
        except LandbridgeError as error:
            ack["error"] = error.message
        except Exception as error:  # a bug; without an answer the daemon would wait for ever
            complain(traceback.format_exc())
            ack["error"] = f"internal error: {error!r}"
        return ack

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        match message.get("op"):
            case "stats":
                return {"stats": self._server.stats()}
            case "quit":
                self._loop.stop()
                return {}
            case "replace":
                failed = self._server.replace(*protocol.message_to_table(message))
            case "batch":
                changes = [protocol.message_to_change(item) for item in protocol.mappings(message, "changes")]
                failed = self._server.apply(changes)
            case _:
                failed = self._server.apply([protocol.message_to_change(message)])
        if not failed:
            return {}
        return {"error": "; ".join(failed.values()), "failed": failed}


class _Client:
    """One connection of the daemon."""

    def __init__(self, loop: Loop, sock: socket.socket, control: Control) -> None:
        self._loop, self._sock, self._control = loop, sock, control
        sock.settimeout(0)
        self._in = bytearray()
        self._scanned = 0
        self._out = bytearray()
        self._say({"hello": protocol.HELLO, "version": protocol.VERSION, "pid": os.getpid()})
        self._flush()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.forget(self._sock.fileno())
            self._sock.close()

    def _say(self, message: dict[str, Any]) -> None:
        self._out += json.dumps(message, separators=(",", ":")).encode() + b"\n"

    def _ready(self, events: int) -> None:
        if events & ~EPOLLOUT:
            self._read()
        self._flush()

    def _read(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._in) > protocol.MAX_LINE:
            self.close()
            return
        self._in += data
        while (end := self._in.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._scanned = 0
            self._say(self._control.handle(line))
        self._scanned = len(self._in)

    def _flush(self) -> None:
        if self._sock.fileno() < 0:
            return
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        # Acknowledgements nobody reads: no more messages are taken until they are.
        self._loop.watch(self._sock.fileno(), EPOLLOUT if self._out else EPOLLIN, self._ready)
