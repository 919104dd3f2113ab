"""Netlink bytes: what is encoded is read back, and broken input ends the walk instead of the process."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from landbridge.system import nlwire

payloads = st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=70), max_size=8)


@given(payloads)
def test_attributes_read_back_what_was_encoded(wanted: dict[int, bytes]) -> None:
    encoded = b"".join(nlwire.attribute(kind, payload) for kind, payload in wanted.items())
    assert len(encoded) % 4 == 0
    assert nlwire.attributes(encoded) == wanted


@given(payloads)
def test_a_nested_attribute_carries_the_mark_and_its_children(wanted: dict[int, bytes]) -> None:
    children = [nlwire.attribute(kind, payload) for kind, payload in wanted.items()]
    encoded = nlwire.nested(7, *children)
    assert struct.unpack_from("=HH", encoded)[1] == 7 | 0x8000
    assert nlwire.attributes(nlwire.attributes(encoded)[7]) == wanted


@given(st.binary(max_size=200), st.integers(0, 8))
def test_any_bytes_can_be_walked(data: bytes, offset: int) -> None:
    for payload in nlwire.attributes(data, offset).values():
        assert payload in data


def test_numbers_have_the_byte_order_their_name_says() -> None:
    assert nlwire.be16(3, 0x1234)[4:6] == b"\x12\x34"
    assert nlwire.be32(3, 0x12345678)[4:8] == b"\x12\x34\x56\x78"
    assert nlwire.as_u32(nlwire.u32(3, 0x12345678)[4:]) == 0x12345678


def test_a_message_counts_its_own_header() -> None:
    encoded = nlwire.message(16, nlwire.NLM_F_REQUEST, 9, b"body")
    assert nlwire.HEADER.unpack_from(encoded) == (20, 16, 1, 9, 0)
    assert encoded[16:] == b"body"
