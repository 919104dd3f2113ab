"""Which endpoint carries the default routes and the published ports."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from landbridge.model.config import EndpointConfig
from landbridge.model.network import Endpoint, Network
from landbridge.network import gateways
from worlds import container, endpoint, network

WEB = container("web")
ONE, TWO = network("one", "10.1.0.0/24", "10.1.0.1"), network("two", "10.2.0.0/24", "10.2.0.1")
INSIDE = network("inside", "10.3.0.0/24", "10.3.0.1", internal=True)
NETWORKS = {one.id: one for one in (ONE, TWO, INSIDE)}


def at(net: Network, address: str, order: int, *, priority: int = 0, **rest: object) -> Endpoint:
    config = EndpointConfig(network=net.name, gw_priority=priority)
    return endpoint(WEB, net, address, order=order, config=config, **rest)


FIRST, SECOND = at(ONE, "10.1.0.2/24", 0), at(TWO, "10.2.0.2/24", 1)
HIDDEN = at(INSIDE, "10.3.0.2/24", 2, gateway4="")


def test_the_order_of_the_request_decides() -> None:
    assert gateways.ranked((SECOND, FIRST), NETWORKS) == (FIRST, SECOND)
    assert gateways.targets((SECOND, FIRST), NETWORKS) == ("10.1.0.2", "")


def test_a_higher_priority_decides_before() -> None:
    eager = at(TWO, "10.2.0.2/24", 1, priority=1)
    assert gateways.targets((FIRST, eager), NETWORKS) == ("10.2.0.2", "")
    assert gateways.targets((at(ONE, "10.1.0.2/24", 0, priority=-1), SECOND), NETWORKS) == ("10.2.0.2", "")


def test_an_internal_network_leads_nowhere_whatever_its_priority() -> None:
    eager = at(INSIDE, "10.3.0.2/24", 0, priority=9)
    assert gateways.targets((eager, FIRST), NETWORKS) == ("10.1.0.2", "")
    assert gateways.targets((HIDDEN,), NETWORKS) == ("", "")
    assert gateways.routes("/x", (HIDDEN,), NETWORKS).gateway4 == ""
    assert gateways.ranked((HIDDEN, FIRST), NETWORKS) == (FIRST, HIDDEN)


def test_two_families_come_before_one() -> None:
    dual = at(TWO, "10.2.0.2/24", 1, ipv6="fd00::2/64", gateway6="fd00::1")
    assert gateways.ranked((FIRST, dual), NETWORKS) == (dual, FIRST)
    assert gateways.targets((FIRST, dual), NETWORKS) == ("10.2.0.2", "fd00::2")


def test_each_family_has_its_own() -> None:
    six = at(TWO, "", 1, ipv6="fd00::2/64", gateway4="", gateway6="fd00::1", ifname="eth1")
    spec = gateways.routes("/x", (FIRST, six), NETWORKS)
    assert (spec.gateway4, spec.ifname4, spec.gateway6, spec.ifname6) == ("10.1.0.1", "eth0", "fd00::1", "eth1")
    assert gateways.targets((FIRST, six), NETWORKS) == ("10.1.0.2", "fd00::2")


def test_what_is_not_up_carries_nothing() -> None:
    down = replace(FIRST, active=False)
    assert gateways.targets((down, SECOND), NETWORKS) == ("10.2.0.2", "")
    assert gateways.routes("/x", (down,), NETWORKS) == gateways.routes("/x", (), NETWORKS)


@given(st.permutations((FIRST, SECOND, HIDDEN)))
def test_the_order_of_asking_does_not_matter(endpoints: list[Endpoint]) -> None:
    assert gateways.ranked(endpoints, NETWORKS) == (FIRST, SECOND, HIDDEN)
    assert gateways.targets(endpoints, NETWORKS) == ("10.1.0.2", "")
