"""Networks: what is refused, what is completed, what is left when one goes."""

import asyncio

import pytest

from landbridge.engine.presence import HOST_NAME
from landbridge.errors import Conflict, Forbidden, Internal, Invalid, LandbridgeError, NotFound
from landbridge.model.config import EndpointConfig, EndpointIpam
from landbridge.model.link import BridgeSpec, RouteFact
from landbridge.model.network import IpamPool, NetworkRequest
from landbridge.network import options
from rig import Rig, engine_test


@engine_test
async def test_a_network_is_completed(rig: Rig) -> None:
    made = await rig.network("net")
    [pool] = made.pools
    assert (pool.subnet, pool.gateway, pool.chosen) == ("172.18.0.0/20", "172.18.0.1", True)
    assert rig.kernel.bridges[made.bridge].addresses == ("172.18.0.1/20",)
    assert (made.driver, made.enable_ipv4, made.enable_ipv6) == ("bridge", True, False)
    assert rig.told() == ["create net"]


@engine_test
async def test_chosen_subnets_avoid_networks_and_routes(rig: Rig) -> None:
    rig.kernel.host_routes.append(RouteFact(destination="172.18.16.0/20", device="eth0"))
    rig.kernel.host_routes.append(RouteFact(destination="0.0.0.0/0", device="eth0", gateway="192.0.2.1"))
    assert [(await rig.network(name)).pools[0].subnet for name in ("one", "two")] == ["172.18.0.0/20", "172.18.32.0/20"]


@engine_test
async def test_both_families_are_chosen(rig: Rig) -> None:
    pools = (await rig.network("net", enable_ipv6=True)).pools
    assert [pool.subnet.partition(":")[1] for pool in pools] == ["", ":"]
    only = await rig.network("six", enable_ipv4=False, enable_ipv6=True)
    assert [pool.subnet.partition(":")[1] for pool in only.pools] == [":"]
    assert only.pools[0].subnet != pools[1].subnet


