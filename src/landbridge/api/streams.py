"""The three ways Docker writes messages into a body, as plain functions on bytes.

Without a terminal, output is framed: one byte says which stream, three are zero, four give the
length (big endian), then the payload. With a terminal it is passed through. Progress is one JSON
object a line, ended by CR LF. No I/O lives here, so both ends and the tests share it.
"""

from collections.abc import Callable, Iterator
from struct import Struct

import msgspec

STDIN, STDOUT, STDERR = 0, 1, 2
# The daemon's own errors inside a framed stream (moby: stdcopy.Systemerr).
SYSTEM_ERROR = 3

_HEADER = Struct(">B3xL")
_encode = msgspec.json.Encoder().encode


def frame(stream: int, payload: bytes) -> bytes:
    """One frame of a multiplexed stream; `payload` is shorter than 4 GiB."""
    return _HEADER.pack(stream, len(payload)) + payload


def raw(_stream: int, payload: bytes) -> bytes:
    """The counterpart of `frame` for a terminal: nothing is added."""
    return payload


def writer(*, tty: bool) -> Callable[[int, bytes], bytes]:
    """`raw` for a terminal, else `frame`."""
    return raw if tty else frame


class FrameDecoder:
    """Takes a multiplexed stream apart, in pieces of any size.

    `feed` yields `(stream, payload)` for every complete frame. A frame larger than `limit` or of an
    unknown stream raises ValueError: the bytes are not a multiplexed stream, or not for us.
    """

    def __init__(self, *, limit: int = 64 * 1024 * 1024) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def __repr__(self) -> str:
        return f"<FrameDecoder {len(self._buffer)} bytes waiting>"

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Raises ValueError."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._buffer)
            if stream > SYSTEM_ERROR or any(self._buffer[1:4]):
                raise ValueError(f"not a multiplexed stream: {bytes(self._buffer[:8]).hex()}")
            if length > self._limit:
                raise ValueError(f"frame of {length} bytes, at most {self._limit} are taken")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size:end])
            del self._buffer[:end]
            yield stream, payload


def progress_line(message: object) -> bytes:
    """One line of a progress stream (pull, push, load, import)."""
    return _encode(message) + b"\r\n"


def event_line(message: object) -> bytes:
    """One line of a stream whose lines end as Go's encoder ends them (events, stats, wait)."""
    return _encode(message) + b"\n"


def progress_error(text: str) -> bytes:
    """How a progress stream reports that it failed after it began."""
    return progress_line({"errorDetail": {"message": text}, "error": text})


def framed_error(text: str) -> bytes:
    """How a framed log stream reports that it failed after it began (moby writes it to stderr)."""
    return frame(STDERR, f"Error grabbing logs: {text}\n".encode())
