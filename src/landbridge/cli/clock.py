"""Times as the API writes them, to seconds and back to the words of the tables.

Written without `datetime` where seconds are enough: importing it costs what half the command costs.
"""

from __future__ import annotations

import time

DAYS_BEFORE_MONTH = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar."""
    years = year - 1
    leap_days = years // 4 - years // 100 + years // 400
    this_leap = month > 2 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return years * 365 + leap_days - 719162 + DAYS_BEFORE_MONTH[month] + this_leap + day - 1


def parse_rfc3339(text: str) -> tuple[int, int]:
    """Seconds since the epoch and nanoseconds of `2024-05-01T10:20:30.123456789Z` or with an offset.

    Raises: ValueError.
    """
    date, _, clock = text.replace("t", "T").partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    if not 1 <= month <= 12:
        raise ValueError(f"no such month: {text}")
    offset = 0
    if clock[-1:] in ("Z", "z"):
        clock = clock[:-1]
    else:
        cut = max(clock.rfind("+"), clock.rfind("-"))
        if cut < 0:
            raise ValueError(f"no time zone: {text}")
        hours, _, minutes = clock[cut + 1 :].partition(":")
        offset = (int(hours) * 3600 + int(minutes or "0") * 60) * (-1 if clock[cut] == "-" else 1)
        clock = clock[:cut]
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    return seconds, int(fraction[:9].ljust(9, "0") or "0")


def local_text(seconds: float) -> str:
    """`2024-05-01 10:20:30 +0200 CEST`, the CREATED AT column."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def nano_text(nanos: int) -> str:
    """`2024-05-01T10:20:30.123456789Z`, or with the local offset; always nine digits."""
    seconds, rest = divmod(nanos, 10**9)
    zone = time.strftime("%z", time.localtime(seconds))
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + f".{rest:09d}{zone}"
