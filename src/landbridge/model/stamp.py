"""Times as Docker writes them: RFC 3339 in UTC, up to nine digits of fraction. Inside: nanoseconds since the epoch."""

import re
from datetime import UTC, datetime

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ZERO = -62135596800 * 1_000_000_000  # Go's zero time, 0001-01-01T00:00:00Z


def format_ns(nanoseconds: int) -> str:
    """``2026-01-02T03:04:05.000000006Z``; trailing zeros of the fraction are left out, as Go's RFC3339Nano does."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    days, second = divmod(seconds, 86400)
    day = datetime.fromordinal(_EPOCH.toordinal() + days)
    date = f"{day.year:04}-{day.month:02}-{day.day:02}"  # strftime does not pad years
    text = f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return text + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


def parse_ns(text: str) -> int:
    """Nanoseconds since the epoch; Go's zero time when `text` is empty or no time."""
    found = _STAMP.fullmatch(text)
    if not found:
        return ZERO
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        days = datetime(year, month, day, tzinfo=UTC).toordinal() - _EPOCH.toordinal()
    except ValueError:
        return ZERO
    seconds = days * 86400 + hour * 3600 + minute * 60 + second
    if found[8]:
        offset = int(found[9]) * 3600 + int(found[10]) * 60
        seconds -= offset if found[8] == "+" else -offset
    return seconds * 1_000_000_000 + int((found[7] or "")[:9].ljust(9, "0"))
