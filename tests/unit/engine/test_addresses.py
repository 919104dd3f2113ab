"""Addresses, MACs and names of endpoints: claimed once, kept for a container's life, given up only in need."""

import asyncio
from ipaddress import ip_address

import pytest

from landbridge.errors import Conflict, Forbidden, Invalid, NotFound
from landbridge.model.config import Config, EndpointConfig, EndpointIpam
from landbridge.model.container import Phase
from rig import Rig, engine_test


def gateway(rig: Rig, network: str) -> str:
    return rig.state.network(network).pools[0].gateway


@engine_test
async def test_address_and_mac_stay_over_a_stop(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("web", net="net")
    before = rig.endpoint("web", "net")
    await rig.lifecycle.stop("web")
    await rig.run("other", net="net")
    assert rig.ip("other", "net") != before.ipv4.split("/")[0]
    await rig.lifecycle.start("web")
    after = rig.endpoint("web", "net")
    assert (after.ipv4, after.mac, after.id) == (before.ipv4, before.mac, before.id)


@engine_test
async def test_a_static_address_is_reserved_from_create_on(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/29")
    await rig.create("fixed", net="net", ip="10.1.0.2")
    await rig.run("any", net="net")
    assert rig.ip("any", "net") == "10.1.0.3"
    await rig.lifecycle.start("fixed")
    assert rig.ip("fixed", "net") == "10.1.0.2"


@engine_test
async def test_a_static_address_asked_for_a_stopped_container_is_reserved_too(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/29")
    await rig.create("fixed")
    await rig.connect("net", "fixed", ipam_config=EndpointIpam(ipv4_address="10.1.0.2"))
    await rig.run("any", net="net")
    assert rig.ip("any", "net") == "10.1.0.3"


@engine_test
async def test_a_static_address_in_use_is_refused_at_the_start(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("first", net="net", ip="10.1.0.9")
    await rig.create("second", net="net", ip="10.1.0.9")
    with pytest.raises(Forbidden, match="Address already in use"):
        await rig.lifecycle.start("second")
    assert rig.phase("second") is Phase.CREATED


@engine_test
async def test_a_static_address_takes_a_stopped_containers_lease(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("lazy", net="net")
    await rig.lifecycle.stop("lazy")
    taken = rig.ip("lazy", "net")
    await rig.run("fixed", net="net", ip=taken)
    assert rig.ip("fixed", "net") == taken
    await rig.lifecycle.start("lazy")
    assert rig.ip("lazy", "net") != taken


@engine_test
async def test_a_full_network_takes_back_the_lease_of_who_ended_first(rig: Rig) -> None:
    await rig.network("small", "10.1.0.0/29")  # five for containers
    for name in ("ca", "cb", "cc", "cd"):
        await rig.run(name, net="small")
    await rig.create("fixed", net="small", ip="10.1.0.6")
    for name in ("cb", "ca"):
        await rig.end(name)
    freed, kept = rig.ip("cb", "small"), rig.ip("ca", "small")
    await rig.run("ce", net="small")
    assert rig.ip("ce", "small") == freed
    assert rig.ip("ca", "small") == kept
    await rig.run("cf", net="small")
    await rig.create("cg", net="small")
    with pytest.raises(Invalid, match="no available IPv4 addresses"):
        await rig.lifecycle.start("cg")
    await rig.lifecycle.start("fixed")  # its own was never given away


@engine_test
async def test_a_container_being_started_keeps_its_lease_against_others(rig: Rig) -> None:
    """Not active yet, but no longer idle either: a full network must not take its address back."""
    await rig.network("tiny", "10.1.0.0/30")  # one for containers
    await rig.create("ca", net="tiny")
    await rig.create("cb", net="tiny")
    rig.faults.turns = lambda: 5
    results = await asyncio.gather(
        rig.lifecycle.start("ca"), rig.lifecycle.start("cb"), return_exceptions=True
    )
    assert sum(isinstance(result, Invalid) for result in results) == 1
    assert sorted((rig.phase("ca"), rig.phase("cb"))) == [Phase.CREATED, Phase.RUNNING]


@engine_test
async def test_both_families(rig: Rig) -> None:
    await rig.network("dual", "10.1.0.0/24", enable_ipv6=True)
    await rig.run("web", net="dual")
    endpoint = rig.endpoint("web", "dual")
    assert endpoint.ipv4 == "10.1.0.2/24"
    assert endpoint.ipv6.startswith("fd")
    assert endpoint.gateway6
    routes = rig.kernel.routes_in[rig.state.sandbox(rig.of("web").id).path]
    assert (routes.gateway4, routes.gateway6) == ("10.1.0.1", endpoint.gateway6)


@engine_test
async def test_an_internal_network_gives_no_way_out(rig: Rig) -> None:
    await rig.network("inside", "10.1.0.0/24", internal=True)
    await rig.run("web", net="inside", ports={"80/tcp": "8080"})
    assert rig.endpoint("web", "inside").gateway4 == ""
    assert rig.published("web") == {}


@engine_test
async def test_a_given_mac_is_kept_in_canonical_form(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("web", net="net", endpoints=(EndpointConfig(network="net", mac_address="02-AA-00-00-00-01"),))
    assert rig.endpoint("web", "net").mac == "02:aa:00:00:00:01"


@engine_test
async def test_interface_names_follow_the_order_of_the_request(rig: Rig) -> None:
    for number, name in enumerate(("zeta", "alpha", "mid")):
        await rig.network(name, f"10.{number}.0.0/24")
    wanted = tuple(EndpointConfig(network=name) for name in ("zeta", "alpha", "mid"))
    await rig.run("web", net="zeta", endpoints=wanted)
    shown = {name: rig.endpoint("web", name).ifname for name in ("zeta", "alpha", "mid")}
    assert shown == {"zeta": "eth0", "alpha": "eth1", "mid": "eth2"}
    await rig.lifecycle.stop("web")
    await rig.containers.disconnect("alpha", "web")
    await rig.connect("alpha", "web")
    await rig.lifecycle.start("web")
    shown = {name: rig.endpoint("web", name).ifname for name in ("zeta", "mid", "alpha")}
    assert shown == {"zeta": "eth0", "mid": "eth1", "alpha": "eth2"}
    await rig.lifecycle.stop("web")
    for name in ("zeta", "mid", "alpha", "zeta", "mid"):
        await rig.containers.disconnect(name, "web")
        await rig.connect(name, "web", ipam_config=EndpointIpam(ipv4_address=str(ip_address(gateway(rig, name)) + 9)))
    await rig.again()  # which loads claims in any order
    await rig.lifecycle.start("web")
    shown = {name: rig.endpoint("web", name).ifname for name in ("alpha", "zeta", "mid")}
    assert shown == {"alpha": "eth0", "zeta": "eth1", "mid": "eth2"}


@engine_test
async def test_an_interface_name_asked_for_is_given_or_refused(rig: Rig) -> None:
    ifname = {"com.docker.network.endpoint.ifname": "eth0"}
    await rig.network("one")
    await rig.network("two")
    await rig.run("web", net="one", endpoints=(EndpointConfig(network="one"), EndpointConfig(network="two", driver_opts=ifname)))
    assert (rig.endpoint("web", "one").ifname, rig.endpoint("web", "two").ifname) == ("eth1", "eth0")
    await rig.network("three")
    with pytest.raises(Conflict, match='error renaming interface to "eth0": file exists'):
        await rig.connect("three", "web", driver_opts=ifname)


@engine_test
async def test_a_network_made_anew_is_found_by_its_name(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("web", net="net")
    await rig.lifecycle.stop("web")
    await rig.networks.remove("net")
    with pytest.raises(NotFound, match="network net not found"):
        await rig.lifecycle.start("web")
    await rig.network("net", "10.9.0.0/24")
    await rig.lifecycle.start("web")
    assert rig.ip("web", "net") == "10.9.0.2"


@engine_test
async def test_none_has_a_stack_of_its_own_and_host_has_the_hosts(rig: Rig) -> None:
    await rig.run("alone", net="none")
    sandbox = rig.state.sandbox(rig.of("alone").id)
    assert sandbox is not None
    assert not [one for one in rig.kernel.veths.values() if one.sandbox == sandbox.path]
    await rig.run("open", net="host")
    assert rig.state.sandbox(rig.of("open").id) is None


@engine_test
async def test_names_are_known_while_it_runs_and_only_on_networks_of_the_user(rig: Rig) -> None:
    await rig.network("net")
    await rig.run("web", net="net", config=Config(hostname="w1"), endpoints=(EndpointConfig(network="net", aliases=("api",)),))
    await rig.run("plain")
    record = rig.resolver.records[rig.endpoint("web", "net").id]
    assert record.names == ("web", "api", rig.of("web").id[:12], "w1")
    assert record.addresses == (rig.ip("web", "net"),)
    assert rig.names("bridge") == set()
    await rig.lifecycle.stop("web")
    assert rig.names("net") == set()


@engine_test
async def test_a_rename_is_known_at_once(rig: Rig) -> None:
    await rig.network("net")
    await rig.run("web", net="net")
    await rig.containers.rename("web", "www")
    assert rig.names("net") == {"www"}
    assert rig.told()[-1] == "rename"
    await rig.create("web")
    with pytest.raises(Conflict, match='The container name "/web" is already in use by container'):
        await rig.containers.rename("www", "web")
    assert rig.names("net") == {"www"}
