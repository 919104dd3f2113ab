"""A network on more than one bridge: real bridges with the kernel's real limit, and traffic across the wire."""

import errno
import subprocess
from collections.abc import Callable, Iterator

import pytest
from lan_kit import BRIDGE, Lan, Run, names

from landbridge.model.link import BridgeSpec, ExtensionSpec
from landbridge.network.extension import MOST_EXTENSIONS, MOST_PORTS
from landbridge.system.netlink import Netlink

pytestmark = pytest.mark.kernel

FURTHER = ExtensionSpec(
    main="br0", upper="up1", lower="down1",
    bridge=BridgeSpec(name="br1", sysctls=(("net/ipv6/conf/br1/disable_ipv6", "1"),)),
)  # fmt: skip


@pytest.fixture
def lan(throwaway_netns: str, make_netns: Callable[[str], str], run_in: Run) -> Iterator[Lan]:
    with Netlink() as host:
        host.ensure_bridge(BRIDGE)
        yield Lan(host, throwaway_netns, make_netns, run_in)


def test_a_bridge_takes_exactly_as_many_ports_as_we_count_on(lan: Lan) -> None:
    room = MOST_PORTS + MOST_EXTENSIONS
    # Both ends here: a pair is two ports. One write of iproute2's, since only the number matters.
    lines = [f"link add p{n} master br0 type veth peer name q{n}" for n in range(room // 2)]
    lines += [f"link set q{n} master br0" for n in range(room // 2)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    subprocess.run("ip link add last master br0 type veth peer name over".split(), check=True)
    refused = subprocess.run("ip link set over master br0".split(), capture_output=True, text=True, check=False)
    assert "exchange full" in refused.stderr.lower(), refused
    assert errno.EXFULL


def test_both_families_and_broadcasts_cross_the_wire(lan: Lan) -> None:
    lan.host.ensure_extension(FURTHER)
    near, far = lan.join(2), lan.join(3, bridge="br1")
    for address in ("10.9.0.3", "fd09::3", "10.9.0.1"):
        assert lan.reaches(near, address), address
    for address in ("10.9.0.2", "fd09::2", "10.9.0.1", "fd09::1"):
        assert lan.reaches(far, address), address


def test_where_containers_may_not_talk_the_wire_lets_them_reach_the_host_alone(lan: Lan) -> None:
    lan.host.ensure_extension(ExtensionSpec(main="br0", bridge=FURTHER.bridge, upper="up1", lower="down1", isolated=True))
    near, far, beside = lan.join(2, isolated=True), *(lan.join(n, bridge="br1", isolated=True) for n in (3, 4))
    assert lan.reaches(near, "10.9.0.1")
    assert lan.reaches(far, "10.9.0.1")
    assert lan.cut_off(near, "10.9.0.3")
    assert lan.cut_off(far, "10.9.0.2")
    assert lan.cut_off(beside, "10.9.0.3")


def test_what_is_there_of_it_is_completed_at_the_same_cost(lan: Lan) -> None:
    lan.host.ensure_extension(FURTHER)
    costs = []
    for broken in ("", "link set down1 nomaster", "link del up1", "link del br1"):
        if broken:
            subprocess.run(["ip", *broken.split()], check=True)
        before = lan.host.messages_sent
        lan.host.ensure_extension(FURTHER)
        costs.append(lan.host.messages_sent - before)
        masters = {fact.name: fact.master for fact in lan.host.links()}
        assert (masters["up1"], masters["down1"]) == ("br0", "br1"), broken
    assert names(lan.host) == {"br0", "br1", "up1", "down1"}
    assert max(costs) < 30, costs
