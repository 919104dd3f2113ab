"""Which endpoint carries a sandbox's default routes and published ports. Pure ordering, one rule."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from landbridge.model.link import RouteSpec
from landbridge.model.network import Endpoint, Network

HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


def ranked(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> tuple[Endpoint, ...]:
    """Endpoints in look-up and gateway order.

    Higher priority first, then not internal, then two families before one, then the order of the request
    (Docker falls back to the network's name, which moves the gateway when somebody renames a network).
    """

    def rank(endpoint: Endpoint) -> tuple[int, bool, int, int]:
        network = networks[endpoint.network]
        families = bool(endpoint.gateway4) + bool(endpoint.gateway6)
        return (-endpoint.config.gw_priority, network.internal, -families, endpoint.order)

    return tuple(sorted(endpoints, key=rank))


class Lead(NamedTuple):
    """Where published ports lead: bare IPv4 and IPv6 address (empty: none), and the network's own host address."""

    four: str = ""
    six: str = ""
    host_ip: str = ""


def lead(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> Lead:
    """Per family the best ranked endpoint with a gateway.

    Only networks with a way out carry published ports, as in Docker: an internal one has none. `host_ip` is an
    option of the first such network: the host address of ports published without one.
    """
    able = [one for one in endpoints if one.active and not networks[one.network].internal]
    able = [one for one in ranked(able, networks) if one.gateway4 or one.gateway6]
    four = next((one.ipv4.split("/")[0] for one in able if one.gateway4), "")
    six = next((one.ipv6.split("/")[0] for one in able if one.gateway6), "")
    return Lead(four, six, networks[able[0].network].options.get(HOST_BINDING, "") if able else "")


def targets(endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> tuple[str, str]:
    """Bare IPv4 and IPv6 address that published ports lead to (empty: none)."""
    found = lead(endpoints, networks)
    return found.four, found.six


def routes(path: str, endpoints: Iterable[Endpoint], networks: Mapping[str, Network]) -> RouteSpec:
    """The default routes of a sandbox: per family the best ranked active endpoint that has a gateway."""
    four = six = None
    for endpoint in ranked((one for one in endpoints if one.active), networks):
        if networks[endpoint.network].internal:
            continue
        four = four or (endpoint if endpoint.gateway4 else None)
        six = six or (endpoint if endpoint.gateway6 else None)
    return RouteSpec(
        sandbox=path,
        gateway4=four.gateway4 if four else "",
        ifname4=four.ifname if four else "",
        gateway6=six.gateway6 if six else "",
        ifname6=six.ifname if six else "",
    )
