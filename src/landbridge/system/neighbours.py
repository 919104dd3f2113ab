"""Room for neighbours. The kernel keeps one table of them for all network namespaces of the machine, of 1,024 entries.

A container and the host know each other, which makes two entries; beyond some 500 busy containers the kernel throws
entries away that are in use, and packets with them ("neighbour: arp_cache: neighbor table overflow!").
"""

import os

from landbridge.system import sysctl

# What swarm mode of Docker sets for its overlay networks: from when entries are collected, from when at once, the end.
_LIMITS = {"gc_thresh1": 8192, "gc_thresh2": 49152, "gc_thresh3": 65536}


def widen() -> None:
    """Raise the limits for both families where they are lower; a machine in a namespace has none to set."""
    for family in ("ipv4", "ipv6"):
        for name, least in sorted(_LIMITS.items(), reverse=True):
            key = f"net/{family}/neigh/default/{name}"
            if os.path.exists(f"/proc/sys/{key}") and int(sysctl.read(key)) < least:
                sysctl.write(key, str(least))
