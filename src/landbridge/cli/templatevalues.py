"""Values as Go sees them: truth, printing, comparing. Pure.

JSON objects are maps unless their shape is known (`Record`): Go prints a map as `map[key:value]`, a structure as its
values in braces, and knows a structure's absent fields.
"""

from __future__ import annotations

from landbridge.cli.jsontext import encode, escape_html
from landbridge.cli.quantities import quoted
from landbridge.cli.shapes import SHAPES, NilList, NilMap, zero_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Record:
    """A JSON object of a known shape; its fields are shaped as they are read."""

    __slots__ = ("data", "shape")

    def __init__(self, data: dict[str, Any], shape: str) -> None:
        self.data, self.shape = data, shape

    def get(self, name: str) -> Any:
        """A field's value, the type's zero when the object leaves it out. Raises: KeyError."""
        kind = SHAPES[self.shape].get(name)
        if kind is None:
            return self.data[name]
        return shaped(self.data[name], kind) if self.data.get(name) is not None else zero_of(kind)


class Listing:
    """A row of a table as a template sees it: named values, some of them taking an argument."""

    __slots__ = ("fields", "type_name")

    def __init__(self, fields: dict[str, Any], type_name: str) -> None:
        self.fields, self.type_name = fields, type_name


class Time:
    """A time that Go holds as one, not as text: printed in Go's long form."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        date, _, clock = self.text.partition("T")
        zone = "+0000 UTC"
        if not clock.endswith("Z"):
            cut = max(clock.rfind("+"), clock.rfind("-"))
            zone = clock[cut:].replace(":", "") * 2 if cut >= 0 else ""
            zone = f"{zone[:5]} {zone[:5]}"
            clock = clock[:cut]
        clock = clock.rstrip("Z")
        if "." in clock:
            clock = clock.rstrip("0").rstrip(".")
        return f"{date} {clock} {zone}"


def shaped(value: Any, kind: str) -> Any:
    """Give a JSON value the shape `kind` names (see `shapes`)."""
    if value is None:
        return zero_of(kind)
    kind = kind.removeprefix("*")
    if kind.startswith("[]"):
        return [shaped(item, kind[2:]) for item in value] if isinstance(value, list) else value
    if kind.startswith("map:"):
        return {key: shaped(item, kind[4:]) for key, item in value.items()} if isinstance(value, dict) else value
    if kind == "time" and isinstance(value, str):
        return Time(value)
    return Record(value, kind) if kind in SHAPES and isinstance(value, dict) else value


def plain(value: Any) -> Any:
    """The JSON value again."""
    if isinstance(value, NilList | NilMap):
        return None
    if isinstance(value, Record):
        return value.data
    if isinstance(value, Time):
        return value.text
    if isinstance(value, Listing):
        return {key: value.fields[key] for key in sorted(value.fields) if not callable(value.fields[key])}
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def to_json(value: Any) -> str:
    """As Go's encoder writes it."""
    return escape_html(encode(plain(value)))


def is_true(value: Any) -> bool:
    """Go's truth: not false, zero, nil or empty; a structure is always true."""
    if isinstance(value, Record | Listing | Time):
        return True
    return bool(value)


def show(value: Any) -> str:
    """As Go's %v prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = f"{value:.17g}" if float(f"{value:.15g}") != value else f"{value:.15g}"
        return _exponent(text)
    if isinstance(value, Record):
        return "{" + " ".join(show(value.get(name)) for name in SHAPES[value.shape]) + "}"
    if isinstance(value, list):
        return "[" + " ".join(show(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, Listing):
        return show(plain(value))
    return str(value)


def _exponent(text: str) -> str:
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{power[0]}{power[1:].rjust(2, '0')}" if e else mantissa


def type_name(value: Any) -> str:
    """Go's name for the value's type."""
    if isinstance(value, Listing):
        return value.type_name
    names = {
        bool: "bool",
        int: "int",
        float: "float64",
        str: "string",
        list: "[]interface {}",
        dict: "map[string]interface {}",
    }
    return names.get(type(value), "<nil>" if value is None else "struct")


def format_verbs(form: str, arguments: list[Any]) -> str:
    """Go's Sprintf for the verbs %v %s %q %d %t %f %e %g %x %X %c %o %b %T with flags, width and precision."""
    out, position, used = [], 0, 0
    while position < len(form):
        character = form[position]
        position += 1
        if character != "%":
            out.append(character)
            continue
        start = position
        while position < len(form) and form[position] in "-+# 0123456789.":
            position += 1
        verb = form[position : position + 1]
        options = form[start:position]
        position += 1
        if verb == "%":
            out.append("%")
        elif not verb:
            out.append("%!(NOVERB)")
        elif used >= len(arguments):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(verb, options, arguments[used]))
            used += 1
    if used < len(arguments):
        extra = ", ".join(f"{type_name(item)}={show(item)}" for item in arguments[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _verb(verb: str, options: str, value: Any) -> str:
    flags = "".join(c for c in options[: len(options) - len(options.lstrip("-+# 0"))])
    width_text, _, precision = options[len(flags) :].partition(".")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb in "dxXobc" and isinstance(value, int) and not isinstance(value, bool):
        body = (
            chr(value)
            if verb == "c"
            else format(value, ("+" if "+" in flags else "") + ("#" if "#" in flags else "") + verb)
        )
    elif verb in "feEgG" and number:
        body = _exponent(
            format(
                float(value),
                ("+" if "+" in flags else "")
                + (f".{precision}" if precision else ".6" if verb in "feE" else "")
                + verb,
            )
        )
    elif verb == "q":
        body = quoted(show(value))
    elif verb in "xX" and isinstance(value, str):
        body = value.encode().hex()
    elif verb == "T":
        body = type_name(value)
    elif (verb == "t" and not isinstance(value, bool)) or verb in "dfegxXob" or (verb == "s" and number):
        return f"%!{verb}({type_name(value)}={show(value)})"
    else:
        body = show(value)[: int(precision)] if precision else show(value)
    width = int(width_text or "0")
    if "-" in flags:
        return body.ljust(width)
    return body.zfill(width) if "0" in flags and number else body.rjust(width)