@engine_test
async def test_a_pool_of_a_family_left_off_is_shown_and_not_used(rig: Rig) -> None:
    six = IpamPool(subnet="2001:db8:7::/64")
    made = await rig.networks.create(NetworkRequest(name="net", pools=(six,)))
    assert [pool.subnet for pool in made.pools] == [six.subnet, "172.18.0.0/20"] and made.pools[0].gateway == ""
    assert rig.kernel.bridges[made.bridge].addresses == ("172.18.0.1/20",)
    # An address in it may be asked for, and nobody gets one; nor is the subnet taken.
    config = EndpointConfig(network="net", ipam_config=EndpointIpam(ipv6_address="2001:db8:7::9"))
    container = await rig.run("web", net="net", endpoints=(config,))
    [endpoint] = rig.state.endpoints_of(container.id)
    assert (endpoint.ipv4, endpoint.ipv6) == ("172.18.0.2/20", "")
    await rig.networks.create(NetworkRequest(name="other", pools=(six,), enable_ipv6=True))


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        (NetworkRequest(name="host"), Forbidden, "operation is not permitted on predefined host network"),
        (NetworkRequest(name="default"), Forbidden, "operation is not permitted on predefined default network"),
        (NetworkRequest(name=""), Invalid, "name is empty"),
        (NetworkRequest(name="a/b"), Invalid, "invalid characters"),
        (NetworkRequest(name="net", driver="felt"), NotFound, 'plugin "felt" not found'),
        (NetworkRequest(name="net", driver="host"), Forbidden, 'only one instance of "host" network is allowed'),
        (NetworkRequest(name="net", ipam_driver="dhcp"), NotFound, 'plugin "dhcp" not found'),
        (NetworkRequest(name="net", scope="swarm"), Forbidden, "cannot create a swarm scoped network when swarm is not"),
        (NetworkRequest(name="net", driver="overlay"), Forbidden, "This node is not a swarm manager."),
        (NetworkRequest(name="net", ingress=True), Forbidden, "Ingress network can only be global scope network"),
        (NetworkRequest(name="net", config_only=True, scope="local"), Forbidden, "can only contain network specific"),
        (NetworkRequest(name="net", config_only=True, ingress=True), Forbidden, "can only contain network specific"),
        (NetworkRequest(name="net", ipam_driver="null"), Invalid, "ipv4 pool is empty"),
        (NetworkRequest(name="net", ipam_driver="null", enable_ipv4=False, enable_ipv6=True), Invalid, "ipv6 pool is empty"),
        (NetworkRequest(name="net", ipam_driver="null", pools=(IpamPool(subnet="10.0.0.0/8"),)), Invalid,
         "null ipam driver does not handle specific address pool requests"),
        (NetworkRequest(name="net", driver="macvlan", options={"parent": "eth9"}), Internal, "invalid subinterface vlan"),
        (NetworkRequest(name="net", enable_ipv4=False), Invalid, "IPv4 or IPv6 must be enabled"),
        (NetworkRequest(name="net", config_from="none"), NotFound, 'configuration network "none" does not exist'),
        (NetworkRequest(name="net", pools=(IpamPool(subnet="10.0.0.1/8"),)), Invalid, "it should be 10.0.0.0/8"),
        (NetworkRequest(name="net", pools=(IpamPool(subnet="172.17.0.0/24"),)), Forbidden, "Pool overlaps"),
        (NetworkRequest(name="net", pools=(IpamPool(subnet="10.1.0.0/24"), IpamPool(subnet="10.2.0.0/24"))), Forbidden,
         "bridge driver doesn't support multiple subnets"),
        (NetworkRequest(name="net", options={"com.docker.network.bridge.name": "x" * 16}), Invalid, "at most 15 characters"),
        (NetworkRequest(name="net", options={"com.docker.network.bridge.enable_icc": "si"}), Invalid, "failed to parse"),
    ],
)  # fmt: skip
def test_what_is_refused(request_: NetworkRequest, kind: type[LandbridgeError], text: str) -> None:
    @engine_test
    async def run(rig: Rig) -> None:
        before = rig.outline()
        with pytest.raises(kind, match=text):
            await rig.networks.create(request_)
        assert rig.outline() == before

    run()


@engine_test
async def test_a_name_and_a_bridge_belong_to_one_network(rig: Rig) -> None:
    await rig.network("net", options={"com.docker.network.bridge.name": "br-mine"})
    assert "br-mine" in rig.kernel.bridges
    with pytest.raises(Conflict, match="network with name net already exists"):
        await rig.network("net")
    with pytest.raises(Forbidden, match="networks have same bridge name"):
        await rig.network("other", options={"com.docker.network.bridge.name": "br-mine"})


@engine_test
async def test_a_template_and_what_is_made_from_it(rig: Rig) -> None:
    await rig.network("template", "10.5.0.0/24", config_only=True)
    assert set(rig.kernel.bridges) == {rig.state.network("bridge").bridge}
    made = await rig.network("net", config_from="template")
    assert made.pools[0].subnet == "10.5.0.0/24"
    with pytest.raises(Forbidden, match='configuration network "template" is in use'):
        await rig.networks.remove("template")
    with pytest.raises(Forbidden, match="user specified configurations are not supported"):
        await rig.network("more", "10.6.0.0/24", config_from="template")
    with pytest.raises(Forbidden, match="network driver options are not supported"):
        await rig.network("more", options={"a": "b"}, config_from="template")
    with pytest.raises(Forbidden, match="cannot depend on another configuration network"):
        await rig.network("more", config_only=True, config_from="template")
    await rig.create("web", net="template")
    with pytest.raises(Forbidden, match="cannot create endpoint on configuration-only network"):
        await rig.lifecycle.start("web")
    await rig.networks.remove("net")
    await rig.networks.remove("template")


