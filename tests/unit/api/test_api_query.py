"""Values in a query; texts as Docker 26.1 answers them."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.api.query import parse_bool, parse_filters, parse_int, parse_query
from landbridge.errors import Invalid


@pytest.mark.parametrize(
    ("text", "error"),
    [("a=1;b=2", "invalid semicolon separator in query"), ("a=%zz", 'invalid URL escape "%zz"')],
)
def test_a_broken_query_is_refused(text: str, error: str) -> None:
    with pytest.raises(Invalid, match=error):
        parse_query(text)


@given(st.dictionaries(st.text(min_size=1), st.lists(st.text(), min_size=1).map(tuple)))
def test_a_query_reads_back(values: dict[str, tuple[str, ...]]) -> None:
    assert parse_query(urlencode(values, doseq=True)) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True), ("true", True), ("True", True), ("yes", True), ("maybe", True),
        ("0", False), ("false", False), ("FALSE", False), ("", False), (" none ", False), ("no", False),
    ],
)  # fmt: skip
def test_booleans(text: str, value: bool) -> None:  # noqa: FBT001
    assert parse_bool(text) is value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-1", -1), ("+5", 5), ("9223372036854775807", 2**63 - 1)])
def test_integers(text: str, value: int) -> None:
    assert parse_int(text) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("abc", 'strconv.Atoi: parsing "abc": invalid syntax'),
        ("", 'strconv.Atoi: parsing "": invalid syntax'),
        (" 1", 'strconv.Atoi: parsing " 1": invalid syntax'),
        ("1_0", 'strconv.Atoi: parsing "1_0": invalid syntax'),
        ("٣", 'strconv.Atoi: parsing "٣": invalid syntax'),
        ("9223372036854775808", 'strconv.Atoi: parsing "9223372036854775808": value out of range'),
        ("9" * 5000, f'strconv.Atoi: parsing "{"9" * 5000}": value out of range'),
    ],
)
def test_what_is_no_integer(text: str, error: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_int(text)
    assert refused.value.message == error


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ("null", {}),
        ("{}", {}),
        ('{"name":["a","b"]}', {"name": ("a", "b")}),
        ('{"name":{"a":true,"b":false}}', {"name": ("a", "b")}),
        ('{"name":null,"id":["x"]}', {"name": (), "id": ("x",)}),
    ],
)
def test_filters_in_both_forms(text: str, filters: dict[str, tuple[str, ...]]) -> None:
    assert parse_filters(text, {"name", "id"}) == filters


@pytest.mark.parametrize(
    "text", ["abc", "[]", '"a"', '{"name":[1]}', '{"name":{"a":1}}', '{"name":{}}xx', '{"name":"a"}', "{"]
)
def test_malformed_filters(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_filters(text)
    assert refused.value.message == "invalid filter"


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        parse_filters('{"zz":["a"]}', {"name"})
    assert refused.value.message == "invalid filter 'zz'"
