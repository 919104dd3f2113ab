"""Frames and detach keys, cut at every place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.cli.outcome import CommandError
from landbridge.cli.streams import Demuxer, DetachKeys
from landbridge.cli.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.binary(max_size=40))), st.lists(st.integers(1, 30)))
def test_frames_in_any_pieces(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    demuxer, found, position = Demuxer(), [], 0
    for cut in [*cuts, len(data)]:
        found += demuxer.feed(data[position : position + cut])
        position += cut
    for number in (1, 2):
        assert b"".join(d for s, d in found if s == number) == b"".join(d for s, d in frames if s == number)


def test_a_stream_that_is_no_frame_is_refused() -> None:
    with pytest.raises(CommandError, match="unrecognized input header: 72"):
        Demuxer().feed(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        (b"ls", b"ls", False), (b"\x10\x11", b"", True), (b"a\x10\x11b", b"a", True), (b"\x10x", b"\x10x", False),
        (b"\x10\x10\x11", b"\x10", True), (b"\x10", b"", False), (b"\x11\x10", b"\x11", False),
    ],
)  # fmt: skip
def test_detach_keys_in_one_piece_and_in_single_keys(typed: bytes, passed: bytes, detached: bool) -> None:  # noqa: FBT001
    assert DetachKeys(DEFAULT_DETACH_KEYS).filter(typed) == (passed, detached)
    keys, out, ended = DetachKeys(DEFAULT_DETACH_KEYS), b"", False
    for index in range(len(typed)):
        if not ended:
            more, ended = keys.filter(typed[index : index + 1])
            out += more
    assert (out, ended) == (passed, detached)


def test_names_of_keys() -> None:
    assert parse_detach_keys("ctrl-p,ctrl-q") == DEFAULT_DETACH_KEYS
    assert parse_detach_keys("ctrl-a,b,ctrl-[,ctrl-@") == b"\x01b\x1b\x00"
    for text in ("", "ctrl-", "ctrl-é", "ab"):
        with pytest.raises(CommandError, match="invalid detach keys"):
            parse_detach_keys(text)
