"""An HTTP/1.1 client for registries on asyncio and h11: one request, one answer, bodies as streams both ways.

No policy: no retries, redirects or logins here, those are the engine's. Connections are kept and used again; one
that its server closed meanwhile is replaced without a word, as nothing was answered yet. Every wait has an end.
Errors: `Unreachable` when there is nobody to talk to, `Unavailable` when the talk broke off.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

from landbridge.errors import Unavailable, Unreachable
from landbridge.system import registry_dial as dial
from landbridge.system.registry_proxy import Proxies, Proxy

HEADER_MOST = 256 * 1024
IDLE_MOST = 4  # connections kept per server
IDLE_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
LAST_WORD_SECONDS = 1.0  # for what a server said before it stopped reading

Headers = Mapping[str, str]
Body = bytes | AsyncIterable[bytes]


@dataclass(frozen=True, slots=True)
class _Origin:
    """What makes two connections interchangeable."""

    scheme: str
    host: str
    port: int
    verify: bool
    proxy: Proxy | None

    @property
    def name(self) -> str:
        """As in ``Host`` and in certs.d: the port only when it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


class _Broken(Exception):
    """The connection ended or made no sense; the text says how."""


class _Silent(_Broken):
    """Nothing came for too long."""

    def __init__(self) -> None:
        super().__init__("i/o timeout")


class _Line:
    """One connection and its conversation. `used`: it has answered before, so its server may have left since."""

    def __init__(self, origin: _Origin, streams: dial.Streams) -> None:
        self.origin = origin
        self.reader, self.writer = streams
        self.conversation = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_MOST)
        self.used = False
        self.expiry: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close at once. Twice is fine."""
        if self.expiry is not None:
            self.expiry.cancel()
        self.writer.transport.abort()

    def again(self) -> bool:
        """Make ready for the next request; False when either side wants to close."""
        if self.conversation.our_state is not h11.DONE or self.conversation.their_state is not h11.DONE:
            return False
        self.conversation.start_next_cycle()
        return True

    async def send(self, event: Any, patience: float) -> None:
        """Raises: _Broken."""
        data = self.conversation.send(event)
        if not data:
            return
        try:
            self.writer.write(data)
            async with asyncio.timeout(patience):
                await self.writer.drain()
        except TimeoutError:
            raise _Silent from None
        except OSError as error:
            raise _Broken(_read_problem(error)) from error

    async def next(self, patience: float | None) -> Any:
        """The next h11 event, waiting so many seconds for bytes (None: as long as it takes). Raises: _Broken."""
        while True:
            began = self.conversation.their_state is not h11.SEND_RESPONSE
            try:
                event = self.conversation.next_event()
            except h11.RemoteProtocolError as error:
                raise _Broken(self._protocol_problem(error, began=began)) from error
            if event is not h11.NEED_DATA:
                return event
            try:
                async with asyncio.timeout(patience):
                    data = await self.reader.read(dial.READ)
            except TimeoutError:
                raise _Silent from None
            except OSError as error:
                raise _Broken(_read_problem(error)) from error
            self.conversation.receive_data(data)

    def _protocol_problem(self, error: h11.RemoteProtocolError, *, began: bool) -> str:
        if not self.reader.at_eof():
            return f"net/http: malformed HTTP response: {error}"
        return "unexpected EOF" if began else "EOF"


class HttpReply:
    """An answer whose body is still on its way. Use as a context manager: leaving it early drops the connection."""

    def __init__(self, line: _Line, response: h11.Response, label: str, patience: float, done: Callable[[_Line], None]):
        self.status = response.status_code
        self._headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
        self._line = line
        self._label = label
        self._patience = patience
        self._done = done
        self._finished = False

    def __repr__(self) -> str:
        return f"<HttpReply {self.status} to {self._label}>"

    async def __aenter__(self) -> "HttpReply":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def header(self, name: str) -> str:
        """The first header of that name (lower case); empty when there is none."""
        return next((value for known, value in self._headers if known == name), "")

    def header_list(self, name: str) -> tuple[str, ...]:
        """Every header of that name, in order."""
        return tuple(value for known, value in self._headers if known == name)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises: Unavailable when it breaks off."""
        while not self._finished:
            try:
                event = await self._line.next(self._patience)
            except _Broken as error:
                self.close()
                raise Unavailable(f"{self._label}: {error}") from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._finished = True
                self._done(self._line)

    async def read(self, most: int) -> bytes:
        """The whole body. Raises: Unavailable when it breaks off or is longer than `most`."""
        data = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > most:
                    self.close()
                    raise Unavailable(f"{self._label}: the answer is longer than {most} bytes")
        return bytes(data)

    def close(self) -> None:
        """Give up what was not read. Twice is fine."""
        if not self._finished:
            self._finished = True
            self._line.abort()


