"""Taken address space: the same answers as looking at every subnet, without looking at every subnet."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from landbridge.network import ipam
from landbridge.network.subnetledger import SubnetLedger

SUBNETS = st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
    lambda one: ip_network((0x0A000000 + (one[0] >> (32 - one[1]) << (32 - one[1])), one[1]))
)


@given(st.lists(st.tuples(st.booleans(), SUBNETS), max_size=30), SUBNETS)
def test_it_answers_as_a_list_would_whatever_came_and_went(changes: list[tuple[bool, IPv4Network]], asked: IPv4Network) -> None:
    ledger, listed = SubnetLedger(), []
    for coming, subnet in changes:
        if coming:
            ledger.add(subnet)
            listed.append(subnet)
        else:
            ledger.remove(subnet)
            if subnet in listed:
                listed.remove(subnet)
    assert len(ledger) == len(listed)
    assert ledger.overlaps(asked) == any(asked.overlaps(other) for other in listed)
    taken = {number for subnet in listed for number in range(int(subnet[0]), int(subnet[-1]) + 1)}
    bases = (ipam.PoolBase(IPv4Network("10.0.0.0/24"), asked.prefixlen),)
    free = [one for one in IPv4Network("10.0.0.0/24").subnets(new_prefix=asked.prefixlen)
            if not taken & set(range(int(one[0]), int(one[-1]) + 1))]
    if free:
        assert ipam.choose_subnet(bases, 4, (ledger,), SubnetLedger()) == free[0]


def test_families_do_not_meet() -> None:
    ledger = SubnetLedger([IPv4Network("0.0.0.0/0")])
    assert not ledger.overlaps(IPv6Network("::/0"))
    ledger.add(IPv6Network("fd00::/64"))
    ledger.remove(IPv4Network("0.0.0.0/0"))
    assert ledger.overlaps(IPv6Network("fd00::/48"))
    assert not ledger.overlaps(IPv4Network("10.0.0.0/8"))


def test_the_next_free_subnet_beside_a_thousand_is_found_by_one_look() -> None:
    asked = []

    class Counting(SubnetLedger):
        def beyond(self, version: int, first: int, last: int) -> int | None:
            asked.append(first)
            return super().beyond(version, first, last)

    ledger = Counting()
    for _ in range(1000):
        ledger.add(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (ledger,), SubnetLedger()))
    asked.clear()
    ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, (ledger,), SubnetLedger())
    assert len(asked) <= 2 * len(ipam.DEFAULT_POOLS)
