"""`--platform` where the daemon wants it taken apart: `linux/arm64/v8` as JSON."""

from __future__ import annotations

from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import encode
from landbridge.cli.outcome import CommandError

PLATFORM = Flag("platform", "", "string", "Only this platform of the image: os[/arch[/variant]]")


def platform_text(text: str) -> str:
    """The value for a query; empty for none. Raises: CommandError."""
    if not text:
        return ""
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise CommandError(f'"{text}": cannot parse platform specifier: invalid argument')
    names = ("os", "architecture", "variant")
    return encode(dict(sorted(zip(names, parts, strict=False))))
