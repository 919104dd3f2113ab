"""Networks whose interfaces are stacked on one of the host: up, down, and a daemon's start."""

import pytest

from landbridge.engine.reconcile import diff
from landbridge.errors import NotFound
from landbridge.model.config import EndpointConfig
from landbridge.model.network import IpamPool
from landbridge.network.steps import Parent, Stacked
from rig import Rig, engine_test

POOL = (IpamPool(subnet="192.0.2.0/24", gateway="192.0.2.1"),)


async def lan(rig: Rig, **given: str) -> None:
    await rig.network("lan", "192.0.2.0/24", driver="macvlan", options={"parent": "uplink", **given})


@engine_test
async def test_up_and_down(rig: Rig) -> None:
    await lan(rig)
    web = await rig.run("web", net="lan", ports={"80/tcp": "8080"})
    [spec] = rig.kernel.stacked.values()
    [end] = rig.state.endpoints_of(web.id)
    assert (spec.kind, spec.parent, spec.mode, spec.ifname, spec.mac) == ("macvlan", "uplink", "bridge", "eth0", end.mac)
    assert spec.addresses == ("192.0.2.2/24",) and end.host_name == ""
    [routes] = rig.kernel.routes_in.values()
    assert (routes.gateway4, routes.ifname4) == ("192.0.2.1", "eth0")
    assert rig.published("web") == {}
    await rig.lifecycle.stop("web")
    assert rig.kernel.stacked == {} and rig.kernel.pins == {}
    await rig.lifecycle.start("web")
    assert next(iter(rig.kernel.stacked.values())).mac == spec.mac, "the MAC stays with the container"
    await rig.lifecycle.stop("web")
    await rig.networks.remove("lan")
    assert rig.kernel.parents == {}


@engine_test
async def test_connected_and_disconnected(rig: Rig) -> None:
    await lan(rig)
    await rig.network("net")
    await rig.run("web", net="net", ports={"80/tcp": "8080"})
    await rig.containers.connect("lan", "web", EndpointConfig(network="lan", gw_priority=1))
    [routes] = rig.kernel.routes_in.values()
    assert (routes.gateway4, routes.ifname4) == ("192.0.2.1", "eth1")
    assert rig.published("web") == {}, "answers would leave by the other interface"
    await rig.containers.disconnect("lan", "web")
    assert rig.kernel.stacked == {} and rig.published("web") != {}


@engine_test
async def test_a_layer_three_ipvlan_has_no_gateway(rig: Rig) -> None:
    made = await rig.network("lan", "192.0.2.0/24", driver="ipvlan", options={"parent": "uplink", "ipvlan_mode": "l3"})
    assert made.pools[0].gateway == ""
    await rig.run("web", net="lan", ip="192.0.2.9")
    [spec] = rig.kernel.stacked.values()
    [routes] = rig.kernel.routes_in.values()
    assert (spec.mode, spec.mac) == ("l3", "")
    assert (routes.gateway4, routes.ifname4) == ("", "eth0")


@engine_test
async def test_a_passthru_has_its_parents_address(rig: Rig) -> None:
    await lan(rig, macvlan_mode="passthru")
    await rig.run("web", net="lan")
    assert [spec.mac for spec in rig.kernel.stacked.values()] == [""]


@engine_test
async def test_without_a_parent_a_stand_in(rig: Rig) -> None:
    net = await rig.network("island", driver="macvlan")
    assert net.internal and set(rig.kernel.parents) == {f"dm-{net.id[:12]}"}
    await rig.run("web", net="island")
    assert all(not routes for routes in rig.kernel.routes_in.values())
    await rig.lifecycle.stop("web")
    await rig.networks.remove("island")
    assert rig.kernel.parents == {}


@engine_test
async def test_a_parent_that_went_away(rig: Rig) -> None:
    await lan(rig)
    rig.kernel.interfaces.discard("uplink")
    with pytest.raises(NotFound, match="the requested parent interface uplink was not found on the host"):
        await rig.run("web", net="lan")
    assert rig.kernel.pins == {}


@engine_test
async def test_a_daemons_start_finds_all_as_it_was(rig: Rig) -> None:
    await lan(rig)
    await rig.network("island", driver="macvlan")
    await rig.run("web", net="lan")
    await rig.run("bb", net="island")
    before, specs = rig.outline(), dict(rig.kernel.stacked)
    rig.faults.watch()
    await rig.again()
    assert rig.outline() == before and rig.kernel.stacked == specs
    assert not [call for call in rig.faults.calls if call.split()[0] in ("add_stacked", "ensure_parent", "remove_parent")]


@engine_test
async def test_a_daemons_start_makes_good_what_is_gone(rig: Rig) -> None:
    await rig.network("island", driver="macvlan")
    await rig.run("web", net="island")
    specs, parents = dict(rig.kernel.stacked), dict(rig.kernel.parents)
    rig.kernel.stacked.clear()
    rig.kernel.parents.clear()
    rig.kernel.parents["dm-000000000000"] = next(iter(parents.values()))  # of a network nobody knows
    facts = await rig.reconcile.facts()
    steps = diff(rig.state.world(), facts, 1500)
    assert [type(step) for step in steps if isinstance(step, Parent | Stacked)] == [Parent, Stacked]
    await rig.again()
    assert rig.kernel.stacked == specs and set(rig.kernel.parents) == set(parents)
    assert diff(rig.state.world(), await rig.reconcile.facts(), 1500) == ()
