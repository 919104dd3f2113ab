"""Bridges and default routes in a throw-away host: ours, adopted ones, and the way outside."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from lan_kit import BRIDGE, Lan, Run, defaults, endpoint, link, names

from hosts import TwoHosts
from landbridge.errors import Conflict, NotFound
from landbridge.model.link import BridgeSpec, RouteSpec
from landbridge.system import netns
from landbridge.system.netlink import OWNER, Netlink, NetlinkError, set_routes

pytestmark = pytest.mark.kernel


@pytest.fixture
def lan(throwaway_netns: str, make_netns: Callable[[str], str], run_in: Run) -> Iterator[Lan]:
    with Netlink() as host:
        host.ensure_bridge(BRIDGE)
        yield Lan(host, throwaway_netns, make_netns, run_in)


def test_a_bridge_is_made_once_and_then_kept_in_line(throwaway_netns: str) -> None:
    with Netlink() as host:
        assert host.ensure_bridge(replace(BRIDGE, sysctls=(("net/ipv4/conf/br0/route_localnet", "1"),))) == "made"
        made = link(host, "br0")
        assert (made.kind, made.mtu, made.mac, made.up, made.alias) == ("bridge", 1500, BRIDGE.mac, True, OWNER)
        assert made.addresses[:2] == BRIDGE.addresses
        assert netns.read_sysctl(throwaway_netns, "net/ipv4/conf/br0/route_localnet") == "1"

        assert host.ensure_bridge(BRIDGE) == "ours"
        assert link(host, "br0") == made

        changed = replace(BRIDGE, addresses=("10.9.5.1/24", "fd09::1/64"), mtu=1400, mac="02:42:00:00:00:07")
        host.ensure_bridge(changed)
        after = link(host, "br0")
        assert (after.index, after.mtu, after.mac) == (made.index, 1400, changed.mac)
        assert [address for address in after.addresses if not address.startswith("fe80")] == [
            "10.9.5.1/24",
            "fd09::1/64",
        ]


def test_a_bridge_keeps_its_mac_when_ports_come_and_go(lan: Lan) -> None:
    lan.host.ensure_bridge(BridgeSpec(name="br1"))
    before = link(lan.host, "br1").mac
    lan.join(2, bridge="br1")
    lan.join(3, bridge="br1")
    lan.host.remove_veth("port2")
    assert link(lan.host, "br1").mac == before


def test_a_foreign_bridge_gets_what_is_missing_and_loses_nothing(throwaway_netns: str) -> None:
    for command in ("link add br0 mtu 1450 type bridge", "address add 192.0.2.7/24 dev br0"):
        subprocess.run(["ip", *command.split()], check=True)
    with Netlink() as host:
        before = link(host, "br0")
        for _ in range(2):
            assert host.ensure_bridge(BRIDGE) == "foreign"
        after = link(host, "br0")
        assert set(after.addresses) >= {"192.0.2.7/24", *BRIDGE.addresses}
        assert (after.mtu, after.mac, after.up) == (1450, before.mac, True)
        host.remove_bridge("br0")
        assert names(host) == {"br0"}


def test_our_bridge_is_removed_and_twice_is_fine(throwaway_netns: str) -> None:
    with Netlink() as host:
        host.ensure_bridge(BRIDGE)
        host.remove_bridge("br0")
        host.remove_bridge("br0")
        assert names(host) == set()


def test_a_name_that_is_no_bridge_is_a_conflict(throwaway_netns: str) -> None:
    subprocess.run(["ip", "link", "add", "br0", "type", "veth", "peer", "name", "br0p"], check=True)
    with Netlink() as host:
        with pytest.raises(Conflict):
            host.ensure_bridge(BRIDGE)
        assert link(host, "br0").addresses == ()


def test_a_bridge_that_cannot_be_finished_is_taken_back(throwaway_netns: str) -> None:
    with Netlink() as host:
        with pytest.raises(NotFound):
            host.ensure_bridge(replace(BRIDGE, sysctls=(("net/ipv4/conf/br0/nothing", "1"),)))
        assert names(host) == set()


def test_a_default_route_leads_outside(two_hosts: TwoHosts, make_netns: Callable[[str], str], run_in: Run) -> None:
    with Netlink() as host:
        host.ensure_bridge(BRIDGE)
        spec = endpoint(2, make_netns("box"))
        host.add_veth(spec)
    settings = (("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"))
    netns.write_sysctls(two_hosts.host, settings)
    with netns.inside(two_hosts.outside):
        subprocess.run(["ip", "route", "add", "10.9.0.0/24", "via", two_hosts.host4], check=True)
        subprocess.run(["ip", "route", "add", "fd09::/64", "via", two_hosts.host6], check=True)
    assert run_in(spec.sandbox, "ping", "-c1", "-W1", two_hosts.outside4).returncode != 0
    set_routes(
        RouteSpec(sandbox=spec.sandbox, gateway4="10.9.0.1", ifname4="eth0", gateway6="fd09::1", ifname6="eth0")
    )
    for address in (two_hosts.outside4, two_hosts.outside6):
        assert run_in(spec.sandbox, "ping", "-c1", "-W2", address).returncode == 0, address


def test_a_link_local_gateway_address_lets_outsiders_in_at_once(
    two_hosts: TwoHosts, make_netns: Callable[[str], str], run_in: Run
) -> None:
    """A router asks for neighbours from its link-local address; a generated one is held back for a second."""
    with Netlink() as host:
        host.ensure_bridge(replace(BRIDGE, addresses=(*BRIDGE.addresses, "fe80::1/64")))
        spec = endpoint(2, make_netns("box"))
        host.add_veth(spec)
    set_routes(RouteSpec(sandbox=spec.sandbox, gateway6="fd09::1", ifname6="eth0"))
    netns.write_sysctls(two_hosts.host, (("net/ipv6/conf/all/forwarding", "1"),))
    with netns.inside(two_hosts.outside):
        subprocess.run(["ip", "route", "add", "fd09::/64", "via", two_hosts.host6], check=True)
    assert run_in(two_hosts.outside, "ping", "-c1", "-W0.9", "fd09::2").returncode == 0


def test_default_routes_are_replaced_and_removed(lan: Lan) -> None:
    spec = lan.join(2)
    lan.host.ensure_bridge(BridgeSpec(name="br1", addresses=("10.8.0.1/24",)))
    lan.host.add_veth(
        replace(spec, host_name="port2b", ifname="eth1", bridge="br1", mac="", addresses=("10.8.0.2/24",))
    )
    first = RouteSpec(sandbox=spec.sandbox, gateway4="10.9.0.1", ifname4="eth0", gateway6="fd09::1", ifname6="eth0")
    for _ in range(2):
        set_routes(first)
        assert defaults(spec.sandbox) == {("eth0", "10.9.0.1"), ("eth0", "fd09::1")}
    set_routes(replace(first, gateway4="10.8.0.1", ifname4="eth1"))
    assert defaults(spec.sandbox) == {("eth1", "10.8.0.1"), ("eth0", "fd09::1")}
    set_routes(replace(first, gateway6="", ifname6=""))
    assert defaults(spec.sandbox) == {("eth0", "10.9.0.1")}
    for _ in range(2):
        set_routes(RouteSpec(sandbox=spec.sandbox))
        assert defaults(spec.sandbox) == set()


def test_a_gateway_nobody_can_reach_is_refused_with_the_kernels_words(lan: Lan) -> None:
    spec = lan.join(2)
    with pytest.raises(NetlinkError, match="invalid gateway"):
        set_routes(RouteSpec(sandbox=spec.sandbox, gateway4="203.0.113.1", ifname4="eth0"))
    with pytest.raises(NotFound):
        set_routes(RouteSpec(sandbox=spec.sandbox, gateway4="10.9.0.1", ifname4="eth7"))


def test_routes_are_those_other_tools_see(two_hosts: TwoHosts) -> None:
    subprocess.run(["ip", "route", "add", "blackhole", "198.51.100.0/24"], check=True)
    with Netlink() as host:
        seen = {(route.destination, route.device, route.gateway) for route in host.routes()}
    assert {
        ("0.0.0.0/0", "uplink", two_hosts.outside4),
        ("192.0.2.0/24", "uplink", ""),
        ("::/0", "uplink", two_hosts.outside6),
        ("2001:db8::/64", "uplink", ""),
    } <= seen
    assert not [destination for destination, _, _ in seen if destination.startswith("198.51.100")]
