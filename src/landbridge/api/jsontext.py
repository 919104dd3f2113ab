"""JSON bodies, refused with the words Go's decoder has for the same mistake. Pure.

msgspec decodes; only when it refuses is the text looked at again, slowly, to say why.
"""

import json
from typing import Any

import msgspec

from landbridge.errors import Invalid

_decode = msgspec.json.Decoder().decode

# What Python's decoder says -> what Go's says after "invalid character 'x' ".
_GO_WORDS = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Expecting value", "looking for beginning of value"),
    ("Expecting ':' delimiter", "after object key"),
    ("Illegal trailing comma before end of object", "looking for beginning of object key string"),
    ("Illegal trailing comma before end of array", "looking for beginning of value"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\escape", "in string escape code"),
    ("Invalid \\uXXXX escape", "in \\u hexadecimal character escape"),
)


def check_content_type(value: str) -> None:
    """Raises: Invalid unless `value` names JSON, parameters aside."""
    media_type = value.partition(";")[0].strip().lower()
    if not media_type:
        raise Invalid(f"malformed Content-Type header ({value}): mime: no media type")
    if media_type != "application/json":
        raise Invalid(f"unsupported Content-Type header ({value}): must be 'application/json'")


def decode(body: bytes) -> Any:
    """The value in `body`. Raises: Invalid for an empty body, broken JSON, or anything behind it."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(_explain(body)) from None


def decode_object(body: bytes) -> dict[str, Any]:
    """As `decode`, for bodies that must be an object; `null` is an empty one. Raises: Invalid."""
    value = decode(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {bool: "bool", str: "string", list: "array"}.get(type(value), "number")
        raise Invalid(f"invalid JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return value


def _explain(body: bytes) -> str:
    # Go replaces what is not UTF-8 and goes on; a client that sends it is told so.
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        return "invalid JSON: got EOF while reading request body"
    try:
        _, end = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text)
    except json.JSONDecodeError as error:
        return f"invalid JSON: {_go_words(error, text)}"
    except (ValueError, RecursionError) as error:
        return f"invalid JSON: {error}"
    if text[end:].strip(" \t\r\n"):
        return "unexpected content after JSON"
    return "invalid JSON: not UTF-8, or nested too deeply"


def _refuse_constant(name: str) -> None:
    # JSON has no NaN and no Infinity, Python's decoder by itself takes them.
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _go_words(error: json.JSONDecodeError, text: str) -> str:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    where = next((words for python, words in _GO_WORDS if error.msg.startswith(python)), None)
    if where is None:  # "Expecting ',' delimiter": Go says which container it was in
        in_array = _innermost(text[: error.pos]) == "["
        where = "after array element" if in_array else "after object key:value pair"
    at = error.pos + (1 if error.msg.startswith("Invalid \\") else 0)
    char = {"'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(text[at], text[at])
    return f"invalid character '{char}' {where}"


def _innermost(text: str) -> str:
    """The bracket that is open at the end of `text`, which is well-formed so far."""
    stack: list[str] = []
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            stack.append(char)
        elif char in "]}":
            stack.pop()
    return stack[-1] if stack else ""
