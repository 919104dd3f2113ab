"""The small pure conversions: sizes, durations, ages, ports, dates, JSON, columns."""

import datetime
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.cli import humanize, jsontext, quantities
from landbridge.cli.clock import days_since_epoch, nano_text, parse_rfc3339
from landbridge.cli.outcome import CommandError
from landbridge.cli.portlist import displayable_ports
from landbridge.cli.tables import align
from landbridge.cli.timestamps import api_time


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("1.5g", 1610612736),
        ("10MB", 10485760),
        ("1 GiB", 1 << 30),
        ("2T", 2 << 40),
        ("7b", 7),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert quantities.size(text) == value


@pytest.mark.parametrize("text", ["", "x", "1x", "1kx", "-1", "1.2.3", "k", "1 kk"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        quantities.size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1s", 10**9),
        ("1m30s", 90 * 10**9),
        ("1h", 3600 * 10**9),
        ("500ms", 5 * 10**8),
        ("-1.5s", -15 * 10**8),
        ("0", 0),
        ("3us", 3000),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert quantities.duration(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'time: invalid duration ""'), ("x", 'time: invalid duration "x"'), ("5", 'time: missing unit in duration "5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
    ],
)  # fmt: skip
def test_what_is_no_duration(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        quantities.duration(text)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "Less than a second"), (1, "1 second"), (59.9, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (45 * 60, "45 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"),
        (5400, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"), (60 * 86400, "2 months"), (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert humanize.ago(seconds) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 4, "0B"),
        (999, 3, "999B"),
        (1982354, 3, "1.98MB"),
        (1982354, 4, "1.982MB"),
        (1000, 4, "1kB"),
        (52428800, 3, "52.4MB"),
        (1e15, 4, "1PB"),
    ],
)
def test_decimal_sizes(value: float, digits: int, text: str) -> None:
    assert humanize.size(value, digits) == text


def test_binary_sizes() -> None:
    assert [humanize.binary_size(v) for v in (0, 1023, 1024, 25275000000)] == ["0B", "1023B", "1KiB", "23.54GiB"]


def test_natural_order() -> None:
    names = ["n10", "n9", "a", "n", "443/tcp", "80/tcp"]
    assert sorted(names, key=humanize.natural_key) == ["80/tcp", "443/tcp", "a", "n", "n9", "n10"]


def bound(private: int, public: int, address: str, protocol: str = "tcp") -> dict[str, Any]:
    return {"IP": address, "PrivatePort": private, "PublicPort": public, "Type": protocol}


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([{"PrivatePort": 80, "Type": "tcp"}], "80/tcp"),
        ([bound(80, 32768, "0.0.0.0"), bound(80, 32768, "::")], "0.0.0.0:32768->80/tcp, [::]:32768->80/tcp"),
        ([bound(p, p, "0.0.0.0") for p in (8002, 8000, 8001)], "0.0.0.0:8000-8002->8000-8002/tcp"),
        ([bound(p, p, "0.0.0.0") for p in (1, 2, 4)], "0.0.0.0:1-2->1-2/tcp, 0.0.0.0:4->4/tcp"),
        ([bound(80, 80, "10.0.0.1"), bound(81, 81, "10.0.0.2")], "10.0.0.1:80->80/tcp, 10.0.0.2:81->81/tcp"),
        ([bound(1, 1, "::1", "udp"), bound(2, 2, "::1", "tcp")], "[::1]:1->1/udp, [::1]:2->2/tcp"),
        ([bound(8, 9, "0.0.0.0"), bound(7, 7, "0.0.0.0"), {"PrivatePort": 5, "Type": "sctp"}], "5/sctp, 0.0.0.0:7->7/tcp, 0.0.0.0:9->8/tcp"),
    ],
)  # fmt: skip
def test_port_column(ports: list[dict[str, Any]], text: str) -> None:
    assert displayable_ports(ports) == text


