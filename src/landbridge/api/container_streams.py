"""Handlers of a container's streams: attach, logs, wait."""

import re
from collections.abc import AsyncGenerator
from urllib.parse import quote_plus

from landbridge.api import streams, websocket
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import Hijack, Response, Stream
from landbridge.api.router import Route
from landbridge.api.spool import Spool
from landbridge.api.streaming import (
    NUMBERS,
    Once,
    Peer,
    Streams,
    Wanted,
    hijack_type,
    parse_detach_keys,
    relay,
    started,
    stream_type,
)
from landbridge.api.websocket import WebSocket
from landbridge.engine.engine import Engine
from landbridge.errors import Invalid
from landbridge.model.container import Container
from landbridge.model.process import LogEntry
from landbridge.model.stamp import ZERO, format_ns, parse_ns

_CONDITIONS = ("", "not-running", "next-exit", "removed")


class ContainerStreamHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        one = "/containers/{name:.*}"
        return [
            Route("POST", f"{one}/attach", self.attach),
            Route("GET", f"{one}/attach/ws", self.attach_websocket),
            Route("GET", f"{one}/logs", self.logs),
            Route("POST", f"{one}/wait", self.wait),
        ]

    async def attach(self, request: Request) -> Response:
        keys = parse_detach_keys(request.query_str("detachKeys"))
        container, session = await self._engine.streams.attach(request.params["name"])
        config = container.config
        stream = request.query_bool("stream")
        wanted = Wanted(
            stdin=stream and request.query_bool("stdin") and config.open_stdin,
            stdout=request.query_bool("stdout"),
            stderr=request.query_bool("stderr"),
            tty=config.tty,
            detach_keys=keys,
            ends_with_input=config.tty or not config.stdin_once,
            spool=lambda: Spool(self._engine.settings.data_root),
        )
        past = request.query_bool("logs")

        async def run(duplex: Duplex) -> None:
            if past:
                await self._replay(container, duplex, wanted)
            if stream:
                await self._attached(container, session, duplex, wanted)

        return Hijack(Once(run, session.close), content_type=hijack_type(request, tty=config.tty))

    async def attach_websocket(self, request: Request) -> Response:
        """As `attach`, the streams not told apart. Before 1.42 all of them are wanted, before 1.28 as text (Docker)."""
        answer = websocket.accept(request.headers)
        keys = parse_detach_keys(request.query_str("detachKeys"))
        container, session = await self._engine.streams.attach(request.params["name"])
        config, old = container.config, request.version < (1, 42)
        takes_input = config.open_stdin and (old or request.query_bool("stdin"))
        wanted = Wanted(
            stdin=True,  # its frames must be read even when nobody wants what is in them
            stdout=old or request.query_bool("stdout"),
            stderr=old or request.query_bool("stderr"),
            tty=config.tty,
            detach_keys=keys,
            ends_with_input=True,
            framed=False,
            spool=lambda: Spool(self._engine.settings.data_root),
        )
        past, stream = request.query_bool("logs"), request.query_bool("stream")

        async def run(duplex: Duplex) -> None:
            peer = WebSocket(duplex, opcode=websocket.BINARY if request.version >= (1, 28) else websocket.TEXT)
            if past:
                await self._replay(container, peer, wanted)
            if stream:
                await self._attached(container, session if takes_input else _Deaf(session), peer, wanted)
            await peer.close()

        return Hijack(Once(run, session.close), headers=(("Sec-WebSocket-Accept", answer),))

    async def _attached(self, container: Container, session: Streams, duplex: Peer, wanted: Wanted) -> None:
        emit = self._engine.lifecycle.emit
        emit("attach", container)
        if await relay(session, duplex, wanted) and wanted.tty:
            emit("detach", container)

    async def _replay(self, container: Container, duplex: Peer, wanted: Wanted) -> None:
        frame = streams.writer(tty=wanted.tty or not wanted.framed)
        shown = {"stdout": wanted.stdout, "stderr": wanted.stderr}
        async for entry in self._engine.streams.logs(container.id):
            if shown[entry.stream]:
                await duplex.write(frame(NUMBERS[entry.stream], entry.data))

    async def logs(self, request: Request) -> Response:
        shown = {"stdout": request.query_bool("stdout"), "stderr": request.query_bool("stderr")}
        container = self._engine.state.container(request.params["name"])
        if not any(shown.values()):
            raise Invalid("Bad parameters: you must choose at least one stream")
        messages = await started(self._log_messages(request, container, shown))
        return Stream(
            messages,
            content_type=stream_type(request, tty=container.config.tty),
            on_error=None if container.config.tty else streams.framed_error,
        )

    async def _log_messages(
        self, request: Request, container: Container, shown: dict[str, bool]
    ) -> AsyncGenerator[bytes, None]:
        frame = streams.writer(tty=container.config.tty)
        details = f"{details_text(container)} ".encode() if request.query_bool("details") else b""
        line = _Lines(details, timestamps=request.query_bool("timestamps"))
        entries = self._engine.streams.logs(
            container.id,
            since=parse_time(request.query_str("since"), "since"),
            until=parse_time(request.query_str("until"), "until"),
            tail=_tail(request.query_str("tail")),
            follow=request.query_bool("follow"),
        )
        yield b""
        async for entry in entries:
            if shown[entry.stream]:
                yield frame(NUMBERS[entry.stream], line.dress(entry))

    async def wait(self, request: Request) -> Response:
        condition = request.query_str("condition")
        if condition not in _CONDITIONS:
            raise Invalid(f'invalid condition: "{condition}"')
        return Stream(await started(self._outcome(request.params["name"], condition or "not-running")))

    async def _outcome(self, name: str, condition: str) -> AsyncGenerator[bytes, None]:
        future = self._engine.lifecycle.waiting(name, condition)
        try:
            yield b""
            outcome = await future
            answer: dict[str, object] = {"StatusCode": outcome.code}
            if outcome.error:
                answer["Error"] = {"Message": outcome.error}
            yield streams.event_line(answer)
        finally:
            future.cancel()


