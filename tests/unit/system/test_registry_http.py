"""The HTTP client against servers that say exactly what the test wants: connections, bodies, TLS, proxies, and their ends."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from landbridge.errors import Unavailable, Unreachable
from landbridge.system.registry_http import HttpClient
from landbridge.system.registry_proxy import Proxies, Proxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve `talk` on a port; connections end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client had enough
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        if tasks:
            await asyncio.wait(tasks)


def saying(answer: bytes, times: int = 1) -> Talk:
    """Answer the first requests of a connection so, then close it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    return talk


@asynccontextmanager
async def client(**settings: Any) -> AsyncIterator[HttpClient]:
    made = HttpClient(agent="test/1", **settings)
    try:
        yield made
    finally:
        made.close()


async def get(http: HttpClient, url: str, **more: Any) -> bytes:
    async with await http.exchange("GET", url, {}, **more) as reply:
        return await reply.read(1 << 20)


def test_a_connection_is_used_again_and_a_stale_one_replaced() -> None:
    async def work() -> None:
        connections = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await saying(OK, 2)(reader, writer)

        async with listening(talk) as port, client() as http:
            for _ in range(5):
                assert await get(http, f"http://127.0.0.1:{port}/x") == b"hi"
            assert connections == 3

    run(work())


def test_a_body_left_unread_costs_its_connection() -> None:
    async def work() -> None:
        async with listening(saying(OK, 9)) as port, client() as http:
            async with await http.exchange("GET", f"http://127.0.0.1:{port}/x", {}) as reply:
                assert reply.status == 200
            assert repr(http) == "<HttpClient 0 idle connections>"
            assert await get(http, f"http://127.0.0.1:{port}/x") == b"hi"
            assert repr(http) == "<HttpClient 1 idle connections>"

    run(work())


@pytest.mark.parametrize(("answer", "body"), [
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
])  # fmt: skip
def test_answers(answer: bytes, body: bytes) -> None:
    async def work() -> None:
        async with listening(saying(answer)) as port, client() as http:
            assert await get(http, f"http://127.0.0.1:{port}/x") == body

    run(work())


@pytest.mark.parametrize(("answer", "why"), [
    (b"", "EOF"), (b"HTTP/1.1 200", "EOF"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "unexpected EOF"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi", "unexpected EOF"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "net/http: malformed HTTP response"),
])  # fmt: skip
def test_answers_that_break_off(answer: bytes, why: str) -> None:
    async def work() -> None:
        async with listening(saying(answer)) as port, client() as http:
            with pytest.raises(Unavailable) as caught:
                await get(http, f"http://127.0.0.1:{port}/x")
            assert caught.value.message.startswith(f'Get "http://127.0.0.1:{port}/x": {why}')
            assert not isinstance(caught.value, Unreachable)

    run(work())


def test_an_answer_longer_than_wanted_is_cut() -> None:
    async def work() -> None:
        async with listening(saying(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000))) as port, client() as http:
            reply = await http.exchange("GET", f"http://127.0.0.1:{port}/x", {})
            with pytest.raises(Unavailable, match="longer than 100 bytes"):
                await reply.read(100)

    run(work())


@pytest.mark.parametrize("when", ["head", "body"])
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(when: str) -> None:
    async def work() -> None:
        gone = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if when == "body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
            await gone.wait()

        async with listening(talk) as port, client() as http:
            with pytest.raises(Unavailable, match="i/o timeout"):
                await get(http, f"http://127.0.0.1:{port}/x", patience=0.05)
            gone.set()

    run(work())


def test_streams_go_out_in_chunks_and_whole_bodies_with_their_length() -> None:
    async def work() -> None:
        heads: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head.lower())
                if b"chunked" in head.lower():
                    heads.append(await reader.readuntil(b"0\r\n\r\n"))
                elif b"content-length: 4" in head.lower():
                    heads.append(await reader.readexactly(4))
                writer.write(OK)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        async with listening(talk) as port, client() as http:
            url = f"http://127.0.0.1:{port}/up?a=b"
            for body in (pieces(), b"data", b""):
                async with await http.exchange("PUT", url, {"X-A": "b"}, body) as reply:
                    await reply.read(10)
        assert heads[0].startswith(b"put /up?a=b http/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: test/1\r\nx-a: b\r\n" % port)
        assert heads[1] == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert heads[3] == b"data"
        assert b"content-length: 0" in heads[4]

    run(work())


def test_a_server_that_refuses_before_it_has_read_all_is_heard() -> None:
    async def work() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.write_eof()
            await reader.read(1 << 20)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield bytes(100_000)

        async with listening(talk) as port, client() as http:
            reply = await http.exchange("PATCH", f"http://127.0.0.1:{port}/x", {}, endless())
            assert reply.status == 413
            reply.close()

    run(work())


