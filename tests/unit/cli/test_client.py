"""HTTP as spoken on the socket: bodies of every length kind, errors, connections used again, addresses."""

import io
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from capture import CaptureServer

from landbridge.cli.address import chosen_host, parse_address
from landbridge.cli.client import Client, Connection, Response, filters_text, query_text, quote
from landbridge.cli.main import main
from landbridge.cli.outcome import CommandError, DaemonError, Unreachable


def raw(*pieces: bytes) -> Any:
    def answer(reader: Any, connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def client_of(server: CaptureServer) -> Client:
    return Client(parse_address(f"unix://{server.path}"))


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b"he", b"llo"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r", b"\nh", b"e\r\n3\r\nllo", b"\r\n0\r\nT: 1\r\n\r", b"\n"),
        (b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo"),
    ],
)  # fmt: skip
def test_bodies(pieces: tuple[bytes, ...], tmp_path: Path) -> None:
    with CaptureServer(tmp_path / "s") as server:
        server.streams["GET", "/x"] = raw(*pieces)
        client = client_of(server)
        assert client.call("GET", "/x").read() == b"hello"
        client.close()


def test_a_body_cut_short_is_an_error(tmp_path: Path) -> None:
    with CaptureServer(tmp_path / "s") as server:
        server.streams["GET", "/x"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
        client = client_of(server)
        with pytest.raises(ConnectionError):
            client.call("GET", "/x").read()
        client.close()


def test_a_daemon_that_dies_in_the_middle_is_said_in_one_line(tmp_path: Path) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    with CaptureServer(tmp_path / "s") as server:
        server.streams["GET", "/containers/json"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[")
        code = main(["-H", f"unix://{server.path}", "ps"], {}, io.BytesIO(), out, err)
    assert (code, out.getvalue(), err.getvalue()) == (1, b"", b"error during connect: unexpected EOF\n")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"no such thing\\n"}', "no such thing"),
        (b"plain words", "plain words"),
        (b"", "request returned 418 for API route /x, check if the server supports the requested API version"),
    ],
)
def test_errors_carry_the_daemons_words(body: bytes, message: str, tmp_path: Path) -> None:
    with CaptureServer(tmp_path / "s", answers={("GET", "/x"): (418, body)}) as server:
        client = client_of(server)
        with pytest.raises(DaemonError) as caught:
            client.get("/x")
        client.close()
    assert (caught.value.code, caught.value.answer) == (418, message)
    assert caught.value.message == f"Error response from daemon: {message}"


def test_one_connection_serves_requests_in_turn_and_several_side_by_side(tmp_path: Path) -> None:
    with CaptureServer(tmp_path / "s") as server:
        client = client_of(server)
        for _ in range(3):
            client.get("/x")
        assert len(client.opened) == 1
        sent = [client.send("GET", "/x") for _ in range(3)]
        assert len(client.opened) == 3
        assert [client.finish(connection, "GET", "/x").json() for connection in sent] == [{}, {}, {}]
        client.close()


class Pieces:
    """A socket whose every `recv` gives the next piece."""

    def __init__(self, data: bytes, size: int) -> None:
        self.left = [data[i : i + size] for i in range(0, len(data), size)]

    def recv(self, limit: int) -> bytes:
        return self.left.pop(0) if self.left else b""


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_chunked_body_in_pieces_of_any_size(size: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\nnext"
    connection = Connection(Pieces(data, size))  # type: ignore[arg-type]
    client = Client(parse_address("/nowhere"))
    assert Response(client, connection, "GET").read() == b"hello"
    assert client.idle is connection
    assert b"next".startswith(connection.buffer)


def test_a_connection_the_daemon_closed_is_not_used_again(tmp_path: Path) -> None:
    over = threading.Event()

    def answer_and_say_no_more(reader: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        over.wait(10)

    with CaptureServer(tmp_path / "s") as server:
        server.streams["GET", "/once"] = answer_and_say_no_more
        client = client_of(server)
        client.get("/once")
        assert client.idle is not None
        while client.idle.is_open():
            pass
        assert client.get("/x") == {}
        over.set()
        client.close()


def test_a_pinned_version_is_in_the_path(tmp_path: Path) -> None:
    with CaptureServer(tmp_path / "s") as server:
        client = Client(parse_address(str(server.path)), version="1.45")
        client.get("/x")
        client.close()
    assert client.prefix == "/v1.45"


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="landbridge daemon"):
        Client(parse_address(f"unix://{tmp_path}/none")).get("/x")
    assert issubclass(Unreachable, CommandError)


def test_tcp() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = Client(parse_address(f"tcp://127.0.0.1:{listener.getsockname()[1]}"))
    sent = client.send("GET", "/x")
    accepted, _ = listener.accept()
    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")
    assert client.finish(sent, "GET", "/x").json() == 7
    for thing in (client, accepted, listener):
        thing.close()  # type: ignore[attr-defined]


def test_addresses() -> None:
    assert parse_address("unix:///a/b.sock").path == "/a/b.sock"
    assert parse_address("/a/b.sock").path == "/a/b.sock"
    for text, host, port in (("tcp://[::1]:99", "::1", 99), ("tcp://h", "h", 2375), ("h:5", "h", 5)):
        assert (parse_address(text).host, parse_address(text).port) == (host, port)
    for text in ("foo://x", "unix://", "tcp://", "tcp://h:x"):
        with pytest.raises(CommandError, match="invalid bind address format"):
            parse_address(text)
    with pytest.raises(CommandError, match="Specify only one -H"):
        chosen_host(["a", "b"], {})


def test_queries() -> None:
    assert (
        query_text({"a": True, "b": False, "c": "", "d": "x y&ü", "e": ["1", "2"], "n": 5})
        == "?a=1&d=x%20y%26%C3%BC&e=1&e=2&n=5"
    )
    assert query_text({}) == ""
    assert filters_text([("b", "2"), ("a", "x"), ("b", "1")]) == '{"a":{"x":true},"b":{"1":true,"2":true}}'
    assert filters_text([]) == ""
    assert quote("a/b:c@d e", "/:@") == "a/b:c@d%20e"
