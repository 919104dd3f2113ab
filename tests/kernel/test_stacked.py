"""macvlan and ipvlan interfaces, and the parents we make, in a throw-away host."""

import errno
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from lan_kit import Run, defaults, ip_json, link, names

from hosts import TwoHosts
from landbridge.errors import NotFound
from landbridge.model.link import ParentSpec, RouteSpec, StackedSpec
from landbridge.system import stacked
from landbridge.system.netlink import Netlink, NetlinkError, set_routes

pytestmark = pytest.mark.kernel


def spec(sandbox: str, number: int, **changes: object) -> StackedSpec:
    made = StackedSpec(
        kind="macvlan", parent="uplink", mode="bridge", ifname="eth0", sandbox=sandbox,
        mac=f"02:42:c0:00:02:{number:02x}", addresses=(f"192.0.2.{number}/24", f"2001:db8::{number:x}/64"),
    )  # fmt: skip
    return replace(made, **changes)


def test_a_sandbox_on_its_parents_segment(two_hosts: TwoHosts, make_netns: Callable[[str], str], run_in: Run) -> None:
    box = make_netns("box")
    with Netlink() as host:
        stacked.add(host, spec(box, 9, mtu=1400, sysctls=(("net/ipv4/conf/eth0/arp_notify", "1"),)))
        for address in (two_hosts.outside4, two_hosts.outside6):
            assert run_in(box, "ping", "-c1", "-W2", address).returncode == 0, address
        with Netlink.inside(box) as inside:
            made = link(inside, "eth0")
        assert (made.kind, made.mtu, made.mac, made.up) == ("macvlan", 1400, "02:42:c0:00:02:09", True)
        assert {"192.0.2.9/24", "2001:db8::9/64"} <= set(made.addresses)
        stacked.remove(box, "eth0")
        stacked.remove(box, "eth0")
        with Netlink.inside(box) as inside:
            assert "eth0" not in names(inside)


def test_all_or_nothing(two_hosts: TwoHosts, make_netns: Callable[[str], str]) -> None:
    box = make_netns("box")
    with Netlink() as host:
        with pytest.raises(NotFound, match="net/ipv4/conf/eth0/nosuch"):
            stacked.add(host, spec(box, 9, sysctls=(("net/ipv4/conf/eth0/nosuch", "1"),)))
        with pytest.raises(NotFound, match="the requested parent interface nosuch was not found on the host"):
            stacked.add(host, spec(box, 9, parent="nosuch"))
        with pytest.raises(NotFound, match="no network namespace"):
            stacked.add(host, spec(box + "x", 9))
        with Netlink.inside(box) as inside:
            assert "eth0" not in names(inside)
        stacked.add(host, spec(box, 9))
        with pytest.raises(NetlinkError, match="failed to create the macvlan port: file exists") as caught:
            stacked.add(host, spec(box, 10))
        assert caught.value.errno == errno.EEXIST


def test_a_parent_that_leads_nowhere(throwaway_netns: str, make_netns: Callable[[str], str], run_in: Run) -> None:
    one, two = make_netns("one"), make_netns("two")
    with Netlink(owner="me") as host:
        stacked.ensure_parent(host, ParentSpec(name="dm-1"))
        stacked.ensure_parent(host, ParentSpec(name="dm-1"))
        assert (link(host, "dm-1").alias, link(host, "dm-1").up) == ("me", True)
        stacked.add(host, spec(one, 8, parent="dm-1"))
        stacked.add(host, spec(two, 9, parent="dm-1"))
        assert run_in(one, "ping", "-c1", "-W2", "192.0.2.9").returncode == 0
        stacked.remove_parent(host, "dm-1")
        stacked.remove_parent(host, "dm-1")
        assert names(host) == set()


def test_somebody_elses_parent_stays(two_hosts: TwoHosts) -> None:
    with Netlink(owner="me") as host:
        stacked.ensure_parent(host, ParentSpec(name="uplink"))
        assert link(host, "uplink").alias == ""
        stacked.remove_parent(host, "uplink")
        assert "uplink" in names(host)


def test_a_vlan_of_an_interface(two_hosts: TwoHosts) -> None:
    with Netlink(owner="me") as host:
        if not stacked.supports(host, "vlan"):
            with pytest.raises(NetlinkError, match=r"failed to create uplink\.7 vlan link: operation not supported"):
                stacked.ensure_parent(host, ParentSpec(name="uplink.7", of="uplink", vlan=7))
            pytest.skip("this kernel has no VLANs (8021q)")
        stacked.ensure_parent(host, ParentSpec(name="uplink.7", of="uplink", vlan=7))
        [shown] = ip_json("link", "show", "uplink.7")
        assert shown["linkinfo"]["info_data"]["id"] == 7  # type: ignore[index]
        stacked.remove_parent(host, "uplink.7")
        assert "uplink.7" not in names(host)


@pytest.mark.parametrize("mode", ["private", "vepa", "bridge"])
def test_who_hears_whom(two_hosts: TwoHosts, make_netns: Callable[[str], str], run_in: Run, mode: str) -> None:
    one, two = make_netns("one"), make_netns("two")
    with Netlink() as host:
        stacked.add(host, spec(one, 8, mode=mode))
        stacked.add(host, spec(two, 9, mode=mode))
    assert (run_in(one, "ping", "-c1", "-W0.5", "192.0.2.9").returncode == 0) is (mode == "bridge")


def test_passthru_takes_the_whole_parent(two_hosts: TwoHosts, make_netns: Callable[[str], str]) -> None:
    one, two = make_netns("one"), make_netns("two")
    with Netlink() as host:
        stacked.add(host, spec(one, 8, mode="passthru", mac=""))
        with Netlink.inside(one) as inside:
            assert link(inside, "eth0").mac == link(host, "uplink").mac
        with pytest.raises(NetlinkError, match="failed to create the macvlan port: invalid argument"):
            stacked.add(host, spec(two, 9, mode="passthru", mac=""))


def test_what_the_kernel_knows(throwaway_netns: str) -> None:
    with Netlink() as host:
        before = names(host)
        for kind in ("macvlan", "ipvlan"):
            shown = subprocess.run(["ip", "link", "add", "x0", "type", kind], capture_output=True, text=True, check=False)
            assert stacked.supports(host, kind) is ("Unknown device type" not in shown.stderr), kind
        assert not stacked.supports(host, "nosuchkind")
        assert names(host) == before


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan(two_hosts: TwoHosts, make_netns: Callable[[str], str], run_in: Run, mode: str) -> None:
    one, two = make_netns("one"), make_netns("two")
    with Netlink() as host:
        if not stacked.supports(host, "ipvlan"):
            with pytest.raises(NetlinkError, match="failed to create the ipvlan port: operation not supported"):
                stacked.add(host, spec(one, 8, kind="ipvlan", mode=mode, mac=""))
            pytest.skip("this kernel has no ipvlan")
        stacked.add(host, spec(one, 8, kind="ipvlan", mode=mode, mac=""))
        stacked.add(host, spec(two, 9, kind="ipvlan", mode=mode, mac=""))
    assert run_in(one, "ping", "-c1", "-W2", "192.0.2.9").returncode == 0


def test_a_default_route_straight_out_of_the_interface(two_hosts: TwoHosts, make_netns: Callable[[str], str]) -> None:
    box = make_netns("box")
    with Netlink() as host:
        stacked.add(host, spec(box, 9))
    straight = RouteSpec(sandbox=box, ifname4="eth0", ifname6="eth0")
    set_routes(straight)
    assert defaults(box) == {("eth0", "")}
    set_routes(straight.cleared())
    assert defaults(box) == set()
