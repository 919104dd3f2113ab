"""Networks of a container that exists: connected and disconnected while it runs or not, ports and routes following."""

import asyncio

import pytest

from landbridge.errors import Conflict, Forbidden, NotFound
from landbridge.model.config import EndpointConfig
from rig import Rig, engine_test


async def two_networks(rig: Rig) -> None:
    await rig.network("one", "10.1.0.0/24")
    await rig.network("two", "10.2.0.0/24")


def gateway(rig: Rig, name: str) -> str:
    sandbox = rig.state.sandbox(rig.of(name).id)
    assert sandbox is not None
    return rig.kernel.routes_in[sandbox.path].gateway4 if sandbox.path in rig.kernel.routes_in else ""


def targets(rig: Rig) -> set[str]:
    return {hold.target_ip for hold in rig.proxy.held.values()}


@engine_test
async def test_connect_while_it_runs(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one")
    await rig.connect("two", "web", aliases=("w",))
    assert rig.ip("web", "two") == "10.2.0.2"
    assert rig.endpoint("web", "two").ifname == "eth1"
    assert rig.names("one") == rig.names("two") == {"web"}
    assert gateway(rig, "web") == "10.1.0.1"
    assert "10.2.0.2" in rig.files.texts[f"/data/containers/{rig.of('web').id}/hosts"]
    assert rig.told()[-1] == "connect two"
    with pytest.raises(Forbidden, match="endpoint with name web already exists in network two"):
        await rig.connect("two", "web")


@engine_test
async def test_connect_of_a_stopped_container_works_twice_and_comes_up_with_it(rig: Rig) -> None:
    await two_networks(rig)
    await rig.create("web", net="one")
    await rig.connect("two", "web", aliases=("old",))
    await rig.connect("two", "web", aliases=("new",))
    await rig.lifecycle.start("web")
    assert [one.network for one in rig.of("web").endpoints] == ["one", "two"]
    assert "new" in rig.endpoint("web", "two").names


@engine_test
async def test_disconnect_moves_gateway_and_ports(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})
    await rig.connect("two", "web")
    assert targets(rig) == {"10.1.0.2"}
    await rig.containers.disconnect("one", "web")
    assert gateway(rig, "web") == "10.2.0.1"
    assert targets(rig) == {"10.2.0.2"}
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    assert rig.names("one") == set()
    assert rig.told()[-1] == "disconnect one"


@engine_test
async def test_a_higher_priority_takes_gateway_and_ports(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})
    await rig.connect("two", "web", gw_priority=1)
    assert gateway(rig, "web") == "10.2.0.1"
    assert targets(rig) == {"10.2.0.2"}


@engine_test
async def test_the_port_is_held_all_the_while_it_moves(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})
    await rig.connect("two", "web")
    rig.faults.watch()
    await rig.containers.disconnect("one", "web")
    assert "proxy.release" not in rig.faults.calls


@engine_test
async def test_without_its_last_network_it_runs_on_and_can_be_connected_again(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})
    await rig.containers.disconnect("one", "web")
    assert rig.published("web") == {}
    assert gateway(rig, "web") == ""
    assert rig.resolver.askers == {}
    rig.check()
    await rig.connect("two", "web")
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    assert gateway(rig, "web") == "10.2.0.1"
    assert rig.resolver.askers


