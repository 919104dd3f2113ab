"""The shape of the Engine API v1.51: what a value may look like, and values that do or do not.

The definition is tests/golden/engine-api-v1.51.json.gz: operations and schemas of moby's Swagger 2.0 file without
its descriptions. The file says nowhere that a list, map or object may be null, and Go writes null for all of them
when empty, so null is always accepted for these.
"""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
_FILE = Path(__file__).parent / "golden/engine-api-v1.51.json.gz"
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,), "object": (dict,),
}  # fmt: skip
_DEEPEST = 4


@cache
def definition() -> Schema:
    found: Schema = json.loads(gzip.decompress(_FILE.read_bytes()))
    return found


def operations() -> dict[str, Schema]:
    """``"GET /containers/json"`` → its parameters and responses."""
    found: dict[str, Schema] = definition()["operations"]
    return found


def resolved(schema: Schema) -> Schema:
    """The schema behind ``$ref``."""
    while "$ref" in schema:
        schema = definition()["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def problems(schema: Schema, value: Any, path: str = "$") -> Iterator[str]:
    """Where `value` is not what the schema says, in words."""
    schema = resolved(schema)
    for part in schema.get("allOf", ()):
        yield from problems(part, value, path)
    kind = schema.get("type") or ("object" if "properties" in schema else "")
    if value is None:
        if kind in ("string", "integer", "number", "boolean") and not schema.get("x-nullable"):
            yield f"{path}: null for {kind}"
        return
    if (kind and not isinstance(value, _KINDS[kind])) or (kind in ("integer", "number") and isinstance(value, bool)):
        yield f"{path}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if kind == "array" and "items" in schema:
        for number, item in enumerate(value):
            yield from problems(schema["items"], item, f"{path}[{number}]")
    if isinstance(value, dict):
        yield from _member_problems(schema, value, path)


def _member_problems(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}: missing"
    for name, item in value.items():
        if name in known:
            yield from problems(known[name], item, f"{path}.{name}")
        elif isinstance(more := schema.get("additionalProperties"), dict):
            yield from problems(more, item, f"{path}.{name}")


# Values to send.

_TEXTS = st.one_of(
    st.sampled_from(["", "fuzz", "busybox", "bridge", "10.0.0.0/24", "80/tcp", "/x", "a:b:c", "true", "-1", "../..", "é\n"]),
    st.text(max_size=20),
)
_NUMBERS = st.one_of(st.sampled_from([0, 1, -1, 80, 65536, 1 << 31, 1 << 63, -(1 << 63)]), st.integers(-1000, 1 << 40))
_ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)


def values(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit the schema, and now and then do not."""
    schema = resolved(schema)
    if depth > _DEEPEST:
        return st.none()
    if "allOf" in schema:
        parts = [values(part, depth + 1) for part in schema["allOf"]]
        return st.tuples(*parts).map(_joined)
    if "enum" in schema:
        return _mostly(st.sampled_from(schema["enum"]))
    match schema.get("type") or ("object" if "properties" in schema else ""):
        case "string":
            return _mostly(_TEXTS)
        case "integer" | "number":
            return _mostly(_NUMBERS)
        case "boolean":
            return _mostly(st.booleans())
        case "array":
            return _mostly(st.lists(st.deferred(lambda: values(schema.get("items", {}), depth + 1)), max_size=3))
        case "object":
            return _mostly(_objects(schema, depth))
    return _ANYTHING


def _mostly(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda dice: fitting if dice else _ANYTHING)


def _objects(schema: Schema, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    known = {
        name: st.deferred(lambda one=one: values(one, depth + 1)) for name, one in schema.get("properties", {}).items()
    }
    names = st.lists(st.sampled_from(sorted(known)), max_size=6, unique=True) if known else st.just([])
    given = names.flatmap(lambda chosen: st.fixed_dictionaries({name: known[name] for name in chosen}))
    more = schema.get("additionalProperties")
    if not isinstance(more, dict):
        return given
    extra = st.dictionaries(_TEXTS, st.deferred(lambda: values(more, depth + 1)), max_size=2)
    return st.tuples(given, extra).map(lambda pair: pair[0] | pair[1])


def _joined(parts: tuple[Any, ...]) -> Any:
    found: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, dict):
            return part
        found |= part
    return found
