"""Docker's framing and its lines, as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api import streams


def test_a_frame_is_stream_three_zeros_and_a_big_endian_length() -> None:
    assert streams.frame(streams.STDERR, b"abc") == b"\x02\0\0\0\0\0\0\x03abc"
    assert streams.frame(streams.STDOUT, b"x" * 0x01020304)[:8] == b"\x01\0\0\0\x01\x02\x03\x04"


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=50))), st.integers(1, 20))
def test_frames_read_back_in_pieces_of_any_size(frames: list[tuple[int, bytes]], size: int) -> None:
    sent = b"".join(streams.frame(stream, payload) for stream, payload in frames)
    decoder = streams.FrameDecoder()
    got = [item for start in range(0, len(sent), size) for item in decoder.feed(sent[start : start + size])]
    assert got == frames
    assert repr(decoder) == "<FrameDecoder 0 bytes waiting>"


@pytest.mark.parametrize("data", [b"hello world", b"\x04\0\0\0\0\0\0\0", b"\x01\0\0\0\xff\xff\xff\xff"])
def test_what_is_no_multiplexed_stream_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"multiplexed|at most"):
        list(streams.FrameDecoder().feed(data))


def test_a_terminal_is_passed_through() -> None:
    assert streams.writer(tty=True)(streams.STDOUT, b"abc") == b"abc"
    assert streams.writer(tty=False) is streams.frame


def test_lines() -> None:
    assert streams.progress_line({"status": "Pulling"}) == b'{"status":"Pulling"}\r\n'
    assert streams.event_line({"a": 1}) == b'{"a":1}\n'
    assert streams.progress_error('no "x"') == (
        b'{"errorDetail":{"message":"no \\"x\\""},"error":"no \\"x\\""}\r\n'
    )
    assert streams.framed_error("x") == streams.frame(2, b"Error grabbing logs: x\n")
