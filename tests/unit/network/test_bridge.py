"""The bridge driver's decisions: what it refuses, and what it asks the kernel for."""

import pytest

from landbridge.errors import Forbidden
from landbridge.model.config import EndpointConfig
from landbridge.model.network import IpamPool, NetworkRequest
from landbridge.network import bridge, options, ruleset
from landbridge.network.bridge import BridgeDriver
from landbridge.network.steps import Bridge, Rules, Veth
from worlds import container, endpoint, network, sandbox

DRIVER = BridgeDriver()
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
MTU = "com.docker.network.driver.mtu"


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_every_way_to_say_no(text: str) -> None:
    closed = network("net", options={ICC: text, MASQUERADE: text})
    assert not options.icc(closed)
    assert not options.masquerades(closed)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_every_way_to_say_yes(text: str) -> None:
    open_ = network("net", options={ICC: text, MASQUERADE: text})
    assert options.icc(open_)
    assert options.masquerades(open_)


def test_one_subnet_per_enabled_family() -> None:
    six = (IpamPool(subnet="fd00:1::/64"), IpamPool(subnet="fd00:2::/64"))
    DRIVER.check(NetworkRequest(name="net", pools=(IpamPool(subnet="10.1.0.0/24"), *six[:1]), enable_ipv6=True))
    DRIVER.check(NetworkRequest(name="net", pools=six))
    with pytest.raises(Forbidden, match="doesn't support multiple subnets"):
        DRIVER.check(NetworkRequest(name="net", pools=six, enable_ipv6=True))


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
    bare = network("net", pools=both, enable_ipv6=True, options={options.INHIBIT_IPV4: "true"})
    assert "10.1.0.1/24" not in bridge.bridge_spec(bare, 1500).addresses
    alone = {options.GATEWAY_MODE_4: "isolated", options.GATEWAY_MODE_6: "isolated"}
    assert bridge.bridge_spec(network("net", pools=both, enable_ipv6=True, options=alone), 1500).addresses == ()


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
    assert (spec.mac, spec.addresses, spec.isolated, spec.hairpin) == (here.mac, ("172.18.0.2/20",), True, False)
    assert spec.sysctls == (("net/ipv6/conf/eth0/disable_ipv6", "1"),)
    here = endpoint(web, net, "172.18.0.2/20", ipv6="fd00::2/64")
    six = bridge.veth_spec(network("six", enable_ipv6=True), here, box, 1500)
    assert ("net/ipv6/conf/eth0/disable_ipv6", "0") in six.sysctls
    assert (six.isolated, six.hairpin) == (False, True)


def test_only_net_sysctls_are_the_sandboxs() -> None:
    given = {"net.core.somaxconn": "9", "net/ipv4/ip_forward": "1", "kernel.shmmax": "1",
             "net.ipv6.conf.all.disable_ipv6": "1", "net.ipv4.conf.eth0.forwarding": "1"}  # fmt: skip
    spec = bridge.sandbox_spec(sandbox(container("web")), given)
    assert spec.sysctls == (
        ("net/core/somaxconn", "9"), ("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/disable_ipv6", "1")
    )  # fmt: skip


def test_settings_of_one_interface_follow_ours() -> None:
    web = container("web")
    config = EndpointConfig(
        network="net", driver_opts={options.SYSCTLS: "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"},
    )  # fmt: skip
    here = endpoint(web, network("net"), "172.18.0.2/20", ifname="lan.5", config=config)
    spec = bridge.veth_spec(network("net"), here, sandbox(web), 1500)
    assert spec.sysctls[-2:] == (("net/ipv4/conf/lan.5/log_martians", "1"), ("net/ipv6/conf/lan.5/accept_ra", "2"))


def test_the_default_bridge_answers_for_ports_that_must_not_hear_each_other() -> None:
    name = network("net").bridge
    arp = (f"net/ipv4/conf/{name}/proxy_arp_pvlan", "1")
    closed = {options.ICC: "false", options.DEFAULT_BRIDGE: "true"}
    assert arp in bridge.bridge_spec(network("net", options=closed), 1500).sysctls
    assert arp not in bridge.bridge_spec(network("net", options={options.ICC: "false"}), 1500).sysctls
    assert arp not in bridge.bridge_spec(network("net", options={options.DEFAULT_BRIDGE: "true"}), 1500).sysctls
