"""Text to quantities, as Docker's flags read them: numbers, booleans, sizes, CPU counts, durations, lists.

Every function takes the text of one flag value and raises ValueError with the words Docker prints. Sizes are bytes,
durations are nanoseconds, CPU counts are billionths of a CPU.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")
DURATION_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
DIGITS = "0123456789"


def boolean(text: str) -> bool:
    """Go's ParseBool."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _is_number(text: str) -> bool:
    return bool(text) and all(character in DIGITS for character in text)


def _integer(text: str, bits: int) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not _is_number(digits):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def integer(text: str) -> int:
    """A signed 64-bit number."""
    return _integer(text, 64)


def unsigned(text: str, bits: int = 64) -> int:
    """An unsigned number of `bits` bits."""
    if not _is_number(text):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) >= 1 << bits:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def unsigned16(text: str) -> int:
    """An unsigned 16-bit number."""
    return unsigned(text, 16)


def size(text: str) -> int:
    """Bytes from `512`, `10m`, `1.5g`, `1GiB`: one letter counts in 1024s, with or without a following b or ib."""
    cut = max(text.rfind(digit) for digit in DIGITS + ". ") + 1 if text else 0
    number, unit = text[:cut].rstrip(" "), text[cut:].lower()
    whole, _, fraction = number.partition(".")
    plain = _is_number(whole) and (not fraction or _is_number(fraction))
    if cut == 0 or not plain:
        raise ValueError(f"invalid size: '{text}'")
    factors = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
    if unit in ("", "b"):
        power = 0
    elif unit[0] in factors and unit[1:] in ("", "b", "ib"):
        power = factors[unit[0]]
    else:
        raise ValueError(f"invalid suffix: '{text[cut:]}'")
    return int(float(number) * 1024**power)


def swap_size(text: str) -> int:
    """As `size`, and -1 for unlimited."""
    return -1 if text == "-1" else size(text)


def cpus(text: str) -> int:
    """Billionths of a CPU from a decimal count or a fraction (`1/2`); exact, so 1e-10 is refused."""
    above, slash, below = text.partition("/")
    if slash and _is_number(above.lstrip("+-")) and _is_number(below) and int(below):
        if int(above) * 10**9 % int(below):
            raise ValueError("value is too precise")
        return int(above) * 10**9 // int(below)
    whole, _, fraction = text.lstrip("+-").partition(".")
    if not (whole or fraction) or (whole and not _is_number(whole)) or (fraction and not _is_number(fraction)):
        raise ValueError(f"failed to parse {text} as a rational number")
    if fraction[9:].strip("0"):
        raise ValueError("value is too precise")
    value = int(whole or "0") * 10**9 + int(fraction[:9].ljust(9, "0") or "0")
    return -value if text.startswith("-") else value


def duration(text: str) -> int:
    """Nanoseconds from `1h2m3.5s`."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        end = 0
        while end < len(rest) and rest[end] in DIGITS + ".":
            end += 1
        number, rest = rest[:end], rest[end:]
        if not number.replace(".", "", 1).isdigit():
            raise ValueError(f'time: invalid duration "{text}"')
        end = 0
        while end < len(rest) and rest[end] not in DIGITS + ".":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in DURATION_UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * DURATION_UNITS[unit]
    return int(-total if text.startswith("-") else total)


def csv_fields(text: str) -> list[str]:
    """One line of comma-separated values; double quotes protect commas. Raises: ValueError (`EOF` when empty)."""
    if not text:
        raise ValueError("EOF")
    if '"' not in text:
        return text.split(",")
    fields: list[str] = []
    current, quoted, position = "", False, 0
    while position < len(text):
        character = text[position]
        if quoted and character == '"' and text[position + 1 : position + 2] == '"':
            current, position = current + '"', position + 1
        elif character == '"' and (quoted or not current):
            quoted = not quoted
        elif character == '"':
            raise ValueError(f'parse error on line 1, column {position + 1}: bare " in non-quoted-field')
        elif character == "," and not quoted:
            fields.append(current)
            current = ""
        else:
            current += character
        position += 1
    if quoted:
        raise ValueError(f'parse error on line 1, column {len(text) + 1}: extraneous or missing " in quoted-field')
    return [*fields, current]


def strings(text: str) -> list[str]:
    """A value that may itself hold several, separated by commas."""
    return csv_fields(text) if text else []


def filter_pair(text: str) -> tuple[str, str]:
    """`name=value` of `--filter`, the name in lower case."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return name.strip().lower(), value.strip()


def quoted(text: str) -> str:
    """As Go's %q writes text in messages."""
    simple = {
        "\\": "\\\\",
        '"': '\\"',
        "\n": "\\n",
        "\t": "\\t",
        "\r": "\\r",
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\v": "\\v",
    }
    return '"' + "".join(simple.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}") for c in text) + '"'


def same(text: str) -> str:
    """The text itself."""
    return text


KINDS: dict[str, Callable[[str], Any]] = {
    "bool": boolean,
    "string": same,
    "int": integer,
    "uint": unsigned,
    "uint16": unsigned16,
    "list": same,
    "strings": strings,
    "map": same,
    "filter": filter_pair,
    "duration": duration,
    "bytes": size,
    "decimal": cpus,
    "ulimit": same,
    "mount": same,
    "network": same,
    "gpu-request": same,
}
