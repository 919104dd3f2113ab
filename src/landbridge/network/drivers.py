"""The drivers there are, in an explicit table, and the few methods each must have."""

from collections.abc import Mapping
from typing import Protocol

from landbridge.errors import NotFound
from landbridge.model.network import Endpoint, Network, NetworkRequest, Sandbox
from landbridge.network.bridge import BridgeDriver
from landbridge.network.plain import PlainDriver
from landbridge.network.steps import Step


class Driver(Protocol):
    """What a driver decides. Removal is the inverse of the same steps."""

    @property
    def name(self) -> str: ...

    def check(self, request: NetworkRequest) -> None: ...

    def create(self, network: Network, mtu: int) -> tuple[Step, ...]: ...

    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]: ...


DRIVERS: Mapping[str, Driver] = {
    "bridge": BridgeDriver(),
    "null": PlainDriver("null"),
    "host": PlainDriver("host"),
}


def driver(name: str) -> Driver:
    """Raises: NotFound with Docker's sentence for a driver that is neither built in nor a plugin."""
    try:
        return DRIVERS[name]
    except KeyError:
        raise NotFound(f'plugin "{name}" not found') from None
