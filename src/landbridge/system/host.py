"""What the daemon must know of its host once, at start."""

import os
import socket
from dataclasses import dataclass

from landbridge.system.netlink import Netlink

DEFAULT_MTU = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """`memory` in bytes; `uplink_mtu` is the smallest of the interfaces with a default route (1500 without one)."""

    cpus: int
    memory: int
    ipv6: bool
    uplink_mtu: int


def host_facts() -> HostFacts:
    """Read them."""
    return HostFacts(
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        ipv6=_ipv6(),
        uplink_mtu=_uplink_mtu(),
    )


def _ipv6() -> bool:
    """Whether a socket can listen on IPv6 here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _uplink_mtu() -> int:
    with Netlink() as netlink:
        uplinks = {one.device for one in netlink.routes() if one.destination in ("0.0.0.0/0", "::/0")}
        sizes = [one.mtu for one in netlink.links() if one.name in uplinks]
    return min(sizes, default=DEFAULT_MTU)