@engine_test
async def test_the_predefined_ones_stay(rig: Rig) -> None:
    for name in ("bridge", "host", "none"):
        with pytest.raises(Forbidden, match=f"{name} is a pre-defined network and cannot be removed"):
            await rig.networks.remove(name)
    with pytest.raises(NotFound, match="network nope not found"):
        await rig.networks.remove("nope")


@engine_test
async def test_stopped_containers_do_not_hold_a_network_and_lose_their_claims(rig: Rig) -> None:
    await rig.network("net")
    await rig.run("web", net="net")
    await rig.create("fixed", net="net", ip="172.18.0.9")
    await rig.lifecycle.stop("web")
    await rig.networks.remove("net")
    assert rig.state.endpoints_of(rig.of("web").id) == ()
    assert rig.resolver.networks == {}


@engine_test
async def test_what_nobody_uses(rig: Rig) -> None:
    for name in ("used", "claimed", "asked", "idle"):
        await rig.network(name)
    await rig.run("one", net="used")
    await rig.run("two", net="claimed")
    await rig.lifecycle.stop("two")
    await rig.create("three", net="asked")
    await rig.network("template", config_only=True)
    # As in Docker: who does not run is on no network, and templates stay.
    assert [one.name for one in rig.networks.unused()] == ["claimed", "asked", "idle"]


@engine_test
async def test_a_subnet_can_be_used_again_after_a_failure(rig: Rig) -> None:
    rig.faults.fail(2)
    with pytest.raises(Internal):
        await rig.network("net", "10.5.0.0/24")
    await rig.network("net", "10.5.0.0/24")


@engine_test
async def test_a_network_that_fails_takes_the_claims_made_meanwhile_along(rig: Rig) -> None:
    rig.faults.turns = lambda: 50

    def fail(count: int, what: str) -> None:
        if what.startswith("ensure_bridge"):
            raise Internal("no bridge today")

    rig.faults.watch(hook=fail)
    making = asyncio.ensure_future(rig.network("net", "10.5.0.0/24"))
    while rig.state.networks.by_name("net") is None:  # noqa: ASYNC110 (nobody tells us)
        await asyncio.sleep(0)
    rig.faults.turns = lambda: 0
    made = await rig.create("web", net="net", ip="10.5.0.9")
    assert rig.ip("web", "net") == "10.5.0.9"
    with pytest.raises(Internal):
        await making
    assert rig.state.endpoints_of(made.id) == ()


@engine_test
async def test_hundreds_of_networks(rig: Rig) -> None:
    for number in range(200):
        await rig.network(f"n{number}")
    assert len(rig.kernel.bridges) == 201


@engine_test
async def test_a_bridge_that_was_there_is_used_and_stays(rig: Rig) -> None:
    rig.kernel.bridges["br-lan"] = BridgeSpec(name="br-lan")
    rig.kernel.foreign.add("br-lan")
    made = await rig.network("net", options={options.NAME: "br-lan"})
    assert made.foreign_bridge
    await rig.networks.remove("net")
    assert not [one for one in rig.firewall.elements if "br-lan" in one[1]]
    assert rig.kernel.bridges.pop("br-lan").addresses, "it got the gateway's address"
    ours = await rig.network("net", options={options.NAME: "br-mine"})
    assert not ours.foreign_bridge
    await rig.networks.remove("net")
    assert "br-mine" not in rig.kernel.bridges


@engine_test
async def test_a_bridge_of_a_name_of_its_own_left_by_a_crash_goes(rig: Rig) -> None:
    rig.kernel.bridges["mybr"] = BridgeSpec(name="mybr")
    await rig.again()
    assert "mybr" not in rig.kernel.bridges


@engine_test
async def test_nobody_has_a_gateway_on_an_isolated_network(rig: Rig) -> None:
    given = {options.GATEWAY_MODE_4: "isolated"}
    made = await rig.network("net", "10.7.0.0/31", internal=True, options=given)
    assert made.pools[0].gateway == ""
    assert rig.kernel.bridges[made.bridge].addresses == ()
    await rig.run("one", net="net")
    await rig.run("two", net="net")
    assert {rig.ip("one", "net"), rig.ip("two", "net")} == {"10.7.0.0", "10.7.0.1"}


