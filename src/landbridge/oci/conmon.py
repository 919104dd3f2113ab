"""conmon's formats: the log (CRI text, as Kubernetes has it) and the exit file. Bytes in, values out.

A log record is ``TIME STREAM TAG CONTENT\\n``; tag ``F`` ends a line, ``P`` goes on in the stream's next record.
Content is any bytes but newline. conmon cuts at the size of its buffer, so long lines come in parts.
"""

from datetime import UTC, datetime

from landbridge.model.process import LogEntry

_NS = 1_000_000_000


def parse_record(line: bytes) -> LogEntry | None:
    """One line of the log without its newline; None for one that is no record (cut off by a crash)."""
    parts = line.split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    time = parse_time(parts[0].decode("ascii", "replace"))
    if time is None:
        return None
    content = parts[3] if len(parts) == 4 else b""
    partial = parts[2].split(b":")[0] == b"P"
    return LogEntry(
        time=time, stream=parts[1].decode(), data=content if partial else content + b"\n", partial=partial
    )


def parse_time(text: str) -> int | None:
    """RFC 3339 with up to nanoseconds → nanoseconds since the epoch; None when it is none."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(whole + zone)
    except ValueError:
        return None
    if moment.tzinfo is None or (dot and not digits):
        return None
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * _NS + int(digits[:9].ljust(9, "0") or 0)


def parse_exit(text: str) -> int | None:
    """The exit file's content: the status as a shell says it; None when conmon died while writing it."""
    return int(text) if text.strip().isdigit() else None
