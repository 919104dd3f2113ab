"""Network modes and endpoint settings as far as their text goes: conflicts, addresses, names. Pure.

Whether a network exists, and whether an address lies in one of its subnets, is seen where networks are known.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from landbridge.errors import Conflict, Invalid
from landbridge.model.config import Config, EndpointConfig, EndpointIpam, HostConfig
from landbridge.model.network import RESERVED, Network
from landbridge.network import options

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAC = re.compile(r"(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.I)

_UNDEFINED = "This would result in undefined behavior"
_NONE_MIXED = (
    "container cannot be connected to multiple networks with one of the networks in private (none) mode"
)
_SHARED_MIXED = (
    "container sharing network namespace with another container or host cannot be connected to any other network"
)


def check_network(config: Config, host: HostConfig) -> tuple[str, ...]:
    """Options that contradict the network mode, and the text of DNS options, extra hosts and links.

    The warnings Docker gives. Raises: Invalid.
    """
    mode = host.network_mode
    if mode.partition(":")[0] == "container":
        _check_joined(config, host)
    if host.uts_mode == "host" and config.hostname:
        raise Invalid("conflicting options: hostname and the UTS mode")
    if mode == "host" and host.links:
        raise Invalid(f"conflicting options: host type networking can't be used with links. {_UNDEFINED}")
    _check_dns(host)
    for entry in host.extra_hosts or ():
        _check_extra_host(entry)
    for link in host.links or ():
        parse_link(link)
    warnings = []
    if mode == "host" and host.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    if config.mac_address:
        warnings.append(
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
        )
    return tuple(warnings)


def _check_joined(config: Config, host: HostConfig) -> None:
    if not host.network_mode.partition(":")[2]:
        raise Invalid("Invalid network mode: invalid container format container:<name|id>")
    conflicts = (
        (config.hostname, "hostname and the network mode"),
        (host.links, f"container type network can't be used with links. {_UNDEFINED}"),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (host.port_bindings or host.publish_all_ports, "port publishing and the container type network mode"),
        (config.exposed_ports, "port exposing and the container type network mode"),
    )
    for given, text in conflicts:
        if given:
            raise Invalid(f"conflicting options: {text}")


def _check_dns(host: HostConfig) -> None:
    for server in host.dns or ():
        try:
            ip_address(server)
        except ValueError:
            raise Invalid(
                f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP'
            ) from None
    # They become lines of resolv.conf.
    for text in (*(host.dns_search or ()), *(host.dns_options or ())):
        if _CONTROL.search(text):
            raise Invalid(f"invalid DNS setting: {text!r}")


def _check_extra_host(entry: str) -> None:
    name, colon, address = entry.partition(":")
    if not name or not colon or _CONTROL.search(name):
        raise Invalid(f'bad format for add-host: "{entry}"')
    if address != "host-gateway" and (_address(address) is None or "%" in address):
        raise Invalid(f'invalid IP address in add-host: "{address}"')


def parse_link(text: str) -> tuple[str, str]:
    """``name``, ``name:alias`` → (name, alias); also the form ``/name:/other/alias`` that inspect shows.

    Raises: Invalid.
    """
    if not text:
        raise Invalid("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise Invalid(f"bad format for links: {text}")
    if len(parts) == 1:
        return text, text
    name, alias = parts
    return name, alias.rpartition("/")[2] if name.startswith("/") else alias


def check_endpoints(
    mode: str, endpoints: Iterable[EndpointConfig], find: Callable[[str], Network | None] = lambda name: None
) -> None:
    """The settings of a container's attachments, each by itself and against the others and the network mode.

    `find` gives a network that exists already; an address is then measured against its subnets.

    Raises: Invalid (an address, a MAC, a setting the network does not take), Conflict (networks that exclude
    each other).
    """
    endpoints = tuple(endpoints)
    for endpoint in endpoints:
        name = endpoint.network or mode
        for link in endpoint.links or ():
            parse_link(link)
        try:
            check_endpoint(name, endpoint, None if name.startswith("container:") else find(name))
        except Invalid as error:
            raise Invalid(f"invalid config for network {name}: {error.message}") from error
    if mode.startswith("container:"):
        return  # its endpoints are never used; Docker only looks at their text
    names = {endpoint.network or mode for endpoint in endpoints} or {mode}
    if len(names) > 1 and "none" in names:
        raise Conflict(_NONE_MIXED)
    if "host" in names | {mode} and not names <= {"host", "none"}:
        raise Conflict(_SHARED_MIXED)


def main_endpoint(config: Config, endpoint: EndpointConfig) -> EndpointConfig:
    """The first network's settings with the container-wide MAC address. Raises: Invalid when the two differ."""
    if not config.mac_address or endpoint.mac_address == config.mac_address:
        return endpoint
    if endpoint.mac_address:
        raise Invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network,"
            " or be left empty"
        )
    return replace(endpoint, mac_address=config.mac_address)


