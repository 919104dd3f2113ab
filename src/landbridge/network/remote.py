"""The driver of a plugin, as far as it can be thought: what is asked of it, what its answers mean. Pure.

`engine.remotes` does the asking. What a plugin answers becomes fields of the network or the endpoint; from there on
its interfaces are like any other driver's: steps decided from what is written down.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from landbridge.errors import Internal
from landbridge.model.container import Container
from landbridge.model.link import MovedSpec
from landbridge.model.network import Endpoint, Network, NetworkRequest, Sandbox, StaticRoute
from landbridge.network.bridge import inner_addresses, inner_sysctls
from landbridge.network.steps import Moved, Step

GENERIC = "com.docker.network.generic"
GATEWAY = "com.docker.network.gateway"
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}  # IP protocol numbers
_CONNECTED = 1  # RouteType of a route without a next hop


class RemoteDriver:
    """A driver somebody else implements: its links appear in the host under names it tells, and move into sandboxes."""

    interfaces = True
    host_side = False
    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, request: NetworkRequest) -> None:
        """The plugin knows its options."""

    def check_among(self, request: NetworkRequest, networks: Iterable[Network], links: Collection[str]) -> None:
        """The plugin knows what it can be beside."""

    def leads_out(self, request: NetworkRequest) -> bool:
        """As far as anybody knows."""
        return True

    def without_gateway(self, request: NetworkRequest, *, six: bool) -> bool:
        """An address is kept for one."""
        return False

    def own_mac(self, network: Network) -> bool:
        """The plugin gives one."""
        return False

    def create(self, network: Network, mtu: int) -> tuple[Step, ...]:
        """What there is to make, the plugin makes."""
        return ()

    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]:
        """The plugin's link goes into the sandbox; some have none."""
        if not endpoint.source:
            return ()
        spec = MovedSpec(
            source=endpoint.source, ifname=endpoint.ifname, sandbox=sandbox.path, mac=endpoint.mac,
            addresses=inner_addresses(endpoint), sysctls=inner_sysctls(network, endpoint),
            routes=tuple((one.destination, one.next_hop) for one in endpoint.routes),
        )  # fmt: skip
        return (Moved(spec=spec),)


# What is asked.


def network_body(network: Network) -> dict[str, Any]:
    """``NetworkDriver.CreateNetwork``."""
    options = {
        "com.docker.network.enable_ipv4": network.enable_ipv4, "com.docker.network.enable_ipv6": network.enable_ipv6,
        GENERIC: dict(network.options), **({"com.docker.network.internal": True} if network.internal else {}),
    }  # fmt: skip
    four, six = _data(network, six=False), _data(network, six=True)
    return {"NetworkID": network.id, "Options": options, "IPv4Data": four, "IPv6Data": six}


def _data(network: Network, *, six: bool) -> list[dict[str, Any]]:
    found = []
    for pool in network.pools:
        if (":" in pool.subnet) is six:
            length = pool.subnet.partition("/")[2]
            found.append({
                "AddressSpace": "LocalDefault", "Pool": pool.subnet,
                "Gateway": f"{pool.gateway}/{length}" if pool.gateway else "",
                "AuxAddresses": {name: f"{text}/{length}" for name, text in pool.auxiliary.items()},
            })  # fmt: skip
    return found


def endpoint_body(endpoint: Endpoint, options: Mapping[str, Any]) -> dict[str, Any]:
    """``NetworkDriver.CreateEndpoint``."""
    interface = {"Address": endpoint.ipv4, "AddressIPv6": endpoint.ipv6, "MacAddress": endpoint.mac}
    return {**ids(endpoint), "Interface": interface, "Options": {**options, **(endpoint.config.driver_opts or {})}}


def ids(endpoint: Endpoint) -> dict[str, Any]:
    """What every question about an endpoint begins with."""
    return {"NetworkID": endpoint.network, "EndpointID": endpoint.id}


