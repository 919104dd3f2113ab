"""Durations as Go reads and writes them: ``1h15m30.918s``, ``300ms``. Nanoseconds inside."""

import re
from fractions import Fraction

from landbridge.errors import Invalid

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PIECE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([^\d.]*)")


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises: Invalid with the sentence of Go's time.ParseDuration."""
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = Fraction(0)
    at = 0
    while at < len(rest):
        piece = _PIECE.match(rest, at)
        if not piece:
            raise Invalid(f'time: invalid duration "{text}"')
        if not piece[2]:
            raise Invalid(f'time: missing unit in duration "{text}"')
        if piece[2] not in _UNITS:
            raise Invalid(f'time: unknown unit "{piece[2]}" in duration "{text}"')
        total += Fraction(piece[1] if piece[1][-1] != "." else piece[1] + "0") * _UNITS[piece[2]]
        at = piece.end()
    if not rest:
        raise Invalid(f'time: invalid duration "{text}"')
    return -int(total) if text[0] == "-" else int(total)


def show_duration(nanoseconds: int) -> str:
    """As Go's Duration.String: ``1m30s``, ``1.5s``, ``20ms``, ``0s``."""
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit in ("s", "ms", "µs", "ns"):
        if left >= _UNITS[unit]:
            break
    else:
        return "0s"
    if unit != "s":
        return f"{sign}{_decimal(left, _UNITS[unit])}{unit}"
    minutes, rest = divmod(left, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if hours or minutes else []
    return f"{sign}{''.join(parts)}{_decimal(rest, _UNITS['s'])}s"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = str(part).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
