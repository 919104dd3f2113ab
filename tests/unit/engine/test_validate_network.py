"""Network modes, DNS options and endpoint settings. Texts and results recorded from Docker 26.1.5."""

from typing import Any

import pytest

from landbridge.engine.validate_network import (
    canonical_mac,
    check_endpoint,
    check_endpoints,
    check_network,
    main_endpoint,
    parse_link,
)
from landbridge.errors import Conflict, Invalid, LandbridgeError
from landbridge.model.config import Config, EndpointConfig, EndpointIpam, HostConfig
from landbridge.model.network import IpamPool, Network
from landbridge.model.ports import PortBinding

PORTS = {"80/tcp": (PortBinding(host_port="8099"),)}
USER_DEFINED_ONLY = "user specified IP address is supported on user defined networks only"


def refusal(config: Config | None = None, **host: Any) -> str:
    with pytest.raises(Invalid) as error:
        check_network(config or Config(), HostConfig(**host))
    return error.value.message


@pytest.mark.parametrize(
    ("config", "host", "text"),
    [
        (Config(hostname="foo"), {}, "hostname and the network mode"),
        (Config(hostname="foo"), {"uts_mode": "host"}, "hostname and the network mode"),
        (Config(), {"port_bindings": PORTS}, "port publishing and the container type network mode"),
        (Config(), {"publish_all_ports": True}, "port publishing and the container type network mode"),
        (Config(exposed_ports={"80/tcp": {}}), {}, "port exposing and the container type network mode"),
        (Config(), {"dns": ("8.8.8.8",)}, "dns and the network mode"),
        (Config(), {"extra_hosts": ("a:1.2.3.4",)}, "custom host-to-IP mapping and the network mode"),
        (Config(), {"links": ("a:b",)},
         "container type network can't be used with links. This would result in undefined behavior"),
    ],
)  # fmt: skip
def test_conflicts_of_a_joined_stack(config: Config, host: dict[str, Any], text: str) -> None:
    assert refusal(config, network_mode="container:web", **host) == f"conflicting options: {text}"


def test_a_joined_stack_accepts_the_rest() -> None:
    config = Config(domainname="foo")
    host = HostConfig(network_mode="container:web", dns_search=("x",), dns_options=("y",), uts_mode="host")
    assert check_network(config, host) == ()


@pytest.mark.parametrize("mode", ["container", "container:"])
def test_a_joined_stack_must_be_named(mode: str) -> None:
    assert refusal(network_mode=mode) == "Invalid network mode: invalid container format container:<name|id>"


def test_the_hosts_network() -> None:
    text = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
    assert refusal(network_mode="host", links=("a:b",)) == text
    discarded = ("Published ports are discarded when using host network mode",)
    assert check_network(Config(), HostConfig(network_mode="host", port_bindings=PORTS)) == discarded
    everything = HostConfig(network_mode="host", dns=("8.8.8.8",), extra_hosts=("a:1.2.3.4",))
    assert check_network(Config(hostname="foo", exposed_ports={"80/tcp": {}}), everything) == ()


def test_the_hosts_name_cannot_be_changed() -> None:
    assert refusal(Config(hostname="x"), uts_mode="host") == "conflicting options: hostname and the UTS mode"


def test_container_wide_mac_is_deprecated() -> None:
    assert check_network(Config(mac_address="02:42:ac:11:00:99"), HostConfig()) == (
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    )


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("a", 'bad format for add-host: "a"'),
        ("", 'bad format for add-host: ""'),
        ("a=1.2.3.4", 'bad format for add-host: "a=1.2.3.4"'),
        (":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
        ("a:", 'invalid IP address in add-host: ""'),
        ("a:x", 'invalid IP address in add-host: "x"'),
        ("a:1.2.3", 'invalid IP address in add-host: "1.2.3"'),
        ("a:[::1]", 'invalid IP address in add-host: "[::1]"'),
        ("a\n6.6.6.6 bank:1.2.3.4", 'bad format for add-host: "a\n6.6.6.6 bank:1.2.3.4"'),
    ],
)
def test_refused_extra_hosts(entry: str, text: str) -> None:
    assert refusal(extra_hosts=(entry,)) == text


def test_accepted_extra_hosts() -> None:
    check_network(Config(), HostConfig(extra_hosts=("a:1.2.3.4", "a:host-gateway", "a:::1", "a b:1.1.1.1")))