class HttpClient:
    """Keeps connections; use from one event loop, `close` at the end.

    `certificates`: directories like /etc/docker/certs.d. `proxies`: see `registry_proxy`.
    """

    def __init__(self, *, agent: str, certificates: Sequence[str] = (), proxies: Proxies | None = None) -> None:
        self._agent = agent
        self._certificates = tuple(certificates)
        self._proxies = proxies or Proxies({})
        self._idle: dict[_Origin, list[_Line]] = {}

    def __repr__(self) -> str:
        return f"<HttpClient {sum(map(len, self._idle.values()))} idle connections>"

    async def addresses(self, host: str) -> tuple[str, ...]:
        """What a host name resolves to; empty when it does not."""
        return await dial.addresses(host)

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Body = b"",
        *,
        verify: bool = True,
        patience: float = PATIENCE_SECONDS,
    ) -> HttpReply:
        """Send a request and wait for the head of the answer, at most `patience` seconds without a byte.

        A body that is a stream goes out in chunks and cannot be sent twice.

        Raises: Unreachable, Unavailable with Go's ``Get "https://…": …``.
        """
        label = f'{method.capitalize()} "{_without_password(url)}"'
        origin = self._origin(url, label, verify=verify)
        while True:
            line = self._take(origin) or await self._open(origin, label)
            try:
                response = await self._converse(line, method, url, headers, body, patience)
            except _Broken as error:
                line.abort()
                if line.used and isinstance(body, bytes) and not isinstance(error, _Silent):
                    continue  # closed while nobody asked; whoever says nothing has the request
                raise Unavailable(f"{label}: {error}") from error
            except BaseException:
                line.abort()
                raise
            return HttpReply(line, response, label, patience, self._keep)

    def close(self) -> None:
        """Drop every idle connection. Those in use end with their answers."""
        for lines in self._idle.values():
            for line in lines:
                line.abort()
        self._idle.clear()

    def _origin(self, url: str, label: str, *, verify: bool) -> _Origin:
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f'unsupported protocol scheme "{parts.scheme}"')
            port = parts.port or (443 if parts.scheme == "https" else 80)
            proxy = self._proxies.choose(parts.scheme, parts.hostname, port)
        except (ValueError, Unreachable) as error:
            raise Unreachable(f"{label}: {error}") from error
        return _Origin(parts.scheme, parts.hostname, port, verify, proxy)

    async def _open(self, origin: _Origin, label: str) -> _Line:
        try:
            context: ssl.SSLContext | None = None
            if origin.scheme == "https":  # reading the authorities takes 20 ms
                context = await asyncio.to_thread(
                    dial.tls_context, origin.name, self._certificates, verify=origin.verify
                )
            if origin.proxy is None:
                streams = await dial.connect(origin.host, origin.port)
            elif context is None:
                streams = await dial.connect(origin.proxy.host, origin.proxy.port)
            else:
                streams = await dial.connect_through(origin.proxy, origin.host, origin.port)
            if context is not None:
                await dial.secure(streams[1], origin.host, context)
        except Unreachable as error:
            raise Unreachable(f"{label}: {error.message}") from error
        return _Line(origin, streams)

    async def _converse(
        self, line: _Line, method: str, url: str, headers: Headers, body: Body, patience: float
    ) -> h11.Response:
        """Send, and listen meanwhile: a server may refuse and close before it has read everything."""
        await line.send(self._request(line.origin, method, url, headers, body), patience)
        head = asyncio.ensure_future(self._head(line))
        sending = asyncio.ensure_future(self._send_body(line, body, patience))
        try:
            await asyncio.wait({head, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not head.done():
                broken = sending.exception()
                if broken is not None and not isinstance(broken, _Broken):
                    raise broken  # our own trouble with the body
                await asyncio.wait({head}, timeout=patience if broken is None else LAST_WORD_SECONDS)
                if not head.done():
                    raise broken or _Silent
            return head.result()
        finally:
            head.cancel()
            sending.cancel()
            await asyncio.wait({head, sending})
            if not sending.cancelled():
                sending.exception()  # seen: the answer, or its absence, counts

    async def _head(self, line: _Line) -> h11.Response:
        while True:
            event = await line.next(None)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise _Broken("EOF")

    async def _send_body(self, line: _Line, body: Body, patience: float) -> None:
        if isinstance(body, bytes):
            for start in range(0, len(body), dial.READ):
                await line.send(h11.Data(data=body[start : start + dial.READ]), patience)
        else:
            async for chunk in body:
                await line.send(h11.Data(data=chunk), patience)
        await line.send(h11.EndOfMessage(), patience)

    def _request(self, origin: _Origin, method: str, url: str, headers: Headers, body: Body) -> h11.Request:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        every = [("Host", origin.name), ("User-Agent", self._agent), *headers.items()]
        if origin.proxy is not None and origin.scheme == "http":
            target = f"http://{origin.name}{target}"
            every += dial.proxy_headers(origin.proxy)
        if not isinstance(body, bytes):
            every.append(("Transfer-Encoding", "chunked"))
        elif body or method in ("POST", "PUT", "PATCH"):
            every.append(("Content-Length", str(len(body))))
        try:
            return h11.Request(method=method, target=target, headers=every)
        except (h11.LocalProtocolError, UnicodeError) as error:  # an address or token with characters HTTP has not
            raise _Broken(f"invalid request: {error}") from error

    def _take(self, origin: _Origin) -> _Line | None:
        lines = self._idle.get(origin, [])
        while lines:
            line = lines.pop()
            if line.expiry is not None:
                line.expiry.cancel()
            if not line.reader.at_eof() and not line.writer.transport.is_closing():
                return line
            line.abort()
        return None

    def _keep(self, line: _Line) -> None:
        """After an answer was read to its end."""
        lines = self._idle.setdefault(line.origin, [])
        if len(lines) >= IDLE_MOST or not line.again():
            line.abort()
            return
        line.used = True
        line.expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire, line)
        lines.append(line)

    def _expire(self, line: _Line) -> None:
        lines = self._idle.get(line.origin, [])
        if line in lines:
            lines.remove(line)
        line.abort()


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _read_problem(error: OSError) -> str:
    return (error.strerror or str(error) or "EOF").lower()
