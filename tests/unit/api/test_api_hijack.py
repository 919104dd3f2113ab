"""Raw streams after a hijack: both heads, both directions ending on their own, early bytes, clients that leave."""

import asyncio
import json
import threading

import pytest
from apiserving import PATIENCE, Serve, request

from landbridge.api import streams
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import MULTIPLEXED_STREAM, Hijack, Raw, Response
from landbridge.api.router import Route
from landbridge.errors import NotFound

UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


async def shout(request: Request) -> Response:
    """Answers every piece of input in capitals, and says when the input has ended."""

    async def run(duplex: Duplex) -> None:
        while data := await duplex.read():
            await duplex.write(data.upper())
        await duplex.write(b"<eof>")

    return Hijack(run)


SHOUT = Route("POST", "/attach", shout)


@pytest.mark.parametrize(
    ("headers", "head"),
    [
        (UPGRADE, "HTTP/1.1 101 UPGRADED\r\nContent-Type: {}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"),
        ((), "HTTP/1.1 200 OK\r\nContent-Type: {}\r\n"),
    ],
    ids=["upgrade", "plain"],
)
def test_output_goes_on_after_the_input_has_ended(serve: Serve, headers: tuple[str, ...], head: str) -> None:
    client = serve(SHOUT).request("POST", "/v1.41/attach", *headers)
    got = client.recv_until(b"\r\n\r\n").decode()
    assert got.startswith(head.format("application/vnd.docker.raw-stream"))
    assert "chunked" not in got
    assert "Content-Length" not in got
    client.send(b"one").recv_until(b"ONE")
    client.send(b"two").recv_until(b"TWO")
    client.shut()
    assert client.recv_rest() == b"<eof>"


@pytest.mark.parametrize("headers", [UPGRADE, ()], ids=["upgrade", "plain"])
def test_bytes_sent_right_behind_the_request_come_first(serve: Serve, headers: tuple[str, ...]) -> None:
    async def start(req: Request) -> Response:
        options = await req.json_object()
        assert options == {"Tty": True}
        return await shout(req)

    client = serve(Route("POST", "/exec/{id}/start", start)).connect()
    ask = request("POST", "/exec/1/start", "Content-Type: application/json", *headers, body=b'{"Tty": true}')
    client.send(ask + b"early ").send(b"late")
    client.shut()
    assert client.recv_rest().endswith(b"\r\n\r\nEARLY LATE<eof>")


def test_a_body_nobody_read_is_not_input(serve: Serve) -> None:
    client = serve(SHOUT).connect().send(request("POST", "/attach", *UPGRADE, body=b"{}") + b"x")
    client.shut()
    assert client.recv_rest().endswith(b"\r\n\r\nX<eof>")


def test_the_server_may_end_its_output_first(serve: Serve) -> None:
    heard: list[bytes] = []
    done = threading.Event()

    async def listen(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            duplex.write_eof()
            while data := await duplex.read():
                heard.append(data)
            done.set()

        return Hijack(run)

    client = serve(Route("POST", "/attach", listen)).request("POST", "/attach", *UPGRADE)
    assert client.recv_rest().endswith(b"\r\n\r\n")
    client.send(b"still here")
    client.shut()
    assert done.wait(PATIENCE)
    assert b"".join(heard) == b"still here"


def test_unread_input_does_not_reset_the_end_of_the_output(serve: Serve) -> None:
    async def goodbye(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            await duplex.write(b"goodbye")

        return Hijack(run)

    client = serve(Route("POST", "/attach", goodbye)).connect()
    client.send(request("POST", "/attach", *UPGRADE) + bytes(3_000_000))
    assert client.recv_rest().endswith(b"goodbye")


def test_a_lot_goes_through_in_both_directions_at_once(serve: Serve) -> None:
    client = serve(SHOUT).request("POST", "/attach", *UPGRADE)
    client.recv_until(b"\r\n\r\n")
    blob = b"abcdefgh" * 1_000_000

    def send() -> None:
        client.send(blob)
        client.shut()

    sender = threading.Thread(target=send)
    sender.start()
    got = client.recv_rest()
    sender.join(PATIENCE)
    assert got == blob.upper() + b"<eof>"


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "not reading"])
def test_a_client_that_left_for_good_ends_a_silent_stream(serve: Serve, reads: bool) -> None:  # noqa: FBT001
    ended, started = threading.Event(), threading.Event()

    async def silent(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            started.set()
            try:
                if reads:
                    while await duplex.read():
                        pass
                else:
                    duplex.discard_input()
                await asyncio.Event().wait()
            finally:
                ended.set()

        return Hijack(run)

    client = serve(Route("POST", "/attach", silent)).request("POST", "/attach", *UPGRADE)
    assert started.wait(PATIENCE)
    client.shut()
    client.recv_until(b"\r\n\r\n")
    assert not ended.is_set()
    client.close()
    assert ended.wait(PATIENCE)


def test_the_last_input_of_a_client_that_left_is_delivered(serve: Serve) -> None:
    heard: list[bytes] = []
    go_on, done = asyncio.Event(), threading.Event()

    async def late(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            await go_on.wait()
            while data := await duplex.read():
                heard.append(data)
            done.set()

        return Hijack(run)

    server = serve(Route("POST", "/attach", late))
    client = server.request("POST", "/attach", *UPGRADE)
    client.recv_until(b"\r\n\r\n")
    client.send(b"last words")
    client.close()
    server.loop.call_soon_threadsafe(go_on.set)
    assert done.wait(PATIENCE)
    assert b"".join(heard) == b"last words"


def test_writing_to_a_client_that_left_ends_the_stream(serve: Serve) -> None:
    gone = threading.Event()

    async def chatter(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            try:
                while True:
                    await duplex.write(b"x" * 1000)
                    await asyncio.sleep(0)
            finally:
                gone.set()

        return Hijack(run)

    client = serve(Route("POST", "/attach", chatter)).request("POST", "/attach", *UPGRADE)
    client.recv_until(b"\r\n\r\n")
    client.close()
    assert gone.wait(PATIENCE)


def test_an_error_before_the_hijack_is_an_ordinary_reply(serve: Serve) -> None:
    async def missing(request: Request) -> Response:
        raise NotFound("No such exec instance: 1")

    async def ping(request: Request) -> Response:
        return Raw(b"OK")

    client = serve(Route("POST", "/attach", missing), Route("GET", "/_ping", ping)).request("POST", "/attach", *UPGRADE)
    status, _, body = client.recv_reply()
    assert (status, json.loads(body)) == (404, {"message": "No such exec instance: 1"})
    assert client.send(request("GET", "/_ping")).recv_reply()[2] == b"OK"


def test_an_error_after_the_hijack_is_said_in_the_stream(serve: Serve) -> None:
    async def late(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            raise NotFound("gone")

        return Hijack(run, content_type=MULTIPLEXED_STREAM)

    got = serve(Route("POST", "/attach", late)).request("POST", "/attach", *UPGRADE).recv_rest()
    assert got.endswith(b"\r\n\r\n" + streams.frame(streams.STDERR, b"gone\r\n"))