def test_dns_options() -> None:
    assert refusal(dns=("x",)) == 'bad nameserver address x: ParseAddr("x"): unable to parse IP'
    assert refusal(dns_search=("a\nnameserver 6.6.6.6",)).startswith("invalid DNS setting")
    check_network(Config(), HostConfig(dns=("8.8.8.8", "::1", "fe80::1%eth0"), dns_search=(".", "a b", "")))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("web", ("web", "web")), ("web:db", ("web", "db")), ("web:", ("web", "")),
        ("/web:/other/db", ("/web", "db")),
    ],
)  # fmt: skip
def test_links(text: str, parsed: tuple[str, str]) -> None:
    assert parse_link(text) == parsed


@pytest.mark.parametrize(
    ("text", "message"), [("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c")]
)
def test_refused_links(text: str, message: str) -> None:
    assert refusal(links=(text,)) == message


# Endpoints.


def endpoint(
    network: str = "", *, ip4: str = "", ip6: str = "", local: tuple[str, ...] = (), **rest: Any
) -> EndpointConfig:
    ipam = EndpointIpam(ipv4_address=ip4, ipv6_address=ip6, link_local_ips=local) if ip4 or ip6 or local else None
    return EndpointConfig(network=network, ipam_config=ipam, **rest)


def problem(mode: str, *endpoints: EndpointConfig) -> str:
    with pytest.raises(LandbridgeError) as error:
        check_endpoints(mode, endpoints)
    return error.value.message


@pytest.mark.parametrize(
    ("mode", "one", "text"),
    [
        ("bridge", endpoint(ip4="10.0.0.9"), USER_DEFINED_ONLY),
        ("bridge", endpoint(ip4="x"), f"* {USER_DEFINED_ONLY}\n* invalid IPv4 address: x"),
        ("container:web", endpoint(ip6="1.2.3.4"), f"* {USER_DEFINED_ONLY}\n* invalid IPv6 address: 1.2.3.4"),
        ("host", endpoint(aliases=("q",)),
         "network-scoped alias is supported only for containers in user defined networks"),
        ("mine", endpoint(ip4="1.2.3"), "invalid IPv4 address: 1.2.3"),
        ("mine", endpoint(ip4="fe80::1"), "invalid IPv4 address: fe80::1"),
        ("mine", endpoint(ip4="0.0.0.0"), "invalid IPv4 address: 0.0.0.0"),
        ("mine", endpoint(ip4="010.0.0.9"), "invalid IPv4 address: 010.0.0.9"),
        ("mine", endpoint(ip4="10.0.0.9/24"), "invalid IPv4 address: 10.0.0.9/24"),
        ("mine", endpoint(ip6="x"), "invalid IPv6 address: x"),
        ("mine", endpoint(local=("x",)), "invalid link-local IP address: x"),
    ],
)  # fmt: skip
def test_refused_endpoint_settings(mode: str, one: EndpointConfig, text: str) -> None:
    assert problem(mode, one) == f"invalid config for network {mode}: invalid endpoint settings:\n{text}"


def test_a_connect_names_no_network() -> None:
    for one, text in (
        (endpoint(ip4="1.2.3.4"), f"invalid endpoint settings:\n{OUTSIDE} 1.2.3.4"),
        (endpoint(mac_address="bad"), "invalid MAC address bad"),
    ):
        with pytest.raises(Invalid) as error:
            check_endpoint("mine", one, network("mine", "10.231.7.0/24"))
        assert error.value.message == text


def test_links_of_an_endpoint_are_looked_at() -> None:
    assert problem("mine", endpoint(links=("a:b:c",))) == "bad format for links: a:b:c"


def test_accepted_endpoint_settings() -> None:
    settings = endpoint(
        ip4="10.0.0.9", ip6="fd00::5", local=("169.254.3.3", "10.1.1.1"), aliases=("a", ""), links=("web:x",),
        mac_address="02:42:ac:11:00:02",
    )
    check_endpoints("mine", (settings,))


ONLY_CONFIGURED = "user specified IP address is supported only when connecting to networks with user configured subnets"
OUTSIDE = "no configured subnet or ip-range contain the IP address"


def network(name: str, *subnets: str) -> Network:
    pools = tuple(IpamPool(subnet=subnet) for subnet in subnets)
    return Network(id="n" * 64, name=name, created=1, driver="bridge", pools=pools)


