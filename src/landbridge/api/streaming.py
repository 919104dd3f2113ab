"""Between a hijacked connection and a program's standard streams: attach and exec share all of it.

The client may end its input and keep reading, leave, or stop reading. None of that ends the program, and none
of it lets memory grow: output is read only as fast as the client takes it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from landbridge.api import streams
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import MULTIPLEXED_STREAM, RAW_STREAM
from landbridge.api.spool import Spool
from landbridge.api.wire import ClientGone
from landbridge.errors import Invalid
from landbridge.model.process import Chunk

NUMBERS = {"stdout": streams.STDOUT, "stderr": streams.STDERR}
log = logging.getLogger("landbridge.api")

DEFAULT_DETACH = b"\x10\x11"  # ctrl-p ctrl-q


def stream_type(request: Request, *, tty: bool) -> str:
    """Content type of a raw or framed stream; clients before 1.42 know one only."""
    return RAW_STREAM if tty or request.version < (1, 42) else MULTIPLEXED_STREAM


def hijack_type(request: Request, *, tty: bool) -> str:
    """As `stream_type`; who does not ask for an upgrade is told nothing of frames (Docker)."""
    return stream_type(request, tty=tty) if request.wants_upgrade else RAW_STREAM


def parse_detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or single characters. Empty: the default. Raises: Invalid."""
    if not text:
        return DEFAULT_DETACH
    keys = bytearray()
    for word in text.split(","):
        letter = word.removeprefix("ctrl-")
        if len(word) == 1:
            keys += word.encode()
        elif word.startswith("ctrl-") and len(letter) == 1 and (letter.islower() or letter in "@[\\]^_"):
            keys.append(ord(letter.upper()) & 0x1F)
        else:
            raise Invalid(f"Invalid detach keys ({text}) provided")
    return bytes(keys)


class DetachScanner:
    """Looks for the detach keys in what the user types; a beginning of them is held back until it is clear."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What may go to the program. Sets `found` when the keys were typed; nothing after them passes."""
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self.found = True
                    return bytes(out)
                continue
            out += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                out.append(byte)
        return bytes(out)


class Peer(Protocol):
    """The client's side: a `Duplex`, or a `WebSocket` on one."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def discard_input(self) -> None: ...


class Streams(Protocol):
    """A program's streams: `engine.hub.Session`, or an exec's process behind `ExecStreams`."""

    def output(self) -> AsyncIterator[Chunk]: ...
    async def write(self, data: bytes) -> None: ...
    async def end_input(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which streams a client asked for, and how the program has its terminal.

    `ends_with_input`: the connection ends when the client's input does (input the program keeps open after it).
    `framed` says that streams are told apart by frames where there is no terminal.
    `spool` makes the place where output waits for a slow client; without one the program waits for the client.
    """

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool
    detach_keys: bytes = DEFAULT_DETACH
    ends_with_input: bool = False
    framed: bool = True
    spool: Callable[[], Spool] | None = None


async def relay(program: Streams, duplex: Peer, wanted: Wanted) -> bool:
    """Carry bytes both ways until the program's output ends or the client detaches; True when it detached."""
    spool = wanted.spool() if wanted.spool is not None else None
    carried = _output(program, duplex, wanted) if spool is None else _spooled(program, duplex, wanted, spool)
    output = asyncio.ensure_future(carried)
    work: set[asyncio.Future[bool]] = {output}
    if wanted.stdin:
        work.add(asyncio.ensure_future(_input(program, duplex, wanted)))
    else:
        duplex.discard_input()
    try:
        while True:
            done, work = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if any(one.result() for one in done):
                return True
            if output in done or not work:
                return False
    finally:
        for one in work | {output}:
            one.cancel()
        await asyncio.gather(*work, output, return_exceptions=True)


async def _output(program: Streams, duplex: Peer, wanted: Wanted) -> bool:
    frame = streams.writer(tty=wanted.tty or not wanted.framed)
    shown = {"stdout": wanted.stdout, "stderr": wanted.stderr}
    async for chunk in program.output():
        if shown[chunk.stream]:
            await duplex.write(frame(NUMBERS[chunk.stream], chunk.data))
    return False


async def _spooled(program: Streams, duplex: Peer, wanted: Wanted, spool: Spool) -> bool:
    """As `_output`, but the program goes on while the client does not read; a client that never does is let go."""
    try:
        async with asyncio.TaskGroup() as tasks:
            filling = tasks.create_task(_fill(program, spool, wanted))
            while data := await spool.get():
                await duplex.write(data)
            return filling.result()
    except BaseExceptionGroup as group:
        # Not `except*`: what is raised there comes out in a group of its own on some Python 3.11.
        if group.split(ClientGone)[1] is None:
            raise ClientGone from None
        raise
    finally:
        spool.close()


async def _fill(program: Streams, spool: Spool, wanted: Wanted) -> bool:
    frame = streams.writer(tty=wanted.tty or not wanted.framed)
    shown = {"stdout": wanted.stdout, "stderr": wanted.stderr}
    async for chunk in program.output():
        if not shown[chunk.stream]:
            continue
        spool.put(frame(NUMBERS[chunk.stream], chunk.data))
        if spool.full and not await spool.room():
            log.info("an attached client does not read and is dropped")
            raise ClientGone
    spool.end()
    return False


async def _input(program: Streams, duplex: Peer, wanted: Wanted) -> bool:
    """Carry input; True when the connection is to end (keys typed, or input over where that ends it)."""
    scanner = DetachScanner(wanted.detach_keys) if wanted.tty else None
    while data := await duplex.read():
        if scanner is not None:
            data = scanner.feed(data)
        if data:
            await program.write(data)
        if scanner is not None and scanner.found:
            return True
    await program.end_input()
    return wanted.ends_with_input


async def started(messages: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Run a generator to its first ``yield b""``, where it has what it needs: errors before that are the
    handler's, and its `finally` runs even if nobody ever reads it.
    """
    await anext(messages)
    return messages


@dataclass(slots=True)
class Once:
    """Calls `release` when the last reference goes, unless `run` was called: a client may vanish before that."""

    work: Callable[[Duplex], Awaitable[None]]
    release: Callable[[], None]

    async def __call__(self, duplex: Duplex) -> None:
        try:
            await self.work(duplex)
        finally:
            self.release()

    def __del__(self) -> None:
        self.release()
