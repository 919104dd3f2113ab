"""Drivers without links: ``null`` (the network ``none``) and ``host``."""

from collections.abc import Collection, Iterable

from landbridge.errors import Forbidden
from landbridge.model.network import Endpoint, Network, NetworkRequest, Sandbox
from landbridge.network.steps import Step


class PlainDriver:
    """A predefined network that needs nothing from the kernel; users cannot make another one."""

    interfaces = False
    host_side = False
    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, request: NetworkRequest) -> None:
        """Raises: Forbidden, always: Docker allows one network of each of these drivers."""
        raise Forbidden(f"only one instance of \"{self.name}\" network is allowed")

    def check_among(self, request: NetworkRequest, networks: Iterable[Network], links: Collection[str]) -> None:
        """Nothing is left to refuse."""

    def leads_out(self, request: NetworkRequest) -> bool:
        """Nothing of it is ours to close."""
        return True

    def without_gateway(self, request: NetworkRequest, *, six: bool) -> bool:
        """There are no addresses."""
        return True

    def own_mac(self, network: Network) -> bool:
        """There are no interfaces."""
        return False

    def create(self, network: Network, mtu: int) -> tuple[Step, ...]:
        """Nothing to make."""
        return ()

    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]:
        """Nothing to make: the sandbox keeps only its loopback, or is the host's own stack."""
        return ()