@engine_test
async def test_a_container_without_networks_can_be_stopped_and_started(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one")
    await rig.containers.disconnect("one", "web")
    await rig.lifecycle.stop("web")
    await rig.lifecycle.start("web")
    assert rig.state.endpoints_of(rig.of("web").id) == ()


@engine_test
async def test_disconnect_of_what_is_not_connected(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one")
    with pytest.raises(Forbidden, match="is not connected to network two"):
        await rig.containers.disconnect("two", "web")
    with pytest.raises(NotFound):
        await rig.containers.disconnect("two", "nobody")
    with pytest.raises(NotFound, match="endpoint nobody not found"):
        await rig.containers.disconnect("two", "nobody", force=True)
    with pytest.raises(NotFound, match="network three not found"):
        await rig.connect("three", "web")


@engine_test
async def test_a_stopped_container_is_taken_off_a_network_that_is_gone(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one")
    await rig.connect("two", "web")
    await rig.lifecycle.stop("web")
    await rig.networks.remove("two")
    await rig.containers.disconnect("two", "web")
    with pytest.raises(NotFound, match="network two not found"):
        await rig.containers.disconnect("two", "web")
    await rig.lifecycle.start("web")


@engine_test
async def test_disconnect_of_a_stopped_container_gives_its_address_back(rig: Rig) -> None:
    await rig.network("tiny", "10.1.0.0/30")
    await rig.run("ca", net="tiny")
    await rig.lifecycle.stop("ca")
    await rig.containers.disconnect("tiny", "ca")
    assert rig.state.endpoints_of(rig.of("ca").id) == ()
    await rig.run("cb", net="tiny")


@engine_test
async def test_host_and_none_exclude_others(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("host", net="host")
    await rig.run("none", net="none")
    await rig.run("web", net="one")
    await rig.run("side", net="container:web")
    for network, name, text in (
        ("one", "host", "sharing network namespace with another container or host"),
        ("one", "none", "multiple networks with one of the networks in private"),
        ("none", "web", "multiple networks with one of the networks in private"),
        ("host", "web", "or connected to host network"),
        ("two", "side", "sharing network namespace with another container or host"),
    ):
        with pytest.raises(Forbidden, match=text):
            await rig.connect(network, name)
    with pytest.raises(Forbidden, match="cannot be disconnected from host network"):
        await rig.containers.disconnect("host", "host")


@engine_test
async def test_connect_to_a_network_that_goes_meanwhile(rig: Rig) -> None:
    await two_networks(rig)
    await rig.create("web", net="one")
    start = asyncio.ensure_future(rig.lifecycle.start("web"))
    await asyncio.sleep(0)
    connect = asyncio.ensure_future(rig.connect("two", "web"))
    await asyncio.sleep(0)
    await rig.networks.remove("two")
    with pytest.raises(NotFound, match="network two not found"):
        await connect
    await start


@engine_test
async def test_a_network_in_use_stays(rig: Rig) -> None:
    await two_networks(rig)
    made = await rig.create("web", net="one")
    rig.faults.turns = lambda: 3
    start = asyncio.ensure_future(rig.lifecycle.start("web"))
    await asyncio.sleep(0)
    with pytest.raises(Forbidden, match="network one has active endpoints"):  # already while it comes up
        await rig.networks.remove("one")
    await start
    with pytest.raises(Forbidden, match=f'name:"{made.name}"'):
        await rig.networks.remove("one")
    await rig.lifecycle.stop("web")
    await rig.networks.remove("one")
    assert rig.told()[-1] == "destroy one"


@engine_test
async def test_a_failed_connect_leaves_the_other_names_and_dns(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})
    before = rig.outline()
    rig.proxy.busy.add(("tcp", 8080))  # irrelevant: the port is ours already
    rig.kernel.pins[rig.state.sandbox(rig.of("web").id).path] += 0
    rig.faults.fail(3)
    with pytest.raises(Exception, match="injected"):
        await rig.connect("two", "web")
    assert rig.outline() == before


@engine_test
async def test_links_are_told_to_the_asker(rig: Rig) -> None:
    await rig.network("net")
    await rig.run("db", net="net")
    await rig.run("web", net="net", endpoints=(EndpointConfig(network="net", links=("db:database",)),))
    asker = rig.resolver.askers[rig.state.sandbox(rig.of("web").id).id]
    assert asker.links == ((rig.state.network("net").id, "database", "db"),)


@engine_test
async def test_a_name_in_use_is_refused(rig: Rig) -> None:
    await rig.create("web")
    with pytest.raises(Conflict, match="You have to remove"):
        await rig.create("web")
    results = await asyncio.gather(*(rig.create("twin") for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 2
