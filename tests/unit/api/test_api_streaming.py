"""Attach's two halves against a program and a client made of queues: who may end what, and who waits for whom."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api.spool import Spool
from landbridge.api.streaming import DetachScanner, Once, Wanted, parse_detach_keys, relay, started
from landbridge.api.wire import ClientGone
from landbridge.errors import Invalid
from landbridge.model.process import Chunk


class Program:
    """Writes what it is told, remembers what it is given."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.given = b""
        self.input_ended = asyncio.Event()

    def say(self, data: bytes, stream: str = "stdout") -> None:
        self.chunks.put_nowait(Chunk(stream=stream, data=data))

    def end(self) -> None:
        self.chunks.put_nowait(None)

    async def output(self) -> AsyncIterator[Chunk]:
        while (chunk := await self.chunks.get()) is not None:
            yield chunk
            self.chunks.task_done()

    async def write(self, data: bytes) -> None:
        self.given += data

    async def end_input(self) -> None:
        self.input_ended.set()


class Client:
    """The raw stream of a hijacked connection. While `reads` is unset, writing to it waits."""

    def __init__(self) -> None:
        self.typed: asyncio.Queue[bytes] = asyncio.Queue()
        self.seen = b""
        self.reads = asyncio.Event()
        self.reads.set()
        self.discarded = False

    async def read(self, limit: int = 0) -> bytes:
        return await self.typed.get()

    def discard_input(self) -> None:
        self.discarded = True

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        self.seen += data


def wanted(**changes: Any) -> Wanted:
    return Wanted(**{"stdin": True, "stdout": True, "stderr": True, "tty": False, **changes})


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def patient() -> Any:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(patient())


async def _relay(program: Program, client: Client, asked: Wanted) -> bool:
    return await relay(program, client, asked)  # type: ignore[arg-type]


def test_output_is_framed_input_passed_and_half_close_ends_only_the_input() -> None:
    async def scene() -> tuple[bool, Program, Client]:
        program, client = Program(), Client()
        client.typed.put_nowait(b"question")
        client.typed.put_nowait(b"")
        task = asyncio.ensure_future(_relay(program, client, wanted()))
        await program.input_ended.wait()
        program.say(b"answer")
        program.say(b"bad", "stderr")
        program.end()
        return await task, program, client

    detached, program, client = run(scene())
    assert not detached and program.given == b"question"
    assert client.seen == b"\x01\0\0\0\0\0\0\x06answer" + b"\x02\0\0\0\0\0\0\x03bad"


def test_streams_not_asked_for_are_left_out() -> None:
    async def scene() -> Client:
        program, client = Program(), Client()
        program.say(b"a")
        program.say(b"b", "stderr")
        program.end()
        await _relay(program, client, wanted(stdin=False, stdout=False))
        return client

    client = run(scene())
    assert client.seen == b"\x02\0\0\0\0\0\0\x01b" and client.discarded


def test_a_terminal_is_raw_and_the_detach_keys_end_it() -> None:
    async def scene() -> tuple[bool, Program, Client]:
        program, client = Program(), Client()
        program.say(b"prompt")
        client.typed.put_nowait(b"ls\x10")
        client.typed.put_nowait(b"\x11never")
        task = asyncio.ensure_future(_relay(program, client, wanted(tty=True)))
        return await task, program, client

    detached, program, client = run(scene())
    assert detached and program.given == b"ls"
    assert client.seen in (b"prompt", b"")


def test_without_a_terminal_the_detach_keys_are_data() -> None:
    async def scene() -> Program:
        program, client = Program(), Client()
        client.typed.put_nowait(b"\x10\x11")
        client.typed.put_nowait(b"")
        task = asyncio.ensure_future(_relay(program, client, wanted()))
        await program.input_ended.wait()
        program.end()
        await task
        return program

    assert run(scene()).given == b"\x10\x11"


def test_input_that_ends_ends_the_connection_where_the_program_keeps_it_open() -> None:
    async def scene() -> bool:
        program, client = Program(), Client()
        client.typed.put_nowait(b"")
        return await _relay(program, client, wanted(ends_with_input=True))

    assert run(scene()) is True


