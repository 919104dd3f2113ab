"""Making the host a router, without its ceasing to be a host.

A Linux machine that forwards IPv6 stops listening to router advertisements, and at once forgets the default route it
learned from one (ip-sysctl, accept_ra). Value 2 means: listen although you forward. Whatever listened before goes on
listening; nothing else about the host's interfaces is touched, and nothing is taken back.
"""

import os

from landbridge.errors import NotFound
from landbridge.system import sysctl

_CONF6 = "net/ipv6/conf"


def forward_ipv4() -> None:
    """Switch IPv4 forwarding on. Raises: what `sysctl.write` raises."""
    if sysctl.read("net/ipv4/ip_forward") != "1":
        sysctl.write("net/ipv4/ip_forward", "1")


def forward_ipv6() -> None:
    """Switch IPv6 forwarding on, interfaces that accept router advertisements first. Raises: as `sysctl.write`."""
    if sysctl.read(f"{_CONF6}/all/forwarding") == "1":
        return
    for name in os.listdir(f"/proc/sys/{_CONF6}"):
        if name not in ("all", "lo"):  # `default` is for interfaces yet to come
            try:
                _go_on_listening(f"{_CONF6}/{name}")
            except NotFound:
                continue  # it went away meanwhile
    sysctl.write(f"{_CONF6}/all/forwarding", "1")


def _go_on_listening(conf: str) -> None:
    if sysctl.read(f"{conf}/accept_ra") == "1" and sysctl.read(f"{conf}/forwarding") == "0":
        sysctl.write(f"{conf}/accept_ra", "2")
