"""The drivers there are, in an explicit table, and the few methods each must have."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from landbridge.model.network import Endpoint, Network, NetworkRequest, Sandbox
from landbridge.network.bridge import BridgeDriver
from landbridge.network.plain import PlainDriver
from landbridge.network.remote import RemoteDriver
from landbridge.network.stacked import StackedDriver
from landbridge.network.steps import Step


class Driver(Protocol):
    """What a driver decides. Removal is the inverse of the same steps.

    `interfaces`: endpoints have an interface and addresses. `host_side`: there is a link of ours in the host for each.
    `kind`: the kind of link the kernel must know, where that is not a matter of course.
    """

    @property
    def name(self) -> str: ...
    @property
    def interfaces(self) -> bool: ...
    @property
    def host_side(self) -> bool: ...
    @property
    def kind(self) -> str: ...

    def check(self, request: NetworkRequest) -> None:
        """Refuse what is wrong in itself."""
        ...

    def check_among(self, request: NetworkRequest, networks: Iterable[Network], links: Collection[str]) -> None:
        """Refuse what cannot be beside other networks and the host's interfaces (their names)."""
        ...

    def leads_out(self, request: NetworkRequest) -> bool: ...
    def without_gateway(self, request: NetworkRequest, *, six: bool) -> bool: ...
    def own_mac(self, network: Network) -> bool: ...
    def create(self, network: Network, mtu: int) -> tuple[Step, ...]: ...
    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]: ...


DRIVERS: Mapping[str, Driver] = {
    "bridge": BridgeDriver(),
    "macvlan": StackedDriver("macvlan"),
    "ipvlan": StackedDriver("ipvlan"),
    "null": PlainDriver("null"),
    "host": PlainDriver("host"),
}


def is_remote(name: str) -> bool:
    """True for a driver that is not built in: a plugin's."""
    return name not in DRIVERS


def driver(name: str) -> Driver:
    """The driver built in under this name, else the one that speaks for a plugin (which may not be there)."""
    return DRIVERS.get(name) or RemoteDriver(name)