@given(st.integers(min_value=0, max_value=4_000_000_000), st.integers(min_value=0, max_value=999_999_999))
def test_dates_are_read_as_the_library_writes_them(seconds: int, nanos: int) -> None:
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanos:09d}"
    assert parse_rfc3339(text + "Z") == (seconds, nanos)
    assert parse_rfc3339(text + "+02:30") == (seconds - 9000, nanos)
    assert days_since_epoch(*time.gmtime(seconds)[:3]) == seconds // 86400
    assert parse_rfc3339(nano_text(seconds * 10**9 + nanos)) == (seconds, nanos)


@pytest.mark.parametrize(
    "day", ["2024-02-10", "2024-02-29", "2024-03-01", "2000-02-29", "2100-03-01", "2023-12-31", "1970-01-01"]
)
def test_days_around_leap_days(day: str) -> None:
    year, month, number = (int(part) for part in day.split("-"))
    assert (
        days_since_epoch(year, month, number) == (datetime.date(year, month, number) - datetime.date(1970, 1, 1)).days
    )


@pytest.mark.parametrize("text", ["", "x", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "2024-01-01"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-02T03:04:05Z", "1704164645.000000000"), ("2024-01-02T03:04:05.5Z", "1704164645.500000000"),
        ("2024-01-02T03:04+01:00", "1704161040.000000000"), ("2024-01-02Z", "1704153600.000000000"), ("170.25", "170.25"),
        ("", ""),
    ],
)  # fmt: skip
def test_points_in_time(text: str, seconds: str) -> None:
    assert api_time(text) == seconds


def test_a_duration_means_so_long_ago() -> None:
    assert 0 <= time.time() - 3600 - int(api_time("1h")) < 60


@pytest.mark.parametrize("text", ["x", "2024-x", "12:30", "-"])
def test_what_is_no_point_in_time(text: str) -> None:
    with pytest.raises(CommandError, match="failed to parse value as time or duration"):
        api_time(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_as_the_library_reads_and_writes_it(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert jsontext.encode(value) == text
    assert jsontext.decode(text) == value
    assert json.loads(jsontext.indent(json.dumps(value))) == value


@given(st.dictionaries(st.text(), st.lists(st.integers() | st.text(), min_size=1), min_size=1))
def test_indenting_as_the_library_does_it(value: Any) -> None:
    assert jsontext.indent(json.dumps(value)) == json.dumps(value, indent=4)


def test_indenting_keeps_numbers_escapes_and_empty_brackets() -> None:
    text = '{"a":1.50,"b":[],"c":{},"d":"\\u003c\\"","e":[{}],"f":1e3}'
    want = '{\n "a": 1.50,\n "b": [],\n "c": {},\n "d": "\\u003c\\"",\n "e": [\n  {}\n ],\n "f": 1e3\n}'
    assert jsontext.indent(text, " ") == want


@pytest.mark.parametrize("text", ["", "{", "nope", "1 2", '{"a":}', "[1,]"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError):
        jsontext.decode(text)


def test_columns_are_ten_wide_or_three_more_than_the_longest() -> None:
    assert align([["A", "LONG HEADING", "C"], ["x", "y", "z"]]) == [
        "A         LONG HEADING   C",
        "x         y              z",
    ]


def test_a_column_is_only_as_wide_as_the_lines_that_have_it() -> None:
    lines = [["a", "b"], ["only one cell that is long"], ["c", "d"], ["a rather long one", "e"]]
    assert align(lines) == [
        "a         b",
        "only one cell that is long",
        "c                   d",
        "a rather long one   e",
    ]


def test_quoting_as_go_does() -> None:
    assert quantities.quoted('a"b\\c\n\x01é') == '"a\\"b\\\\c\\n\\x01é"'


def test_values_with_commas_in_quotes() -> None:
    assert quantities.csv_fields('type=volume,"volume-opt=o=a,b"') == ["type=volume", "volume-opt=o=a,b"]
    assert quantities.csv_fields('"a""b"') == ['a"b']


def test_random_cpu_counts_are_exact() -> None:
    chance = random.Random(7)
    for _ in range(200):
        nanos = chance.randrange(10**11)
        assert quantities.cpus(f"{nanos // 10**9}.{nanos % 10**9:09d}") == nanos
