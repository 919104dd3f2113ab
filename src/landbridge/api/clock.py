"""Times and spans as Docker's API shows them."""

from landbridge.model.stamp import ZERO, format_ns

SECOND = 1_000_000_000


def stamp(nanoseconds: int) -> str:
    """RFC 3339; 0 (never) is Go's zero time."""
    return format_ns(nanoseconds or ZERO)


def span(nanoseconds: int) -> str:
    """``3 seconds``, ``About a minute``, ``2 hours``: how long something has been (go-units' HumanDuration)."""
    seconds = max(nanoseconds, 0) // SECOND
    minutes, hours = seconds // 60, (seconds + 1800) // 3600
    if seconds < 60:
        return {0: "Less than a second", 1: "1 second"}.get(seconds, f"{seconds} seconds")
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, length, word in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < 24 * limit:
            return f"{hours // 24 // length} {word}"
    return f"{seconds // 3600 // 24 // 365} years"
