"""DNS messages, checked against dnspython, which knows the formats independently of us."""

import struct

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.dns import wire
from landbridge.errors import Invalid

LABEL = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,20}[A-Za-z0-9_])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=6).map(".".join)


def query(name: str, qtype: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, qtype, **options).to_wire()  # type: ignore[arg-type]


def parsed(message: bytes) -> wire.Query:
    result = wire.parse_query(message)
    assert result is not None
    return result


@given(NAME, st.sampled_from(["A", "AAAA", "TXT", "HTTPS", "PTR"]))
def test_a_query_says_what_dnspython_wrote(name: str, qtype: str) -> None:
    message = dns.message.make_query(name, qtype)
    result = parsed(message.to_wire())
    assert (result.id, result.name, result.qtype) == (message.id, name.lower(), dns.rdatatype.from_text(qtype))
    assert result.opcode == 0
    assert result.udp_size is None


@given(NAME, st.integers(1, 3))
def test_dnspython_reads_a_reply_as_the_answer_to_its_query(name: str, count: int) -> None:
    message = dns.message.make_query(name, "A")
    data = [wire.Rdata(wire.TYPE_A, bytes((10, 0, 0, i))) for i in range(count)]
    reply = dns.message.from_wire(wire.reply(parsed(message.to_wire()), data, ttl=7, limit=512))
    assert message.is_response(reply)
    assert reply.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA
    (answer,) = reply.answer
    assert answer.name == dns.name.from_text(name)  # case-insensitive
    assert answer.ttl == 7
    assert sorted(str(rdata) for rdata in answer) == [f"10.0.0.{i}" for i in range(count)]


def test_the_case_of_the_question_is_kept() -> None:
    reply = wire.reply(parsed(query("WeB.ExAmPlE")), (), ttl=0, limit=512)
    assert b"\x03WeB\x07ExAmPlE" in reply


@given(st.binary(max_size=80))
def test_garbage_is_refused_or_ignored_never_anything_else(message: bytes) -> None:
    try:
        wire.parse_query(message)
    except Invalid:
        assert len(wire.format_error(message)) == 12


@given(NAME, st.data())
def test_a_query_cut_anywhere_is_garbage(name: str, data: st.DataObject) -> None:
    message = query(name, use_edns=0)
    cut = message[: data.draw(st.integers(12, len(message) - 12))]
    with pytest.raises(Invalid):
        wire.parse_query(cut)


@given(st.binary(max_size=200))
def test_a_response_of_garbage_is_no_response(message: bytes) -> None:
    assert wire.parse_response(message, parsed(query("web")).question) is None or message[2] & 0x80


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0" * 11,
        query("web")[:2] + b"\x81\x80" + query("web")[4:],  # a reply
        query("web")[:4] + b"\0\0" + query("web")[6:12],  # no question
    ],
    ids=["empty", "short", "reply", "no question"],
)
def test_no_reply_is_due(message: bytes) -> None:
    assert wire.parse_query(message) is None


@pytest.mark.parametrize(
    "broken",
    [
        query("web")[:4] + b"\0\2" + query("web")[6:],  # two questions announced
        query("web")[:12] + b"\xc0\x0c" + b"a" * 250 + b"\0\0\1\0\1",  # a name pointing to itself
        query("web")[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1",  # a label of 64
        query("web")[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",  # 257 bytes of name
        query("web")[:11] + b"\1" + query("web")[12:],  # an additional record announced, none there
    ],
    ids=["two questions", "pointer", "long label", "long name", "no record"],
)
def test_broken_questions_are_format_errors(broken: bytes) -> None:
    with pytest.raises(Invalid):
        wire.parse_query(broken)
    reply = dns.message.from_wire(wire.format_error(broken))
    assert reply.rcode() == wire.FORMERR
    assert reply.id == int.from_bytes(broken[:2], "big")


def test_a_dot_inside_a_label_is_no_boundary() -> None:
    message = query("web")[:12] + b"\x05web.a\0" + b"\0\1\0\1"
    assert parsed(message).name == "web\\.a"


def test_edns_is_answered_with_edns_and_its_size_is_the_limit() -> None:
    asked = parsed(query("web", use_edns=0, payload=1400))
    assert (asked.udp_size, asked.edns_version, asked.limit()) == (1400, 0, 1400)
    reply = dns.message.from_wire(wire.reply(asked, (), ttl=0, limit=asked.limit(), rcode=wire.BADVERS))
    assert reply.edns == 0
    assert reply.rcode() == wire.BADVERS
    assert parsed(query("web", use_edns=0, payload=100)).limit() == 512


@given(st.integers(0, 400), st.integers(200, 2000))
def test_too_much_is_cut_after_whole_records_and_marked(count: int, limit: int) -> None:
    data = [wire.Rdata(wire.TYPE_AAAA, struct.pack("!QQ", 0, i)) for i in range(count)]
    reply = wire.reply(parsed(query("web")), data, ttl=1, limit=limit)
    assert len(reply) <= limit
    message = dns.message.from_wire(reply)
    kept = len(message.answer[0]) if message.answer else 0
    assert bool(message.flags & dns.flags.TC) == (kept < count)
    assert kept == count or len(reply) + 28 > limit


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["abcdefg"] * 33)])
def test_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(Invalid):
        wire.encode_name(name)


