"""Plugins found and spoken to: real sockets, small servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from landbridge.errors import Internal, NotFound, Unavailable
from landbridge.system.plugins import Plugins

Answer = Callable[[bytes, bytes], Awaitable[tuple[str, bytes]]]


@asynccontextmanager
async def listening(path: Path, answer: Answer) -> AsyncIterator[None]:
    """A server at `path` whose answers are `answer(first line, body)` → (status, body)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        try:
            status, body = await answer(head.split(b"\r\n")[0], await reader.readexactly(length))
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        finally:
            writer.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def says(status: str, body: bytes) -> Answer:
    async def answer(line: bytes, sent: bytes) -> tuple[str, bytes]:
        return status, body

    return answer


async def echo(line: bytes, sent: bytes) -> tuple[str, bytes]:
    return "200 OK", json.dumps({"Line": line.decode(), "Sent": json.loads(sent)}).encode()


@pytest.mark.parametrize("place", ["web.sock", "web/web.sock"])
def test_a_socket_is_found_and_asked(tmp_path: Path, place: str) -> None:
    async def go() -> None:
        async with listening(tmp_path / place, echo):
            answer = await Plugins([str(tmp_path / "none"), str(tmp_path)]).call("web", "X.Y", {"a": 1}, seconds=5)
        assert answer == {"Line": "POST /X.Y HTTP/1.1", "Sent": {"a": 1}}

    asyncio.run(go())


@pytest.mark.parametrize("kind", ["spec", "json"])
def test_a_file_says_where(tmp_path: Path, kind: str) -> None:
    address = f"unix://{tmp_path}/elsewhere/s"
    (tmp_path / f"web.{kind}").write_text(address if kind == "spec" else json.dumps({"Name": "web", "Addr": address}))

    async def go() -> None:
        async with listening(tmp_path / "elsewhere" / "s", echo):
            assert (await Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=5))["Sent"] == {}

    asyncio.run(go())


@pytest.mark.parametrize("name", ["web", "../web", "", ".", "a/b", "web.sock"])
def test_nobody_of_that_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "web.sock").write_text("no socket")

    async def go() -> None:
        async with listening(tmp_path / "web.sock", echo):  # not in the directory
            await Plugins([str(tmp_path / "inner")]).call(name, "X.Y", {}, seconds=5)

    with pytest.raises(NotFound) as error:
        asyncio.run(go())
    assert error.value.message == f'plugin "{name}" not found'


@pytest.mark.parametrize(("kind", "text"), [("spec", "nonsense"), ("json", "{"), ("json", "{}"), ("json", "[]"),
                                            ("json", '{"Addr": "gopher://x"}')])
def test_a_file_that_makes_no_sense(tmp_path: Path, kind: str, text: str) -> None:
    (tmp_path / f"web.{kind}").write_text(text)
    with pytest.raises(Internal, match=f"plugin file {tmp_path}/web"):
        asyncio.run(Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=5))


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        ("200 OK", b'{"Err": "no"}', Internal, "remote: no"),
        ("200 OK", b'{"Error": "no"}', Internal, "remote: no"),
        ("200 OK", b"[]", Internal, "X.Y: the plugin's answer is no JSON object"),
        ("200 OK", b"{", Internal, "X.Y: the plugin's answer is no JSON object"),
        ("500 Oops", b'{"Err": "no"}', Internal, "X.Y: no"),
        ("500 Oops", b"plain words\n", Internal, "X.Y: plain words"),
        ("404 Not Found", b"", NotFound, "X.Y: "),
        ("200 OK", b" " * (1 << 20) + b"{}", Unavailable, "the answer is too long"),
    ],
)
def test_answers_that_are_errors(tmp_path: Path, status: str, body: bytes, kind: type[Exception], text: str) -> None:
    async def go() -> None:
        async with listening(tmp_path / "web.sock", says(status, body)):
            await Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=5)

    with pytest.raises(kind) as error:
        asyncio.run(go())
    assert text in str(error.value)


def test_nobody_listens(tmp_path: Path) -> None:
    async def go() -> None:
        async with listening(tmp_path / "web.sock", echo):
            pass
        with pytest.raises(Unavailable) as error:
            await Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=0.2)
        assert error.value.message == f"X.Y: dial unix {tmp_path}/web.sock: connect: connection refused"

    asyncio.run(go())


def test_who_listens_again_is_heard(tmp_path: Path) -> None:
    async def go() -> None:
        async with listening(tmp_path / "web.sock", echo):
            pass
        asked = asyncio.create_task(Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=20))
        await asyncio.sleep(0)
        (tmp_path / "web.sock").unlink()
        async with listening(tmp_path / "new.sock", echo):
            (tmp_path / "new.sock").rename(tmp_path / "web.sock")
            assert (await asked)["Sent"] == {}

    asyncio.run(go())


def test_a_plugin_that_never_answers_is_given_up(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def never(line: bytes, sent: bytes) -> tuple[str, bytes]:
        await over.wait()
        return "200 OK", b"{}"

    async def go() -> None:
        async with listening(tmp_path / "web.sock", never):
            with pytest.raises(Unavailable) as error:
                await Plugins([str(tmp_path)]).call("web", "X.Y", {}, seconds=0.1)
            assert error.value.message == "X.Y: plugin web did not answer within 0.1 s"
        over.set()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    asyncio.run(go())
