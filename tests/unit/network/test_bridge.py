"""The bridge driver's decisions: what it refuses, and what it asks the kernel for."""

import pytest

from landbridge.errors import Invalid
from landbridge.model.network import IpamPool, NetworkRequest
from landbridge.network import bridge, ruleset
from landbridge.network.bridge import BridgeDriver
from landbridge.network.steps import Bridge, Rules, Veth
from worlds import container, endpoint, network, sandbox

DRIVER = BridgeDriver()
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
MTU = "com.docker.network.driver.mtu"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({ICC: "yes"}, "failed to parse com.docker.network.bridge.enable_icc value: yes .*ParseBool"),
        ({MTU: "big"}, "failed to parse com.docker.network.driver.mtu value: big .*Atoi"),
        ({MTU: "-1"}, "invalid MTU number: -1"), ({MTU: "65536"}, "invalid MTU number: 65536"),
        ({"com.docker.network.bridge.host_binding_ipv4": "here"}, "value: here .nil ip."),
        ({"com.docker.network.bridge.name": "a-name-too-long-for-it"}, "longer than 15 characters"),
        ({"com.docker.network.bridge.gateway_mode_ipv4": "open"}, "unknown gateway mode open"),
        ({"com.docker.network.bridge.gateway_mode_ipv6": "isolated"}, "can only be used for an internal network"),
    ],
)  # fmt: skip
def test_refused(options: dict[str, str], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        DRIVER.check(NetworkRequest(name="net", options=options))


def test_accepted() -> None:
    DRIVER.check(NetworkRequest(name="net", options={ICC: "0", MASQUERADE: "F", MTU: "1400"}))
    DRIVER.check(NetworkRequest(
        name="net", internal=True, options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}))  # fmt: skip


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_every_way_to_say_no(text: str) -> None:
    closed = network("net", options={ICC: text, MASQUERADE: text})
    assert not ruleset.icc(closed)
    assert not ruleset.masquerades(closed)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_every_way_to_say_yes(text: str) -> None:
    open_ = network("net", options={ICC: text, MASQUERADE: text})
    assert ruleset.icc(open_)
    assert ruleset.masquerades(open_)


def test_a_network_is_a_bridge_and_its_rules() -> None:
    made = network("net", "10.1.0.0/24", "10.1.0.1")
    link, rules = DRIVER.create(made, 1450)
    assert isinstance(link, Bridge)
    assert (link.spec.name, link.spec.addresses, link.spec.mtu) == (made.bridge, ("10.1.0.1/24",), 1450)
    assert (f"net/ipv6/conf/{made.bridge}/disable_ipv6", "1") in link.spec.sysctls
    assert (f"net/ipv4/conf/{made.bridge}/route_localnet", "1") in link.spec.sysctls
    assert rules == Rules(add=ruleset.network_elements(made))


def test_addresses_of_the_bridge() -> None:
    both = (IpamPool(subnet="10.1.0.0/24", gateway="10.1.0.1"), IpamPool(subnet="fd00::/64", gateway="fd00::1"))
    dual = network("net", pools=both, enable_ipv6=True)
    assert bridge.bridge_spec(dual, 1500).addresses == ("10.1.0.1/24", "fd00::1/64", "fe80::1/64")
    bare = network("net", pools=both, enable_ipv6=True, options={bridge.INHIBIT_IPV4: "true"})
    assert "10.1.0.1/24" not in bridge.bridge_spec(bare, 1500).addresses
    isolated = {bridge.GATEWAY_MODE_4: "isolated", bridge.GATEWAY_MODE_6: "isolated"}
    assert bridge.bridge_spec(network("net", pools=both, enable_ipv6=True, options=isolated), 1500).addresses == ()


def test_the_networks_own_mtu_wins() -> None:
    assert bridge.network_mtu(network("net", options={MTU: "1300"}), 1500) == 1300
    assert bridge.network_mtu(network("net", options={MTU: "0"}), 1500) == 1500
    assert bridge.network_mtu(network("net"), 1500) == 1500


def test_an_endpoint_is_a_veth_pair() -> None:
    net, web = network("net", options={ICC: "false"}), container("web")
    here, box = endpoint(web, net, "172.18.0.2/20"), sandbox(web)
    [step] = DRIVER.attach(net, here, box, 1500)
    assert isinstance(step, Veth)
    spec = step.spec
    assert (spec.host_name, spec.ifname, spec.sandbox, spec.bridge) == (here.host_name, "eth0", box.path, net.bridge)
    assert (spec.mac, spec.addresses, spec.isolated, spec.hairpin) == (here.mac, ("172.18.0.2/20",), True, True)
    assert spec.sysctls == (("net/ipv6/conf/eth0/disable_ipv6", "1"),)
    here = endpoint(web, net, "172.18.0.2/20", ipv6="fd00::2/64")
    six = bridge.veth_spec(network("six", enable_ipv6=True), here, box, 1500)
    assert ("net/ipv6/conf/eth0/disable_ipv6", "0") in six.sysctls
    assert not six.isolated


def test_only_net_sysctls_are_the_sandboxs() -> None:
    spec = bridge.sandbox_spec(sandbox(container("web")), {"net.core.somaxconn": "9", "net/ipv4/ip_forward": "1",
                                                           "kernel.shmmax": "1"})
    assert spec.sysctls == (("net/core/somaxconn", "9"), ("net/ipv4/ip_forward", "1"))
