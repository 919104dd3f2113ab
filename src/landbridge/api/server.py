"""Listening sockets and the connections that came through them.

Takes a function that answers requests and knows nothing about routes. A server may listen on
several sockets; each client gets one task. Closing stops listening first, then lets answers in
progress finish for a while, then cuts them off.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import stat
import time
from email.utils import formatdate

from landbridge.api.http import Connection, Respond
from landbridge.api.response import Headers
from landbridge.api.tls import TlsTransport
from landbridge.api.wire import Wire
from landbridge.errors import Conflict

BACKLOG = 1024

log = logging.getLogger("landbridge.api")


def api_headers(*, api_version: str, server_version: str) -> Headers:
    """What Docker's daemon puts on every reply; clients negotiate by `Api-Version`."""
    return (
        ("Api-Version", api_version),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", f"Docker/{server_version} (linux)"),
    )


class Server:
    """Serves `respond` (a `Router.respond`) on any number of sockets. Use from one event loop."""

    def __init__(self, respond: Respond, headers: Headers) -> None:
        self._respond = respond
        self._headers = headers
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._unix_paths: list[tuple[str, int]] = []
        self._dated: tuple[int, list[tuple[str, str]]] = (0, [])

    def __repr__(self) -> str:
        return f"<Server {len(self._listeners)} sockets, {len(self._connections)} connections>"

    async def listen_unix(self, path: str, *, mode: int = 0o660, gid: int = -1) -> None:
        """Listen at `path`; a socket nobody listens on any more is replaced.

        Raises: Conflict when another process answers there; OSError.
        """
        _remove_stale_socket(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # The mode must hold from the first moment: no await between here and the bind.
            before = os.umask(~mode & 0o777)
            try:
                sock.bind(path)
            finally:
                os.umask(before)
            os.chown(path, -1, gid)
            self._unix_paths.append((path, os.stat(path).st_ino))
        except BaseException:
            sock.close()
            raise
        await self.listen(sock)

    async def listen_tcp(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen on an address (port 0: any) and return the one taken. Raises: OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # A client that left without a word is noticed by its missing answers (Go's server: 15 s).
        for option, value in ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 15)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        bound = sock.getsockname()
        await self.listen(sock, tls=tls)
        return bound[0], bound[1]

    async def listen(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a bound stream socket, which the server owns from here on (socket activation too)."""
        loop = asyncio.get_running_loop()
        sock.settimeout(0)

        def accept() -> asyncio.BaseProtocol:
            wire = Wire(self._connected)
            return wire if tls is None else TlsTransport(tls, wire)

        self._listeners.append(await loop.create_server(accept, sock=sock, backlog=BACKLOG))

    async def close(self, *, grace: float = 5.0) -> None:
        """Stop listening, end idle connections, give the busy ones `grace` seconds. Twice is no error."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for path, inode in self._unix_paths:
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
        self._unix_paths.clear()
        for task, connection in list(self._connections.items()):
            if not connection.busy:
                task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=grace)
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def _connected(self, wire: Wire) -> None:
        connection = Connection(wire, self._respond, self._base_headers)
        task = asyncio.get_running_loop().create_task(connection.run())
        self._connections[task] = connection
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()):
            log.error("a connection failed", exc_info=error)

    def _base_headers(self) -> list[tuple[str, str]]:
        now = int(time.time())
        if self._dated[0] != now:
            self._dated = (now, [*self._headers, ("Date", formatdate(now, usegmt=True))])
        return self._dated[1]


def _remove_stale_socket(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return  # not ours to remove: the bind will say so
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        result = probe.connect_ex(path)
    # EAGAIN: its backlog is full, so somebody does listen.
    if result in (0, errno.EAGAIN):
        raise Conflict(f"another process listens on {path}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
