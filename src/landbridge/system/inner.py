"""The near side of every verb on links: look-ups, changes, and an interface inside a sandbox made ready.

Shared by `netlink` (bridges and veth pairs) and `stacked` (macvlan, ipvlan). No decisions.
"""

import errno
import os
from collections.abc import Sequence

from landbridge.errors import NotFound
from landbridge.model.link import MovedSpec, StackedSpec, VethSpec
from landbridge.system import netns, nlwire, rtnl, rtshape, sysctl
from landbridge.system.nlsocket import Channel, Request, open_channel

Spec = VethSpec | StackedSpec | MovedSpec
GONE = (errno.ENODEV,)
NEW = nlwire.NLM_F_CREATE | nlwire.NLM_F_EXCL


def channel_inside(spec: Spec) -> Channel:
    """A channel in the sandbox, and on the way the settings of its new interface.

    The first two have the kernel announce the interface's addresses (gratuitous ARP, unsolicited neighbour
    advertisement) whenever its MAC is set: neighbours that knew an address by the MAC of a former owner would
    keep sending there for up to a minute. A setting of the same name in `spec` wins.
    """
    announce = ((f"net/ipv4/conf/{spec.ifname}/arp_notify", "1"), (f"net/ipv6/conf/{spec.ifname}/ndisc_notify", "1"))
    with netns.inside(spec.sandbox):
        sysctl.write_all(possible((*announce, *spec.sysctls)))
        return open_channel()


def possible(settings: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without those of interfaces that have no IPv6: the kernel has none, or their MTU is too small for it."""
    return [(key, value) for key, value in settings
            if not key.startswith("net/ipv6/conf/") or os.path.exists(f"/proc/sys/{key.rpartition('/')[0]}")]


def configure(inside: Channel, spec: Spec) -> str:
    """Addresses, then up; returns the MAC, which the kernel chose when `spec` has none."""
    body = found(inside, spec.ifname)
    requests = [add_address(spec.ifname, rtnl.link_index(body), cidr) for cidr in spec.addresses]
    if isinstance(spec, VethSpec) and spec.rate_out:
        requests.append(shape(spec.ifname, rtnl.link_index(body), spec.rate_out))
    inside.ask(*requests, change(f"bring up {spec.ifname}", rtnl.link_up(spec.ifname)))
    return rtnl.links([body], ())[0].mac


def find(channel: Channel, name: str) -> bytes | None:
    """What the kernel says of a link; None when there is no such."""
    return channel.get(Request(f"look up {name}", rtnl.RTM_GETLINK, rtnl.link_by_name(name), forgive=GONE))


def found(channel: Channel, name: str) -> bytes:
    """As `find`. Raises: NotFound."""
    body = find(channel, name)
    if body is None:
        raise NotFound(f"no interface {name}")
    return body


def change(what: str, body: bytes, forgive: tuple[int, ...] = ()) -> Request:
    """A request that changes a link there is."""
    return Request(what, rtnl.RTM_NEWLINK, body, forgive=forgive)


def shape(name: str, index: int, rate: int) -> Request:
    """A request that has a link send no more than `rate` bytes per second."""
    flags = nlwire.NLM_F_CREATE | nlwire.NLM_F_REPLACE
    return Request(f"limit {name} to {rate} bytes/s", rtshape.RTM_NEWQDISC, rtshape.shaped(index, rate), flags)


def add_address(name: str, index: int, cidr: str, forgive: tuple[int, ...] = ()) -> Request:
    """A request for one more address (CIDR) on a link."""
    return Request(f"address {cidr} on {name}", rtnl.RTM_NEWADDR, rtnl.address(index, cidr), NEW, forgive)
