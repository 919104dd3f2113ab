"""The world: everything that should exist, as one value, and the marks by which our things are known.

`World` is the only input of every renderer (rules, names, holds) and one half of `reconcile.diff`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from landbridge.model.container import Container
from landbridge.model.network import Endpoint, Extension, Network, Sandbox

DEFAULT_DATA_ROOT = "/var/lib/landbridge"


@dataclass(frozen=True, slots=True)
class Instance:
    """Which engine a thing belongs to. `suffix` is empty for the default data root, else 4 hex digits.

    Interface names have at most 15 characters (IFNAMSIZ), so the marks are prefixes that no other
    instance can produce: ``lb-``/``lbv-`` for the default one, ``lbXXXX``/``lbvXXXX`` for others.
    """

    suffix: str = ""

    @classmethod
    def of(cls, data_root: str) -> "Instance":
        """The instance of a data root; the same root always gives the same marks."""
        path = str(PurePosixPath(data_root))
        if path == DEFAULT_DATA_ROOT:
            return cls()
        return cls(hashlib.sha256(path.encode()).hexdigest()[:4])

    @property
    def table(self) -> str:
        """Name of the nft table (family inet)."""
        return f"landbridge_{self.suffix}" if self.suffix else "landbridge"

    @property
    def cgroup(self) -> str:
        """Parent cgroup of this instance's containers."""
        return f"/landbridge-{self.suffix}" if self.suffix else "/landbridge"

    @property
    def default_bridge(self) -> str:
        """Interface of the network named ``bridge``."""
        return f"lb{self.suffix}-0" if self.suffix else "lb-0"

    @property
    def bridge_prefix(self) -> str:
        return f"lb{self.suffix}-" if self.suffix else "lb-"

    @property
    def veth_prefix(self) -> str:
        return f"lbv{self.suffix}" if self.suffix else "lbv-"

    @property
    def retired_prefix(self) -> str:
        """Begins the names of bridges that only wait to be deleted; no network's name: those go on in hex digits."""
        return f"{self.bridge_prefix}x"

    def bridge_name(self, network_id: str) -> str:
        """Interface of a user-defined bridge network."""
        return (self.bridge_prefix + network_id)[:15]

    def extension(self, token: str) -> Extension:
        """The interfaces of one more bridge of a network. Their letters are no hex digits: nothing else is so named."""
        bridge, veth = self.bridge_prefix, self.veth_prefix
        return Extension(
            bridge=f"{bridge}s{token}"[:15], upper=f"{veth}u{token}"[:15], lower=f"{veth}w{token}"[:15]
        )

    def veth_name(self, endpoint_id: str) -> str:
        """Host side of an endpoint's veth pair."""
        return (self.veth_prefix + endpoint_id)[:15]

    def owns_link(self, name: str) -> bool:
        """True when an interface name carries this instance's mark."""
        return name.startswith((self.bridge_prefix, self.veth_prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that should exist. Mappings are by id; nobody changes them after the world was taken."""

    instance: Instance
    networks: Mapping[str, Network]
    endpoints: Mapping[str, Endpoint]
    sandboxes: Mapping[str, Sandbox]
    containers: Mapping[str, Container]

    def endpoints_of(self, container: str) -> tuple[Endpoint, ...]:
        """A container's endpoints in the order they were asked for."""
        found = [endpoint for endpoint in self.endpoints.values() if endpoint.container == container]
        return tuple(sorted(found, key=lambda endpoint: endpoint.order))
