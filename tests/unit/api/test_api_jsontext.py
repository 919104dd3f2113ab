"""What is said about a body that is no JSON; texts as Docker 26.1 answers them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api import jsontext
from landbridge.errors import Invalid


@pytest.mark.parametrize("value", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_types(value: str) -> None:
    jsontext.check_content_type(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", "malformed Content-Type header (): mime: no media type"),
        (";;", "malformed Content-Type header (;;): mime: no media type"),
        ("text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
    ],
)
def test_other_types_are_refused(value: str, error: str) -> None:
    with pytest.raises(Invalid) as refused:
        jsontext.check_content_type(value)
    assert refused.value.message == error


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "invalid JSON: got EOF while reading request body"),
        ("  ", "invalid JSON: got EOF while reading request body"),
        ("{x", "invalid JSON: invalid character 'x' looking for beginning of object key string"),
        ("{'a'", r"invalid JSON: invalid character '\'' looking for beginning of object key string"),
        ("x", "invalid JSON: invalid character 'x' looking for beginning of value"),
        ('{"a":x}', "invalid JSON: invalid character 'x' looking for beginning of value"),
        ('{"a":NaN}', "invalid JSON: invalid character 'N' looking for beginning of value"),
        ('{"a" 1}', "invalid JSON: invalid character '1' after object key"),
        ('{"a":1 "b"}', "invalid JSON: invalid character '\"' after object key:value pair"),
        ('{"a":[1 2]}', "invalid JSON: invalid character '2' after array element"),
        ('["]" 2]', "invalid JSON: invalid character '2' after array element"),
        ('{"a":"\n"}', r"invalid JSON: invalid character '\n' in string literal"),
        ('{"a":"\\x"}', "invalid JSON: invalid character 'x' in string escape code"),
        ("{", "invalid JSON: unexpected EOF"),
        ('{"a"', "invalid JSON: unexpected EOF"),
        ('{"Name":"a"', "invalid JSON: unexpected EOF"),
        ('{"Name":"a', "invalid JSON: unexpected EOF"),
        ('{"Name":"a",', "invalid JSON: unexpected EOF"),
        ('{"Name":"zzq"} {}', "unexpected content after JSON"),
        ("{} x", "unexpected content after JSON"),
    ],
)
def test_broken_bodies(body: str, error: str) -> None:
    with pytest.raises(Invalid) as refused:
        jsontext.decode(body.encode())
    assert refused.value.message == error


@pytest.mark.parametrize(
    ("body", "kind"), [("[]", "array"), ("1", "number"), ("1.5", "number"), ('"a"', "string"), ("true", "bool")]
)
def test_what_is_no_object(body: str, kind: str) -> None:
    with pytest.raises(Invalid, match=f"cannot unmarshal {kind} into Go value"):
        jsontext.decode_object(body.encode())


def test_null_is_an_empty_object() -> None:
    assert jsontext.decode_object(b" null\n") == {}


def test_deep_nesting_is_refused_not_a_crash() -> None:
    with pytest.raises(Invalid):
        jsontext.decode(b"[" * 1_000_000)


@given(st.binary(max_size=30) | st.text('{}[]":,0aentru\\ ', max_size=30).map(str.encode))
def test_anything_is_a_value_or_refused(body: bytes) -> None:
    try:
        value = jsontext.decode(body)
    except Invalid as refused:
        assert refused.message
    else:
        assert json.loads(body) == value
