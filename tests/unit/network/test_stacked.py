"""macvlan and ipvlan as decisions: what is refused, which parent is ours to make, which steps."""

import pytest

from landbridge.errors import Internal, Invalid
from landbridge.model.config import EndpointConfig
from landbridge.model.link import ParentSpec, RouteSpec
from landbridge.model.network import NetworkRequest
from landbridge.network import gateways, options
from landbridge.network.drivers import driver
from landbridge.network.stacked import made_parent, split_vlan
from landbridge.network.steps import Parent, Stacked
from worlds import container, endpoint, network, sandbox


def asked(kind: str, **given: str) -> NetworkRequest:
    return NetworkRequest(name="x", driver=kind, options=given)


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        ("macvlan", {"macvlan_mode": "l2"}, "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver"),
        ("ipvlan", {"ipvlan_mode": "bridge"}, "requested ipvlan mode 'bridge' is not valid, 'l2' mode is the ipvlan driver"),
        ("ipvlan", {"ipvlan_flag": "x"}, "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"),
        ("macvlan", {"parent": "lo"}, "loopback interface is not a valid macvlan parent link"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_itself(kind: str, given: dict[str, str], text: str) -> None:
    with pytest.raises(Internal, match=text):
        driver(kind).check(asked(kind, **given))


def test_the_mtu_is_a_number() -> None:
    with pytest.raises(Invalid, match="failed to parse"):
        driver("macvlan").check(asked("macvlan", **{options.MTU: "big"}))


@pytest.mark.parametrize(
    ("parent", "text"),
    [
        ("eth9", "invalid subinterface vlan name eth9, example formatting is eth0.10"),
        ("eth9.1", "-o parent interface was not found on the host: eth9"),
        ("eth0.1.2", "required interface name format is: name.vlan_id"),
        ("eth0.x", "unable to parse a valid vlan id from: x"),
        ("eth0.0", "vlan id must be between 1-4094, received: 0"),
        ("eth0.4095", "vlan id must be between 1-4094, received: 4095"),
    ],
)
def test_a_parent_that_is_not_there(parent: str, text: str) -> None:
    with pytest.raises(Internal, match=text):
        driver("macvlan").check_among(asked("macvlan", parent=parent), (), {"lo", "eth0"})
    driver("macvlan").check_among(asked("macvlan", parent=parent), (), {"lo", parent})


def test_one_network_of_a_driver_to_a_parent() -> None:
    first = network("first", driver="macvlan", options={"parent": "eth0"})
    with pytest.raises(Internal, match=f"network dm-{first.id[:12]} is already using parent interface eth0"):
        driver("macvlan").check_among(asked("macvlan", parent="eth0"), (first,), {"eth0"})
    driver("macvlan").check_among(asked("macvlan", parent="eth1"), (first,), {"eth0", "eth1"})
    driver("ipvlan").check_among(asked("ipvlan", parent="eth0"), (first,), {"eth0"})
    driver("macvlan").check_among(asked("macvlan"), (network("none", driver="macvlan"),), {"eth0"})


@pytest.mark.parametrize(
    ("parent", "made"),
    [
        ("eth0", None),
        ("eth0.10", ParentSpec(name="eth0.10", of="eth0", vlan=10)),
        ("eth0.4095", None),
        ("br.lan", None),
    ],
)
def test_which_parents_may_be_ours_to_make(parent: str, made: ParentSpec | None) -> None:
    net = network("net", driver="macvlan", options={"parent": parent})
    assert made_parent(net) == made
    assert driver("macvlan").create(net, 1500) == ((Parent(spec=made),) if made else ())
    assert split_vlan(parent)[1] == (made.vlan if made else 0)


def test_the_stand_in_is_called_after_its_network() -> None:
    net = network("net", driver="macvlan")
    [step] = driver("macvlan").create(net, 1500)
    assert isinstance(step, Parent) and step.spec == ParentSpec(name=f"dm-{net.id[:12]}")
    assert not driver("macvlan").leads_out(asked("macvlan")) and driver("macvlan").leads_out(asked("macvlan", parent="a"))


def test_an_interface_on_its_parent() -> None:
    net = network("net", driver="ipvlan", options={"parent": "eth0", "ipvlan_mode": "l3", "ipvlan_flag": "private"})
    web = container("web")
    end = endpoint(web, net, "10.1.0.2/24", ifname="eth0", mac="")
    [step] = driver("ipvlan").attach(net, end, sandbox(web), 1500)
    assert isinstance(step, Stacked)
    spec = step.spec
    assert (spec.kind, spec.parent, spec.mode, spec.flag, spec.mac, spec.mtu) == ("ipvlan", "eth0", "l3", "private", "", 0)
    assert spec.addresses == ("10.1.0.2/24",) and ("net/ipv6/conf/eth0/disable_ipv6", "1") in spec.sysctls


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_a_routing_ipvlan_has_its_default_route_without_a_gateway(mode: str) -> None:
    net = network("net", driver="ipvlan", options={"parent": "eth0", "ipvlan_mode": mode})
    web = container("web")
    end = endpoint(web, net, "10.1.0.2/24", ifname="eth0", gateway4="")
    nets = {net.id: net}
    assert gateways.routes("/ns", [end], nets) == RouteSpec(sandbox="/ns", ifname4="eth0")
    assert bool(gateways.routes("/ns", [end], nets))
    assert driver("ipvlan").without_gateway(asked("ipvlan", parent="eth0", ipvlan_mode=mode), six=False)
    assert not driver("ipvlan").without_gateway(asked("ipvlan", parent="eth0"), six=False)


def test_ports_are_not_led_past_a_default_route_elsewhere() -> None:
    lan = network("lan", driver="macvlan", bridge="", options={"parent": "eth0"})
    bridge = network("net", bridge="br0")
    web = container("web")
    on_lan = endpoint(web, lan, "192.0.2.5/24", gateway4="192.0.2.1", active=True, order=0)
    on_net = endpoint(web, bridge, "10.1.0.2/24", gateway4="10.1.0.1", active=True, order=1)
    nets = {lan.id: lan, bridge.id: bridge}
    assert gateways.lead([on_lan, on_net], nets).four == ""
    first = endpoint(web, bridge, "10.1.0.2/24", gateway4="10.1.0.1", active=True, order=1,
                     config=EndpointConfig(network="net", gw_priority=1))
    assert gateways.lead([on_lan, first], nets).four == "10.1.0.2"
