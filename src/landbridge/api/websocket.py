"""WebSockets (RFC 6455) as the byte stream that attaching needs: what a client sends decoded, what it gets framed.

The first half does no I/O. Messages have no meaning here: input is one stream of bytes whatever frames it comes in,
so a frame is handed on while it arrives and none needs memory. Extensions and subprotocols are never agreed to.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from struct import Struct

from landbridge.api.duplex import Duplex
from landbridge.api.wire import ClientGone
from landbridge.errors import Invalid

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR = 1000, 1002

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_CONTROL_MOST = 125  # section 5.5
_SHORT, _LONG = Struct(">H"), Struct(">Q")


def accept(headers: Mapping[str, str]) -> str:
    """The answer to a client's opening handshake (section 4.2). Raises: Invalid when it is none of version 13."""
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in headers.get("connection", "").lower():
        raise Invalid("not websocket protocol")
    if headers.get("sec-websocket-version") != "13":
        raise Invalid("missing or bad WebSocket Version")
    key = headers.get("sec-websocket-key", "")
    try:
        fine = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        fine = False
    if not fine:
        raise Invalid("mismatch challenge/response")
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message in one frame, not masked, as a server sends it."""
    head = bytearray((0x80 | opcode,))
    if len(payload) <= _CONTROL_MOST:
        head.append(len(payload))
    elif len(payload) < 1 << 16:
        head.append(126)
        head += _SHORT.pack(len(payload))
    else:
        head.append(127)
        head += _LONG.pack(len(payload))
    return bytes(head) + payload


def close_frame(code: int) -> bytes:
    """The frame that says goodbye."""
    return frame(CLOSE, _SHORT.pack(code))


class Decoder:
    """Takes a client's frames apart, in pieces of any size.

    `feed` yields (opcode, bytes): data as it comes, in pieces, always as BINARY; control frames whole. Raises:
    ValueError for what no client may send. Keeps at most one control frame and the rest of a piece.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # bytes of a data frame's payload still to come
        self._mask = 0
        self._inside = False  # between the first and the last frame of a message

    def __repr__(self) -> str:
        return f"<Decoder {len(self._buffer)} bytes waiting, {self._left} of a frame to come>"

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._buffer += data
        while True:
            if self._left:
                piece = bytes(self._buffer[: self._left])
                if not piece:
                    return
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                yield BINARY, self._unmask(piece)
            elif (control := self._head()) is None:
                return
            elif control != (CONTINUATION, b""):
                yield control

    def _head(self) -> tuple[int, bytes] | None:
        """The next frame's head: a control frame, or (CONTINUATION, b"") with its payload to come; None: incomplete."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        final, opcode, length = bool(buffer[0] & 0x80), buffer[0] & 0x0F, buffer[1] & 0x7F
        self._check(final=final, opcode=opcode, length=length)
        size = {126: 4, 127: 10}.get(length, 2)
        if len(buffer) < size + 4:
            return None
        if size > 2:
            length = int.from_bytes(buffer[2:size], "big")
        mask = int.from_bytes(buffer[size : size + 4], "big")
        if opcode < CLOSE:
            del buffer[: size + 4]
            self._inside, self._left, self._mask = not final, length, mask
            return CONTINUATION, b""
        if len(buffer) < size + 4 + length:
            return None
        payload = bytes(buffer[size + 4 : size + 4 + length])
        del buffer[: size + 4 + length]
        self._mask = mask
        return opcode, self._unmask(payload)

    def _check(self, *, final: bool, opcode: int, length: int) -> None:
        first, second = self._buffer[0], self._buffer[1]
        if first & 0x70:
            raise ValueError("bits of an extension nobody agreed to")
        if not second & 0x80:
            raise ValueError("a client's frame that is not masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ValueError(f"unknown opcode {opcode}")
        if opcode >= CLOSE and (not final or length > _CONTROL_MOST):
            raise ValueError("a control frame in parts, or too long")
        if opcode < CLOSE and self._inside == (opcode != CONTINUATION):
            raise ValueError("a message inside another, or the rest of none")

    def _unmask(self, piece: bytes) -> bytes:
        """Section 5.3; the mask is turned for the next piece of the frame. One big number is quickest here."""
        count = len(piece)
        mask = self._mask.to_bytes(4, "big")
        pattern = (mask * (count // 4 + 1))[:count]
        turn = count % 4
        self._mask = int.from_bytes(mask[turn:] + mask[:turn], "big")
        return (int.from_bytes(piece, "big") ^ int.from_bytes(pattern, "big")).to_bytes(count, "big")


class WebSocket:
    """A `Duplex` whose bytes travel in frames. The client's goodbye is the end of its input, and of the stream."""

    def __init__(self, duplex: Duplex, *, opcode: int = BINARY) -> None:
        self._duplex = duplex
        self._opcode = opcode
        self._decoder = Decoder()
        self._pieces: list[bytes] = []
        self._closed = False
        self._sending = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<WebSocket {'closed' if self._closed else 'open'} on {self._duplex!r}>"

    async def read(self) -> bytes:
        """The next input; empty after the client's goodbye. Pings are answered on the way."""
        while not self._pieces and not self._closed:
            data = await self._duplex.read()
            if not data:
                self._closed = True
                break
            try:
                for opcode, payload in self._decoder.feed(data):
                    await self._take(opcode, payload)
            except ValueError:
                await self.close(PROTOCOL_ERROR)
        return self._pieces.pop(0) if self._pieces else b""

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            self._pieces.append(payload)
        elif opcode == PING:
            await self._send(frame(PONG, payload))
        elif opcode == CLOSE:
            await self.close(int.from_bytes(payload[:2], "big") or NORMAL)

    def discard_input(self) -> None:
        """Input must be read even if nobody wants it: it holds pings and the goodbye. See `_Deaf`."""

    async def write(self, data: bytes) -> None:
        """Send output. Raises: ClientGone, also when the client said goodbye."""
        if self._closed:
            raise ClientGone
        await self._send(frame(self._opcode, data))

    async def close(self, code: int = NORMAL) -> None:
        """Say goodbye; nothing is sent after it. Twice is no error."""
        if not self._closed:
            self._closed = True
            await self._send(close_frame(code))

    async def _send(self, data: bytes) -> None:
        # Output and pongs come from two tasks, and a large frame is written in slices.
        async with self._sending:
            await self._duplex.write(data)
