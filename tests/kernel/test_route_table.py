"""The host's routes: changes are seen at once, one's own cost nothing; a real kernel tells."""

import subprocess
from collections.abc import Iterator

import pytest

from landbridge.model.link import BridgeSpec
from landbridge.system.netlink import Netlink
from landbridge.system.route_table import RouteTable

pytestmark = pytest.mark.kernel


@pytest.fixture
def watched(throwaway_netns: str) -> Iterator[tuple[Netlink, RouteTable]]:
    with Netlink() as host:
        watch = RouteTable(host)
        yield host, watch
        watch.close()


def own(link: str) -> bool:
    return link.startswith("lb-")


def elsewhere(watch: RouteTable) -> set[str]:
    return {f"{route.destination} {route.device}" for route in watch.elsewhere(own)}


def test_networks_of_ones_own_cost_no_further_reading(watched: tuple[Netlink, RouteTable]) -> None:
    host, watch = watched
    host.ensure_bridge(BridgeSpec(name="up0", addresses=("192.0.2.1/24",)))
    assert elsewhere(watch) == {"192.0.2.0/24 up0"}
    costs = []
    for number in range(20):
        host.ensure_bridge(BridgeSpec(name=f"lb-{number}", addresses=(f"10.9.{number}.1/24", f"fd09:{number}::1/64")))
        before = host.messages_sent
        assert elsewhere(watch) == {"192.0.2.0/24 up0"}
        costs.append(host.messages_sent - before)
    host.retire_bridge("lb-0", "lb-x")
    assert elsewhere(watch) == {"192.0.2.0/24 up0"}
    assert watch.reads == 1
    assert len(set(costs)) == 1, costs


def test_routes_of_others_are_seen_as_they_come_and_go(watched: tuple[Netlink, RouteTable]) -> None:
    host, watch = watched
    host.ensure_bridge(BridgeSpec(name="up0", addresses=("192.0.2.1/24",)))
    assert elsewhere(watch) == {"192.0.2.0/24 up0"}
    for verb, there in (("add", True), ("del", False)):
        subprocess.run(["ip", "route", verb, "10.0.0.0/8", "via", "192.0.2.9"], check=True)
        assert ("10.0.0.0/8 up0" in elsewhere(watch)) is there
    subprocess.run(["ip", "-6", "route", "add", "fd77::/48", "dev", "up0"], check=True)
    assert "fd77::/48 up0" in elsewhere(watch)


def test_news_that_were_lost_are_made_good_by_reading(watched: tuple[Netlink, RouteTable]) -> None:
    host, watch = watched
    host.ensure_bridge(BridgeSpec(name="up0", addresses=("192.0.2.1/24",)))
    elsewhere(watch)
    lines = [f"route {verb} 10.{number}.0.0/16 via 192.0.2.9" for number in range(250) for verb in ("add", "del") * 6]
    lines.append("route add 10.255.0.0/16 via 192.0.2.9")
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    assert "10.255.0.0/16 up0" in elsewhere(watch)
    assert watch.reads == 2