@pytest.mark.parametrize(
    ("name", "one", "text"),
    [
        ("mine", endpoint(ip4="10.231.8.9"), f"{OUTSIDE} 10.231.8.9"),
        ("mine", endpoint(ip4="1.2.3"), f"* invalid IPv4 address: 1.2.3\n* {OUTSIDE} 1.2.3"),
        ("mine", endpoint(ip4="fe80::1"), f"* invalid IPv4 address: fe80::1\n* {OUTSIDE} fe80::1"),
        ("mine", endpoint(ip6="fd00::5"), ONLY_CONFIGURED),
        ("mine", endpoint(ip6="x"), f"* invalid IPv6 address: x\n* {ONLY_CONFIGURED}"),
        ("bridge", endpoint(ip4="10.231.7.9"), f"* {USER_DEFINED_ONLY}\n* {ONLY_CONFIGURED}"),
        ("bridge", endpoint(ip4="x"), f"* {USER_DEFINED_ONLY}\n* invalid IPv4 address: x\n* {ONLY_CONFIGURED}"),
    ],
)
def test_addresses_outside_the_network(name: str, one: EndpointConfig, text: str) -> None:
    with pytest.raises(Invalid) as error:
        check_endpoints(name, [one], lambda asked: network(asked, "10.231.7.0/24"))
    assert error.value.message == f"invalid config for network {name}: invalid endpoint settings:\n{text}"


def test_addresses_inside_the_network() -> None:
    both = network("mine", "10.231.7.0/24", "fd00::/64")
    check_endpoints("mine", [endpoint(ip4="10.231.7.9", ip6="fd00::5")], {"mine": both}.get)


@pytest.mark.parametrize("mac", ["bad", "02:42:ac:11:00", "02:42:ac:11:00:zz", "1:2:3:4:5:6", "01:00:00:00:00:00",
                                 "02:42-ac:11:00:02", "00:00:00:00:00:00", "02:42:ac:11:00:99:01:02"])  # fmt: skip
def test_refused_macs(mac: str) -> None:
    assert problem("mine", endpoint(mac_address=mac)) == f"invalid config for network mine: invalid MAC address {mac}"


@pytest.mark.parametrize("mac", ["02:42:ac:11:00:99", "02-42-AC-11-00-99", "0242.ac11.0099"])
def test_macs_in_their_three_forms(mac: str) -> None:
    check_endpoints("mine", (endpoint(mac_address=mac),))
    assert canonical_mac(mac) == "02:42:ac:11:00:99"


@pytest.mark.parametrize(
    ("mode", "networks", "text"),
    [
        ("none", ("none", "mine"),
         "container cannot be connected to multiple networks with one of the networks in private (none) mode"),
        ("mine", ("mine", "none"),
         "container cannot be connected to multiple networks with one of the networks in private (none) mode"),
        ("host", ("host", "mine"),
         "container sharing network namespace with another container or host cannot be connected to any other network"),
        ("mine", ("mine", "host"),
         "container sharing network namespace with another container or host cannot be connected to any other network"),
        ("host", ("bridge",),
         "container sharing network namespace with another container or host cannot be connected to any other network"),
    ],
)  # fmt: skip
def test_networks_that_exclude_each_other(mode: str, networks: tuple[str, ...], text: str) -> None:
    with pytest.raises(Conflict) as error:
        check_endpoints(mode, [endpoint(name) for name in networks])
    assert error.value.message == text


@pytest.mark.parametrize(
    ("mode", "networks"),
    [("host", ("host",)), ("host", ()), ("none", ("none",)), ("none", ("mine",)), ("bridge", ("bridge", "mine")),
     ("container:web", ("mine", "none")), ("mine", ("other",))],
)  # fmt: skip
def test_networks_that_go_together(mode: str, networks: tuple[str, ...]) -> None:
    check_endpoints(mode, [endpoint(name) for name in networks])


def test_container_wide_mac_is_the_main_networks() -> None:
    config = Config(mac_address="02:42:ac:11:00:99")
    assert main_endpoint(config, endpoint("mine")).mac_address == config.mac_address
    same = endpoint("mine", mac_address=config.mac_address)
    assert main_endpoint(config, same) is same
    assert main_endpoint(Config(), same) is same
    with pytest.raises(Invalid, match="must match the endpoint-specific MAC address"):
        main_endpoint(config, endpoint("mine", mac_address="02:42:ac:11:00:98"))
