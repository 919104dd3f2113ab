"""What is done about a client's message before any socket comes in."""

import itertools

import dns.message
import dns.rcode
import pytest

from landbridge.dns.wire import TCP_SIZE, Query
from landbridge.dns.zone import Zone
from landbridge.model.names import Asker, NameRecord, NetworkNames, SetAsker, SetNetwork, SetRecord
from landbridge.resolver.answer import ROTATIONS, Local, decide, failure


def zone_of(count: int) -> Zone:
    zone = Zone()
    zone.apply(SetNetwork(NetworkNames(id="n", name="net_1")))
    for i in range(count):
        addresses = (f"10.0.{i // 250}.{i % 250}",)
        zone.apply(SetRecord(NameRecord(endpoint=f"e{i}", network="n", names=("web",), addresses=addresses)))
    zone.apply(SetAsker(Asker(sandbox="me", netns="", networks=("n",))))
    return zone


def local(zone: Zone, message: bytes, limit: int | None = None) -> tuple[list[dns.message.Message], Local]:
    outcome = decide(zone, "me", message, limit)
    assert isinstance(outcome, Local)
    return [dns.message.from_wire(reply) for reply in outcome.replies], outcome


def query(name: str, **options: object) -> bytes:
    return dns.message.make_query(name, "A", **options).to_wire()  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [2, 3, 5, ROTATIONS, 50])
def test_every_reply_has_all_addresses_and_each_turn_another_first(count: int) -> None:
    replies, outcome = local(zone_of(count), query("web"), TCP_SIZE)
    assert len(replies) == min(count, ROTATIONS)
    assert outcome.lasting
    orders = [[str(rdata) for rdata in reply.answer[0]] for reply in replies]
    assert all(sorted(order) == sorted(orders[0]) and len(order) == count for order in orders)
    assert len({order[0] for order in orders}) == len(orders)


def test_clients_that_never_repeat_a_question_do_not_all_get_the_first() -> None:
    zone = zone_of(5)
    firsts = {str(local(zone, query("web"))[0][0].answer[0][0]) for _ in range(200)}
    assert len(firsts) == 5


def test_rotation_keeps_whole_answers_within_the_clients_size() -> None:
    for size, limit in ((0, 512), (1232, 1232)):
        options = {"use_edns": 0, "payload": size} if size else {}
        outcome = decide(zone_of(300), "me", query("web", **options), None)
        assert isinstance(outcome, Local)
        assert all(limit - 16 < len(reply) <= limit for reply in outcome.replies)


def test_the_memory_estimate_is_not_far_off() -> None:
    for count in (2, 16, 300):
        outcome = decide(zone_of(count), "me", query("web"), TCP_SIZE)
        assert isinstance(outcome, Local)
        real = sum(len(reply) for reply in outcome.replies)
        assert real / 2 < outcome.size < real * 4


def test_only_what_lasts_is_said_to_last() -> None:
    zone = zone_of(1)
    assert local(zone, query("nosuch.net_1"))[1].lasting
    assert local(zone, query("web"))[1].lasting
    assert not local(zone, query("web")[:14])[1].lasting


def test_other_opcodes_and_edns_versions_are_refused() -> None:
    zone = zone_of(1)
    notify = bytearray(query("web"))
    notify[2] |= 4 << 3
    assert local(zone, bytes(notify))[0][0].rcode() == dns.rcode.NOTIMP
    assert local(zone, query("web", use_edns=1))[0][0].rcode() == dns.rcode.BADVERS


def test_unknown_names_are_returned_to_be_forwarded() -> None:
    outcome = decide(zone_of(1), "me", query("Elsewhere.example", id=77), None)
    assert isinstance(outcome, Query)
    assert (outcome.name, outcome.id) == ("elsewhere.example", 77)
    refusal = dns.message.from_wire(failure(outcome))
    assert (refusal.id, refusal.rcode()) == (77, dns.rcode.SERVFAIL)


def test_replies_are_nothing() -> None:
    zone = zone_of(1)
    reply = next(itertools.chain(local(zone, query("web"))[0])).to_wire()
    assert decide(zone, "me", reply, None) is None


def test_addresses_are_believed_for_seconds_not_minutes() -> None:
    [reply], _ = local(zone_of(1), query("web"))
    assert 0 < reply.answer[0].ttl <= 5
