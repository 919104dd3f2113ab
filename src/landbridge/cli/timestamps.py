"""`--since` and `--until`: what the user wrote to the seconds the API takes."""

from __future__ import annotations

import time

from landbridge.cli.clock import days_since_epoch, parse_rfc3339
from landbridge.cli.outcome import CommandError
from landbridge.cli.quantities import duration


def _as_written(text: str) -> tuple[int, int]:
    """A date with any of its smaller parts missing, in local time unless it names a zone. Raises: ValueError."""
    date, _, clock = text.partition("T")
    cut = max(clock.rfind("+"), clock.rfind("-"))
    zone = "Z" if clock.endswith("Z") else clock[cut:] if cut >= 0 else ""
    clock = clock.removesuffix(zone) if zone else clock
    if not zone and date.endswith("Z"):
        zone, date = "Z", date[:-1]
    if len(date.split("-")) != 3:
        raise ValueError(text)
    parts = [*(clock.split(":") if clock else []), "00", "00", "00"][:3]
    seconds, nanos = parse_rfc3339(f"{date}T{':'.join(parts)}{zone or 'Z'}")
    if not zone:
        year, month, day = (int(part) for part in date.split("-"))
        days_since_epoch(year, month, day)
        local = time.mktime((year, month, day, int(parts[0]), int(parts[1]), int(parts[2].partition(".")[0]), 0, 0, -1))
        seconds = int(local)
    return seconds, nanos


def api_time(text: str) -> str:
    """Seconds, with nanoseconds for a date: `1704164645.000000000`. A duration means so long ago.

    Raises: CommandError.
    """
    if not text:
        return ""
    try:
        return str(int(time.time() - duration(text) / 10**9))
    except ValueError:
        pass  # not a duration: a date or a number then
    whole, _, fraction = text.partition(".")
    if whole.isdigit() and (not fraction or fraction.isdigit()):
        return text
    try:
        seconds, nanos = _as_written(text)
    except ValueError:
        raise CommandError(f'failed to parse value as time or duration: "{text}"') from None
    return f"{seconds}.{nanos:09d}"
