"""One client's HTTP/1.1 conversation: h11 decides what is allowed, `Wire` carries the bytes.

Requests of a connection are answered one after the other, so pipelining is safe by construction. The
body of a request is read from the wire only as the handler asks for it. Nothing here knows a route,
a status of an error, or Docker's JSON.

An error of a handler leaves the connection usable; an error of the protocol ends it, after an
answer. A connection whose input was not read to its end is closed with a pause for the client to
take the answer: closing with unread input would reset it (unix(7), RFC 9112 9.6).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import h11
import msgspec

from landbridge.api import streams
from landbridge.api.duplex import Duplex
from landbridge.api.response import JSON, MULTIPLEXED_STREAM, Empty, Headers, Hijack, Raw, Response, Stream
from landbridge.api.status import describe, error_reply
from landbridge.api.wire import ClientGone, Wire
from landbridge.errors import Invalid, LandbridgeError

# As Go's http.Server: a megabyte of headers (registry credentials travel in one).
HEADER_LIMIT = 1024 * 1024
# An unread body up to this length is read away to keep the connection.
DRAIN_LIMIT = 256 * 1024
LINGER_SECONDS = 1.0
# Who sends more than this after his refusal is not read any more.
LINGER_LIMIT = 8 * 1024 * 1024

Respond = Callable[[str, str, dict[str, str], "RequestBody"], Awaitable[Response]]

log = logging.getLogger("landbridge.api")

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_encode = msgspec.json.Encoder().encode


class RequestBody:
    """The body of the request being answered; implements `request.Body`."""

    def __init__(self, connection: "Connection", headers: dict[str, str]) -> None:
        self._connection = connection
        chunked = "transfer-encoding" in headers
        self.length: int | None = None if chunked else int(headers.get("content-length", 0))
        self.finished = False

    def __repr__(self) -> str:
        return f"<RequestBody of {self.length} bytes, {'read' if self.finished else 'unread'}>"

    @property
    def declared_empty(self) -> bool:
        return self.length == 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises: Invalid when the body is malformed or ends early."""
        while not self.finished:
            try:
                event = await self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise Invalid(f"reading the request body: {error}") from None
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:  # EndOfMessage, or PAUSED when a second reader comes after it
                self.finished = True

    async def discard(self) -> None:
        """Read the rest away. Raises: Invalid."""
        async for _ in self.pieces():
            pass


