"""The daemon's client against a real resolver process (no sandboxes, so no rights are needed)."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from landbridge.errors import Internal, Unavailable
from landbridge.model.names import Asker, NameRecord, NetworkNames, RemoveRecord, SetAsker, SetRecord
from landbridge.resolver.client import ResolverClient

WEB = NameRecord(endpoint="e1", network="n1", names=("web",), addresses=("10.0.0.2",))


def record(i: int) -> NameRecord:
    address = f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
    return NameRecord(endpoint=f"e{i}", network="n1", names=(f"web{i}", "web"), addresses=(address,))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    path = tmp_path / "resolver.sock"
    argv = [sys.executable, "-m", "landbridge.resolver", "--socket", str(path), "--resolv-conf", "/dev/null"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    while not path.exists() and process.poll() is None:
        pass
    yield process
    process.kill()
    process.communicate()


async def connected(tmp_path: Path, client: ResolverClient) -> ResolverClient:
    """Connect; the socket exists a moment before it listens."""
    while True:
        try:
            await client.connect(str(tmp_path / "resolver.sock"))
        except Unavailable:
            await asyncio.sleep(0.01)
        else:
            return client


def test_a_conversation(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    async def talk() -> None:
        lost: list[str] = []
        client = await connected(tmp_path, ResolverClient(lambda: lost.append("lost")))
        assert client.pid == process.pid
        assert await client.replace([NetworkNames(id="n1", name="net_1")], [WEB], []) == {}
        await asyncio.gather(*(client.apply([SetRecord(record(i))]) for i in range(99)))
        stats = await client.stats()
        assert (stats["networks"], stats["records"]) == (1, 99)
        await client.apply([RemoveRecord("e1"), RemoveRecord("e1")])
        await client.apply([])
        assert (await client.stats())["records"] == 98
        missing = Asker(sandbox="s", netns=str(tmp_path / "missing"), networks=("n1",))
        assert (await client.replace([], [], [missing])).keys() == {"s"}
        with pytest.raises(Internal, match="missing"):
            await client.apply([SetAsker(missing), SetRecord(WEB)])
        assert (await client.stats())["records"] == 1
        with pytest.raises(Internal, match="nonsense"):
            await client.replace([], [NameRecord(endpoint="e", network="n", names=(), addresses=("nonsense",))], [])
        await client.close()
        await client.close()
        assert lost == []
        with pytest.raises(Unavailable):
            await client.apply([RemoveRecord("e1")])

    asyncio.run(talk())


def test_a_large_table(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    async def talk() -> None:
        client = await connected(tmp_path, ResolverClient())
        records = [record(i) for i in range(20000)]
        assert await client.replace([NetworkNames(id="n1", name="net_1")], records, []) == {}
        assert (await client.stats())["records"] == 20000
        await client.close()

    asyncio.run(talk())


def test_the_death_of_the_process_is_told_once(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    async def talk() -> None:
        lost: list[str] = []
        gone = asyncio.Event()
        client = await connected(tmp_path, ResolverClient(lambda: (lost.append("lost"), gone.set())[0]))
        process.kill()
        await gone.wait()
        with pytest.raises(Unavailable):
            await client.stats()
        await client.close()
        assert lost == ["lost"]

    asyncio.run(talk())


def test_quit(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    async def talk() -> None:
        lost: list[str] = []
        client = await connected(tmp_path, ResolverClient(lambda: lost.append("lost")))
        await client.quit()
        assert await asyncio.to_thread(process.wait, 10) == 0
        assert lost == []

    asyncio.run(talk())


def test_nobody_there_and_somebody_else_there(tmp_path: Path) -> None:
    async def talk() -> None:
        path = str(tmp_path / "s")
        with pytest.raises(Unavailable):
            await ResolverClient().connect(path)

        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'{"hello":"landbridge-resolver","version":99,"pid":1}\n')
            await reader.read()
            writer.close()

        async with await asyncio.start_unix_server(other, path):
            client = ResolverClient()
            with pytest.raises(Unavailable, match="99"):
                await client.connect(path)
            await client.close()

    asyncio.run(talk())