def canonical_mac(text: str) -> str:
    """``02-42-AC-11-00-02``, ``0242.ac11.0002`` → ``02:42:ac:11:00:02``.

    Raises: Invalid for anything that is no unicast address of 48 bits (the kernel gives no other to a veth).
    """
    if not _MAC.fullmatch(text):
        raise Invalid(f"invalid MAC address {text}")
    octets = bytes.fromhex(re.sub(r"[.:-]", "", text))
    if octets[0] & 1 or not any(octets):
        raise Invalid(f"invalid MAC address {text}")
    return octets.hex(":")


def check_endpoint(name: str, endpoint: EndpointConfig, network: Network | None) -> None:
    """The settings of one attachment to the network called `name`; None: it does not exist (yet).

    Raises: Invalid with all that is wrong, in Docker's order and form.
    """
    user_defined = name not in RESERVED and not name.startswith("container:")
    problems: list[str] = []
    if endpoint.ipam_config is not None:
        problems += _address_problems(endpoint.ipam_config, user_defined=user_defined)
    if endpoint.aliases and not user_defined:
        problems.append("network-scoped alias is supported only for containers in user defined networks")
    if endpoint.ipam_config is not None and network is not None:
        problems += _subnet_problems(endpoint.ipam_config, network)
    problems += options.check_endpoint(endpoint.driver_opts or {})
    if problems:
        listed = problems[0] if len(problems) == 1 else "\n".join(f"* {problem}" for problem in problems)
        raise Invalid(f"invalid endpoint settings:\n{listed}")
    if endpoint.mac_address:
        canonical_mac(endpoint.mac_address)


def _address_problems(wanted: EndpointIpam, *, user_defined: bool) -> list[str]:
    problems = []
    if not user_defined and (wanted.ipv4_address or wanted.ipv6_address):
        problems.append("user specified IP address is supported on user defined networks only")
    kinds = (("IPv4", wanted.ipv4_address, IPv4Address), ("IPv6", wanted.ipv6_address, IPv6Address))
    for name, text, kind in kinds:
        found = _address(text)
        if text and (not isinstance(found, kind) or found.is_unspecified or "%" in text):
            problems.append(f"invalid {name} address: {text}")
    problems += [
        f"invalid link-local IP address: {text}" for text in wanted.link_local_ips or () if _address(text) is None
    ]
    return problems


def _subnet_problems(wanted: EndpointIpam, network: Network) -> list[str]:
    """Fixed addresses outside the network's subnets. Those the engine chose will do too, as in Docker 29."""
    problems = []
    for text, version in ((wanted.ipv4_address, 4), (wanted.ipv6_address, 6)):
        if not text:
            continue
        subnets = [ip_network(pool.subnet) for pool in network.pools] if network.resolves else []
        subnets = [subnet for subnet in subnets if subnet.version == version]
        found = _address(text)
        if not subnets:
            problems.append(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
        elif not any(found is not None and found in subnet for subnet in subnets):
            problems.append(f"no configured subnet or ip-range contain the IP address {text}")
    return problems


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
