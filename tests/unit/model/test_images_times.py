"""Stamps and durations as Go writes and reads them."""

import pytest

from landbridge.errors import Invalid
from landbridge.model.duration import parse_duration
from landbridge.model.stamp import ZERO, format_ns, parse_ns


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_795_557_698_814_172_818, "2026-11-24T22:01:38.814172818Z"),
        (ZERO, "0001-01-01T00:00:00Z"),
    ],
)
def test_stamps_there_and_back(nanoseconds: int, text: str) -> None:
    assert format_ns(nanoseconds) == text
    assert parse_ns(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "same"),
    [("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"), ("2025-12-31T23:00:00-01:00", "2026-01-01T00:00:00Z")],
)
def test_zones_are_taken_off(text: str, same: str) -> None:
    assert parse_ns(text) == parse_ns(same)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01"])
def test_what_is_no_time_is_gos_zero_time(text: str) -> None:
    assert parse_ns(text) == ZERO


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("5s", 5 * 10**9), ("1h15m30.918s", 4530918 * 10**6), ("300ms", 3 * 10**8), ("-1.5h", -5400 * 10**9), ("0", 0),
     (".5s", 5 * 10**8), ("1us", 1000), ("1µs", 1000)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("-", 'time: invalid duration "-"'),
    ],
)
def test_durations_refused(text: str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_duration(text)
    assert caught.value.message == message
