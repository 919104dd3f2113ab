"""Who may know which name, in which order: the rules of Docker's embedded server, and where we differ on purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.dns.wire import TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR, encode_name
from landbridge.dns.zone import FORWARD, NXDOMAIN, Answer, Verdict, Zone, cannot_be_public
from landbridge.errors import Invalid
from landbridge.model.names import (
    Asker,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    RemoveNetwork,
    RemoveRecord,
    SetAsker,
    SetNetwork,
    SetRecord,
)

NODATA = Answer(Verdict.LOCAL)
TXT, MX, HTTPS = 16, 15, 65


def record(endpoint: str, network: str, names: str, *addresses: str) -> SetRecord:
    names_of = tuple(names.split())
    return SetRecord(NameRecord(endpoint=endpoint, network=network, names=names_of, addresses=addresses))


def asker(*networks: str, links: tuple[tuple[str, str, str], ...] = ()) -> SetAsker:
    return SetAsker(Asker(sandbox="me", netns="", networks=networks, links=links))


@pytest.fixture
def zone() -> Zone:
    zone = Zone()
    zone.apply(SetNetwork(NetworkNames(id="n1", name="front_end")))
    zone.apply(SetNetwork(NetworkNames(id="n2", name="back")))
    zone.apply(record("e1", "n1", "web1 www 0123456789ab WebHost", "10.1.0.2", "fd01::2"))
    zone.apply(record("e2", "n1", "web2 www", "10.1.0.3"))
    zone.apply(record("e3", "n2", "db.main shared", "10.2.0.2"))
    zone.apply(record("e4", "n1", "shared", "fd01::4"))
    zone.apply(asker("n1", "n2"))
    return zone


def addresses(answer: Answer) -> list[str]:
    assert answer.verdict is Verdict.LOCAL
    return sorted(".".join(map(str, d.data)) if d.type == TYPE_A else d.data.hex() for d in answer.data)


@pytest.mark.parametrize("name", ["web1", "0123456789ab", "webhost", "web1.front_end"])
def test_every_name_of_a_container_has_its_address(zone: Zone, name: str) -> None:
    assert addresses(zone.lookup("me", name, TYPE_A)) == ["10.1.0.2"]


def test_several_containers_of_one_alias_are_all_there(zone: Zone) -> None:
    assert addresses(zone.lookup("me", "www", TYPE_A)) == ["10.1.0.2", "10.1.0.3"]
    assert addresses(zone.lookup("me", "www.front_end", TYPE_A)) == ["10.1.0.2", "10.1.0.3"]


def test_a_known_name_is_never_asked_upstream(zone: Zone) -> None:
    for qtype in (TYPE_AAAA, TXT, MX, HTTPS):
        assert zone.lookup("me", "web2", qtype) == NODATA
    assert addresses(zone.lookup("me", "web1", TYPE_ANY)) == ["10.1.0.2", "fd010000000000000000000000000002"]


def test_the_first_network_that_knows_a_name_wins_even_without_the_family(zone: Zone) -> None:
    assert zone.lookup("me", "shared", TYPE_A) == NODATA
    zone.apply(asker("n2", "n1"))
    assert addresses(zone.lookup("me", "shared", TYPE_A)) == ["10.2.0.2"]


def test_names_with_dots_and_their_networks(zone: Zone) -> None:
    assert addresses(zone.lookup("me", "db.main", TYPE_A)) == ["10.2.0.2"]
    assert addresses(zone.lookup("me", "db.main.back", TYPE_A)) == ["10.2.0.2"]
    zone.apply(SetNetwork(NetworkNames(id="n2", name="b.c")))
    assert addresses(zone.lookup("me", "shared.b.c", TYPE_A)) == ["10.2.0.2"]


def test_networks_not_attached_are_not_seen(zone: Zone) -> None:
    zone.apply(asker("n1"))
    assert zone.lookup("me", "db.main", TYPE_A) == FORWARD
    assert zone.lookup("me", "shared.back", TYPE_A) == FORWARD
    assert zone.lookup("somebody", "web1", TYPE_A) == FORWARD


def test_names_of_an_attached_network_stay_in_the_house(zone: Zone) -> None:
    assert zone.lookup("me", "nosuch.front_end", TYPE_A) == NXDOMAIN
    assert zone.lookup("me", "a.b.front_end", TXT) == NXDOMAIN
    # "back" could be a top-level domain: its names must reach the world.
    assert zone.lookup("me", "nosuch.back", TYPE_A) == FORWARD


@pytest.mark.parametrize(
    ("name", "private"),
    [("my_net2", True), ("a-default", True), ("n1", True), ("dev", False), ("corp.example", False), ("xn--a", False)],
)
def test_which_network_names_no_public_domain_can_have(name: str, *, private: bool) -> None:
    assert cannot_be_public(name) is private


def test_links_are_the_linkers_own_and_ignore_case(zone: Zone) -> None:
    zone.apply(asker("n1", links=(("n1", "www", "later"),)))
    assert zone.lookup("me", "www", TYPE_A) == FORWARD  # hidden even while there is nothing behind the alias
    zone.apply(asker("n1", links=(("n1", "Peer", "Web1"), ("n1", "web2", "web1"), ("n1", "late", "later"))))
    assert addresses(zone.lookup("me", "peer", TYPE_A)) == ["10.1.0.2"]
    assert addresses(zone.lookup("me", "peer.front_end", TYPE_A)) == ["10.1.0.2"]
    assert addresses(zone.lookup("me", "web2", TYPE_A)) == ["10.1.0.2"]  # the alias hides the container
    assert zone.lookup("me", "late", TYPE_A) == FORWARD
    zone.apply(record("e9", "n1", "later", "10.1.0.9"))
    assert addresses(zone.lookup("me", "late", TYPE_A)) == ["10.1.0.9"]
    zone.apply(SetAsker(Asker(sandbox="other", netns="", networks=("n1",))))
    assert zone.lookup("other", "peer", TYPE_A) == FORWARD


def test_a_link_alias_wins_over_a_name_on_an_earlier_network(zone: Zone) -> None:
    zone.apply(asker("n1", "n2", links=(("n2", "web1", "db.main"),)))
    assert addresses(zone.lookup("me", "web1", TYPE_A)) == ["10.2.0.2"]


def test_reverse_names(zone: Zone) -> None:
    (answer,) = zone.lookup("me", "2.0.1.10.in-addr.arpa", TYPE_PTR).data
    assert answer.data == encode_name("web1.front_end")
    six = ".".join(reversed("fd01" + "0" * 27 + "2")) + ".ip6.arpa"
    assert zone.lookup("me", six, TYPE_PTR).data == (answer,)
    assert zone.lookup("me", six, TXT) == NODATA
    zone.apply(asker("n2"))
    assert zone.lookup("me", "2.0.1.10.in-addr.arpa", TYPE_PTR) == FORWARD


@pytest.mark.parametrize("name", ["0.1.10.in-addr.arpa", "300.0.1.1.in-addr.arpa", "a.b.c.in-addr.arpa", "1.ip6.arpa"])
def test_other_names_under_arpa_are_forwarded(zone: Zone, name: str) -> None:
    assert zone.lookup("me", name, TYPE_PTR) == FORWARD


def test_a_name_dns_cannot_carry_has_no_reverse(zone: Zone) -> None:
    zone.apply(record("e1", "n1", "x" * 64, "10.1.0.2"))
    assert zone.lookup("me", "2.0.1.10.in-addr.arpa", TYPE_PTR) == NODATA


def test_changes_show_at_once(zone: Zone) -> None:
    zone.apply(record("e1", "n1", "renamed www", "10.1.0.7"))
    assert zone.lookup("me", "web1", TYPE_A) == FORWARD
    assert addresses(zone.lookup("me", "renamed", TYPE_A)) == ["10.1.0.7"]
    assert zone.lookup("me", "2.0.1.10.in-addr.arpa", TYPE_PTR) == FORWARD
    zone.apply(RemoveRecord("e1"))
    zone.apply(RemoveRecord("e1"))
    assert addresses(zone.lookup("me", "www", TYPE_A)) == ["10.1.0.3"]
    zone.apply(RemoveNetwork("n1"))
    assert zone.lookup("me", "web2.front_end", TYPE_A) == FORWARD
    assert addresses(zone.lookup("me", "web2", TYPE_A)) == ["10.1.0.3"]
    zone.apply(RemoveAsker("me"))
    assert zone.lookup("me", "web2", TYPE_A) == FORWARD


def test_an_endpoint_may_move_to_another_network(zone: Zone) -> None:
    zone.apply(record("e1", "n2", "web1", "10.2.0.9"))
    assert zone.lookup("me", "web1.front_end", TYPE_A) == NXDOMAIN
    assert addresses(zone.lookup("me", "web1.back", TYPE_A)) == ["10.2.0.9"]


def test_what_is_no_address_changes_nothing(zone: Zone) -> None:
    before = zone.version
    with pytest.raises(Invalid):
        zone.apply(record("e1", "n1", "web1", "10.1.0.2/24"))
    assert zone.version == before
    assert addresses(zone.lookup("me", "web1", TYPE_A)) == ["10.1.0.2"]


RECORDS = st.builds(
    record,
    st.sampled_from(["e1", "e2", "e3"]),
    st.sampled_from(["n1", "n2"]),
    st.lists(st.sampled_from(["a", "b", "A", "c.d"]), min_size=1).map(" ".join),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]),
)
STEPS = st.lists(st.one_of(RECORDS, st.builds(RemoveRecord, st.sampled_from(["e1", "e2", "e3"]))), max_size=30)


@given(STEPS)
def test_any_history_equals_telling_its_end(steps: list[SetRecord | RemoveRecord]) -> None:
    """Incremental changes leave exactly what a new table of the survivors has, indexes included."""
    moved, fresh = Zone(), Zone()
    final: dict[str, SetRecord] = {}
    for step in steps:
        moved.apply(step)
        if isinstance(step, SetRecord):
            final[step.record.endpoint] = step
        else:
            final.pop(step.endpoint, None)
    for survivor in final.values():
        fresh.apply(survivor)
    for zone in (moved, fresh):
        zone.apply(asker("n1", "n2"))
    for name in ("a", "b", "c.d", "1.0.0.10.in-addr.arpa", "2.0.0.10.in-addr.arpa"):
        for qtype in (TYPE_A, TYPE_AAAA, TYPE_PTR):
            old, new = moved.lookup("me", name, qtype), fresh.lookup("me", name, qtype)
            assert old.verdict is new.verdict
            if qtype != TYPE_PTR:  # of several containers with one address, which is named is anybody's guess
                assert set(old.data) == set(new.data)
    assert moved._by_name.keys() == fresh._by_name.keys()
    assert moved._by_address.keys() == fresh._by_address.keys()