def test_a_server_that_has_answered_gets_no_more() -> None:
    """It neither reads on nor closes: who goes on sending waits in vain."""

    async def work() -> None:
        done = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            await done.wait()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(100_000)

        async with listening(talk) as port, client() as http:
            reply = await http.exchange("PATCH", f"http://127.0.0.1:{port}/x", {}, endless())
            assert reply.status == 401
            assert await reply.read(10) == b""
            assert repr(http) == "<HttpClient 0 idle connections>"
            done.set()

    run(work())


def test_the_error_of_a_body_is_not_swallowed() -> None:
    async def work() -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x"
            raise ValueError("ours")

        async with listening(saying(OK)) as port, client() as http:
            with pytest.raises(ValueError, match="ours"):
                await http.exchange("PATCH", f"http://127.0.0.1:{port}/x", {}, broken())

    run(work())


@pytest.mark.parametrize("url", ["ftp://x/", "http:///x", "http://x:99999/", "/relative"])
def test_addresses_nobody_can_ask(url: str) -> None:
    async def work() -> None:
        async with client() as http:
            with pytest.raises(Unreachable):
                await get(http, url)

    run(work())


def test_headers_that_http_has_not_are_refused() -> None:
    async def work() -> None:
        async with listening(saying(OK)) as port, client() as http:
            for headers in ({"Authorization": "Bearer a\r\nX: y"}, {"Authorization": "Bearer ü\u0100"}):
                with pytest.raises(Unavailable, match="invalid request"):
                    await http.exchange("GET", f"http://127.0.0.1:{port}/x", headers)

    run(work())