def host_of(rig: Rig, network: str) -> tuple[str, ...] | None:
    """The addresses the resolver knows the host by on a network; None: it does not."""
    identity = rig.state.network(network).id
    found = [one for one in rig.resolver.records.values() if (one.network, one.names) == (identity, (HOST_NAME,))]
    return found[0].addresses if found else None


@engine_test
async def test_the_host_has_a_name_where_it_has_an_address(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.network("both", "10.2.0.0/24", enable_ipv6=True)
    await rig.network("inner", "10.3.0.0/24", internal=True)
    await rig.network("bare", "10.4.0.0/24", options={options.INHIBIT_IPV4: "true"})
    await rig.network("alone", "10.5.0.0/24", internal=True, options={options.GATEWAY_MODE_4: "isolated"})
    await rig.network("template", "10.6.0.0/24", config_only=True)
    assert host_of(rig, "net") == ("10.1.0.1",)
    assert [":" in one for one in host_of(rig, "both") or ()] == [False, True]
    assert host_of(rig, "inner") == ("10.3.0.1",)
    assert [host_of(rig, name) for name in ("bare", "alone", "template", "bridge", "none")] == [None] * 5
    await rig.again()
    assert host_of(rig, "net") == ("10.1.0.1",)
    gone = rig.state.network("net").id
    await rig.networks.remove("net")
    assert gone not in {one.network for one in rig.resolver.records.values()} | set(rig.resolver.networks)


@engine_test
async def test_an_ipvlan_on_a_kernel_that_has_none(rig: Rig) -> None:
    rig.kernel.kinds.discard("ipvlan")
    with pytest.raises(Internal, match=r"failed to create the ipvlan port: operation not supported"):
        await rig.network("net", driver="ipvlan")
    assert rig.state.networks.by_name("net") is None and rig.kernel.parents == {}
    await rig.network("template", driver="ipvlan", config_only=True)


@engine_test
async def test_one_segment_without_addresses(rig: Rig) -> None:
    net = await rig.network("net", driver="macvlan", ipam_driver="null", enable_ipv4=False, options={"parent": "uplink"})
    assert net.pools == ()
    web = await rig.run("web", net="net")
    assert [(one.ipv4, one.ipv6) for one in rig.state.endpoints_of(web.id)] == [("", "")]
    assert [spec.addresses for spec in rig.kernel.stacked.values()] == [()]


@engine_test
async def test_templates_hold_nothing_until_they_are_used(rig: Rig) -> None:
    given = {"com.docker.network.driver.mtu": "1400"}
    await rig.network("template", "10.9.0.0/24", config_only=True, options=given, labels={"a": "b"})
    await rig.network("other", "10.9.1.0/24")
    made = await rig.network("net", config_from="template", driver="bridge")
    assert (made.pools[0].subnet, made.options, made.labels) == ("10.9.0.0/24", given, {"a": "b"})
    assert rig.kernel.bridges[made.bridge].mtu == 1400
    for rest, text in (
        ({"labels": {"x": "y"}}, "user specified configurations are not supported"),
        ({"options": {"x": "y"}}, "network driver options are not supported"),
        ({"enable_ipv6": True}, "user specified configurations are not supported"),
        ({"config_only": True}, "a configuration network cannot depend on another"),
        ({}, "Pool overlaps"),
    ):
        with pytest.raises(Forbidden, match=text):
            await rig.network("second", config_from="template", **rest)
    with pytest.raises(Forbidden, match="cannot create endpoint on configuration-only network"):
        await rig.run("web", net="template")
    with pytest.raises(Forbidden, match='configuration network "template" is in use'):
        await rig.networks.remove("template")
    await rig.networks.remove("net")
    await rig.networks.remove("template")
