"""What a handler can answer with: five values, no behaviour.

A handler returns one of these and never touches the connection; `http.Connection` writes it. Only
`Stream` and `Hijack` carry code that runs after the handler returned, and only those are cancelled
when the client goes away: a plain handler runs to its end, since half an operation is worse than
an answer nobody reads.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from landbridge.api.duplex import Duplex

Headers = tuple[tuple[str, str], ...]

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
TAR = "application/x-tar"


@dataclass(frozen=True, slots=True)
class JSON:
    """`data` (anything msgspec can encode) and a newline, as Docker's encoder writes it."""

    data: object
    status: int = 200
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Empty:
    """No body: 204 and 304, and 200 where Docker answers with `Content-Length: 0`."""

    status: int = 204
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A body of known length, sent as it is. A reply to HEAD keeps its headers and loses the body."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """A chunked body, each message flushed as it comes.

    messages: an async generator. The next message is asked for only when the last one has gone into
        the bounded write buffer, so a stalled reader holds the generator, not memory. Acquire
        resources inside it (a generator that never started runs no `finally`); it is closed when
        the client goes away.
    headers_with_first_message: send the head at once (`events`, `wait`, `logs`), or wait for the
        first message so that an error before it still gets its own status (`pull`, `load`).
    stall_timeout: seconds a reader may leave the buffer full before it is dropped; None waits for
        ever, as a paused terminal wants.
    on_error: the message that reports an error after the head has gone; without it the connection
        is broken off, so the client sees an incomplete body instead of a short one.
    """

    messages: AsyncGenerator[bytes, None]
    content_type: str = "application/json"
    status: int = 200
    headers: Headers = ()
    headers_with_first_message: bool = False
    stall_timeout: float | None = None
    on_error: Callable[[str], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Hijack:
    """The connection itself, after `101 UPGRADED` (or `200 OK` for a client that did not ask to upgrade).

    run: called with the raw stream once the head has been sent; the connection is closed when it
        returns. It is cancelled when the client is gone for good, not by a half-close.
    """

    run: Callable[[Duplex], Awaitable[None]]
    content_type: str = RAW_STREAM
    headers: Headers = ()


Response = JSON | Empty | Raw | Stream | Hijack
