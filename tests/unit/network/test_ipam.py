"""Addresses and subnets: arithmetic, Docker's sentences, and the properties that matter at scale."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Forbidden, Invalid
from landbridge.model.network import IpamPool
from landbridge.network import ipam
from landbridge.network.subnetledger import SubnetLedger

FREE = SubnetLedger()


def pool(subnet: str, **rest: object) -> IpamPool:
    return IpamPool(subnet=subnet, **rest)  # type: ignore[arg-type]


def test_the_first_network_follows_the_default_bridge() -> None:
    taken = SubnetLedger([ip_network("172.17.0.0/16")])
    assert str(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (taken,), FREE)) == "172.18.0.0/20"


def test_a_thousand_networks_fit_the_default_pools() -> None:
    taken, chosen = SubnetLedger([ip_network("172.17.0.0/16")]), set()
    for _ in range(1000):
        subnet = ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (taken,), FREE)
        assert not taken.overlaps(subnet)
        taken.add(subnet)
        chosen.add(subnet)
    assert len(chosen) == 1000


def test_subnets_the_host_routes_are_left_alone() -> None:
    routed = [ip_network("172.16.0.0/12")]
    chosen = ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (), SubnetLedger(routed))
    assert not ipam.overlaps(chosen, routed[0])


def test_when_a_vpn_routes_everything_a_network_is_still_made() -> None:
    routed = [ip_network("10.0.0.0/8"), ip_network("172.16.0.0/12"), ip_network("192.168.0.0/16")]
    assert str(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (), SubnetLedger(routed))) == "172.17.0.0/16"


def test_pools_that_are_full_say_so_in_dockers_words() -> None:
    bases = (ipam.PoolBase(ip_network("10.9.0.0/23"), 24),)
    taken = SubnetLedger([ip_network("10.9.0.0/24"), ip_network("10.9.1.0/24")])
    with pytest.raises(Invalid, match="all predefined address pools have been fully subnetted"):
        ipam.choose_subnet(bases, 4, (taken,), FREE)


def test_every_fault_of_a_configuration_is_listed() -> None:
    pools = (pool("10.0.0.5/24"), pool("10.1.0.0/24", gateway="10.2.0.1", ip_range="10.1.0.0/16"))
    with pytest.raises(Invalid) as error:
        ipam.canonical_pools(pools)
    lines = error.value.message.splitlines()
    assert lines[0] == "invalid network config:"
    assert lines[1] == "* invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24"
    assert "CIDR block is bigger than its parent subnet 10.1.0.0/24" in lines[2]
    assert "parent subnet 10.1.0.0/24 doesn't contain this address" in lines[3]


@pytest.mark.parametrize(
    ("gateway", "auxiliary", "text"),
    [
        ("10.0.0.1", {"a": "10.1.0.1", "b": "x"}, (
            "* invalid auxiliary address a: parent subnet 10.0.0.0/24 doesn't contain this address",
            "* invalid auxiliary address b: invalid address",
        )),
        ("fd00::1", {"a": "fd00::2"}, (
            "* invalid gateway fd00::1: parent subnet is an IPv4 block",
            "* invalid auxiliary address a: parent subnet is an IPv4 block",
        )),
    ],
)  # fmt: skip
def test_addresses_outside_are_named(gateway: str, auxiliary: dict[str, str], text: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as error:
        ipam.canonical_pools((pool("10.0.0.0/24", gateway=gateway, auxiliary=auxiliary),))
    assert error.value.message == "\n".join(("invalid network config:", *text))


@pytest.mark.parametrize(
    ("subnet", "gateway", "auxiliary", "text"),
    [
        ("10.0.0.0/24", "10.0.0.0", {}, "failed to allocate gateway (10.0.0.0): Address already in use"),
        ("10.0.0.0/24", "10.0.0.255", {}, "failed to allocate gateway (10.0.0.255): Address already in use"),
        ("10.0.0.0/24", "10.0.0.1", {"a": "10.0.0.1"},
         "failed to allocate secondary ip address (a:10.0.0.1): Address already in use"),
        ("10.0.0.0/24", "", {"a": "10.0.0.9", "b": "10.0.0.9"},
         "failed to allocate secondary ip address (b:10.0.0.9): Address already in use"),
        ("10.0.0.0/24", "", {"a": "10.0.0.255"},
         "failed to allocate secondary ip address (a:10.0.0.255): Address already in use"),
    ],
)  # fmt: skip
def test_what_is_kept_back_can_be_had(subnet: str, gateway: str, auxiliary: dict[str, str], text: str) -> None:
    with pytest.raises(Forbidden) as error:
        ipam.check_reserved((pool(subnet, gateway=gateway, auxiliary=auxiliary),))
    assert error.value.message == text


def test_small_subnets_and_other_gateways_can_be_had() -> None:
    ipam.check_reserved((
        pool("10.0.0.0/31", gateway="10.0.0.0", auxiliary={"a": "10.0.0.1"}), pool("10.1.0.0/32", gateway="10.1.0.0"),
        pool("10.2.0.0/24", gateway="10.2.0.1", auxiliary={"DefaultGatewayIPv4": "10.2.0.1"}),
        pool("fd00::/64", gateway="fd00::"),
    ))  # fmt: skip


def test_an_overlap_is_refused() -> None:
    with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
        ipam.check_overlap(ip_network("10.0.0.0/16"), (SubnetLedger([ip_network("10.0.4.0/24")]),))


@pytest.mark.parametrize(
    ("given_pool", "gateway"),
    [
        (pool("172.18.0.0/16"), "172.18.0.1"),
        (pool("10.1.0.0/24", auxiliary={"router": "10.1.0.1"}), "10.1.0.2"),
        (pool("10.1.0.0/24", ip_range="10.1.0.128/25"), "10.1.0.128"),
        (pool("10.1.0.0/31"), "10.1.0.0"),
        (pool("fd00::/64"), "fd00::1"),
    ],
)
def test_gateways(given_pool: IpamPool, gateway: str) -> None:
    assert str(ipam.choose_gateway(given_pool)) == gateway


def test_addresses_are_handed_out_serially_and_wrap_once() -> None:
    small = pool("10.0.0.0/29", gateway="10.0.0.1")
    taken: set[int] = set()
    last, seen = 0, []
    for _ in range(5):
        address = ipam.next_address(small, taken, last)
        seen.append(str(address))
        last = int(address)
        taken.add(last)
    assert seen == ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    taken.discard(int(ip_address("10.0.0.3")))
    assert str(ipam.next_address(small, taken, last)) == "10.0.0.3"
    taken.add(int(ip_address("10.0.0.3")))
    with pytest.raises(Invalid, match="no available IPv4 addresses"):
        ipam.next_address(small, taken, last)


def test_a_huge_ipv6_range_costs_nothing() -> None:
    wide = pool("fd00:1::/48", gateway="fd00:1::1", ip_range="fd00:1::/64")
    assert str(ipam.next_address(wide, set(), 0)) == "fd00:1::2"


@given(prefix=st.integers(20, 31), taken=st.sets(st.integers(0, 255)), after=st.integers(0, 2**32))
def test_an_address_given_is_free_usable_and_inside(prefix: int, taken: set[int], after: int) -> None:
    subnet = ip_network("10.7.0.0/20")
    subnet = next(subnet.subnets(new_prefix=prefix)) if prefix > 20 else subnet
    numbers = {int(subnet.network_address) + offset for offset in taken}
    given_pool = pool(str(subnet), gateway=str(ipam.choose_gateway(pool(str(subnet)))))
    try:
        address = ipam.next_address(given_pool, numbers, after)
    except Invalid:
        low, high = ipam.usable(given_pool)
        free = set(range(low, high + 1)) - numbers - {int(ip_address(given_pool.gateway))}
        assert not free
        return
    assert address in subnet
    assert int(address) not in numbers
    assert str(address) != given_pool.gateway
    if prefix < 31:
        assert address not in (subnet.network_address, subnet.broadcast_address)


def test_a_fixed_address_must_lie_in_a_subnet_and_be_free() -> None:
    pools = [pool("10.0.0.0/24", gateway="10.0.0.1")]
    address, found = ipam.fixed_address("10.0.0.9", pools, lambda one: False)
    assert (str(address), found) == ("10.0.0.9", pools[0])
    with pytest.raises(Invalid, match="no configured subnet"):
        ipam.fixed_address("10.0.1.9", pools, lambda one: False)
    with pytest.raises(Forbidden, match="Address already in use"):
        ipam.fixed_address("10.0.0.9", pools, lambda one: True)
    with pytest.raises(Forbidden, match="Address already in use"):
        ipam.fixed_address("10.0.0.1", pools, lambda one: False)


@pytest.mark.parametrize("kept", ["10.0.0.0", "10.0.0.255", "10.0.0.7", "fd00::"])
def test_a_fixed_address_is_none_that_means_something_else(kept: str) -> None:
    pools = [pool("10.0.0.0/24", auxiliary={"printer": "10.0.0.7", "DefaultGatewayIPv4": "10.0.0.8"}), pool("fd00::/64")]
    with pytest.raises(Forbidden, match="Address already in use"):
        ipam.fixed_address(kept, pools, lambda one: False)


@pytest.mark.parametrize("free", ["10.0.0.8", "10.0.1.0", "10.0.1.1", "fd00::ffff:ffff:ffff:ffff"])
def test_a_fixed_address_may_be_a_routers_or_either_of_a_pair(free: str) -> None:
    pools = [pool("10.0.0.0/24", auxiliary={"DefaultGatewayIPv4": "10.0.0.8"}), pool("10.0.1.0/31"), pool("fd00::/64")]
    assert str(ipam.fixed_address(free, pools, lambda one: False)[0]) == free


def test_the_ula_prefix_is_stable_and_local() -> None:
    prefix = ip_network(ipam.ula_prefix("host"))
    assert prefix.prefixlen == 48
    assert prefix.network_address.packed[0] == 0xFD
    assert ipam.ula_prefix("host") != ipam.ula_prefix("other")
