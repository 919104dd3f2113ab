"""Requests and replies over a real socket: keep-alive, bodies, errors, garbage, slow and vanished clients."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator

import pytest
from apiserving import PATIENCE, Endless, Serve, request

from landbridge.api import streams
from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Raw, Response, Stream
from landbridge.api.router import Route
from landbridge.errors import Conflict, Internal, NotFound, NotModified


async def ping(request: Request) -> Response:
    return Raw(b"OK")


async def show(request: Request) -> Response:
    return JSON({"path": request.path, "params": request.params, "version": list(request.version)})


async def count_body(request: Request) -> Response:
    sizes = [len(piece) async for piece in request.body()]
    return JSON({"total": sum(sizes)})


async def missing(request: Request) -> Response:
    raise NotFound("No such container: web1")


async def broken(request: Request) -> Response:
    raise ZeroDivisionError("a bug")


PING = Route("GET", "/_ping", ping)
UPLOAD = Route("PUT", "/upload", count_body)


def test_every_reply_carries_what_clients_negotiate_by(serve: Serve) -> None:
    status, headers, body = serve(PING).request("GET", "/_ping").recv_reply()
    assert (status, body) == (200, b"OK")
    assert headers["api-version"] == "1.51"
    assert headers["docker-experimental"] == "false"
    assert headers["ostype"] == "linux"
    assert headers["server"] == "Docker/28.3.3 (linux)"
    assert headers["date"].endswith("GMT")


def test_json_ends_with_a_newline_and_says_its_type(serve: Serve) -> None:
    server = serve(Route("GET", "/images/{name:.*}/json", show))
    status, headers, body = server.request("GET", "/v1.41/images/example.test/a%2Fb/c:d/json").recv_reply()
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert body.endswith(b"}\n")
    assert json.loads(body)["params"] == {"name": "example.test/a/b/c:d"}
    assert json.loads(body)["version"] == [1, 41]


def test_a_connection_survives_the_errors_of_its_requests(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = serve(PING, Route("GET", "/missing", missing), Route("GET", "/broken", broken)).connect()
    expected = [(404, b'{"message":"No such container: web1"}\n'), (500, b'{"message":"a bug"}\n')]
    for target, (status, body) in zip(("/missing", "/broken"), expected, strict=True):
        reply = client.send(request("GET", target)).recv_reply()
        assert (reply[0], reply[2]) == (status, body)
    assert client.send(request("GET", "/_ping")).recv_reply()[0] == 200
    assert "ZeroDivisionError" in caplog.text
    assert "No such container" not in caplog.text


@pytest.mark.parametrize(("error", "status"), [(Conflict("x"), 409), (Internal("x"), 500), (NotModified("x"), 304)])
def test_the_kind_of_an_error_is_its_status(serve: Serve, error: Exception, status: int) -> None:
    async def fail(request: Request) -> Response:
        raise error

    reply = serve(Route("POST", "/do", fail)).request("POST", "/do").recv_reply()
    assert reply[0] == status
    assert reply[2] == (b"" if status == 304 else b'{"message":"x"}\n')


def test_a_value_that_is_no_json_is_an_error_of_ours(serve: Serve) -> None:
    async def bad(request: Request) -> Response:
        return JSON({"x": object()})

    client = serve(Route("GET", "/bad", bad), PING).request("GET", "/bad")
    assert client.recv_reply()[0] == 500
    assert client.send(request("GET", "/_ping")).recv_reply()[0] == 200


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    server = serve(PING, Route("GET", "/x/{name}", show), UPLOAD)
    client = server.connect().send(
        request("GET", "/x/1") + request("PUT", "/upload", body=b"12345") + request("GET", "/_ping")
    )
    assert json.loads(client.recv_reply()[2])["params"] == {"name": "1"}
    assert json.loads(client.recv_reply()[2]) == {"total": 5}
    assert client.recv_reply()[2] == b"OK"


def test_http_1_0_and_connection_close_end_the_connection(serve: Serve) -> None:
    server = serve(PING)
    assert server.connect().send(b"GET /_ping HTTP/1.0\r\n\r\n").recv_rest().endswith(b"\r\n\r\nOK")
    reply = server.request("GET", "/_ping", "Connection: close").recv_rest()
    assert b"onnection: close" in reply
    assert reply.endswith(b"OK")


def test_a_half_closed_client_still_gets_its_answer(serve: Serve) -> None:
    client = serve(PING).connect().send(b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n")
    client.shut()
    assert client.recv_rest().endswith(b"OK")


def test_no_body_where_http_allows_none(serve: Serve) -> None:
    async def nothing(request: Request) -> Response:
        return Empty()

    server = serve(Route("DELETE", "/x", nothing), Route("HEAD", "/_ping", ping))
    status, headers, _ = server.request("DELETE", "/x").recv_reply()
    assert (status, "content-length" in headers, "transfer-encoding" in headers) == (204, False, False)
    reply = server.request("HEAD", "/_ping", "Connection: close").recv_rest()
    assert b"Content-Length: 2" in reply
    assert reply.endswith(b"\r\n\r\n")


# --- request bodies


def test_a_chunked_upload_arrives_whole(serve: Serve) -> None:
    connection = http.client.HTTPConnection("docker")
    connection.sock = serve(UPLOAD).connect().sock
    pieces = (bytes(70_000) for _ in range(100))
    connection.request("PUT", "/upload", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert json.load(connection.getresponse()) == {"total": 7_000_000}


def test_a_body_is_read_as_the_handler_asks_for_it(serve: Serve) -> None:
    first = threading.Event()
    pieces: list[bytes] = []

    async def follow(request: Request) -> Response:
        async for piece in request.body():
            pieces.append(piece)
            first.set()
        return Empty()

    client = serve(Route("PUT", "/follow", follow)).connect()
    client.send(b"PUT /follow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert first.wait(PATIENCE)
    client.send(b"1\r\nc\r\n0\r\n\r\n")
    assert client.recv_reply()[0] == 204
    assert b"".join(pieces) == b"abc"


def test_a_sender_waits_for_a_handler_that_does_not_read(serve: Serve) -> None:
    asked, go_on = threading.Event(), asyncio.Event()

    async def later(request: Request) -> Response:
        asked.set()
        await go_on.wait()
        return await count_body(request)

    server = serve(Route("PUT", "/later", later))
    size = 8_000_000
    client = server.connect()
    client.send(f"PUT /later HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
    assert asked.wait(PATIENCE)
    client.sock.settimeout(0.2)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < size:
            sent += client.sock.send(bytes(65536))
    assert sent < 2_000_000
    server.loop.call_soon_threadsafe(go_on.set)
    client.sock.settimeout(PATIENCE)
    client.send(bytes(size - sent))
    assert json.loads(client.recv_reply()[2]) == {"total": size}


def test_100_continue_is_said_when_the_body_is_wanted_and_only_then(serve: Serve) -> None:
    server = serve(UPLOAD, Route("PUT", "/missing", missing))
    client = server.request("PUT", "/upload", "Content-Length: 3", "Expect: 100-continue")
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    assert json.loads(client.send(b"abc").recv_reply()[2]) == {"total": 3}
    refused = server.request("PUT", "/missing", "Content-Length: 3", "Expect: 100-continue").recv_rest()
    assert refused.startswith(b"HTTP/1.1 404 ")
    assert b"onnection: close" in refused


def test_a_small_unread_body_does_not_cost_the_connection(serve: Serve) -> None:
    client = serve(PING, Route("PUT", "/missing", missing)).request("PUT", "/missing", body=bytes(200_000))
    assert client.recv_reply()[0] == 404
    assert client.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_a_client_that_is_still_sending_gets_the_refusal(serve: Serve) -> None:
    client = serve(Route("PUT", "/missing", missing)).request("PUT", "/missing", body=bytes(3_000_000))
    status, headers, _ = client.recv_reply()
    assert (status, headers["connection"]) == (404, "close")
    assert client.recv_rest() == b""


def test_a_body_that_breaks_off_is_the_clients_error(serve: Serve) -> None:
    client = serve(UPLOAD).connect().send(b"PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    client.shut()
    assert client.recv_reply()[0] == 400


def test_a_json_body_is_bounded(serve: Serve) -> None:
    async def take(request: Request) -> Response:
        return JSON(await request.json_object(limit=1000))

    server = serve(Route("POST", "/take", take))
    head = ("Content-Type: application/json",)
    assert server.request("POST", "/take", *head, body=b'{"a":1}').recv_reply()[2] == b'{"a":1}\n'
    big = b'{"a":"' + bytes(2000) + b'"}'
    assert server.request("POST", "/take", *head, body=big).recv_reply()[2] == (
        b'{"message":"http: request body too large"}\n'
    )


# --- what is not HTTP


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: foo\r\n\r\n", 501),
        (b"PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 3_000_000, 431),
    ],
)
def test_garbage_ends_its_own_connection_with_an_answer(serve: Serve, garbage: bytes, status: int) -> None:
    server = serve(PING, UPLOAD)
    other = server.connect()
    client = server.connect()
    client.send(garbage)
    assert client.recv_rest().startswith(f"HTTP/1.1 {status} ".encode())
    assert other.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_a_request_may_come_byte_by_byte(serve: Serve) -> None:
    client = serve(UPLOAD).connect()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)
    for byte in request("PUT", "/upload", "X-Empty:", body=b"abc"):
        client.send(bytes([byte]))
    assert json.loads(client.recv_reply()[2]) == {"total": 3}


# --- streams


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_a_stream_sends_its_head_at_once_and_each_message_as_it_comes(serve: Serve) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def messages() -> AsyncIterator[bytes]:
        while message := await queue.get():
            yield message

    async def events(request: Request) -> Response:
        return Stream(messages())

    server = serve(Route("GET", "/events", events), PING)
    client = server.request("GET", "/events")
    assert b"Transfer-Encoding: chunked" in client.recv_until(b"\r\n\r\n")
    for message in (b'{"a":1}\n', b'{"b":2}\n'):
        server.call(queue.put(message))
        assert client.recv_until(b"}\n\r\n") == chunk(message)
    server.call(queue.put(b""))
    assert client.recv_until(b"0\r\n\r\n") == b"0\r\n\r\n"
    assert client.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_an_error_before_the_first_message_may_keep_its_status(serve: Serve) -> None:
    async def messages() -> AsyncIterator[bytes]:
        raise NotFound("pull access denied")
        yield b""

    async def pull(request: Request) -> Response:
        return Stream(messages(), headers_with_first_message=True)

    client = serve(Route("POST", "/pull", pull), PING).request("POST", "/pull")
    status, _, body = client.recv_reply()
    assert (status, body) == (404, b'{"message":"pull access denied"}\n')
    assert client.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_a_later_error_is_said_in_the_stream_or_breaks_it_off(serve: Serve) -> None:
    async def messages() -> AsyncIterator[bytes]:
        yield streams.progress_line({"status": "Pulling"})
        raise Internal("no space left")

    async def telling(request: Request) -> Response:
        return Stream(messages(), headers_with_first_message=True, on_error=streams.progress_error)

    async def silent(request: Request) -> Response:
        return Stream(messages())

    server = serve(Route("POST", "/telling", telling), Route("POST", "/silent", silent))
    told = server.request("POST", "/telling").recv_until(b"0\r\n\r\n")
    assert told.endswith(
        chunk(b'{"status":"Pulling"}\r\n')
        + chunk(b'{"errorDetail":{"message":"no space left"},"error":"no space left"}\r\n')
        + b"0\r\n\r\n"
    )
    assert not server.request("POST", "/silent").recv_rest().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("message", [b"", b"x" * 1000], ids=["while silent", "while sending"])
def test_a_vanished_client_ends_its_stream(serve: Serve, message: bytes) -> None:
    endless = Endless(message)
    client = serve(Route("GET", "/endless", endless.handler)).request("GET", "/endless")
    client.recv_until(b"\r\n\r\n")
    assert endless.started.wait(PATIENCE)
    client.close()
    assert endless.closed.wait(PATIENCE)


def test_a_half_closed_client_keeps_its_stream(serve: Serve) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def messages() -> AsyncIterator[bytes]:
        while message := await queue.get():
            yield message

    async def events(request: Request) -> Response:
        return Stream(messages())

    server = serve(Route("GET", "/events", events))
    client = server.request("GET", "/events")
    client.recv_until(b"\r\n\r\n")
    client.shut()
    for message in (b"one", b"two", b""):
        server.call(queue.put(message))
    assert client.recv_rest() == chunk(b"one") + chunk(b"two") + b"0\r\n\r\n"


def test_a_stalled_reader_holds_the_generator_not_memory(serve: Serve) -> None:
    endless = Endless(b"x" * 10_000)
    server = serve(Route("GET", "/endless", endless.handler), PING)
    server.request("GET", "/endless").recv_until(b"\r\n\r\n")
    settled, before = 0, -1
    while settled < 20:  # each ping is a full turn of the loop
        server.request("GET", "/_ping").recv_reply()
        settled = settled + 1 if endless.sent == before else 0
        before = endless.sent
    assert endless.sent < 2_000_000
    assert not endless.closed.is_set()


def test_a_stalled_reader_is_dropped_when_the_stream_says_so(serve: Serve) -> None:
    endless = Endless(b"x" * 10_000, stall_timeout=0.05)
    client = serve(Route("GET", "/endless", endless.handler)).request("GET", "/endless")
    assert endless.closed.wait(PATIENCE)
    with pytest.raises((ConnectionError, AssertionError)):
        client.recv_until(b"0\r\n\r\n")


def test_a_plain_handler_finishes_though_its_client_left(serve: Serve) -> None:
    entered, finished = threading.Event(), threading.Event()
    go_on = asyncio.Event()

    async def slow(request: Request) -> Response:
        entered.set()
        await go_on.wait()
        finished.set()
        return Empty()

    server = serve(Route("POST", "/slow", slow))
    client = server.request("POST", "/slow")
    assert entered.wait(PATIENCE)
    client.close()
    server.loop.call_soon_threadsafe(go_on.set)
    assert finished.wait(PATIENCE)


def test_a_large_body_arrives_whole(serve: Serve) -> None:
    blob = bytes(range(256)) * 40_000

    async def tar(request: Request) -> Response:
        return Raw(blob, "application/x-tar")

    status, headers, body = serve(Route("GET", "/tar", tar)).request("GET", "/tar").recv_reply()
    assert (status, headers["content-type"]) == (200, "application/x-tar")
    assert body == blob
