"""What the daemon was told at start. Flags and defaults follow dockerd."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from landbridge.model.world import DEFAULT_DATA_ROOT

DEFAULT_EXEC_ROOT = "/run/landbridge"
DEFAULT_SOCKET = "unix:///run/landbridge/landbridge.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`mtu` 0 means: the smallest of the interfaces with a default route. `address_pools` are (base, size)."""

    data_root: str = DEFAULT_DATA_ROOT
    exec_root: str = DEFAULT_EXEC_ROOT
    hosts: tuple[str, ...] = (DEFAULT_SOCKET,)
    address_pools: tuple[tuple[str, int], ...] = ()
    bip: str = ""
    fixed_cidr: str = ""
    ipv6: bool = False  # of the default bridge
    bip6: str = ""
    fixed_cidr_v6: str = ""
    bridge: str = ""
    mtu: int = 0
    icc: bool = True
    ip_masq: bool = True
    ip_forward: bool = True
    host_ip: str = "0.0.0.0"
    publish_policy: str = "open"  # open, host-firewall, local
    bridge_names: bool = False  # names of containers resolve on the default bridge too
    bridge_ports: int = 960  # containers on one Linux bridge; with more a network gets a further one
    userland_proxy: bool = True
    direct_routing: bool = False
    accept_mark: str = ""  # mark[/mask] of packets that may go to any container
    unfiltered: tuple[str, ...] = ()  # families (ipv4, ipv6) that meet no rules
    loopback_guard: bool = True
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    init: bool = False
    shutdown_timeout: int = 15
    host_gateway_ips: tuple[str, ...] = ()
    default_network_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plugin_dirs: tuple[str, ...] = ()  # looked at before Docker's own
    runtime: str = ""
    debug: bool = False
    group: str = "docker"
    tls_cert: str = ""  # files for tcp:// hosts; no certificate: no TLS
    tls_key: str = ""
    tls_ca: str = ""  # who signs clients' certificates; empty: any client may come
    pidfile: str = ""
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
