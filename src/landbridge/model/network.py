"""Networks, the endpoints on them and the sandboxes that hold those endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from landbridge.model.config import EndpointConfig
from landbridge.model.ports import Binding

Subnet = IPv4Network | IPv6Network

PREDEFINED = ("bridge", "host", "none")
RESERVED = (*PREDEFINED, "default")
NAMES = "landbridge.names"  # the option that has names resolve on the default bridge


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamPool:
    """One address pool of a network, as text in canonical form; `auxiliary` are addresses kept out of use.

    `subnet` is always set once a network exists. `chosen` is true when the engine picked the subnet, `implied` when
    it picked the gateway of a subnet that was given (Docker does not show such a one among what was configured).
    `lease` is the pool's id in the books of an IPAM plugin, where one gave it.
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    auxiliary: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = False
    implied: bool = False
    lease: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """``POST /networks/create`` after parsing; None means: the user did not say."""

    name: str
    driver: str = ""
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    scope: str = ""
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] | None = None
    pools: tuple[IpamPool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One more bridge of a network, for the ports its own has no room for.

    `upper`, a port of the network's own bridge, and `lower`, a port of this one, are the ends of the wire between them.
    """

    bridge: str
    upper: str
    lower: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that exists. `created` in nanoseconds since the epoch; `bridge` is the interface name or empty.

    `direct`: published ports are open to everybody at the containers' own addresses (``--allow-direct-routing``).
    """

    id: str
    name: str
    created: int
    driver: str
    scope: str = "local"
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    pools: tuple[IpamPool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    bridge: str = ""
    foreign_bridge: bool = False
    extensions: tuple[Extension, ...] = ()
    direct: bool = False

    @property
    def resolves(self) -> bool:
        """True when names on this network resolve: every user-defined network (Docker's rule), others if told to."""
        return self.name not in PREDEFINED or self.options.get(NAMES) == "true"

    @property
    def live_pools(self) -> tuple[IpamPool, ...]:
        """The pools in use: those of a family that is not enabled are kept for the record (Docker shows them)."""
        return tuple(pool for pool in self.pools if (self.enable_ipv6 if ":" in pool.subnet else self.enable_ipv4))


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRoute:
    """A route of an endpoint beside the default one; without a next hop it leads straight out of the interface."""

    destination: str
    next_hop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An attachment of a container to a network.

    It is a claim (name, addresses, MAC) from the moment it exists until the container or the attachment is
    removed; `active` says whether the kernel side is up now. `ipv4`/`ipv6` are CIDR text or empty.
    `names` are its DNS names in Docker's order, `extension` is the bridge its port is on, empty for the network's own.
    Of a plugin's network: `source` is what the link was called before it
    moved into the sandbox, `routes` what the plugin wants there, `external` that it was told to let the world in.
    """

    id: str
    network: str
    container: str
    config: EndpointConfig
    order: int
    mac: str = ""
    ipv4: str = ""
    ipv6: str = ""
    gateway4: str = ""
    gateway6: str = ""
    host_name: str = ""
    ifname: str = ""
    names: tuple[str, ...] = ()
    active: bool = False
    extension: str = ""
    source: str = ""
    routes: tuple[StaticRoute, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A network namespace that belongs to the engine, made for `container` and possibly joined by others.

    `published` are the bindings in force, all of them led to one endpoint per family.
    """

    id: str
    container: str
    path: str
    published: tuple[Binding, ...] = ()
