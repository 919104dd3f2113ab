"""Sockets, their files, and the end of a server."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from apiserving import PATIENCE, Endless, RawClient, Serve, request

from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import Empty, Hijack, Raw, Response
from landbridge.api.router import Route, Router
from landbridge.api.server import Server, api_headers
from landbridge.errors import Conflict


async def ping(request: Request) -> Response:
    return Raw(b"OK")


PING = Route("GET", "/_ping", ping)
HEADERS = api_headers(api_version="1.51", server_version="28.3.3")


def test_the_socket_file_has_its_mode_and_goes_with_the_server(serve: Serve) -> None:
    server = serve(PING)
    assert stat.S_IMODE(os.stat(server.path).st_mode) == 0o660
    server.call(server.server.close())
    assert not Path(server.path).exists()
    server.call(server.server.close())


def test_a_stale_socket_is_replaced_a_live_one_is_not(serve: Serve, tmp_path: Path) -> None:
    server = serve(PING)
    stale = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(stale)

    async def listen(path: str) -> Server:
        other = Server(Router([PING]).respond, HEADERS)
        await other.listen_unix(path)
        return other

    with pytest.raises(Conflict, match="another process listens"):
        server.call(listen(server.path))
    assert server.request("GET", "/_ping").recv_reply()[2] == b"OK"
    other = server.call(listen(stale))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(stale)
        assert RawClient(sock).send(request("GET", "/_ping")).recv_reply()[2] == b"OK"
    server.call(other.close())


def test_a_file_that_is_no_socket_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")

    async def listen() -> None:
        await Server(Router([]).respond, HEADERS).listen_unix(str(path))

    with pytest.raises(OSError, match="in use"):
        serve(PING).call(listen())
    assert path.read_text() == "precious"


def test_a_socket_file_of_a_successor_is_left_alone(serve: Serve, tmp_path: Path) -> None:
    server = serve(PING)
    os.unlink(server.path)
    Path(server.path).write_text("another's")
    server.call(server.server.close())
    assert Path(server.path).read_text() == "another's"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp_serves_the_same(serve: Serve, host: str) -> None:
    server = serve(PING)
    address = server.call(server.server.listen_tcp(host, 0))
    with socket.create_connection(address) as sock:
        assert RawClient(sock).send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_over_tcp_the_end_of_input_ends_a_stream(serve: Serve) -> None:
    endless = Endless(b"")
    server = serve(Route("GET", "/endless", endless.handler))
    address = server.call(server.server.listen_tcp("127.0.0.1", 0))
    with socket.create_connection(address) as sock:
        RawClient(sock).send(request("GET", "/endless")).recv_until(b"\r\n\r\n")
        assert endless.started.wait(PATIENCE)
    assert endless.closed.wait(PATIENCE)


def test_closing_ends_idle_connections_and_waits_for_busy_ones(serve: Serve) -> None:
    entered, go_on = threading.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        entered.set()
        await go_on.wait()
        return Empty()

    server = serve(PING, Route("POST", "/slow", slow))
    idle = server.request("GET", "/_ping")
    idle.recv_reply()
    busy = server.request("POST", "/slow", "Connection: close")
    assert entered.wait(PATIENCE)
    closing = asyncio.run_coroutine_threadsafe(server.server.close(grace=PATIENCE), server.loop)
    assert idle.recv_rest() == b""
    assert not closing.done()
    server.loop.call_soon_threadsafe(go_on.set)
    assert busy.recv_reply()[0] == 204
    closing.result(PATIENCE)
    assert repr(server.server) == "<Server 0 sockets, 0 connections>"


def test_closing_cuts_off_what_does_not_end(serve: Serve) -> None:
    undone = threading.Event()

    async def forever(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()
        return Empty()

    server = serve(PING, Route("POST", "/forever", forever))
    client = server.request("POST", "/forever")
    server.request("GET", "/_ping").recv_reply()
    server.call(server.server.close(grace=0.01))
    assert undone.is_set()
    assert client.recv_rest() == b""


def test_many_clients_at_once(serve: Serve) -> None:
    server = serve(PING)
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        client.send(request("GET", "/_ping") * 5)
    for client in clients:
        assert [client.recv_reply()[2] for _ in range(5)] == [b"OK"] * 5
    assert repr(server.server) == "<Server 1 sockets, 200 connections>"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_tls_serves_the_same(serve: Serve, tmp_path: Path) -> None:
    ours, theirs = certified(tmp_path)
    server = serve(PING)
    address = server.call(server.server.listen_tcp("127.0.0.1", 0, tls=ours))
    with socket.create_connection(address) as sock, theirs.wrap_socket(sock, server_hostname="localhost") as secure:
        client = RawClient(secure)
        assert client.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"
        assert client.send(request("GET", "/_ping", "Connection: close")).recv_reply()[2] == b"OK"
        assert client.recv_rest() == b""


def certified(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server and of a client that trusts it."""
    key, cert = str(directory / "key.pem"), str(directory / "cert.pem")
    ask = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split()
    subprocess.run(["openssl", *ask, "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)  # fmt: skip
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(cert, key)
    return ours, ssl.create_default_context(cafile=cert)


def end_input(secure: ssl.SSLSocket) -> None:
    """Send close_notify and go on reading, as Go's CloseWrite does."""
    secure.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError):
        secure.unwrap()
    secure.settimeout(PATIENCE)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_over_tls_output_goes_on_after_the_input_has_ended(
    serve: Serve, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    async def count(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            got = 0
            while data := await duplex.read():
                got += len(data)
            await duplex.write(b"%d bytes" % got + b"." * 3_000_000)

        return Hijack(run)

    ours, theirs = certified(tmp_path)
    theirs.maximum_version = version
    server = serve(Route("POST", "/count", count))
    address = server.call(server.server.listen_tcp("127.0.0.1", 0, tls=ours))
    with socket.create_connection(address) as sock, theirs.wrap_socket(sock, server_hostname="localhost") as secure:
        client = RawClient(secure)
        client.send(request("POST", "/count", "Connection: Upgrade", "Upgrade: tcp")).recv_until(b"\r\n\r\n")
        client.send(b"x" * 2_000_000)
        end_input(secure)
        with contextlib.suppress(ssl.SSLZeroReturnError):  # how Python tells the end when both sides have said it
            client.recv_rest()
        assert client.seen == b"2000000 bytes" + b"." * 3_000_000


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_who_speaks_no_tls_is_told_and_let_go(serve: Serve, tmp_path: Path) -> None:
    ours, _ = certified(tmp_path)
    server = serve(PING)
    address = server.call(server.server.listen_tcp("127.0.0.1", 0, tls=ours))
    with socket.create_connection(address) as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        got = b""
        while data := sock.recv(100):
            got += data
        assert got[:1] in (b"", b"\x15")  # an alert
    assert "0 connections" in repr(server.server)