@given(NAME)
def test_an_encoded_name_reads_back(name: str) -> None:
    encoded = wire.encode_name(name)
    assert wire.read_name(encoded, 0) == (name.lower(), len(encoded))
    assert encoded == dns.name.from_text(name).to_wire()


def response(text: str) -> bytes:
    return dns.message.from_text("id 1\nopcode QUERY\nrcode NOERROR\nflags QR RD RA\n" + text).to_wire()


ASKED = wire.parse_query(query("a.example"))
assert ASKED is not None
QUESTION = ASKED.question


def test_the_smallest_ttl_counts_and_all_age() -> None:
    reply = response(
        ";QUESTION\na.example. IN A\n;ANSWER\na.example. 60 IN CNAME b.example.\nb.example. 20 IN A 192.0.2.1\n"
    )
    result = wire.parse_response(reply, QUESTION)
    assert result is not None
    assert result.ttl == 20
    aged = dns.message.from_wire(wire.age(reply, result.ttl_offsets, 25))
    assert [rrset.ttl for rrset in aged.answer] == [35, 0]


def test_a_negative_reply_is_kept_as_long_as_its_soa_says() -> None:
    soa = ";QUESTION\na.example. IN A\n;AUTHORITY\nexample. 900 IN SOA ns.example. root.example. 1 2 3 4 30\n"
    kept = wire.parse_response(response(soa), QUESTION)
    assert kept is not None
    assert kept.ttl == 30
    bare = wire.parse_response(response(";QUESTION\na.example. IN A\n"), QUESTION)
    assert bare is not None
    assert bare.ttl == 0


def test_a_reply_to_another_question_is_not_ours() -> None:
    other = response(";QUESTION\nb.example. IN A\n;ANSWER\nb.example. 60 IN A 192.0.2.66\n")
    assert wire.parse_response(other, QUESTION) is None
    other_type = response(";QUESTION\na.example. IN AAAA\n")
    assert wire.parse_response(other_type, QUESTION) is None
    # Types 65 and 97 are "A" and "a" as letters, and letters are compared without case.
    https = parsed(query("a.example", "HTTPS"))
    assert wire.parse_response(response(";QUESTION\na.example. IN TYPE97\n"), https.question) is None
    other_case = response(";QUESTION\nA.EXAMPLE. IN A\n")
    assert wire.parse_response(other_case, QUESTION) is not None


def test_errors_and_cut_replies_are_not_kept() -> None:
    refused = response(";QUESTION\na.example. IN A\n").replace(b"\x81\x80", b"\x81\x85", 1)
    result = wire.parse_response(refused, QUESTION)
    assert result is not None
    assert (result.rcode, result.ttl) == (wire.REFUSED, 0)
    whole = response(";QUESTION\na.example. IN A\n;ANSWER\na.example. 60 IN A 192.0.2.1\n")
    truncated = wire.parse_response(whole.replace(b"\x81\x80", b"\x83\x80", 1), QUESTION)
    assert truncated is not None
    assert truncated.truncated
    assert truncated.ttl == 0