def test_a_password_in_an_address_is_not_shown() -> None:
    async def work() -> None:
        async with client() as http:
            with pytest.raises(Unreachable) as caught:
                await get(http, "http://user:secret@127.0.0.1:1/x")
            assert "secret" not in caught.value.message

    run(work())


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, and another for nobody."""
    directory = tmp_path_factory.mktemp("tls")
    for name, subject in (("good", "IP:127.0.0.1"), ("other", "DNS:elsewhere.example")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}", "-keyout", directory / f"{name}.key",
             "-out", directory / f"{name}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
    return directory


def serving_tls(directory: Path, name: str, *, clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / f"{name}.crt", directory / f"{name}.key")
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(directory / "good.crt")
    return context


def trusting(tmp_path: Path, port: int, *files: Path) -> str:
    """A certs.d directory with files for one registry."""
    place = tmp_path / "certs.d" / f"127.0.0.1:{port}"
    place.mkdir(parents=True)
    for file in files:
        (place / file.name).write_bytes(file.read_bytes())
    return str(tmp_path / "certs.d")


def test_a_certificate_nobody_vouches_for_is_refused_unless_allowed(authority: Path) -> None:
    async def work() -> None:
        async with listening(saying(OK), serving_tls(authority, "good")) as port, client() as http:
            with pytest.raises(Unreachable) as caught:
                await get(http, f"https://127.0.0.1:{port}/x")
            assert caught.value.message == (
                f'Get "https://127.0.0.1:{port}/x": tls: failed to verify certificate: x509: certificate signed by'
                " unknown authority"
            )
            assert await get(http, f"https://127.0.0.1:{port}/x", verify=False) == b"hi"

    run(work())


def test_a_registrys_own_authority(authority: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with listening(saying(OK), serving_tls(authority, "good")) as port:
            directory = trusting(tmp_path, port, authority / "good.crt")
            async with client(certificates=["/nowhere", directory]) as http:
                assert await get(http, f"https://127.0.0.1:{port}/x") == b"hi"
            (tmp_path / "certs.d" / f"127.0.0.1:{port}" / "good.crt").write_text("rubbish")
            async with client(certificates=[directory]) as http:
                with pytest.raises(Unreachable, match="cannot use"):
                    await get(http, f"https://127.0.0.1:{port}/x")

    run(work())


def test_a_certificate_for_another_name(authority: Path, tmp_path: Path) -> None:
    async def work() -> None:
        async with listening(saying(OK), serving_tls(authority, "other")) as port:
            directory = trusting(tmp_path, port, authority / "other.crt")
            async with client(certificates=[directory]) as http:
                with pytest.raises(Unreachable, match=r"x509: certificate is not valid for 127\.0\.0\.1"):
                    await get(http, f"https://127.0.0.1:{port}/x")

    run(work())


def test_a_registry_that_wants_to_know_its_clients(authority: Path, tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "good.cert").write_bytes((authority / "good.crt").read_bytes())
        files = (authority / "good.crt", tmp_path / "good.cert", authority / "good.key")
        async with listening(saying(OK), serving_tls(authority, "good", clients=True)) as port:
            async with client(certificates=[trusting(tmp_path, port, *files)]) as http:
                assert await get(http, f"https://127.0.0.1:{port}/x") == b"hi"
            (tmp_path / "certs.d" / f"127.0.0.1:{port}" / "good.cert").unlink()
            async with client(certificates=[str(tmp_path / "certs.d")]) as http:
                with pytest.raises(Unavailable):
                    await get(http, f"https://127.0.0.1:{port}/x")

    run(work())


def test_plain_http_on_a_tls_port() -> None:
    async def work() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        async with listening(talk) as port, client() as http:
            with pytest.raises(Unreachable, match="http: server gave HTTP response to HTTPS client"):
                await get(http, f"https://127.0.0.1:{port}/x")

    run(work())


def test_tls_that_never_begins() -> None:
    async def work() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)

        async with listening(talk) as port, client() as http:
            with pytest.raises(Unreachable, match=r"TLS handshake failed|tls:"):
                await get(http, f"https://127.0.0.1:{port}/x")

    run(work())


# Proxies.


def test_a_proxy_is_asked_for_whole_addresses_and_with_its_password() -> None:
    async def work() -> None:
        heads: list[bytes] = []

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            await reader.read(1)

        async with listening(talk) as port:
            proxies = Proxies({"HTTP_PROXY": f"http://al:s%40c@127.0.0.1:{port}"})
            async with client(proxies=proxies) as http:
                assert await get(http, "http://reg.example/v2/") == b"hi"
        assert heads[0].startswith(b"GET http://reg.example/v2/ HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic YWw6c0Bj\r\n" in heads[0]

    run(work())


@pytest.mark.parametrize("allowed", [True, False])
def test_tls_goes_through_a_tunnel(authority: Path, tmp_path: Path, allowed: bool) -> None:  # noqa: FBT001
    async def work() -> None:
        asked: list[bytes] = []
        async with listening(saying(OK), serving_tls(authority, "good")) as port:

            async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
                if not allowed:
                    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                    await reader.read(1)
                    return
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

                async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                    while data := await source.read(65536):
                        sink.write(data)
                        await sink.drain()

                await asyncio.wait(
                    {asyncio.ensure_future(carry(reader, far_writer)), asyncio.ensure_future(carry(far_reader, writer))},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                far_writer.transport.abort()

            async with listening(proxy) as proxy_port:
                # By name: loopback itself is never asked for by a proxy.
                (tmp_path / "certs.d" / f"reg.example:{port}").mkdir(parents=True)
                proxies = Proxies({"https_proxy": f"127.0.0.1:{proxy_port}"})
                async with client(proxies=proxies) as http:
                    url = f"https://reg.example:{port}/x"
                    if allowed:
                        assert await get(http, url, verify=False) == b"hi"
                    else:
                        with pytest.raises(Unreachable, match="proxyconnect tcp: the proxy answered 403"):
                            await get(http, url, verify=False)
                assert asked == [f"CONNECT reg.example:{port} HTTP/1.1".encode()]

    run(work())


def test_a_proxy_that_is_not_there() -> None:
    async def work() -> None:
        async with client(proxies=Proxies({"HTTPS_PROXY": "http://127.0.0.1:1"})) as http:
            with pytest.raises(Unreachable, match=r"proxyconnect tcp: dial tcp 127\.0\.0\.1:1: connect: connection refused"):
                await get(http, "https://reg.example/x")

    run(work())


@pytest.mark.parametrize(("no_proxy", "host", "direct"), [
    ("", "reg.example", False), ("", "localhost", True), ("", "127.0.0.1", True), ("", "::1", True),
    ("*", "reg.example", True), ("reg.example", "reg.example", True), ("example", "reg.example", True),
    (".example", "reg.example", True), (".reg.example", "reg.example", False), ("g.example", "reg.example", False),
    ("reg.example:443", "reg.example", True), ("reg.example:444", "reg.example", False), ("REG.example", "reg.EXAMPLE", True),
    ("192.0.2.0/24", "192.0.2.9", True), ("192.0.2.0/24", "192.0.3.9", False), ("192.0.2.9", "192.0.2.9", True),
    ("2001:db8::/32", "2001:db8::1", True), ("[2001:db8::1]:443", "2001:db8::1", True), (" a , reg.example ", "reg.example", True),
    ("192.0.2.0/99", "192.0.2.9", False),
])  # fmt: skip
def test_who_is_reached_directly(no_proxy: str, host: str, direct: bool) -> None:  # noqa: FBT001
    proxies = Proxies({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": no_proxy})
    assert proxies.choose("https", host, 443) == (None if direct else Proxy("proxy.example", 3128))
    assert proxies.choose("http", host, 443) is None


def test_proxies_that_cannot_be_used() -> None:
    for text in ("socks5://proxy.example:1080", "https://proxy.example"):
        with pytest.raises(Unreachable, match="only http:// proxies"):
            Proxies({"HTTP_PROXY": text}).choose("http", "reg.example", 80)
