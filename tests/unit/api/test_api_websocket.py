"""WebSocket framing by RFC 6455's own examples, in pieces of every size, and what a client may not send."""

import os

import pytest
from apiserving import Serve, request
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api import websocket
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import Hijack, Response
from landbridge.api.router import Route
from landbridge.errors import Invalid

HANDSHAKE = {
    "upgrade": "websocket", "connection": "keep-alive, Upgrade", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame."""
    mask = os.urandom(4)
    length = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += bytes([0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + length.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def test_the_handshake_of_section_1_3() -> None:
    assert websocket.accept(HANDSHAKE) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "wrong",
    [
        {"upgrade": "tcp"}, {"connection": "close"}, {"sec-websocket-version": "8"}, {"sec-websocket-version": ""},
        {"sec-websocket-key": ""}, {"sec-websocket-key": "c2hvcnQ="}, {"sec-websocket-key": "!"},
    ],
)  # fmt: skip
def test_what_is_no_handshake(wrong: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        websocket.accept(HANDSHAKE | wrong)


def test_frames_of_section_5_7() -> None:
    assert websocket.frame(websocket.TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert websocket.frame(websocket.BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert websocket.frame(websocket.BINARY, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")
    taken = list(websocket.Decoder().feed(bytes.fromhex("818537fa213d7f9f4d5158")))
    assert taken == [(websocket.BINARY, b"Hello")]
    assert websocket.close_frame(1000) == bytes.fromhex("880203e8")


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=6), st.integers(1, 64))
def test_messages_in_pieces_of_every_size(parts: list[tuple[bytes, bool]], size: int) -> None:
    """Each part is a message, in one frame or two, with a ping between the two."""
    wire, pings = b"", 0
    for part, halved in parts:
        if halved:
            half = len(part) // 2
            wire += masked(websocket.BINARY, part[:half], final=False) + masked(websocket.PING, part[:5])
            wire += masked(websocket.CONTINUATION, part[half:])
            pings += 1
        else:
            wire += masked(websocket.TEXT, part)
    decoder, got = websocket.Decoder(), []
    for start in range(0, len(wire), size):
        got += decoder.feed(wire[start : start + size])
    assert b"".join(data for opcode, data in got if opcode == websocket.BINARY) == b"".join(part for part, _ in parts)
    assert sum(opcode == websocket.PING for opcode, _ in got) == pings


def test_a_large_frame_is_handed_on_while_it_arrives() -> None:
    decoder = websocket.Decoder()
    head = masked(websocket.BINARY, bytes(1 << 20))
    got = sum(len(data) for start in range(0, 1 << 19, 4096) for _, data in decoder.feed(head[start : start + 4096]))
    assert got == (1 << 19) - 14
    assert len(decoder._buffer) == 0


@pytest.mark.parametrize(
    "sent",
    [
        websocket.frame(websocket.BINARY, b"not masked"), b"\xc2" + masked(2, b"x")[1:], masked(3, b""), masked(0xB, b""),
        masked(websocket.PING, b"", final=False), masked(websocket.CLOSE, bytes(126)), masked(websocket.CONTINUATION, b"x"),
        masked(websocket.BINARY, b"x", final=False) + masked(websocket.BINARY, b"x"),
    ],
    ids=["bare", "rsv", "opcode", "control", "parts", "long", "rest", "inside"],
)  # fmt: skip
def test_what_a_client_may_not_send(sent: bytes) -> None:
    with pytest.raises(ValueError):
        list(websocket.Decoder().feed(sent))


async def shout(request: Request) -> Response:
    answer = websocket.accept(request.headers)

    async def run(duplex: Duplex) -> None:
        peer = websocket.WebSocket(duplex)
        while data := await peer.read():
            await peer.write(data.upper())
        await peer.close()

    return Hijack(run, headers=(("Sec-WebSocket-Accept", answer),))


ASK = request("GET", "/ws", *(f"{name}: {value}" for name, value in HANDSHAKE.items()))


def test_a_conversation_with_its_goodbye(serve: Serve) -> None:
    client = serve(Route("GET", "/ws", shout)).connect().send(ASK)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in client.recv_until(b"\r\n\r\n")
    client.send(masked(websocket.TEXT, b"hello")).recv_until(websocket.frame(websocket.BINARY, b"HELLO"))
    client.send(masked(websocket.PING, b"there?")).recv_until(websocket.frame(websocket.PONG, b"there?"))
    client.send(masked(websocket.CLOSE, (1001).to_bytes(2, "big")))
    assert client.recv_rest() == websocket.close_frame(1001)


def test_a_client_that_breaks_the_rules_is_told(serve: Serve) -> None:
    client = serve(Route("GET", "/ws", shout)).connect().send(ASK)
    client.recv_until(b"\r\n\r\n")
    client.send(websocket.frame(websocket.TEXT, b"not masked"))
    assert client.recv_rest() == websocket.close_frame(1002)
