"""Links on their way out: what can be seen of them is gone at once, the rest follows; real links decide."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lan_kit import Lan, Run, endpoint, names

from landbridge.model.link import BridgeSpec
from landbridge.system import rtnl
from landbridge.system.kernel import HostKernel
from landbridge.system.netlink import Netlink
from landbridge.system.nlsocket import NetlinkError
from landbridge.system.sweeper import Sweeper

pytestmark = pytest.mark.kernel

BRIDGE = BridgeSpec(name="br0", addresses=("10.9.0.1/24",), mtu=1500)


@pytest.fixture
def host(throwaway_netns: str, tmp_path: Path) -> Iterator[HostKernel]:
    kernel = HostKernel(f"{tmp_path}/pins", "ours", retired="old-")
    kernel.ensure_bridge(BRIDGE)
    yield kernel
    kernel.close()


@pytest.fixture
def lan(throwaway_netns: str, make_netns: Callable[[str], str], run_in: Run) -> Iterator[Lan]:
    with Netlink() as looking:
        yield Lan(looking, throwaway_netns, make_netns, run_in)


def test_an_endpoint_is_out_of_sight_at_once_and_its_names_and_addresses_are_free(host: HostKernel, lan: Lan) -> None:
    spec = endpoint(2, lan.make_netns("box"))
    for _ in range(3):
        host.add_veth(spec)
        host.remove_veth(spec.host_name)
        host.remove_veth(spec.host_name)
        assert names(lan.host) == {"br0"}
        with Netlink.inside(spec.sandbox) as inside:
            assert names(inside) == set()


def test_a_bridge_frees_its_name_and_addresses_at_once_and_goes_when_nobody_is_busy(
    host: HostKernel, lan: Lan
) -> None:
    host.remove_bridge("br0")
    (retired,) = [fact for fact in lan.host.links() if fact.name != "lo"]
    assert (retired.name[:4], retired.addresses, retired.up) == ("old-", (), False)
    assert lan.host.routes() == ()
    host.ensure_bridge(BRIDGE)
    _until(lambda: names(lan.host) == {"br0"})


def test_a_bridge_somebody_else_made_is_not_retired(host: HostKernel, lan: Lan) -> None:
    with Netlink(owner="theirs") as theirs:
        theirs.ensure_bridge(BridgeSpec(name="br9"))
    host.remove_bridge("br9")
    assert names(lan.host) == {"br0", "br9"}


def test_taking_a_bridge_out_of_service_costs_the_same_beside_many(throwaway_netns: str) -> None:
    with Netlink() as host:
        costs = []
        for count in (1, 20):
            for number in range(count):
                host.ensure_bridge(BridgeSpec(name=f"br{count}-{number}", addresses=(f"10.{count}.{number}.1/24",)))
            before = host.messages_sent
            host.retire_bridge(f"br{count}-0", "old-")
            costs.append(host.messages_sent - before)
        assert costs == [5, 5]


def test_what_is_left_at_the_end_goes_before_it_ends(throwaway_netns: str) -> None:
    with Netlink() as host:
        sweeper = Sweeper(quiet=60, latest=60)
        for number in range(3):
            host.ensure_bridge(BridgeSpec(name=f"br{number}"))
            sweeper.later(host.index_of(f"br{number}") or 0)
        assert len(names(host)) == 3
        sweeper.close()
        assert names(host) == set()


def test_a_refused_deletion_is_an_error(throwaway_netns: str) -> None:
    with Netlink() as host:
        loopback = rtnl.link_index(host._find("lo") or b"")
        sweeper = Sweeper()
        with pytest.raises(NetlinkError):
            sweeper.remove(loopback)
        sweeper.close()


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
