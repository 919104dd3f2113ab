"""What listeners of ``/events`` are told, and which events they asked for."""

from typing import Any

import pytest

from landbridge.api.container_streams import fixed_stamp, parse_time
from landbridge.api.events import accepts, event_view
from landbridge.engine.events import Event
from landbridge.errors import Invalid

START = Event(
    type="container", action="start", id="abc123", time=1_700_000_000_000_000_005,
    attributes={"image": "busybox", "name": "web", "tier": "db"},
)  # fmt: skip
CONNECT = Event(
    type="network", action="connect", id="net1", time=1, attributes={"container": "abc123", "name": "front"}
)
EXEC = Event(type="container", action="exec_create: sh", id="abc123", time=1, attributes={"name": "web"})
PULL = Event(type="image", action="tag", id="sha256:1", time=1, attributes={"name": "busybox:latest"})


def test_containers_and_images_keep_the_fields_of_old_clients() -> None:
    assert event_view(START) == {
        "status": "start", "id": "abc123", "from": "busybox", "Type": "container", "Action": "start",
        "Actor": {"ID": "abc123", "Attributes": {"image": "busybox", "name": "web", "tier": "db"}},
        "scope": "local", "time": 1_700_000_000, "timeNano": 1_700_000_000_000_000_005,
    }  # fmt: skip
    assert not {"status", "id", "from"} & set(event_view(CONNECT))
    assert "from" not in event_view(PULL)


@pytest.mark.parametrize(
    ("event", "filters", "outcome"),
    [
        (START, {}, "passes"),
        (START, {"type": ["network"]}, "stays"),
        (START, {"type": ["network", "container"]}, "passes"),
        (START, {"event": ["start"]}, "passes"),
        (START, {"event": ["die"]}, "stays"),
        (EXEC, {"event": ["exec_create"]}, "passes"),
        (EXEC, {"event": ["exec_create: sh"]}, "passes"),
        (EXEC, {"event": ["exec_start"]}, "stays"),
        (START, {"container": ["web"]}, "passes"),
        (START, {"container": ["abc"]}, "passes"),
        (START, {"container": ["we"]}, "passes"),
        (START, {"container": ["eb"]}, "stays"),
        (CONNECT, {"container": ["abc123"]}, "stays"),
        (CONNECT, {"network": ["front"]}, "passes"),
        (START, {"image": ["busybox"]}, "passes"),
        (PULL, {"image": ["busybox"]}, "passes"),
        (PULL, {"image": ["busy"]}, "stays"),
        (START, {"label": ["tier"]}, "passes"),
        (START, {"label": ["tier=db", "none"]}, "stays"),
        (START, {"scope": ["swarm"]}, "stays"),
        (START, {"container": ["web"], "event": ["die"]}, "stays"),
    ],
)
def test_filters(event: Event, filters: dict[str, Any], outcome: str) -> None:
    assert accepts(event, filters) is (outcome == "passes")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("", 0), ("5", 5_000_000_000), ("5.25", 5_250_000_000), ("5.000000001", 5_000_000_001),
     ("1970-01-01T00:00:05Z", 5_000_000_000)],
)  # fmt: skip
def test_times_as_clients_give_them(text: str, nanoseconds: int) -> None:
    assert parse_time(text, "since") == nanoseconds


@pytest.mark.parametrize("text", ["x", "5.0000000001", "5s", "1970-01-01"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(Invalid, match='invalid value for "until"'):
        parse_time(text, "until")


def test_stamps_before_log_lines_are_of_one_length() -> None:
    assert fixed_stamp(0) == "1970-01-01T00:00:00.000000000Z"
    assert fixed_stamp(1_500_000_000) == "1970-01-01T00:00:01.500000000Z"
