"""conmon's log records and exit file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.oci.conmon import parse_exit, parse_record, parse_time

NS = 1_000_000_000


@given(
    seconds=st.integers(0, 4_000_000_000),
    nanoseconds=st.integers(0, NS - 1),
    offset=st.integers(-14 * 60, 14 * 60),
    stream=st.sampled_from(["stdout", "stderr"]),
    partial=st.booleans(),
    content=st.binary().filter(lambda data: b"\n" not in data),
)
def test_any_record_comes_back(
    *, seconds: int, nanoseconds: int, offset: int, stream: str, partial: bool, content: bytes
) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    local = stamp(seconds + offset * 60)
    line = f"{local}.{nanoseconds:09}{zone} {stream} {'P' if partial else 'F'} ".encode() + content
    entry = parse_record(line)
    assert entry is not None
    assert (entry.time, entry.stream, entry.partial) == (seconds * NS + nanoseconds, stream, partial)
    assert entry.data == (content if partial else content + b"\n")


def stamp(seconds: int) -> str:
    """Civil time without the code under test's own library calls: days since 1970 by Howard Hinnant's method."""
    days, rest = divmod(seconds, 86400)
    era, day = divmod(days + 719468, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += era * 400 + (month <= 2)
    return f"{year:04}-{month:02}-{date:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


@given(st.binary())
def test_no_bytes_break_the_parser(line: bytes) -> None:
    entry = parse_record(line)
    assert entry is None or entry.stream in ("stdout", "stderr")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", NS),
        ("1970-01-01T00:00:01.5Z", NS + NS // 2),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("1970-01-01T00:00:00.1234567891Z", 123456789),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01T00:00:01.Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, expected: int | None) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "line", [b"", b"2026-01-01T00:00:00Z stdout", b"2026-01-01T00:00:00Z stdin F x", b"x stdout F x"]
)
def test_what_is_no_record(line: bytes) -> None:
    assert parse_record(line) is None


def test_an_empty_line_has_no_content() -> None:
    entry = parse_record(b"2026-01-01T00:00:00Z stdout F ")
    assert entry is not None
    assert entry.data == b"\n"


@pytest.mark.parametrize(("text", "code"), [("0", 0), ("137\n", 137), ("", None), ("-", None)])
def test_exit_file(text: str, code: int | None) -> None:
    assert parse_exit(text) == code
