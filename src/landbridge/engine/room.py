"""Room for one more endpoint: on the bridges of a network, and in the kernel's tables."""

import secrets
from dataclasses import replace

from landbridge.engine.apply import Apply
from landbridge.engine.state import State
from landbridge.errors import Invalid
from landbridge.model.network import Network
from landbridge.network import extension

CROWD = 400  # endpoints from which on the kernel's tables of neighbours may be too small


class Room:
    """Used from the event loop's thread, as `State` is."""

    def __init__(self, state: State, apply: Apply, bridge_ports: int) -> None:
        self._state = state
        self._apply = apply
        self._bridge_ports = bridge_ports
        self._widened = False  # whether this daemon has seen to it that the kernel can know them all

    def place(self, network: Network) -> str:
        """The bridge for one more port; a network whose bridges are full has a further one on return.

        Empty for the network's own, and where there is none. Raises: Invalid when it has as many as it may have.
        """
        if not network.bridge:
            return ""
        found = extension.place(network, self._state.ports_on, self._bridge_ports)
        if found is not None:
            return found
        if len(network.extensions) >= extension.MOST_EXTENSIONS:
            raise Invalid(f"no port left on any bridge of network {network.name}: exchange full")
        added = self._state.instance.extension(secrets.token_hex(6))
        self._state.put_network(replace(network, extensions=(*network.extensions, added)))
        return added.bridge

    async def among_neighbours(self) -> None:
        """The kernel can remember everybody's hardware address."""
        if self._state.active > CROWD and not self._widened:
            self._widened = True
            await self._apply.blocking(self._apply.kernel.widen_neighbours)
