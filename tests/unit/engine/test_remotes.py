"""Networks and addresses of plugins: asked in order, given back whatever happens, never waited for at a start."""

import pytest

from landbridge.engine.remotes import HASTE, HURRY, PATIENCE
from landbridge.errors import Conflict, Internal, LandbridgeError, NotFound, Unavailable
from landbridge.model.config import EndpointConfig
from landbridge.model.network import IpamPool, NetworkRequest
from rig import Rig, engine_test


def nothing_left(rig: Rig) -> bool:
    plugin = rig.outside.plugins
    return not (plugin.networks or plugin.endpoints or plugin.joined or plugin.opened or plugin.pools or plugin.addresses)


@engine_test
async def test_a_networks_whole_life(rig: Rig) -> None:
    plugin = rig.outside.plugins
    net = await rig.network("net", "10.32.0.0/24", driver="weave", options={"colour": "red"}, labels={"a": "b"})
    assert plugin.methods() == ["Activate", "GetCapabilities", "CreateNetwork"]
    body = plugin.asked[-1][1]
    assert body["Options"]["com.docker.network.generic"] == {"colour": "red"}  # type: ignore[index]
    assert body["IPv4Data"] == [
        {"AddressSpace": "LocalDefault", "Pool": "10.32.0.0/24", "Gateway": "10.32.0.1/24", "AuxAddresses": {}}
    ]
    plugin.asked.clear()
    web = await rig.run("web", net="net", ports={"80/tcp": "8080"})
    assert plugin.methods() == ["CreateEndpoint", "Join", "ProgramExternalConnectivity"]
    [end] = rig.state.endpoints_of(web.id)
    assert (end.mac, end.ipv4, end.gateway4, end.source) == ("02:00:00:00:00:99", "10.32.0.2/24", "10.32.0.1", f"weave{end.id[:8]}")
    [spec] = rig.kernel.moved.values()
    assert (spec.source, spec.ifname, spec.addresses, spec.mac) == (end.source, "eth0", ("10.32.0.2/24",), end.mac)
    mapped = plugin.asked[-1][1]["Options"]["com.docker.network.portmap"]  # type: ignore[index]
    assert mapped == [{"Proto": 6, "Port": 80, "IP": "", "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}]
    assert rig.published("web") == {}, "the plugin does that"
    plugin.asked.clear()
    await rig.lifecycle.stop("web")
    assert plugin.methods() == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"]
    assert rig.state.endpoints_of(web.id)[0].source == ""
    await rig.networks.remove("net")
    assert plugin.methods()[-1] == "DeleteNetwork" and nothing_left(rig)
    assert net.scope == "local"


@engine_test
async def test_connected_and_disconnected(rig: Rig) -> None:
    plugin = rig.outside.plugins
    await rig.network("net")
    await rig.network("weft", driver="weave")
    await rig.run("web", net="net")
    plugin.asked.clear()
    await rig.containers.connect("weft", "web", EndpointConfig(network="weft", mac_address="02:00:00:00:00:77"))
    assert plugin.methods() == ["CreateEndpoint", "Join"], "the default route leads elsewhere"
    [spec] = rig.kernel.moved.values()
    assert (spec.ifname, spec.mac) == ("eth1", "02:00:00:00:00:77")
    await rig.containers.disconnect("weft", "web")
    assert plugin.methods()[2:] == ["Leave", "DeleteEndpoint"] and not rig.kernel.moved
    plugin.refuses["NetworkDriver.Join"] = "no room"
    with pytest.raises(Internal, match="remote: no room"):
        await rig.containers.connect("weft", "web", EndpointConfig(network="weft"))
    assert not plugin.endpoints


@pytest.mark.parametrize("method", ["NetworkDriver.CreateEndpoint", "NetworkDriver.Join"])
def test_a_start_the_plugin_refuses(method: str) -> None:
    @engine_test
    async def go(rig: Rig) -> None:
        rig.outside.plugins.refuses[method] = "no room"
        await rig.network("net", driver="weave")
        with pytest.raises(Internal, match="remote: no room"):
            await rig.run("web", net="net")
        assert not rig.outside.plugins.endpoints and not rig.kernel.pins

    go()


@engine_test
async def test_what_a_plugin_may_not_change(rig: Rig) -> None:
    plugin = rig.outside.plugins
    await rig.network("net", driver="weave")
    for says, text in (
        ({"Interface": {"Address": "10.9.9.9/24"}}, "driver modified interface address"),
        ({"Interface": {"AddressIPv6": "nonsense"}}, "invalid CIDR address: nonsense"),
    ):
        plugin.says["NetworkDriver.CreateEndpoint"] = says
        with pytest.raises(Internal, match=text):
            await rig.run("web", net="net")
        await rig.containers.remove("web")
    plugin.says["NetworkDriver.CreateEndpoint"] = {"Interface": {"MacAddress": "02:00:00:00:00:01"}}
    await rig.network("bare")
    await rig.run("other", net="bare")
    with pytest.raises(Internal, match="driver modified interface MAC address"):
        await rig.containers.connect("net", "other", EndpointConfig(network="net", mac_address="02:00:00:00:00:77"))
    plugin.says.clear()
    for says, text in (
        ({"Gateway": "x"}, 'unable to parse Gateway "x"'),
        ({"StaticRoutes": [{"Destination": "x"}]}, "invalid CIDR address: x"),
        ({"StaticRoutes": [{"Destination": "10.0.0.0/8", "NextHop": "x"}]}, "failed to parse nexthop IP x"),
    ):
        plugin.says["NetworkDriver.Join"] = says
        with pytest.raises(Internal, match=text):
            await rig.run("web", net="net")
        await rig.containers.remove("web")
    assert not plugin.endpoints and not plugin.joined


@engine_test
async def test_routes_and_names_of_a_plugin(rig: Rig) -> None:
    rig.outside.plugins.says["NetworkDriver.Join"] = {
        "InterfaceName": {"SrcName": "uplink", "DstPrefix": "weft"}, "Gateway": "", "DisableGatewayService": True,
        "StaticRoutes": [{"Destination": "10.8.0.0/16", "RouteType": 0, "NextHop": "10.32.0.9"},
                         {"Destination": "10.7.0.0/16", "RouteType": 1}],
    }  # fmt: skip
    await rig.network("net", driver="weave")
    await rig.run("web", net="net")
    [spec] = rig.kernel.moved.values()
    assert (spec.ifname, spec.routes) == ("weft0", (("10.8.0.0/16", "10.32.0.9"), ("10.7.0.0/16", "")))
    assert not any(rig.kernel.routes_in.values()) and not rig.outside.plugins.opened
    await rig.lifecycle.stop("web")
    assert "uplink" in rig.kernel.interfaces, "it is given back"


@engine_test
async def test_no_such_plugin_or_another_kind(rig: Rig) -> None:
    with pytest.raises(NotFound, match='plugin "felt" not found'):
        await rig.network("net", driver="felt")
    with pytest.raises(NotFound, match='plugin "felt" not found'):
        await rig.network("net", ipam_driver="felt")
    rig.outside.plugins.implements = ["VolumeDriver"]
    with pytest.raises(NotFound, match="Plugin does not implement the requested driver"):
        await rig.network("net", driver="weave")
    rig.outside.plugins.implements = ["NetworkDriver"]
    rig.outside.plugins.says["NetworkDriver.GetCapabilities"] = {"Scope": "galaxy"}
    with pytest.raises(Internal, match="invalid capability: expecting 'local' or 'global', got galaxy"):
        await rig.network("net", driver="weave")
    assert nothing_left(rig) and rig.state.networks.by_name("net") is None


@engine_test
async def test_addresses_of_a_plugin(rig: Rig) -> None:
    plugin = rig.outside.plugins
    pools = (IpamPool(subnet="10.32.0.0/24", auxiliary={"printer": "10.32.0.2"}),)
    net = await rig.networks.create(NetworkRequest(name="net", pools=pools, ipam_driver="weave"))
    assert (net.pools[0].gateway, net.pools[0].lease) == ("10.32.0.1", "pool1")
    web = await rig.run("web", net="net")
    await rig.run("fixed", net="net", ip="10.32.0.77")
    assert [rig.state.endpoints_of(one)[0].ipv4 for one in (web.id, rig.of("fixed").id)] == ["10.32.0.3/24", "10.32.0.77/24"]
    await rig.lifecycle.stop("web")
    assert plugin.addresses == {"10.32.0.1", "10.32.0.2", "10.32.0.77"}
    await rig.lifecycle.stop("fixed")
    await rig.networks.remove("net")
    assert nothing_left(rig)


@engine_test
async def test_a_network_that_does_not_come_to_be_gives_its_addresses_back(rig: Rig) -> None:
    await rig.network("other", options={"com.docker.network.bridge.name": "br7"})
    with pytest.raises(LandbridgeError, match="same bridge name"):
        await rig.network("net", ipam_driver="weave", options={"com.docker.network.bridge.name": "br7"})
    assert nothing_left(rig) and "RequestPool" in rig.outside.plugins.methods()
    rig.outside.plugins.asked.clear()
    with pytest.raises(Conflict):
        await rig.network("other", ipam_driver="weave")
    assert rig.outside.plugins.asked == []


@engine_test
async def test_a_daemon_does_not_wait_for_a_dead_plugin(rig: Rig) -> None:
    plugin = rig.outside.plugins
    await rig.network("net", driver="weave")
    await rig.run("web", net="net")
    before = rig.outline()
    plugin.missing = True
    await rig.again()
    assert rig.outline() == before, "what runs goes on"
    await rig.lifecycle.stop("web")
    with pytest.raises(Unavailable, match="connection refused"):
        await rig.lifecycle.start("web")
    await rig.networks.remove("net")
    assert rig.kernel.moved == {} and rig.state.networks.by_name("net") is None
    # Once it did not answer, all the rest is told in passing.
    assert plugin.waits == [HASTE, HURRY, HURRY, PATIENCE, *[HURRY] * len(plugin.waits[4:])]


@engine_test
async def test_after_a_reboot_the_plugin_hears_that_endpoints_are_over(rig: Rig) -> None:
    plugin = rig.outside.plugins
    await rig.network("net", driver="weave", ipam_driver="weave")
    await rig.run("web", net="net")
    plugin.asked.clear()
    for path in tuple(rig.kernel.pins):
        rig.kernel.remove_sandbox(path)
    rig.runtime.processes.clear()
    await rig.again()
    assert plugin.methods() == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "ReleaseAddress"]
    assert not plugin.endpoints
    await rig.lifecycle.start("web")
    assert plugin.endpoints


@pytest.mark.parametrize("number", range(1, 30))
def test_a_start_cut_short_anywhere_leaves_nothing_with_the_plugin(number: int) -> None:
    @engine_test
    async def go(rig: Rig) -> None:
        await rig.network("net", driver="weave", ipam_driver="weave")
        await rig.create("web", net="net")
        rig.faults.fail(number)
        try:
            await rig.lifecycle.start("web")
        except LandbridgeError:
            plugin = rig.outside.plugins
            assert not (plugin.endpoints or plugin.joined or plugin.opened) and plugin.addresses == {"10.32.0.1"}
        rig.faults.fail(10**9)

    go()
