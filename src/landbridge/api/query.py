"""Query strings and the values in them, read as Docker's daemon reads them. Pure.

The texts of errors are Go's, since they reach the user through clients that print them unchanged.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote, unquote_plus

import msgspec

from landbridge.errors import Invalid

Query = dict[str, tuple[str, ...]]
Filters = dict[str, tuple[str, ...]]

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FALSE = frozenset({"", "0", "no", "false", "none"})
_FILTERS = msgspec.json.Decoder(dict[str, dict[str, bool] | list[str] | None] | None)


def parse_query(text: str) -> Query:
    """`a=1&a=2&b` as `{"a": ("1", "2"), "b": ("",)}`.

    Raises: Invalid for a broken escape or a semicolon, as Go's net/url.
    """
    if not text:
        return {}
    if ";" in text:
        raise Invalid("invalid semicolon separator in query")
    _check_escapes(text)
    found: dict[str, tuple[str, ...]] = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            name = unquote_plus(name)
            found[name] = (*found.get(name, ()), unquote_plus(value))
    return found


def decode_path(text: str) -> str:
    """The path a client meant. Raises: Invalid for a broken escape."""
    if "%" not in text:
        return text
    _check_escapes(text)
    return unquote(text)


def _check_escapes(text: str) -> None:
    if "%" in text and (broken := _BAD_ESCAPE.search(text)):
        raise Invalid(f'invalid URL escape "{broken.group()}"')


def parse_bool(text: str) -> bool:
    """Everything but `"", 0, no, false, none` is true (moby: httputils.BoolValue)."""
    return text.strip().lower() not in _FALSE


def parse_int(text: str) -> int:
    """A 64-bit integer. Raises: Invalid with Go's `strconv.Atoi` text."""
    if not _INTEGER.fullmatch(text):
        raise Invalid(f'strconv.Atoi: parsing "{text}": invalid syntax')
    value = int(text) if len(text) < 25 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise Invalid(f'strconv.Atoi: parsing "{text}": value out of range')
    return value


def parse_filters(text: str, allowed: Collection[str] | None = None) -> Filters:
    """`filters` in both forms: `{"name": ["a"]}` and the older `{"name": {"a": true}}`, whose value is ignored.

    Raises: Invalid for text that is neither, and for a name outside `allowed`.
    """
    if not text:
        return {}
    try:
        given = _FILTERS.decode(text)
    except msgspec.MsgspecError:
        raise Invalid("invalid filter") from None
    filters = {name: tuple(values or ()) for name, values in (given or {}).items()}
    for name in filters:
        if allowed is not None and name not in allowed:
            raise Invalid(f"invalid filter '{name}'")
    return filters