class Connection:
    """Serves one wire until either side has had enough."""

    def __init__(self, wire: Wire, respond: Respond, base_headers: Callable[[], list[tuple[str, str]]]) -> None:
        self._wire = wire
        self._respond = respond
        self._base_headers = base_headers
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_LIMIT)
        self.busy = False

    def __repr__(self) -> str:
        return f"<Connection {'busy' if self.busy else 'idle'} on {self._wire!r}>"

    async def run(self) -> None:
        """Answer requests until the connection ends. Cancelling it drops what is unsent."""
        try:
            while await self._exchange():
                pass
            self._wire.close()
        except ClientGone:
            pass
        finally:
            self.busy = False
            if not self._wire.closing:
                self._wire.abort()

    async def next_event(self) -> Any:
        """The next h11 event, reading as needed. Raises: h11.RemoteProtocolError."""
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                await self._wire.write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            self._h11.receive_data(await self._wire.read())

    async def _exchange(self) -> bool:
        """One request and its answer; False when it was the last."""
        try:
            event = await self.next_event()
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
            return False
        if not isinstance(event, h11.Request):
            return False
        self.busy = True
        method, headers = event.method.decode("ascii"), _by_name(event)
        body = RequestBody(self, headers)
        reply = await self._respond(method, event.target.decode("latin-1"), headers, body)
        if isinstance(reply, Hijack):
            await self._hijack(reply, body, headers)
            return False
        await self._send(reply, body, method)
        if not await self._finish(body):
            return False
        self.busy = False
        self._h11.start_next_cycle()
        return True

    async def _finish(self, body: RequestBody) -> bool:
        """Bring both sides to the end of this exchange; False when the connection cannot be used again."""
        reusable = self._h11.our_state is h11.DONE
        try:
            if reusable:
                await body.discard()
                return self._h11.their_state is h11.DONE
        except Invalid:
            pass  # the answer has gone; what the client still sends is no HTTP
        if not body.finished:
            await self._linger()
        return False

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = error.error_status_hint
            reply = JSON({"message": f"{status} {_REASONS[status].decode()}: {error}"}, status=status)
            await self._send_whole(reply, close=True, head_only=False)
        await self._linger()

    async def _linger(self) -> None:
        self._wire.write_eof()
        self._wire.discard_input(LINGER_LIMIT)
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._wire.wait_eof()
        except TimeoutError:
            pass  # the client had its time to take the answer

    # --- answers

    async def _send(self, reply: JSON | Empty | Raw | Stream, body: RequestBody, method: str) -> None:
        unread = not body.finished and (body.length is None or body.length > 0)
        too_much = body.length is None or body.length > DRAIN_LIMIT
        close = unread and (too_much or self._h11.they_are_waiting_for_100_continue)
        head_only = method == "HEAD"
        if not isinstance(reply, Stream):
            await self._send_whole(reply, close=close, head_only=head_only)
        elif head_only:
            await reply.messages.aclose()
            headers = (*reply.headers, ("Content-Type", reply.content_type))
            await self._send_whole(Empty(reply.status, headers), close=close, head_only=True)
        else:
            await self._while_client_stays(self._send_stream(reply, close=close), duplex=False)

    async def _send_whole(self, reply: JSON | Empty | Raw, *, close: bool, head_only: bool) -> None:
        status, headers, content = _whole(reply)
        pieces = [self._head(status, headers, close=close)]
        if content and not head_only:
            pieces.append(self._h11.send(h11.Data(data=content)) or b"")
        pieces.append(self._h11.send(h11.EndOfMessage()) or b"")
        await self._wire.write(b"".join(pieces))

    def _head(self, status: int, headers: list[tuple[str, str]], *, close: bool) -> bytes:
        everything = [*self._base_headers(), *headers]
        if close:
            everything.append(("Connection", "close"))
        response = h11.Response(status_code=status, headers=everything, reason=_REASONS.get(status, b""))
        return self._h11.send(response) or b""

    async def _send_stream(self, reply: Stream, *, close: bool) -> None:
        headers = [*reply.headers, ("Content-Type", reply.content_type)]
        async with aclosing(reply.messages) as messages:
            first = b""
            if reply.headers_with_first_message:
                try:
                    first = await anext(messages, b"")
                except Exception as error:  # nothing was sent: it gets its own status
                    await self._send_whole(error_reply(error), close=close, head_only=False)
                    return
            await self._wire.write(self._head(reply.status, headers, close=close))
            await self._send_message(first, reply)
            try:
                async for message in messages:
                    await self._send_message(message, reply)
            except ClientGone:
                raise
            except Exception as error:  # the status has gone: say it in the stream, or break off
                if not isinstance(error, LandbridgeError):
                    log.error("a stream failed", exc_info=error)
                if reply.on_error is None:
                    return
                await self._send_message(reply.on_error(describe(error)), reply)
        await self._wire.write(self._h11.send(h11.EndOfMessage()) or b"")

    async def _send_message(self, message: bytes, reply: Stream) -> None:
        try:
            async with asyncio.timeout(reply.stall_timeout):
                await self._wire.write(self._h11.send(h11.Data(data=message)) or b"")
        except TimeoutError:
            log.info("a client did not read for %s s and is dropped", reply.stall_timeout)
            raise ClientGone from None

    async def _hijack(self, reply: Hijack, body: RequestBody, headers: dict[str, str]) -> None:
        """Leave HTTP behind. The head is written by hand: without an upgrade it is a 200 with neither
        length nor chunks, which h11 rightly refuses to send to an HTTP/1.1 client but Docker's expect.
        """
        try:
            await body.discard()
        except Invalid as error:
            log.info("no stream for a client whose request broke: %s", error)
            return
        self._wire.unread(self._h11.trailing_data[0])
        await self._wire.write(_hijack_head(reply, [*self._base_headers(), *reply.headers], headers))
        duplex = Duplex(self._wire)
        try:
            await self._while_client_stays(_call(reply.run, duplex), duplex=True)
        except ClientGone:
            raise
        except Exception as error:
            if not isinstance(error, LandbridgeError):
                log.error("a raw stream failed", exc_info=error)
            text = f"{describe(error)}\r\n".encode()
            framed = reply.content_type == MULTIPLEXED_STREAM
            await self._wire.write(streams.frame(streams.STDERR, text) if framed else text)
        await self._linger()

    async def _while_client_stays(self, work: Coroutine[Any, Any, None], *, duplex: bool) -> None:
        """Run `work`, cancelled when the client leaves. Raises: ClientGone, and what `work` raises."""
        task = asyncio.ensure_future(work)
        gone = False

        def leave() -> None:
            nonlocal gone
            gone = True
            task.cancel()

        self._wire.watch(leave, duplex=duplex)
        try:
            await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if gone and not (current and current.cancelling()):
                raise ClientGone from None
            raise
        finally:
            self._wire.unwatch()


def _whole(reply: JSON | Empty | Raw) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and content of a reply that is known from the start."""
    headers = list(reply.headers)
    content = b""
    if isinstance(reply, Raw):
        content = reply.body
        headers.append(("Content-Type", reply.content_type))
    elif isinstance(reply, JSON):
        try:
            content = _encode(reply.data) + b"\n"
        except (TypeError, ValueError) as error:  # the handler's value is no JSON: a bug, and an answer
            return _whole(error_reply(error))
        headers.append(("Content-Type", "application/json"))
    if reply.status not in (204, 304):
        headers.append(("Content-Length", str(len(content))))
    return reply.status, headers, content


async def _call(run: Callable[[Duplex], Awaitable[None]], duplex: Duplex) -> None:
    await run(duplex)


def _by_name(request: h11.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _hijack_head(reply: Hijack, headers: Headers | list[tuple[str, str]], asked: dict[str, str]) -> bytes:
    """101 for a client that asked to upgrade, else 200; the protocol is named back as it was asked for."""
    protocol = asked.get("upgrade", "")
    upgrade = protocol and "upgrade" in asked.get("connection", "").lower()
    lines = ["HTTP/1.1 101 UPGRADED" if upgrade else "HTTP/1.1 200 OK", f"Content-Type: {reply.content_type}"]
    if upgrade:
        lines += ["Connection: Upgrade", f"Upgrade: {protocol}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
