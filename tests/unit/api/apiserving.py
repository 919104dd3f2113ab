"""Blocking clients for the tests of the API's transport: raw sockets against a server in a thread."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from landbridge.api.request import Request
from landbridge.api.response import Response, Stream
from landbridge.api.server import Server

PATIENCE = 20.0  # ends a test that would hang; no test measures time with it


class RawClient:
    """A socket and what came through it; `recv_until` keeps the test free of timing."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.seen = b""

    def send(self, data: bytes) -> "RawClient":
        self.sock.sendall(data)
        return self

    def recv_until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`; the rest stays for the next call."""
        while mark not in self.seen:
            data = self.sock.recv(65536)
            assert data, f"closed before {mark!r}, after {self.seen!r}"
            self.seen += data
        end = self.seen.index(mark) + len(mark)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found

    def recv_rest(self) -> bytes:
        """Everything until the server shuts its side."""
        while data := self.sock.recv(65536):
            self.seen += data
        found, self.seen = self.seen, b""
        return found

    def recv_reply(self) -> tuple[int, dict[str, str], bytes]:
        """One reply with a Content-Length (or none at all): status, headers by lower-case name, body."""
        head = self.recv_until(b"\r\n\r\n").decode()
        first, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self.seen) < length:
            data = self.sock.recv(65536)
            assert data, "closed within a body"
            self.seen += data
        body, self.seen = self.seen[:length], self.seen[length:]
        return int(first.split()[1]), headers, body

    def shut(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()


class Serving:
    """A running server as a blocking test sees it."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        self.path = path
        self.loop = loop
        self.server = server
        self._clients: list[RawClient] = []

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def connect(self) -> RawClient:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path)
        client = RawClient(sock)
        self._clients.append(client)
        return client

    def request(self, method: str, target: str, *headers: str, body: bytes = b"") -> RawClient:
        """A new connection with one request on it; a body gets its length."""
        client = self.connect()
        client.send(request(method, target, *headers, body=body))
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.call(self.server.close(grace=0))


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Endless:
    """A stream without an end, and whether it was closed."""

    def __init__(self, message: bytes, **options: float) -> None:
        self.message = message
        self.options = options
        self.sent = 0
        self.started, self.closed = threading.Event(), threading.Event()

    async def messages(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.started.set()
                if not self.message:
                    await asyncio.Event().wait()
                self.sent += len(self.message)
                yield self.message
        finally:
            self.closed.set()

    async def handler(self, request: Request) -> Response:
        return Stream(self.messages(), **self.options)  # type: ignore[arg-type]


Serve = Callable[..., Serving]
