"""JSON text to values, values to text, and text to indented text.

Uses the C scanner and encoder behind the standard `json` module without importing that module: it pulls in re and
enum, 8 ms of a 12 ms command. Where the accelerators are missing, `json` itself does the work.
"""

from __future__ import annotations

try:
    from _json import encode_basestring, make_encoder, make_scanner

    ACCELERATED = True
except ImportError:  # another Python than CPython
    ACCELERATED = False

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHITESPACE = " \t\r\n"
BRACKETS = {"{": "}", "[": "]"}


class _Scanner:
    """The options `make_scanner` reads from its argument."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012  # the scanner clears it after every call


def decode(text: str) -> Any:
    """The value of one JSON text. Raises: ValueError."""
    if not ACCELERATED:
        import json  # only without the accelerator; see the module's docstring

        return json.loads(text)
    text = text.strip(WHITESPACE)
    try:
        value, end = make_scanner(_Scanner)(text, 0)  # type: ignore[arg-type]
    except StopIteration as stop:
        raise ValueError(f"not JSON at {stop.value}") from None
    if end != len(text):
        raise ValueError(f"text after the JSON value at {end}")
    return value


def _refuse(value: object) -> Any:
    raise TypeError(f"not a JSON value: {value!r}")


def encode(value: Any) -> str:
    """Compact JSON text, keys in their own order, non-ASCII characters as they are."""
    if not ACCELERATED:
        import json  # only without the accelerator; see the module's docstring

        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    encoder = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, True)  # noqa: FBT003
    return "".join(encoder(value, 0))


def escape_html(text: str) -> str:
    """Go's encoder writes <, > and & as escapes; its users' output shows them."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def encode_like_go(value: Any) -> str:
    """As `encode`, with object keys sorted and HTML characters escaped (`{{json .}}` over a map)."""
    return escape_html(encode(_sorted(value)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def _string_end(text: str, start: int) -> int:
    """Index just behind the string that opens at `start`."""
    position = start + 1
    while True:
        quote = text.index('"', position)
        backslash = text.find("\\", position, quote)
        if backslash < 0:
            return quote + 1
        position = backslash + 2


def indent(text: str, step: str = "    ") -> str:
    """Indent JSON text without changing numbers, escapes or the order of keys; empty brackets stay on one line."""
    out: list[str] = []
    depth = 0
    position = 0
    opened = False
    while position < len(text):
        character = text[position]
        if character in WHITESPACE:
            position += 1
            continue
        if opened and character not in "}]":
            depth += 1
            out.append("\n" + step * depth)
        end = position + 1
        if character == '"':
            end = _string_end(text, position)
            out.append(text[position:end])
        elif character in "}]":
            if not opened:
                depth -= 1
                out.append("\n" + step * depth)
            out.append(character)
        elif character == ",":
            out.append(",\n" + step * depth)
        elif character == ":":
            out.append(": ")
        else:
            out.append(character)
        opened = character in "{["
        position = end
    return "".join(out)