class _Deaf:
    """A program whose input is nobody's."""

    def __init__(self, program: Streams) -> None:
        self.output = program.output

    async def write(self, data: bytes) -> None:
        """Dropped."""

    async def end_input(self) -> None:
        """It has none."""


class _Lines:
    """Puts timestamps and attributes before lines, once for a line in parts."""

    def __init__(self, details: bytes, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._details = details
        self._inside: dict[str, bool] = {}

    def dress(self, entry: LogEntry) -> bytes:
        prefix = b""
        if not self._inside.get(entry.stream):
            if self._timestamps:
                prefix += f"{fixed_stamp(entry.time)} ".encode()
            prefix += self._details
        self._inside[entry.stream] = entry.partial
        return prefix + entry.data


def details_text(container: Container) -> str:
    """Labels, variables and the tag the log options ask for, as ``logs --details`` shows them: ``A=1,b=2``."""
    options = container.host.log_config.config or {}
    variables = dict(entry.partition("=")[::2] for entry in container.config.env or ())
    found: dict[str, str] = {}
    for kind, values in (("labels", container.config.labels), ("env", variables)):
        names = options.get(kind, "").split(",")
        pattern = options.get(f"{kind}-regex", "")
        found |= {
            name: value for name, value in values.items()
            if name in names or (pattern and _matches(pattern, name))
        }  # fmt: skip
    if tag := _tag(options.get("tag", ""), container):
        found["tag"] = tag
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in sorted(found.items()))


def _tag(template: str, container: Container) -> str:
    """A tag with the fields filled in that Docker documents for it; what else stands in braces stays as it is."""
    words = {
        "ID": container.id[:12], "FullID": container.id, "ContainerID": container.id, "Name": container.name,
        "ImageID": container.image[:12], "ImageFullID": container.image, "ImageName": container.config.image,
        "DaemonName": "docker", "Command": " ".join((container.path, *container.args)),
    }  # fmt: skip
    return re.sub(r"\{\{ *\.(\w+) *\}\}", lambda match: words.get(match[1], match[0]), template)


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False  # Docker refuses such an option at create; then nothing is asked for


def fixed_stamp(nanoseconds: int) -> str:
    """RFC 3339 with all nine digits, so that columns line up."""
    text = format_ns(nanoseconds).removesuffix("Z")
    seconds, _, fraction = text.partition(".")
    return f"{seconds}.{fraction:<09}Z"


def parse_time(text: str, name: str) -> int:
    """Nanoseconds since the epoch from ``1700000000.25`` or RFC 3339; 0 when empty. Raises: Invalid."""
    if not text:
        return 0
    if found := re.fullmatch(r"(-?\d+)(?:\.(\d{1,9}))?", text):
        return int(found[1]) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))
    if (when := parse_ns(text)) != ZERO:
        return when
    raise Invalid(f'invalid value for "{name}": "{text}" is no timestamp')


def _tail(text: str) -> int | None:
    """A number of lines; anything else is all of them (Docker)."""
    return int(text) if text.isdigit() else None