def test_a_client_that_does_not_read_does_not_hold_the_program(tmp_path: Path) -> None:
    async def scene() -> bytes:
        program, client = Program(), Client()
        client.reads.clear()
        task = asyncio.ensure_future(_relay(program, client, wanted(stdin=False, spool=lambda: Spool(str(tmp_path)))))
        for number in range(3000):
            program.say(f"{number:1000}".encode())
        await program.chunks.join()  # the program gets rid of everything though nobody reads
        program.end()
        client.reads.set()
        await task
        return client.seen

    seen = run(scene())
    assert len(seen) == 3000 * 1008
    assert [int(seen[at + 8 : at + 1008]) for at in range(0, len(seen), 1008)] == list(range(3000))


def test_a_client_that_never_reads_is_let_go(tmp_path: Path) -> None:
    async def scene() -> None:
        program, client = Program(), Client()
        client.reads.clear()
        for _ in range(4):
            program.say(bytes(1000))
        small = Spool(str(tmp_path), memory=0, disk=2000, patience=0.0)
        await _relay(program, client, wanted(stdin=False, spool=lambda: small))

    with pytest.raises(ClientGone):
        run(scene())


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("ctrl-@,ctrl-[,ctrl-_", b"\x00\x1b\x1f"), ("x", b"x")],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["foo", "ctrl-", "ctrl-A", "ctrl-1", ",", "a,,b"])
def test_detach_keys_that_are_none(text: str) -> None:
    with pytest.raises(Invalid, match="Invalid detach keys"):
        parse_detach_keys(text)


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_the_scanner_finds_the_keys_wherever_the_pieces_are_cut(typed: bytes, cuts: list[int]) -> None:
    typed = bytes(byte % 3 + 0x10 for byte in typed)  # only the keys and one other, so that they meet often
    scanner, passed = DetachScanner(b"\x10\x11"), b""
    edges = sorted({0, *(cut for cut in cuts if cut < len(typed)), len(typed)})
    for start, end in itertools.pairwise(edges):
        passed += scanner.feed(typed[start:end])
        if scanner.found:
            break
    before, found, _ = typed.partition(b"\x10\x11")
    assert scanner.found is bool(found)
    assert passed == before or (not found and passed + b"\x10" == before)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=30), st.just(None)), max_size=40))
def test_a_spool_gives_back_everything_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[bytes]) -> None:
    async def scene() -> tuple[bytes, bytes]:
        spool = Spool(str(tmp_path_factory.getbasetemp()), memory=40)
        put = got = b""
        for step in steps:
            if step is not None:
                spool.put(step)
                put += step
            elif len(got) < len(put):
                got += await spool.get()
        spool.end()
        while data := await spool.get():
            got += data
        spool.close()
        return put, got

    put, got = run(scene())
    assert got == put


def test_a_spool_can_go_to_disk_more_than_once(tmp_path: Path) -> None:
    async def scene() -> bytes:
        spool, got = Spool(str(tmp_path), memory=2), b""
        for _ in range(3):
            spool.put(b"abc")
            spool.put(b"de")
            got += await spool.get()
        spool.end()
        while data := await spool.get():
            got += data
        return got

    assert run(scene()) == b"abcde" * 3


def test_what_a_vanished_client_never_ran_is_released_and_what_it_ran_as_well() -> None:
    released: list[int] = []

    async def work(duplex: object) -> None:
        assert released == [1]

    unused = Once(work, lambda: released.append(1))
    del unused
    assert released == [1]
    once = Once(work, lambda: released.append(2))
    run(once(None))  # type: ignore[arg-type]
    assert 2 in released


def test_a_generator_is_started_up_to_its_first_yield() -> None:
    async def scene() -> list[str]:
        happened: list[str] = []

        async def messages() -> Any:
            happened.append("started")
            try:
                yield b""
                yield b"never asked for"
            finally:
                happened.append("ended")

        generator = await started(messages())
        happened.append("handler")
        await generator.aclose()
        return happened

    assert run(scene()) == ["started", "handler", "ended"]
