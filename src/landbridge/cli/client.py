"""HTTP/1.1 to the daemon, no more of it than a command line needs.

One request at a time per connection; a connection whose answer was read to its end is used again. Several requests
run side by side on connections of their own: `send` all, then `finish` each. A hijacked connection (attach, exec)
leaves HTTP and becomes a raw stream with the bytes that came along.

Uses `_socket`, the part of `socket` in C: the rest of `socket` takes 7 ms to import and offers nothing needed here.
"""

from __future__ import annotations

import _socket

from landbridge.cli.address import Address
from landbridge.cli.jsontext import decode, encode
from landbridge.cli.outcome import CommandError, DaemonError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Query = Mapping[str, str | int | bool | list[str]]

CHUNK = 65536
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
STATUS_TEXT = {400: "Bad Request", 404: "Not Found", 500: "Internal Server Error", 501: "Not Implemented"}


def quote(text: str, safe: str = "") -> str:
    """Percent-encode all but unreserved characters and `safe`."""
    allowed = UNRESERVED + safe
    return "".join(chr(b) if chr(b) in allowed and b < 128 else f"%{b:02X}" for b in text.encode())


def query_text(query: Query) -> str:
    """`?a=1&b=x`, or nothing; booleans as 1 and 0, lists repeated, empty strings and False left out."""
    pairs: list[str] = []
    for name, value in query.items():
        values = value if isinstance(value, list) else [value]
        pairs += [f"{name}={quote(str(int(v) if isinstance(v, bool) else v))}" for v in values if v not in ("", False)]
    return f"?{'&'.join(pairs)}" if pairs else ""


def filters_text(pairs: list[tuple[str, str]]) -> str:
    """The `filters` query value: `{"name":{"value":true}}`, sorted; empty when there are none."""
    grouped: dict[str, dict[str, bool]] = {}
    for name, value in sorted(pairs):
        grouped.setdefault(name, {})[value] = True
    return encode(grouped) if grouped else ""


class Connection:
    """A connected socket and the bytes received but not yet used."""

    __slots__ = ("buffer", "socket")

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.buffer = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> bytes:
        """What is there: buffered bytes first; empty at the end of the stream."""
        data, self.buffer = self.buffer, b""
        return data or self.socket.recv(CHUNK)

    def until(self, mark: bytes) -> bytes:
        """Bytes before `mark`, which is consumed. Raises: ConnectionError at an early end."""
        while (end := self.buffer.find(mark)) < 0:
            data = self.socket.recv(CHUNK)
            if not data:
                raise ConnectionResetError("the daemon closed the connection")
            self.buffer += data
        found, self.buffer = self.buffer[:end], self.buffer[end + len(mark) :]
        return found

    def some(self, limit: int) -> bytes:
        """Between 1 and `limit` bytes; nothing at the end."""
        data = self.receive()
        self.buffer = data[limit:] + self.buffer
        return data[:limit]

    def is_open(self) -> bool:
        """Whether the other side has neither closed the connection nor sent anything unasked."""
        try:
            self.socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:  # reset: closed all the same
            return False
        return False

    def close(self) -> None:
        self.socket.close()


class Response:
    """Status, headers (names in lower case) and the body, read when asked for."""

    def __init__(self, client: Client, connection: Connection, method: str) -> None:
        self.client, self.connection = client, connection
        head = connection.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head[0].split(" ", 2)[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        self.bodyless = method == "HEAD" or self.status in (101, 204, 304)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers.get('content-type', '')}>"

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. After the last piece the connection goes back to the client."""
        if not self.bodyless:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                yield from self._chunked()
            elif "content-length" in self.headers:
                yield from self._sized(int(self.headers["content-length"]))
            else:
                while data := self.connection.receive():
                    yield data
                self.connection.close()
                return
        if self.headers.get("connection", "").lower() == "close":
            self.connection.close()
        else:
            self.client.idle = self.connection

    def _sized(self, left: int) -> Iterator[bytes]:
        while left:
            data = self.connection.some(left)
            if not data:
                raise ConnectionResetError("unexpected EOF")
            left -= len(data)
            yield data

    def _chunked(self) -> Iterator[bytes]:
        while size := int(self.connection.until(b"\r\n").partition(b";")[0], 16):
            yield from self._sized(size)
            self.connection.until(b"\r\n")
        while self.connection.until(b"\r\n"):
            pass  # trailers mean nothing to us

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def lines(self) -> Iterator[str]:
        """The body's lines as they come, empty ones left out."""
        pending = b""
        for data in self.chunks():
            *whole, pending = (pending + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole if line.strip())
        if pending.strip():
            yield pending.decode("utf-8", "replace")

    def json(self) -> Any:
        return decode(self.read().decode("utf-8", "replace"))

    def check(self, path: str) -> Response:
        """Itself when the status is good. Raises: DaemonError."""
        if self.status < 400:
            return self
        text = self.read().decode("utf-8", "replace").strip()
        try:
            message = decode(text)["message"].strip() if text else ""
        except (ValueError, KeyError, TypeError):
            message = text
        if not message:
            reason = f"{self.status} {STATUS_TEXT.get(self.status, '')}".rstrip()
            message = (
                f"request returned {reason} for API route {path}, "
                "check if the server supports the requested API version"
            )
        raise DaemonError(self.status, message)


