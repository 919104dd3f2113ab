"""A seccomp profile from a file, as one line of JSON for the daemon."""

from __future__ import annotations

from landbridge.cli.jsontext import decode, encode
from landbridge.cli.outcome import CommandError


def compact_profile(path: str) -> str:
    """The profile's JSON without blanks. Raises: CommandError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        reason = f"open {path}: {(error.strerror or '').lower()}"
        raise CommandError(f"opening seccomp profile ({path}) failed: {reason}") from None
    try:
        return encode(decode(text))
    except ValueError:
        first = text.strip()[:1]
        reason = f"invalid character '{first}' looking for beginning of value"
        raise CommandError(f"compacting json for seccomp profile ({path}) failed: {reason}") from None
