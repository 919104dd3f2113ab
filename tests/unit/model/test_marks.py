"""Names by which an engine knows its own things, and ids."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from landbridge.errors import Invalid
from landbridge.model import ids
from landbridge.model.names import NameRecord
from landbridge.model.world import DEFAULT_DATA_ROOT, Instance
from worlds import container, endpoint, network, world

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
roots = st.from_regex(r"(/[a-z]{1,8}){1,4}", fullmatch=True)


def test_the_default_data_root_has_no_suffix() -> None:
    assert Instance.of(DEFAULT_DATA_ROOT) == Instance.of(DEFAULT_DATA_ROOT + "/") == Instance()
    one = Instance()
    assert (one.table, one.cgroup, one.default_bridge) == ("landbridge", "/landbridge", "lb-0")


@given(roots, hexes)
def test_marks_fit_and_tell_instances_apart(root: str, identity: str) -> None:
    one = Instance.of(root)
    assert one == Instance.of(root)
    for name in (one.bridge_name(identity), one.veth_name(identity), one.default_bridge):
        assert len(name) <= 15
        assert one.owns_link(name)
    assert not Instance().owns_link(one.bridge_name(identity)) or one == Instance()
    assert not one.owns_link("docker0")
    assert not one.owns_link("eth0")


@given(roots, roots, hexes)
def test_two_instances_never_own_the_same_link(first: str, second: str, identity: str) -> None:
    one, other = Instance.of(first), Instance.of(second)
    assume(one != other)
    assert not one.owns_link(other.bridge_name(identity))
    assert not one.owns_link(other.veth_name(identity))
    assert one.table != other.table


def test_the_world_gives_endpoints_in_order() -> None:
    web, net = container("web"), network("net")
    late, early = endpoint(web, net, "172.18.0.3/20", order=1), endpoint(web, net, "172.18.0.2/20", order=0)
    assert world(net, web, late, early).endpoints_of(web.id) == (early, late)


def test_ids_and_short_ids() -> None:
    made = {ids.new_id() for _ in range(50)}
    assert len(made) == 50
    assert all(len(one) == 64 and ids.is_hex(one) for one in made)
    assert ids.short("0123456789abcdef") == "0123456789ab"
    assert not ids.is_hex("web")
    assert not ids.is_hex("")


@pytest.mark.parametrize("name", ["web", "/web", "Web_1", "a.b-c", "0web"])
def test_container_names(name: str) -> None:
    assert ids.check_container_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "a", "/", "-web", ".web", "we b", "web/1", "wéb", "//web"])
def test_no_container_names(name: str) -> None:
    with pytest.raises(Invalid, match="Invalid container name"):
        ids.check_container_name(name)


@pytest.mark.parametrize("name", ["", " ", "a/b", "-net", "né"])
def test_no_network_names(name: str) -> None:
    with pytest.raises(Invalid):
        ids.check_network_name(name)


def test_made_up_names_and_macs_are_fit_for_use() -> None:
    for _ in range(50):
        ids.check_container_name(ids.random_name())
        first = int(ids.random_mac().split(":")[0], 16)
        assert first & 0b11 == 0b10  # unicast, locally administered


def test_values_can_be_compared() -> None:
    one = NameRecord(endpoint="e", network="n", names=("web",), addresses=("10.0.0.2",))
    assert one == NameRecord(endpoint="e", network="n", names=("web",), addresses=("10.0.0.2",))
