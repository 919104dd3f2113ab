"""The daemon's client against a scripted other end: answers find their callers, a loss is told once to everyone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from landbridge.errors import HoldFailed, Internal, Unavailable
from landbridge.model.hold import Hold
from landbridge.proxy import protocol
from landbridge.proxy.client import ProxyClient
from landbridge.proxy.protocol import Retarget

HOLD = Hold(key="k", proto="tcp", host_ip="::", host_port=8080, target_ip="10.0.0.2", target_port=80)
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(path: Path, script: Script, test: Callable[[Path], Awaitable[None]]) -> None:
    """Run `test` against a server that follows `script` after it has greeted."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = protocol.parse_request(await reader.readline())
        assert greeting.op == "hello"
        writer.write(protocol.answer(greeting.seq))
        await script(reader, writer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_unix_server(serve, path)
        async with server:
            await test(path)

    asyncio.run(main())


async def next_request(reader: asyncio.StreamReader) -> protocol.Request:
    return protocol.parse_request(await reader.readline())


def test_overlapping_calls_get_their_own_answers(tmp_path: Path) -> None:
    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = [await next_request(reader) for _ in range(3)]
        assert [r.op for r in requests] == ["stats", "retarget", "replace"]
        assert requests[1].targets == (Retarget(key="k", target_ip="10.0.0.3", target_port=80),)
        failure = HoldFailed("", reason="EADDRINUSE", key="k", holder="pid 7 (nginx)")
        other = HoldFailed("", reason="EACCES", key="l")
        writer.write(
            protocol.answer(
                requests[2].seq, failures=[protocol.failure_to_json(failure), protocol.failure_to_json(other)]
            )
        )
        writer.write(protocol.answer(requests[1].seq))
        writer.write(protocol.answer(requests[0].seq, holds=3))

    async def ask(path: Path) -> None:
        client = await ProxyClient.connect(path)
        answers = await asyncio.gather(
            client.stats(),
            client.retarget([Retarget(key="k", target_ip="10.0.0.3", target_port=80)]),
            client.replace([HOLD]),
        )
        assert answers == [{"holds": 3}, None, {"k": "EADDRINUSE by pid 7 (nginx)", "l": "EACCES"}]
        await client.close()

    run(tmp_path / "s", backwards, ask)


def test_a_failure_carries_all_the_engine_needs(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await next_request(reader)
        assert asked.holds == (HOLD,)
        failure = HoldFailed("taken", reason="EADDRINUSE", key="k", holder="pid 7 (nginx)", port=8080)
        writer.write(protocol.refusal(asked.seq, protocol.failure_to_json(failure)))
        asked = await next_request(reader)
        writer.write(protocol.refusal(asked.seq, {"reason": "EPROTO", "message": "what?"}))

    async def ask(path: Path) -> None:
        client = await ProxyClient.connect(path)
        with pytest.raises(HoldFailed) as caught:
            await client.hold([HOLD])
        failure = caught.value
        assert (failure.reason, failure.key, failure.holder, failure.port) == (
            "EADDRINUSE",
            "k",
            "pid 7 (nginx)",
            8080,
        )
        with pytest.raises(Internal):
            await client.release(["k"])
        await client.close()

    run(tmp_path / "s", refuse, ask)


@pytest.mark.parametrize("last_words", [b"", b"not JSON\n", b"{"])
def test_a_lost_connection_fails_every_call_and_is_told_once(tmp_path: Path, last_words: bytes) -> None:
    async def vanish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await next_request(reader)
        await next_request(reader)
        writer.write(last_words)

    async def ask(path: Path) -> None:
        losses: list[str] = []
        client = await ProxyClient.connect(path, on_lost=lambda: losses.append("lost"))
        results = await asyncio.gather(client.stats(), client.hold([HOLD]), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable, Unavailable]
        with pytest.raises(Unavailable):
            await client.stats()
        await client.close()
        assert losses == ["lost"]

    run(tmp_path / "s", vanish, ask)


def test_closing_is_not_a_loss(tmp_path: Path) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b""

    async def ask(path: Path) -> None:
        losses: list[str] = []
        client = await ProxyClient.connect(path, on_lost=lambda: losses.append("lost"))
        await client.close()
        await client.close()
        with pytest.raises(Unavailable):
            await client.stats()
        assert losses == []

    run(tmp_path / "s", listen, ask)


def test_no_proxy_is_unavailable(tmp_path: Path) -> None:
    async def ask() -> None:
        with pytest.raises(Unavailable):
            await ProxyClient.connect(tmp_path / "nobody")

    asyncio.run(ask())