def port_options(container: Container) -> dict[str, Any]:
    """What a container exposes and asks to be published, as the protocol has it: a plugin does that itself."""
    exposed = [_port(key) for key in container.config.exposed_ports or {}]
    mapped = []
    for key, bindings in (container.host.port_bindings or {}).items():
        for one in bindings or ():
            first, _, last = one.host_port.partition("-")
            host = {"HostIP": one.host_ip, "HostPort": int(first or 0), "HostPortEnd": int(last or first or 0)}
            mapped.append({**_port(key), "IP": "", **host})
    return {"com.docker.network.endpoint.exposedports": exposed, "com.docker.network.portmap": mapped}


def _port(key: str) -> dict[str, int]:
    number, _, proto = key.partition("/")
    return {"Proto": _PROTOCOLS[proto or "tcp"], "Port": int(number)}


# What the answers mean.


def with_interface(endpoint: Endpoint, answer: Mapping[str, Any]) -> Endpoint:
    """The endpoint with what ``CreateEndpoint`` added. Raises: Internal in Docker's words when it changed a thing."""
    given = answer.get("Interface") or {}
    mac, four, six = (str(given.get(name) or "") for name in ("MacAddress", "Address", "AddressIPv6"))
    if mac and endpoint.mac:
        raise Internal(f"driver modified interface MAC address: {mac}")
    if (four and endpoint.ipv4) or (six and endpoint.ipv6):
        raise Internal(f"driver modified interface address: {four or six}")
    return replace(
        endpoint, mac=mac or endpoint.mac, ipv4=_cidr(four) if four else endpoint.ipv4,
        ipv6=_cidr(six) if six else endpoint.ipv6,
    )


def with_join(endpoint: Endpoint, answer: Mapping[str, Any], used: Collection[str]) -> Endpoint:
    """The endpoint with what ``Join`` says: link, name in the container, gateways, routes. Raises: Internal."""
    names = answer.get("InterfaceName") or {}
    source, prefix = names.get("SrcName") or "", names.get("DstPrefix") or ""
    ifname = names.get("DstName") or endpoint.ifname
    if source and prefix and not ifname.startswith(prefix):
        ifname = next(name for number in range(len(used) + 1) if (name := f"{prefix}{number}") not in used)
    return replace(
        endpoint, source=source, ifname=ifname if source else "",
        gateway4=_gateway(answer, "Gateway"), gateway6=_gateway(answer, "GatewayIPv6"),
        routes=tuple(_route(one) for one in answer.get("StaticRoutes") or ()),
    )  # fmt: skip


def _cidr(text: str) -> str:
    try:
        if "/" in text:
            return str(ip_interface(text))
    except ValueError:
        pass  # refused below, like an address without a length
    raise Internal(f"invalid CIDR address: {text}")


def _gateway(answer: Mapping[str, Any], field: str) -> str:
    text = str(answer.get(field) or "")
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise Internal(f'unable to parse {field} "{text}"') from None


def _route(given: Mapping[str, Any]) -> StaticRoute:
    destination, hop = str(given.get("Destination") or ""), str(given.get("NextHop") or "")
    try:
        network = str(ip_network(destination, strict=False))
    except ValueError:
        raise Internal(f"invalid CIDR address: {destination}") from None
    if not hop or given.get("RouteType") == _CONNECTED:
        return StaticRoute(destination=network)
    try:
        return StaticRoute(destination=network, next_hop=str(ip_address(hop)))
    except ValueError:
        raise Internal(f"failed to parse nexthop IP {hop}") from None


def pool_of(address: str, network: Network) -> str:
    """The id of the pool an address (CIDR) was taken from, in the books of an IPAM plugin; empty: none."""
    if not address:
        return ""
    found = ip_interface(address).ip
    pools: Sequence[tuple[str, str]] = [(pool.subnet, pool.lease) for pool in network.pools]
    return next((lease for subnet, lease in pools if found in ip_network(subnet)), "")
