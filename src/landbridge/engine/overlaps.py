"""Routes of the host that meet our networks: said when a network is made over one, and when one comes later.

A VPN that comes up takes addresses away from containers, or containers from the VPN; nobody can decide that for the
user, but it need not be found out with a packet dump. The more specific route wins, usually the network's.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from landbridge.engine.effects import RouteWatch
from landbridge.engine.events import Events
from landbridge.engine.state import State
from landbridge.model.link import RouteFact
from landbridge.model.network import Network
from landbridge.network import ipam

log = logging.getLogger(__name__)


def meeting(networks: Iterable[Network], routes: Iterable[RouteFact]) -> Iterator[tuple[Network, RouteFact]]:
    """Each network with each route that leads elsewhere with some of its addresses. A default route says nothing.

    Networks without a bridge are on somebody else's segment, where the host has a route.
    """
    networks = tuple(one for one in networks if one.bridge)
    own = {one.bridge for one in networks}
    for route in routes:
        destination = ip_network(route.destination)
        if not destination.prefixlen or route.device in own or destination.is_link_local:
            continue
        for network in networks:
            subnets = [ip_network(pool.subnet) for pool in network.live_pools if not network.config_only]
            if any(ipam.overlaps(subnet, destination) for subnet in subnets):
                yield network, route


def told(network: Network, route: RouteFact) -> str:
    """One sentence for the user."""
    by = f" through {route.gateway}" if route.gateway else ""
    subnets = ", ".join(pool.subnet for pool in network.pools)
    return f"network {network.name} ({subnets}) overlaps the host's route to {route.destination} on {route.device}{by}"


class Overlaps:
    """From `start` to `close`: every route that comes is looked at once. Lives on the event loop."""

    def __init__(self, watch: RouteWatch, state: State, events: Events) -> None:
        self._watch = watch
        self._state = state
        self._events = events

    def start(self) -> None:
        """Listen from now on."""
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._readable)

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._watch.fileno())
        self._watch.close()

    def _readable(self) -> None:
        for network, route in meeting(self._state.networks, self._watch.drain()):
            log.warning("%s", told(network, route))
            self._events.emit(
                "network", "overlap", network.id,
                {"name": network.name, "type": network.driver, "route": route.destination, "device": route.device},
            )  # fmt: skip
