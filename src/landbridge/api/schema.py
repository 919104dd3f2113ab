"""JSON objects to model values and back, by the types of the dataclasses. No endpoint is known here.

Reading follows Go's encoding/json: names match whatever their case, unknown ones are ignored, null and absent
both give the type's empty value (None where the field can be None), a wrong type is refused in Go's words.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from landbridge.api.schema_tables import ALL, GO_NAMES, NAMES, OMITTED, OURS, WORDS
from landbridge.errors import Invalid

T = TypeVar("T")
Object = dict[str, Any]


class _Place:
    """Where in the document a value stands, for error messages: the innermost Go struct and the path to it."""

    __slots__ = ("path", "struct")

    def __init__(self, struct: str, path: str) -> None:
        self.struct = struct
        self.path = path

    def field(self, struct: str, name: str) -> "_Place":
        return _Place(struct, f"{self.path}.{name}" if self.path else name)


Reader = Callable[[Any, _Place], Any]


def decode(cls: type[T], value: Object | None, path: str = "") -> T:
    """The value of `cls` in a JSON object; `path` is where the object stands in its document. Raises: Invalid."""
    kind: Any = cls
    result: T = _reader(kind)(value, _Place(go_name(cls), path))
    return result


def decode_field(hint: Any, value: Any, struct: str, path: str) -> Any:
    """One value outside any of our dataclasses, such as a map of endpoints. Raises: Invalid."""
    return _reader(hint)(value, _Place(struct, path))


def member(document: Object | None, name: str) -> Any:
    """A member by its name in any case, the exact one first; None when it is absent."""
    if not document:
        return None
    if name in document:
        return document[name]
    wanted = name.lower()
    return next((value for key, value in document.items() if key.lower() == wanted), None)


def json_name(cls: type, field: str) -> str:
    """Docker's name of a field."""
    return NAMES.get(cls, {}).get(field) or "".join(word[:1].upper() + word[1:] for word in field.split("_"))


def go_name(cls: type) -> str:
    return GO_NAMES.get(cls, cls.__name__)


def encode(value: Any) -> Any:
    """A model value as JSON-ready dicts and lists, Docker's names and omissions applied."""
    if is_dataclass(value):
        return {
            name: encode(content)
            for attribute, name, keeps in _columns(value.__class__)
            if keeps(content := getattr(value, attribute))
        }
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def _always(_content: Any) -> bool:
    return True


def _given(content: Any) -> bool:
    return content is not None


@cache
def _columns(cls: type) -> tuple[tuple[str, str, Callable[[Any], bool]], ...]:
    """(attribute, JSON name, whether a value is written) of every field Docker knows."""
    omitted, hints = OMITTED.get(cls, frozenset()), get_type_hints(cls)
    columns = []
    for one in fields(cls):
        if one.name in OURS.get(cls, ()):
            continue
        keeps: Callable[[Any], bool] = _always
        if omitted is ALL or one.name in omitted:
            # Go: a pointer to a number or bool is left out when it is nil, anything else when it is empty.
            pointer = {bool, int} & set(get_args(hints[one.name]))
            keeps = _given if pointer else bool
        columns.append((one.name, json_name(cls, one.name), keeps))
    return tuple(columns)


def _refuse(value: Any, place: _Place, wanted: str) -> Invalid:
    if isinstance(value, bool):
        kind = "bool"
    elif isinstance(value, str):
        kind = "string"
    elif isinstance(value, list):
        kind = "array"
    elif isinstance(value, dict):
        kind = "object"
    else:
        kind = f"number {value}" if wanted.startswith("int") else "number"
    where = f"struct field {place.struct}.{place.path}" if place.path else "value"
    return Invalid(f"invalid JSON: json: cannot unmarshal {kind} into Go {where} of type {wanted}")


@cache
def _reader(hint: Any) -> Reader:
    """How a value of a type is read, made once per type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = _reader(next(one for one in arguments if one is not type(None)))
        return lambda value, place: None if value is None else inner(value, place)
    if origin is tuple:
        return _list(arguments[0]) if arguments[-1] is ... else _fixed(arguments)
    if origin in (dict, Mapping):
        return _mapping(arguments[1])
    if hint is Any:
        return lambda value, _: value
    if is_dataclass(hint) and isinstance(hint, type):
        return _object(hint)
    return _scalar(hint)


def _scalar(hint: type) -> Reader:
    wanted = {str: "string", bool: "bool", int: "int64"}[hint]

    def read(value: Any, place: _Place) -> Any:
        if value is None:
            return hint()
        if type(value) is not hint or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 63):
            raise _refuse(value, place, wanted)
        return value

    return read


def _list(item: Any) -> Reader:
    inner = _reader(item)

    def read(value: Any, place: _Place) -> tuple[Any, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise _refuse(value, place, f"[]{_go_type(item)}")
        return tuple(inner(one, place) for one in value)

    return read


def _fixed(items: tuple[Any, ...]) -> Reader:
    """A Go array: what is missing is zero, what is too much is dropped."""
    readers = [_reader(item) for item in items]

    def read(value: Any, place: _Place) -> tuple[Any, ...]:
        if value is not None and not isinstance(value, list):
            raise _refuse(value, place, f"[{len(readers)}]{_go_type(items[0])}")
        given = [*(value or ()), *[None] * len(readers)]
        return tuple(reader(one, place) for reader, one in zip(readers, given, strict=False))

    return read


def _words(value: Any, place: _Place) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    read: tuple[str, ...] | None = _reader(tuple[str, ...] | None)(value, place)
    return read


def _mapping(item: Any) -> Reader:
    inner = _reader(item)

    def read(value: Any, place: _Place) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _refuse(value, place, f"map[string]{_go_type(item)}")
        return {key: inner(one, place) for key, one in value.items()}

    return read


def _object(cls: type) -> Reader:
    hints = get_type_hints(cls)
    words = WORDS.get(cls, frozenset())
    plan: list[tuple[str, str, str, Reader]] = []
    for attribute, name, _ in _columns(cls):
        reader = _words if attribute in words else _reader(hints[attribute])
        plan.append((attribute, name, name.lower(), reader))
    struct = go_name(cls)

    def read(value: Any, place: _Place) -> Any:
        if value is not None and not isinstance(value, dict):
            raise _refuse(value, place, struct)
        document = value or {}
        folded = {key.lower(): one for key, one in document.items()}
        return cls(**{
            attribute: reader(document.get(name, folded.get(low)), place.field(struct, name))
            for attribute, name, low, reader in plan
        })

    return read


def _go_type(hint: Any) -> str:
    if hint in (str, bool, int):
        return {str: "string", bool: "bool", int: "int64"}[hint]
    inner = next((one for one in get_args(hint) if one is not type(None)), hint)
    return getattr(inner, "__name__", "interface {}")
