"""Published ports over every change of networks: the same numbers, held without a gap, on the families there are."""

import pytest

from landbridge.errors import Internal
from landbridge.model.ports import PortBinding
from rig import Rig, engine_test

ANYWHERE = {"80/tcp": ""}


def bound(rig: Rig, name: str = "web") -> set[tuple[str, int, str]]:
    """(host address, host port, where it leads) of everything held for a container."""
    owner = rig.state.sandbox(rig.of(name).id)
    assert owner is not None
    return {(hold.host_ip, hold.host_port, hold.target_ip) for hold in rig.proxy.held.values()}


@engine_test
async def test_a_move_never_lets_go_of_a_port(rig: Rig) -> None:
    await rig.network("low")
    await rig.network("high")
    await rig.run("web", net="low", ports={"80/tcp": "", "81/udp": "8081"})
    ports = rig.published("web")
    keys = set(rig.proxy.held)
    gaps: list[str] = []
    rig.faults.watch(hook=lambda number, what: gaps.append(what) if set(rig.proxy.held) != keys else None)
    await rig.connect("high", "web", gw_priority=1)
    assert {hold.target_ip for hold in rig.proxy.held.values()} == {rig.ip("web", "high")}
    await rig.containers.disconnect("high", "web")
    assert {hold.target_ip for hold in rig.proxy.held.values()} == {rig.ip("web", "low")}
    assert gaps == []
    assert "proxy.release" not in rig.faults.calls
    assert rig.published("web") == ports


@engine_test
async def test_dynamic_ports_come_back_after_a_time_without_a_gateway(rig: Rig) -> None:
    await rig.network("one")
    await rig.network("two")
    await rig.run("web", net="one", ports=ANYWHERE)
    before = rig.published("web")
    await rig.containers.disconnect("one", "web")
    assert rig.published("web") == {} and not rig.proxy.held
    await rig.run("other", net="two", ports=ANYWHERE)
    await rig.connect("two", "web")
    assert rig.published("web") == before


@engine_test
async def test_ports_follow_the_families_of_the_networks(rig: Rig) -> None:
    await rig.network("six", enable_ipv4=False, enable_ipv6=True)
    await rig.network("four")
    await rig.run("web", net="six", ports=ANYWHERE)
    six = rig.endpoint("web", "six").ipv6.split("/")[0]
    [(_, number, _)] = bound(rig)
    assert bound(rig) == {("::", number, six)}
    await rig.connect("four", "web")
    assert bound(rig) == {("::", number, six), ("0.0.0.0", number, rig.ip("web", "four"))}
    await rig.containers.disconnect("six", "web")
    assert bound(rig) == {(ip, number, rig.ip("web", "four")) for ip in ("0.0.0.0", "::")}
    await rig.connect("six", "web")
    await rig.containers.disconnect("four", "web")
    assert {(ip, port) for ip, port, _ in bound(rig)} == {("::", number)}


@engine_test
async def test_an_ipv4_address_of_the_host_leads_to_no_container_without_ipv4(rig: Rig) -> None:
    await rig.network("six", enable_ipv4=False, enable_ipv6=True)
    await rig.run("web", net="six", ports={"80/tcp": (PortBinding(host_ip="127.0.0.1", host_port="8080"),)})
    assert rig.published("web") == {} and not rig.proxy.held


@engine_test
async def test_a_family_that_cannot_be_bound_leaves_everything_as_it_was(rig: Rig) -> None:
    await rig.network("six", enable_ipv4=False, enable_ipv6=True)
    await rig.network("four")
    await rig.run("web", net="six", ports={"80/tcp": "8080"})
    rig.proxy.busy.add(("tcp", 8080))
    before = rig.outline()
    with pytest.raises(Internal, match="address already in use"):
        await rig.connect("four", "web")
    assert rig.outline() == before


@engine_test
async def test_the_networks_own_host_address_is_used_and_changes_with_the_gateway(rig: Rig) -> None:
    await rig.network("local", options={"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"})
    await rig.network("wide")
    await rig.run("web", net="local", ports={"80/tcp": "8080"})
    assert {one[:2] for one in bound(rig)} == {("127.0.0.1", 8080)}
    await rig.connect("wide", "web", gw_priority=1)
    assert {one[:2] for one in bound(rig)} == {("0.0.0.0", 8080), ("::", 8080)}
    await rig.containers.disconnect("wide", "web")
    assert {one[:2] for one in bound(rig)} == {("127.0.0.1", 8080)}


@engine_test
async def test_what_was_let_go_for_a_move_that_failed_is_held_again(rig: Rig) -> None:
    await rig.network("local", options={"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"})
    await rig.network("wide")
    await rig.run("web", net="local", ports={"80/tcp": "8080", "81/tcp": "8081"})
    before = rig.outline()
    holds: list[int] = []

    def busy_the_first_time(number: int, what: str) -> None:
        if what == "proxy.hold":
            rig.proxy.busy = set() if holds else {("tcp", 8081)}
            holds.append(number)

    rig.faults.watch(hook=busy_the_first_time)
    with pytest.raises(Internal, match="8081"):
        await rig.connect("wide", "web", gw_priority=1)
    assert len(holds) == 2
    assert rig.outline() == before


@engine_test
async def test_the_new_default_route_is_there_before_the_old_interface_goes(rig: Rig) -> None:
    await rig.network("one")
    await rig.network("two")
    await rig.run("web", net="one")
    await rig.connect("two", "web")
    rig.faults.watch()
    await rig.containers.disconnect("one", "web")
    verbs = [call.split()[0] for call in rig.faults.calls]
    assert verbs.index("set_routes") < verbs.index("remove_veth")


@engine_test
async def test_a_container_that_switched_ipv6_off_gets_none(rig: Rig) -> None:
    await rig.network("both", enable_ipv6=True)
    await rig.run("web", net="both", sysctls={"net.ipv6.conf.all.disable_ipv6": "1"})
    assert rig.endpoint("web", "both").ipv6 == ""
    [spec] = rig.kernel.veths.values()
    assert ("net/ipv6/conf/eth0/disable_ipv6", "1") in spec.sysctls
    assert "ip6-localhost" not in rig.presence.hosts(rig.of("web"))
