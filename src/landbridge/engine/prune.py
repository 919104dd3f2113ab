"""Removing what nobody uses: stopped containers, unused networks. Images and volumes prune themselves."""

import time
from dataclasses import dataclass

from landbridge.engine.containers import Containers
from landbridge.engine.contents import Contents
from landbridge.engine.events import Events
from landbridge.engine.listing import CONTAINERS_PRUNE, NETWORKS_PRUNE, check_known, has_labels
from landbridge.engine.networks import Networks
from landbridge.engine.state import State
from landbridge.errors import LandbridgeError
from landbridge.images.filters import parse_until
from landbridge.model.container import Phase
from landbridge.model.filters import Filters


@dataclass(frozen=True, slots=True)
class PrunedContainers:
    """Ids of what was removed and the bytes that freed."""

    ids: tuple[str, ...]
    reclaimed: int


class Prune:
    """One method per kind."""

    def __init__(
        self, state: State, containers: Containers, networks: Networks, contents: Contents, events: Events
    ) -> None:
        self.state = state
        self._containers = containers
        self._networks = networks
        self._contents = contents
        self._events = events

    async def containers(self, filters: Filters) -> PrunedContainers:
        """Remove every container that does not run. Raises: Invalid, Internal for filters Docker refuses."""
        check_known(filters, CONTAINERS_PRUNE)
        until = _until(filters)
        removed: list[str] = []
        reclaimed = 0
        for one in self.state.containers:
            idle = not one.state.running and one.state.phase is not Phase.RESTARTING
            if not idle or one.created > until or not has_labels(one.config.labels, filters):
                continue
            try:
                size = (await self._contents.sizes(one)).written
                await self._containers.remove(one.id)
            except LandbridgeError:
                continue  # started or removed meanwhile: it is no candidate any more
            removed.append(one.id)
            reclaimed += size
        self._events.emit("container", "prune", "", {"reclaimed": str(reclaimed)})
        return PrunedContainers(tuple(removed), reclaimed)

    async def networks(self, filters: Filters) -> tuple[str, ...]:
        """Remove every network nobody is attached to; their names. Raises: as `containers`."""
        check_known(filters, NETWORKS_PRUNE)
        until = _until(filters)
        removed: list[str] = []
        for network in self._networks.unused():
            if network.created > until or not has_labels(network.labels, filters):
                continue
            try:
                await self._networks.remove(network.id)
            except LandbridgeError:
                continue  # in use by now: it is no candidate any more
            removed.append(network.name)
        self._events.emit("network", "prune", "", {"reclaimed": "0"})
        return tuple(removed)


def _until(filters: Filters) -> int:
    now = time.time_ns()
    return min((parse_until(text, now) for text in filters.get("until", ())), default=now)
