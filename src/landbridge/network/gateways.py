"""Which endpoint carries a sandbox's default routes and published ports. Pure ordering, one rule."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from landbridge.model.link import RouteSpec
from landbridge.model.network import Endpoint, Network
from landbridge.network import options

LOOPBACK = "localhost"  # as a host address: the loopback address of each family


def ranked(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> tuple[Endpoint, ...]:
    """Endpoints in look-up and gateway order.

    Higher priority first, then not internal, then two families before one, then the order of the request
    (Docker falls back to the network's name, which moves the gateway when somebody renames a network).
    """

    def rank(endpoint: Endpoint) -> tuple[int, bool, int, int]:
        network = networks[endpoint.network]
        families = _leads(endpoint, networks, six=False) + _leads(endpoint, networks, six=True)
        return (-endpoint.config.gw_priority, network.internal, -families, endpoint.order)

    return tuple(sorted(endpoints, key=rank))


def _leads(endpoint: Endpoint, networks: Mapping[str, Network], *, six: bool) -> bool:
    """Whether a default route of a family could lead out of an endpoint: through a gateway, or by the device alone."""
    gateway, address = (endpoint.gateway6, endpoint.ipv6) if six else (endpoint.gateway4, endpoint.ipv4)
    return bool(gateway) or (bool(address) and options.by_device(networks[endpoint.network]))


class Lead(NamedTuple):
    """Where published ports lead: bare IPv4 and IPv6 address (empty: none), and the network's own host address.

    A family that is `routed` has no host ports: clients come to the address itself. `open` are all addresses at which
    published ports may be reached without the host's ports, those of other networks included.
    """

    four: str = ""
    six: str = ""
    host_ip: str = ""
    routed4: bool = False
    routed6: bool = False
    open: tuple[str, ...] = ()


def lead(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> Lead:
    """Per family the best ranked endpoint with a gateway, if its network can be published from: only bridges can.

    Only networks with a way out carry published ports, as in Docker: an internal one has none unless its option says
    so, and then for this host alone. `host_ip` is the option of the first such network: the host address of ports
    published without one.
    """
    able = [one for one in ranked((one for one in endpoints if one.active), networks) if _carries(one, networks)]
    four = _bridged(able, networks, six=False)
    six = _bridged(able, networks, six=True)
    able = [one for one in able if networks[one.network].bridge]
    if not able:
        return Lead()
    first = networks[able[0].network]
    return Lead(
        four=bare(four.ipv4) if four else "",
        six=bare(six.ipv6) if six else "",
        host_ip=LOOPBACK if first.internal else first.options.get(options.HOST_BINDING, ""),
        routed4=four is not None and options.mode(networks[four.network], six=False) == "routed",
        routed6=six is not None and options.mode(networks[six.network], six=True) == "routed",
        open=tuple(address for one in able for address in _open_addresses(networks[one.network], one)),
    )


def _bridged(able: Iterable[Endpoint], networks: Mapping[str, Network], *, six: bool) -> Endpoint | None:
    """The endpoint that has a family's default route (of an internal network: could have it), if it is on a bridge."""
    for one in able:
        address, network = one.ipv6 if six else one.ipv4, networks[one.network]
        if _leads(one, networks, six=six) or (address and network.internal):
            return one if network.bridge else None
    return None


def _carries(endpoint: Endpoint, networks: Mapping[str, Network]) -> bool:
    """Whether published ports may lead to an endpoint."""
    network = networks[endpoint.network]
    if network.internal:
        return options.flag(network.options, options.PUBLISH_INTERNAL, default=False)
    return _leads(endpoint, networks, six=False) or _leads(endpoint, networks, six=True)


def bare(cidr: str) -> str:
    """An address without its prefix length."""
    return cidr.partition("/")[0]


def _open_addresses(network: Network, endpoint: Endpoint) -> list[str]:
    """Addresses at which published ports are reached directly: of a routed family, from trusted interfaces or any."""
    trusts = (network.direct or bool(options.trusted(network))) and not network.internal
    pairs = ((endpoint.ipv4, False), (endpoint.ipv6, True))
    return [bare(cidr) for cidr, six in pairs if cidr and (trusts or options.mode(network, six=six) == "routed")]


def targets(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> tuple[str, str]:
    """Bare IPv4 and IPv6 address that published ports lead to (empty: none)."""
    found = lead(endpoints, networks)
    return found.four, found.six


def routes(path: str, endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> RouteSpec:
    """The default routes of a sandbox: per family the best ranked active endpoint that has a way out."""
    four = six = None
    for endpoint in ranked((one for one in endpoints if one.active), networks):
        if networks[endpoint.network].internal:
            continue
        four = four or (endpoint if _leads(endpoint, networks, six=False) else None)
        six = six or (endpoint if _leads(endpoint, networks, six=True) else None)
    return RouteSpec(
        sandbox=path,
        gateway4=four.gateway4 if four else "",
        ifname4=four.ifname if four else "",
        gateway6=six.gateway6 if six else "",
        ifname6=six.ifname if six else "",
    )
