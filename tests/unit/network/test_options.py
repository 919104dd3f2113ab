"""Docker's network options: what is refused in which words, and what the rest means."""

import pytest

import worlds
from landbridge.errors import Invalid
from landbridge.model.network import NetworkRequest
from landbridge.network import options as opt
from landbridge.network.bridge import BridgeDriver


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        (opt.ICC, "maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        (opt.MASQUERADE, "yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        (opt.MTU, "big", 'strconv.Atoi: parsing "big": invalid syntax'),
        (opt.HOST_BINDING, "home", "nil ip"),
        (opt.HOST_BINDING, "fd00::1", "wrong address family"),
        (opt.HOST_IPV4, "home", "nil ip"),
        (opt.HOST_IPV6, "192.0.2.1", "wrong address family"),
        (opt.NAME, "a-name-too-long-for-it", "not a name an interface can have: at most 15 characters, no '/', no space"),
        (opt.NAME, 'a"b', "not a name an interface can have: at most 15 characters, no '/', no space"),
        (opt.IFACE_PREFIX, "a b", "not a name an interface can have: at most 15 characters, no '/', no space"),
        (opt.TRUSTED, "eth0/1", "not a name an interface can have: at most 15 characters, no '/', no space"),
        (opt.GATEWAY_MODE_4, "open", "unknown gateway mode open"),
        (opt.GATEWAY_MODE_6, "isolated", "gateway mode 'isolated' can only be used for an internal network"),
    ],
)
def test_refused(key: str, value: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        BridgeDriver().check(NetworkRequest(name="net", options={key: value}))
    assert caught.value.message == f"failed to parse {key} value: {value} ({why})"


@pytest.mark.parametrize("value", ["-1", "65536"])
def test_sizes_no_interface_has(value: str) -> None:
    with pytest.raises(Invalid, match=f"invalid MTU number: {value}"):
        BridgeDriver().check(NetworkRequest(name="net", options={opt.MTU: value}))


@pytest.mark.parametrize(
    "given",
    [
        {opt.ICC: "0", opt.MASQUERADE: "F", opt.MTU: "1400"},
        {opt.GATEWAY_MODE_4: "routed", opt.GATEWAY_MODE_6: "nat-unprotected"},
        {opt.HOST_IPV4: "192.0.2.1", opt.HOST_IPV6: "fd00::1", opt.HOST_BINDING: "127.0.0.1"},
        {opt.TRUSTED: "eth0:wg0", opt.NAME: "mybr", opt.IFACE_PREFIX: "lan", opt.MTU: "0"},
        {opt.GATEWAY_MODE_4: "", opt.HOST_IPV4: "", opt.TRUSTED: ""},
    ],
)
def test_accepted(given: dict[str, str]) -> None:
    BridgeDriver().check(NetworkRequest(name="net", options=given))


def test_isolated_is_for_internal_networks() -> None:
    BridgeDriver().check(NetworkRequest(name="net", internal=True, options={opt.GATEWAY_MODE_4: "isolated"}))


@pytest.mark.parametrize(
    ("given", "internal", "six", "without"),
    [
        ({}, 0, 0, 0), ({}, 1, 0, 0),
        ({opt.INHIBIT_IPV4: "true"}, 0, 0, 0),  # somebody else has the address
        ({opt.INHIBIT_IPV4: "true"}, 1, 0, 1), ({opt.INHIBIT_IPV4: "true"}, 1, 1, 0),
        ({opt.GATEWAY_MODE_4: "isolated"}, 1, 0, 1), ({opt.GATEWAY_MODE_4: "isolated"}, 1, 1, 0),
        ({opt.GATEWAY_MODE_6: "isolated"}, 1, 1, 1),
    ],
)  # fmt: skip
def test_a_gateways_address_is_kept_for_nobody(
    given: dict[str, str], internal: int, six: int, without: int
) -> None:
    assert opt.without_gateway(given, internal=bool(internal), six=bool(six)) is bool(without)


@pytest.mark.parametrize(
    "text",
    ["net.ipv4.conf.eth0.log_martians=1", "net.core.somaxconn=1", "net.ipv4.ip_forward=1", "kernel.ipv4.conf.IFNAME.x=1",
     "net.ipv4.conf.IFNAME.log_martians", "net.ipv4.conf.IFNAME.../../x=1", "net.ipv5.conf.IFNAME.x=1"],
)  # fmt: skip
def test_settings_that_are_none_of_an_interface(text: str) -> None:
    assert opt.check_endpoint({opt.SYSCTLS: f"net.ipv4.conf.IFNAME.forwarding=1,{text}"}) == [
        f"unrecognised network interface sysctl '{text}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must"
        " be 'ipv4', 'ipv6' or 'mpls'"
    ]


def test_settings_of_an_interface() -> None:
    given = {opt.SYSCTLS: "net.ipv4.conf.IFNAME.log_martians=1,net.mpls.conf.ifname.input=1"}
    assert opt.check_endpoint(given) == []
    assert opt.sysctls(given, "eth0") == (("net/ipv4/conf/eth0/log_martians", "1"), ("net/mpls/conf/eth0/input", "1"))


@pytest.mark.parametrize("name", ["a/b", "0123456789abcdef", "a b", "..", "a:1"])
def test_interface_names_the_kernel_refuses(name: str) -> None:
    assert opt.check_endpoint({opt.IFNAME: name}) == [f"invalid interface name '{name}'"]


def test_modes_by_family() -> None:
    network = worlds.network("net", options={opt.GATEWAY_MODE_6: "routed", opt.GATEWAY_MODE_4: ""})
    assert (opt.mode(network, six=False), opt.mode(network, six=True)) == ("nat", "routed")
