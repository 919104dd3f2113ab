"""The control protocol: every way to say it right arrives, every way to say it wrong is refused with its number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold
from landbridge.proxy import protocol
from landbridge.proxy.protocol import BadRequest, Lines, Retarget, parse_request

HOLD = {
    "key": "k",
    "proto": "tcp",
    "host_ip": "::",
    "host_port": 8080,
    "target_ip": "10.0.0.2",
    "target_port": 80,
}

holds = st.builds(
    Hold,
    key=st.text(),
    proto=st.sampled_from(protocol.PROTOCOLS),
    host_ip=st.text(),
    host_port=st.integers(1, 60_000),
    target_ip=st.text(),
    target_port=st.integers(1, 60_000),
    count=st.integers(1, 5_000),
    relay=st.booleans(),
)


@given(st.lists(holds), st.integers(0, 1 << 40), st.data())
def test_what_is_asked_arrives_however_the_stream_is_cut(asked: list[Hold], seq: int, data: st.DataObject) -> None:
    line = protocol.request(seq, "hold", holds=protocol.holds_to_json(asked)) + protocol.request(seq + 1, "stats")
    cut = data.draw(st.integers(0, len(line)))
    lines = Lines()
    got = [parse_request(part) for piece in (line[:cut], line[cut:]) for part in lines.feed(piece)]
    assert [(r.seq, r.op, list(r.holds)) for r in got] == [(seq, "hold", asked), (seq + 1, "stats", [])]


def test_release_and_retarget() -> None:
    assert parse_request(protocol.request(1, "release", keys=["a", "b"])).keys == ("a", "b")
    target = {"key": "a", "target_ip": "10.0.0.3", "target_port": 81}
    assert parse_request(protocol.request(1, "retarget", targets=[target])).targets == (Retarget(**target),)


def test_defaults_are_not_written() -> None:
    assert protocol.hold_to_json(Hold(**HOLD)) == HOLD


def test_a_hold_only_needs_no_target_port() -> None:
    hold = protocol.parse_hold(HOLD | {"relay": False, "target_ip": "", "target_port": 0})
    assert not hold.relay


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": 7},
        {"proto": "icmp"},
        {"host_ip": None},
        {"host_port": 0},
        {"host_port": "80"},
        {"host_port": True},
        {"host_port": 65_536},
        {"host_port": 65_000, "count": 537},
        {"target_port": 65_535, "count": 2},
        {"count": 0},
        {"count": 1.0},
        {"relay": 1},
        {"colour": "red"},
    ],
)
def test_a_wrong_hold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(protocol.request(5, "hold", holds=[HOLD | wrong]))
    assert caught.value.seq == 5


@pytest.mark.parametrize("missing", list(HOLD))
def test_an_incomplete_hold_is_refused(missing: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(protocol.request(5, "hold", holds=[{k: v for k, v in HOLD.items() if k != missing}]))


@pytest.mark.parametrize(
    ("line", "seq"),
    [
        (b"", 0),
        (b"hello", 0),
        (b"\xff\xfe", 0),
        (b"[]", 0),
        (b'{"v":1,"op":"stats"}', 0),
        (b'{"v":1,"seq":true,"op":"stats"}', 0),
        (b'{"v":2,"seq":4,"op":"stats"}', 4),
        (b'{"seq":4,"op":"stats"}', 4),
        (b'{"v":1,"seq":4,"op":"sing"}', 4),
        (b'{"v":1,"seq":4}', 4),
        (b'{"v":1,"seq":4,"op":[]}', 4),
        (b'{"v":1,"seq":4,"op":"hold"}', 4),
        (b'{"v":1,"seq":4,"op":"hold","holds":[7]}', 4),
        (b'{"v":1,"seq":4,"op":"release","keys":"web"}', 4),
        (b'{"v":1,"seq":4,"op":"release","keys":[1]}', 4),
        (b'{"v":1,"seq":4,"op":"retarget","targets":[{"key":"k"}]}', 4),
        (b'{"v":1,"seq":4,"op":"retarget","targets":[{"key":"k","target_ip":"","target_port":0}]}', 4),
    ],
)
def test_what_is_not_a_request_is_refused_with_its_number(line: bytes, seq: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(line)
    assert caught.value.seq == seq


def test_an_endless_line_is_given_up() -> None:
    lines = Lines()
    piece = b"x" * (1 << 20)
    with pytest.raises(BadRequest):
        for _ in range(protocol.MAX_LINE // len(piece) + 1):
            assert list(lines.feed(piece)) == []


@given(st.text(), st.text(), st.text(), st.text(), st.integers(0, 65_535))
def test_failures_arrive_whole(message: str, reason: str, key: str, holder: str, port: int) -> None:
    failure = HoldFailed(message, reason=reason, key=key, holder=holder, port=port)
    (line,) = Lines().feed(protocol.refusal(3, protocol.failure_to_json(failure)))
    got = protocol.failure_from_json(protocol.decode(line)["error"])
    assert (got.message, got.reason, got.key, got.holder, got.port) == (message, reason, key, holder, port)
