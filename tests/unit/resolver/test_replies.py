"""The cache of upstream replies: for how long, how much."""

import time

import pytest

from landbridge.dns.wire import Response
from landbridge.resolver import replies as replies_module
from landbridge.resolver.replies import MAX_BYTES, MAX_REPLY, MAX_SECONDS, Replies


def response(ttl: int, *offsets: int, truncated: bool = False) -> Response:
    return Response(rcode=0, truncated=truncated, negative=False, ttl=ttl, ttl_offsets=offsets)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    assert replies_module.time is time
    return clock


def test_a_reply_ages_and_goes(clock: Clock) -> None:
    kept = Replies()
    reply = b"id" + (20).to_bytes(4, "big")
    kept.put("key", reply, response(20, 2))
    assert kept.get("key") == reply
    clock.now += 19.5
    assert kept.get("key") == b"id" + (1).to_bytes(4, "big")
    clock.now += 0.5
    assert kept.get("key") is None
    assert len(kept) == 0


def test_nothing_is_kept_longer_than_the_maximum(clock: Clock) -> None:
    kept = Replies()
    kept.put("key", b"reply", response(86400))
    clock.now += MAX_SECONDS - 1
    assert kept.get("key") == b"reply"
    clock.now += 1
    assert kept.get("key") is None


def test_what_may_not_be_kept_is_not() -> None:
    kept = Replies()
    kept.put("zero", b"reply", response(0))
    kept.put("cut", b"reply", response(60, truncated=True))
    kept.put("large", b"x" * (MAX_REPLY + 1), response(60))
    assert len(kept) == 0


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    kept = Replies()
    count = MAX_BYTES // MAX_REPLY + 10
    for i in range(count):
        kept.put(i, b"x" * MAX_REPLY, response(60))
        kept.put(i, b"y" * MAX_REPLY, response(60))  # replaced, not counted twice
    assert kept.get(0) is None
    assert kept.get(count - 1) == b"y" * MAX_REPLY
    assert MAX_BYTES * 0.9 < len(kept) * MAX_REPLY <= MAX_BYTES
