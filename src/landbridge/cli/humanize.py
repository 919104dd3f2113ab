"""Quantities to text, in the words and roundings of Docker's tables. Pure."""

from __future__ import annotations

DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _scaled(value: float, base: float, units: tuple[str, ...], digits: int) -> str:
    index = 0
    while value >= base and index < len(units) - 1:
        value /= base
        index += 1
    return f"{value:.{digits}g}{units[index]}"


def size(value: float, digits: int = 4) -> str:
    """Decimal units: `1.98MB`."""
    return _scaled(value, 1000.0, DECIMAL, digits)


def binary_size(value: float, digits: int = 4) -> str:
    """Binary units: `7.76GiB`."""
    return _scaled(value, 1024.0, BINARY, digits)


def ago(seconds: float) -> str:
    """A span in the coarse words of the CREATED column: `2 minutes`, `About an hour`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = int(seconds / 60)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def natural_key(text: str) -> list[tuple[int, str]]:
    """A key that sorts digits as numbers: `80` before `443`, `net2` before `net10`."""
    parts: list[tuple[int, str]] = []
    digits = ""
    for character in text + "\0":
        if character in "0123456789":
            digits += character
            continue
        if digits:
            parts += [(ord("0"), ""), (int(digits), "")]
            digits = ""
        parts.append((ord(character), ""))
    return parts


def short_id(identifier: str) -> str:
    """Twelve characters, without `sha256:`."""
    return identifier.partition(":")[2][:12] if ":" in identifier else identifier[:12]


def ellipsis(text: str, width: int) -> str:
    """At most `width` characters, the last one `…` when something is cut."""
    return text if len(text) <= width else text[: width - 1] + "…"
