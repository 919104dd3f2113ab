"""What the kernel side of a network is asked to make: plain values, one per object.

These are the only arguments `system.netlink` and `system.netns` take from above. They carry no policy:
every choice (names, addresses, MTU) was made by `network` before one of them exists.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSpec:
    """A Linux bridge in the host's network namespace.

    `addresses` are interface addresses in CIDR form (``172.18.0.1/16``, ``fd00::1/64``); an address
    already present is left alone, one that is no longer listed is removed. `sysctls` are keys under
    /proc/sys with their values, set after the bridge exists.
    """

    name: str
    addresses: tuple[str, ...] = ()
    mtu: int = 1500
    mac: str = ""
    sysctls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionSpec:
    """A bridge wired to another: `upper` is a port of `main`, `lower` of `bridge`.

    `isolated` keeps what is behind the wire from the isolated ports of `main`.
    """

    main: str
    bridge: BridgeSpec
    upper: str
    lower: str
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A network namespace pinned by a bind mount at `path` (kept when its last process ends)."""

    path: str
    sysctls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VethSpec:
    """A veth pair: `host_name` is a port of `bridge`, `ifname` lives in the namespace at `sandbox`.

    `addresses` (CIDR) go on the inner side. `sysctls` are written inside the sandbox, after the
    interface exists and before it is up (``net/ipv6/conf/eth0/disable_ipv6``). `isolated` is the bridge
    port flag that keeps ports from each other (ICC off), `hairpin` lets a frame return through its port. `rate_in` and
    `rate_out` are what may reach the sandbox and leave it at most, in bytes per second; 0: everything.
    """

    host_name: str
    ifname: str
    sandbox: str
    bridge: str
    mac: str
    mtu: int = 1500
    addresses: tuple[str, ...] = ()
    isolated: bool = False
    hairpin: bool = True
    rate_in: int = 0
    rate_out: int = 0
    sysctls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentSpec:
    """An interface of the host that others are stacked on, made when it is not there.

    With a `vlan` (1-4094) it is that VLAN (802.1Q) of the interface `of`. With `addresses` (CIDR) it is the host's own
    macvlan on `of`, through which it reaches the subnets in `reaches`. Otherwise it leads nowhere.
    """

    name: str
    of: str = ""
    vlan: int = 0
    addresses: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedSpec:
    """A macvlan or ipvlan interface `ifname` in the namespace at `sandbox`, stacked on `parent` in the host's.

    `mode` and `flag` are the kernel's words (``bridge``, ``l3s``, ``vepa``); `mtu` 0 is the parent's. An ipvlan has
    its parent's MAC and takes none. Addresses and sysctls as in `VethSpec`.
    """

    kind: str
    parent: str
    mode: str
    ifname: str
    sandbox: str
    flag: str = ""
    mac: str = ""
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedSpec:
    """A link `source` of the host, made by somebody else, that lives in the namespace at `sandbox` as `ifname`.

    `routes` are (destination CIDR, next hop or empty). Addresses and sysctls as in `VethSpec`; an empty `mac` stays.
    """

    source: str
    ifname: str
    sandbox: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """The default routes inside a sandbox: through a gateway, or straight out of an interface when there is none.

    An empty interface name means: no default route of that family.
    """

    sandbox: str
    gateway4: str = ""
    ifname4: str = ""
    gateway6: str = ""
    ifname6: str = ""

    def __bool__(self) -> bool:
        return bool(self.ifname4 or self.ifname6)

    def cleared(self) -> "RouteSpec":
        """The same sandbox without default routes."""
        return RouteSpec(sandbox=self.sandbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Selects connection-tracking entries to forget, by original destination on the host.

    `count` ports from `port` on. `address` empty means any address.
    """

    proto: str
    port: int
    address: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFact:
    """One interface as the kernel reports it; `master` is the bridge's name or empty, `alias` who made it."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    master: str
    alias: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFact:
    """One unicast route of the main table: destination CIDR (``0.0.0.0/0`` for the default), device, gateway."""

    destination: str
    device: str
    gateway: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounters:
    """One interface's traffic since it was made, as the kernel counts it (seen from the interface)."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int