class Client:
    """Requests to one daemon. `version` (`1.45`) pins the API version; without it the daemon uses its newest."""

    def __init__(self, address: Address, *, version: str = "", tls: Any = None) -> None:
        self.address, self.tls = address, tls
        self.prefix = f"/v{version}" if version else ""
        self.idle: Connection | None = None
        self.opened: list[Connection] = []

    def close(self) -> None:
        """Close every connection ever made; to be called when the command ends."""
        for connection in self.opened:
            connection.close()
        self.opened.clear()
        self.idle = None

    def __repr__(self) -> str:
        return f"<Client {self.address.text}{self.prefix}>"

    def _open(self) -> _socket.socket:
        if self.tls is not None:
            encrypted: _socket.socket = self.tls(self.address)
            return encrypted
        family, protocol, target = _socket.AF_UNIX, 0, self.address.path
        if not self.address.path:
            found = _socket.getaddrinfo(self.address.host, self.address.port, 0, _socket.SOCK_STREAM)[0]
            family, _, protocol, _, target = found  # type: ignore[assignment]
        raw = _socket.socket(family, _socket.SOCK_STREAM, protocol)
        try:
            raw.connect(target)
        except OSError:
            raw.close()
            raise
        return raw

    def _connect(self) -> Connection:
        try:
            connection = Connection(self._open())
        except PermissionError:
            raise CommandError(
                f"permission denied while trying to connect to the landbridge daemon at {self.address.text}"
            ) from None
        except OSError:
            raise Unreachable(
                f"Cannot connect to the landbridge daemon at {self.address.text}. "
                "Is it running? Start it with: landbridge daemon"
            ) from None
        self.opened.append(connection)
        return connection

    def send(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        stream: Iterable[bytes] | None = None,
        upgrade: str = "",
    ) -> Connection:
        """Send a request on a connection of its own (an idle one if there is one); `finish` reads the answer.

        `body` goes as JSON; `stream` as chunks. Raises: Unreachable.
        """
        lines = [f"{method} {self.prefix}{path}{query_text(query or {})} HTTP/1.1", "Host: landbridge"]
        lines.append("User-Agent: landbridge")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        data = b""
        if upgrade:
            lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"]
        if stream is not None:
            lines.append("Transfer-Encoding: chunked")
        elif body is not None:
            data = encode(body).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        elif method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        message = "\r\n".join([*lines, "", ""]).encode() + data
        connection, self.idle = self.idle, None
        if connection is None or not connection.is_open():
            connection = self._connect()
        try:
            connection.socket.sendall(message)
        except OSError:  # an idle connection the daemon closed at this moment
            connection = self._connect()
            connection.socket.sendall(message)
        for chunk in stream or ():
            if chunk:
                connection.socket.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if stream is not None:
            connection.socket.sendall(b"0\r\n\r\n")
        return connection

    def finish(self, connection: Connection, method: str, path: str) -> Response:
        """The answer to a request sent on `connection`. Raises: DaemonError."""
        try:
            response = Response(self, connection, method)
        except (ConnectionError, ValueError, IndexError) as error:
            raise CommandError(f"error during connect: {method} {path}: {error}") from None
        return response.check(path)

    def call(self, method: str, path: str, query: Query | None = None, body: Any = None, **more: Any) -> Response:
        """Send and finish. Raises: DaemonError, Unreachable."""
        return self.finish(self.send(method, path, query, body, **more), method, path)

    def get(self, path: str, query: Query | None = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded JSON answer of a GET."""
        return self.call("GET", path, query, headers=headers).json()

    def post(self, path: str, query: Query | None = None, body: Any = None) -> Any:
        """The decoded JSON answer of a POST; None when it has no body."""
        text = self.call("POST", path, query, body).read().decode("utf-8", "replace")
        return decode(text) if text.strip() else None

    def delete(self, path: str, query: Query | None = None) -> Any:
        """The decoded JSON answer of a DELETE; None when it has no body."""
        text = self.call("DELETE", path, query).read().decode("utf-8", "replace")
        return decode(text) if text.strip() else None

    def hijack(self, path: str, query: Query | None = None, body: Any = None) -> tuple[Connection, str]:
        """POST and switch to a raw stream: the connection and its content type. Raises: DaemonError, CommandError."""
        response = self.call("POST", path, query, body, upgrade="tcp")
        if response.status != 101:
            raise CommandError(f"unable to upgrade to tcp, received {response.status}")
        return response.connection, response.headers.get("content-type", "")
