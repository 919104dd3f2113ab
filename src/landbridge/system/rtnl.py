"""What rtnetlink(7) messages say about links, addresses and routes: bodies to send, facts read back. Pure.

One function per message, no I/O, no decisions; `netlink` sends them in the right order. Numbers are those of
linux/rtnetlink.h, if_link.h, if_addr.h and veth.h and never change.
"""

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator

from landbridge.model.link import LinkCounters, LinkFact, RouteFact, StackedSpec
from landbridge.system.nlwire import as_text, as_u32, attribute, attributes, nested, text, u8, u16, u32

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_IFALIAS, _IFLA_STATS64, _IFLA_AF_SPEC, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 20, 23, 26, 28, 29
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER = 1
_VLAN_ID = 1
_STACKED_MODE, _IPVLAN_FLAGS = 1, 2
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_IPVLAN_FLAG = {"bridge": 0, "private": 1, "vepa": 2}
_BRPORT_MODE, _BRPORT_ISOLATED = 4, 33  # mode is what `bridge link` calls hairpin
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_EXT_SKIP_STATS = 8
_IFF_UP = 1
_IFLA_OPERSTATE, _OPER_UP = 16, 6

_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD, _IFA_F_PERMANENT = 0x02, 0x80

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 1, 4, 5, 9, 18
_TABLE_MAIN, _PROTO_BOOT, _TYPE_UNICAST, _SCOPE_LINK = 254, 3, 1, 253

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst/src length, tos, table, protocol, scope, type, flags

_NEXT_HOP = struct.Struct("=HBBi")  # length, flags, hops, index


# ---- links: what to send


def link_by_name(name: str) -> bytes:
    """Select one link by name (get, delete)."""
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_EXT_MASK, _EXT_SKIP_STATS)


def link_by_index(index: int) -> bytes:
    """Select one link by index."""
    return _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + u32(_IFLA_EXT_MASK, _EXT_SKIP_STATS)


def all_links() -> bytes:
    """Select every link, without the counters that make up most of an answer."""
    return _link() + u32(_IFLA_EXT_MASK, _EXT_SKIP_STATS)


def counters_of(name: str) -> bytes:
    """Select one link with its counters."""
    return _link() + text(_IFLA_IFNAME, name)


def all_counters() -> bytes:
    """Select every link with its counters."""
    return _link()


def new_bridge(name: str, mac: str, mtu: int) -> bytes:
    """A bridge, still down."""
    return new_plain(name, "bridge") + _mac(mac) + u32(_IFLA_MTU, mtu)


def with_alias(name: str, alias: str) -> bytes:
    """Set the alias of a link (ignored by the kernel in a message that creates one)."""
    return _link() + text(_IFLA_IFNAME, name) + text(_IFLA_IFALIAS, alias)


def new_veth(*, host_name: str, bridge: int, mtu: int, ifname: str, mac: str, sandbox_fd: int) -> bytes:
    """A veth pair in one message: the near end a port of `bridge` and down, the far end inside the sandbox."""
    far = (
        _link()
        + text(_IFLA_IFNAME, ifname)
        + u32(_IFLA_MTU, mtu)
        + (_mac(mac) if mac else b"")
        + u32(_IFLA_NET_NS_FD, sandbox_fd)
    )
    data = nested(_INFO_DATA, attribute(_VETH_INFO_PEER, far))
    return (
        _link()
        + text(_IFLA_IFNAME, host_name)
        + u32(_IFLA_MTU, mtu)
        + u32(_IFLA_MASTER, bridge)
        + nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), data)
    )


def new_plain(name: str, kind: str) -> bytes:
    """A link of a kind that needs nothing said about it (dummy, ifb), still down."""
    return _link() + text(_IFLA_IFNAME, name) + nested(_IFLA_LINKINFO, text(_INFO_KIND, kind))


def new_vlan(name: str, below: int, number: int) -> bytes:
    """The VLAN `number` of the link with index `below`, still down."""
    info = nested(_IFLA_LINKINFO, text(_INFO_KIND, "vlan"), nested(_INFO_DATA, u16(_VLAN_ID, number)))
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_LINK, below) + info


def new_macvlan(name: str, below: int) -> bytes:
    """A macvlan of the sender's own in bridge mode over the link with index `below`, still down."""
    data = nested(_INFO_DATA, u32(_STACKED_MODE, _MACVLAN_MODES["bridge"]))
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_LINK, below) + nested(
        _IFLA_LINKINFO, text(_INFO_KIND, "macvlan"), data)  # fmt: skip


def new_stacked(spec: StackedSpec, *, parent: int, sandbox_fd: int) -> bytes:
    """A macvlan or ipvlan inside the sandbox, still down, over the link with index `parent` in the sender's."""
    if spec.kind == "macvlan":
        data = u32(_STACKED_MODE, _MACVLAN_MODES[spec.mode])
    else:
        data = u16(_STACKED_MODE, _IPVLAN_MODES[spec.mode]) + u16(_IPVLAN_FLAGS, _IPVLAN_FLAG[spec.flag or "bridge"])
    return (
        _link()
        + text(_IFLA_IFNAME, spec.ifname)
        + u32(_IFLA_LINK, parent)
        + (u32(_IFLA_MTU, spec.mtu) if spec.mtu else b"")
        + (_mac(spec.mac) if spec.mac else b"")
        + u32(_IFLA_NET_NS_FD, sandbox_fd)
        + nested(_IFLA_LINKINFO, text(_INFO_KIND, spec.kind), nested(_INFO_DATA, data))
    )


def moved(index: int, ifname: str, namespace_fd: int) -> bytes:
    """Take the link with `index` to another namespace under another name, in one go; it must be down."""
    head = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return head + text(_IFLA_IFNAME, ifname) + u32(_IFLA_NET_NS_FD, namespace_fd)


def link_down(name: str) -> bytes:
    """Take a link down."""
    return _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, _IFF_UP) + text(_IFLA_IFNAME, name)


def nothing_of_kind(kind: str) -> bytes:
    """A request for a link of `kind` that lacks all the kernel needs: the refusal tells whether it knows the kind."""
    return _link() + nested(_IFLA_LINKINFO, text(_INFO_KIND, kind))


def new_wire(name: str, bridge: int, far_name: str, *, mtu: int) -> bytes:
    """A veth pair, both ends here and down; `name` is a port of `bridge`."""
    far = _link() + text(_IFLA_IFNAME, far_name) + u32(_IFLA_MTU, mtu)
    data = nested(_INFO_DATA, attribute(_VETH_INFO_PEER, far))
    kind = nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), data)
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_MTU, mtu) + u32(_IFLA_MASTER, bridge) + kind


def without_link_local(name: str) -> bytes:
    """Keep a link from giving itself an fe80:: address: a bridge port needs none."""
    mode = nested(socket.AF_INET6, u8(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE))
    return _link() + text(_IFLA_IFNAME, name) + nested(_IFLA_AF_SPEC, mode)


def port_up(name: str, *, hairpin: bool, isolated: bool) -> bytes:
    """Set the bridge-port flags and bring the port up; the kernel does it in this order."""
    flags = nested(_INFO_SLAVE_DATA, u8(_BRPORT_MODE, hairpin), u8(_BRPORT_ISOLATED, isolated))
    info = nested(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), flags)
    return _link(up=True) + text(_IFLA_IFNAME, name) + info


def link_up(name: str) -> bytes:
    """Bring a link up."""
    return _link(up=True) + text(_IFLA_IFNAME, name)


def with_name(index: int, name: str) -> bytes:
    """Give a link another name."""
    return _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + text(_IFLA_IFNAME, name)


def into_bridge(name: str, bridge: int) -> bytes:
    """Make a link a port of a bridge; one that is already stays so. With index 0 it is one of none."""
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_MASTER, bridge)


def with_mtu(name: str, mtu: int) -> bytes:
    """Set a link's MTU."""
    return _link() + text(_IFLA_IFNAME, name) + u32(_IFLA_MTU, mtu)


def with_mac(name: str, mac: str) -> bytes:
    """Set a link's hardware address."""
    return _link() + text(_IFLA_IFNAME, name) + _mac(mac)


def _link(*, up: bool = False) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, 0, up * _IFF_UP, up * _IFF_UP)


def _mac(mac: str) -> bytes:
    return attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


# ---- addresses and routes: what to send


def address(index: int, cidr: str) -> bytes:
    """An interface address (CIDR) to add or delete. IPv6 is usable at once: no duplicate detection."""
    interface = ipaddress.ip_interface(cidr)
    packed = interface.ip.packed
    length = interface.network.prefixlen
    head = _ADDRESS.pack(_family(interface.version), length, 0, 0, index)
    if interface.version == 6:
        return head + attribute(_IFA_ADDRESS, packed) + u32(_IFA_FLAGS, _IFA_F_NODAD)
    broadcast = attribute(_IFA_BROADCAST, interface.network.broadcast_address.packed) if length < 31 else b""
    return head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed) + broadcast


def addresses_of(index: int) -> bytes:
    """Select the addresses of both families on one link, or on every link with index 0."""
    return _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, index)


def device_route(family: int, index: int) -> bytes:
    """The default route straight out of the link with `index`, to set or replace: everybody is a neighbour there."""
    scope = _SCOPE_LINK if family == socket.AF_INET else 0
    head = _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, _PROTO_BOOT, scope, _TYPE_UNICAST, 0)
    return head + u32(_RTA_OIF, index)


def link_route(subnet: str, index: int) -> bytes:
    """The route to a subnet whose machines are neighbours on the link with `index`, to set or replace."""
    wanted = ipaddress.ip_network(subnet)
    family = _family(wanted.version)
    scope = _SCOPE_LINK if family == socket.AF_INET else 0
    head = _ROUTE.pack(family, wanted.prefixlen, 0, 0, _TABLE_MAIN, _PROTO_BOOT, scope, _TYPE_UNICAST, 0)
    return head + attribute(_RTA_DST, wanted.network_address.packed) + u32(_RTA_OIF, index)


def default_route(gateway: str, index: int) -> bytes:
    """The default route through `gateway` on the link with `index`, to set or replace."""
    via = ipaddress.ip_address(gateway)
    head = _ROUTE.pack(_family(via.version), 0, 0, 0, _TABLE_MAIN, _PROTO_BOOT, 0, _TYPE_UNICAST, 0)
    return head + attribute(_RTA_GATEWAY, via.packed) + u32(_RTA_OIF, index)


def route(destination: str, next_hop: str, index: int) -> bytes:
    """A route (CIDR) through a next hop on the link with `index`, or without one straight out of it."""
    network = ipaddress.ip_network(destination)
    family = _family(network.version)
    scope = 0 if next_hop or network.version == 6 else _SCOPE_LINK
    head = _ROUTE.pack(family, network.prefixlen, 0, 0, _TABLE_MAIN, _PROTO_BOOT, scope, _TYPE_UNICAST, 0)
    hop = attribute(_RTA_GATEWAY, ipaddress.ip_address(next_hop).packed) if next_hop else b""
    return head + attribute(_RTA_DST, network.network_address.packed) + hop + u32(_RTA_OIF, index)


def any_default_route(family: int) -> bytes:
    """The first default route of `family` in the main table, whatever it goes through (delete)."""
    # scope RT_SCOPE_NOWHERE and protocol 0 match any
    return _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, 0, 255, 0, 0)


def main_routes(family: int) -> bytes:
    """Select the unicast routes of the main table (filtered by the kernel, strict checking is on)."""
    return _ROUTE.pack(family, 0, 0, 0, _TABLE_MAIN, 0, 0, _TYPE_UNICAST, 0)


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


# ---- facts read back


def link_index(body: bytes) -> int:
    """The interface index in a link answer."""
    index: int = _LINK.unpack_from(body)[2]
    return index


def is_settled(body: bytes) -> bool:
    """Whether the link in an answer carries packets (IF_OPER_UP of RFC 2863) or was taken down on purpose."""
    down = not _LINK.unpack_from(body)[3] & _IFF_UP
    return down or attributes(body, _LINK.size).get(_IFLA_OPERSTATE) == bytes([_OPER_UP])


def owned_addresses(answers: Iterable[bytes]) -> dict[int, list[str]]:
    """Interface index -> addresses (CIDR) that somebody configured, in the kernel's order.

    Left out is what comes and goes by itself: fe80:: addresses and those with a lifetime.
    """
    return _addresses(answers, every=False)


def links(answers: Iterable[bytes], address_answers: Iterable[bytes]) -> tuple[LinkFact, ...]:
    """Every link with all its addresses."""
    addresses = _addresses(address_answers, every=True)
    parsed = [(_LINK.unpack_from(body), attributes(body, _LINK.size)) for body in answers]
    names = {head[2]: as_text(found[_IFLA_IFNAME]) for head, found in parsed}
    facts = []
    for (_, _, index, flags, _), found in parsed:
        info = attributes(found.get(_IFLA_LINKINFO, b""))
        master = as_u32(found[_IFLA_MASTER]) if _IFLA_MASTER in found else 0
        facts.append(
            LinkFact(
                index=index,
                name=names[index],
                kind=as_text(info.get(_INFO_KIND, b"")),
                mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
                mtu=as_u32(found[_IFLA_MTU]),
                up=bool(flags & _IFF_UP),
                master=names.get(master, ""),
                alias=as_text(found.get(_IFLA_IFALIAS, b"")),
                addresses=tuple(addresses.get(index, ())),
            )
        )
    return tuple(facts)


def counters(body: bytes) -> LinkCounters:
    """Name and counters of a link (struct rtnl_link_stats64)."""
    found = attributes(body, _LINK.size)
    numbers = struct.unpack_from("=8Q", found[_IFLA_STATS64])
    return LinkCounters(
        name=as_text(found[_IFLA_IFNAME]),
        rx_packets=numbers[0],
        tx_packets=numbers[1],
        rx_bytes=numbers[2],
        tx_bytes=numbers[3],
        rx_errors=numbers[4],
        tx_errors=numbers[5],
        rx_dropped=numbers[6],
        tx_dropped=numbers[7],
    )


def routes(answers: Iterable[bytes], names: dict[int, str]) -> tuple[RouteFact, ...]:
    """Unicast routes of the main table, one fact per next hop; `names` are the links' by index."""
    return tuple(RouteFact(destination=to, device=names.get(at, ""), gateway=via) for to, at, via in _hops(answers))


def route_devices(answers: Iterable[bytes]) -> set[int]:
    """The interface indices the routes in `answers` lead through."""
    return {index for _, index, _ in _hops(answers) if index}


def _hops(answers: Iterable[bytes]) -> Iterator[tuple[str, int, str]]:
    """(destination CIDR, interface index, gateway) of every next hop of a unicast route of the main table."""
    for body in answers:
        family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
        if table != _TABLE_MAIN or kind != _TYPE_UNICAST:
            continue
        found = attributes(body, _ROUTE.size)
        packed = found.get(_RTA_DST, b"\0" * (4 if family == socket.AF_INET else 16))
        destination = f"{socket.inet_ntop(family, packed)}/{length}"
        for hop in _next_hops(found[_RTA_MULTIPATH]) if _RTA_MULTIPATH in found else [found]:
            yield destination, as_u32(hop[_RTA_OIF]) if _RTA_OIF in hop else 0, _gateway(hop, family)


def _addresses(answers: Iterable[bytes], *, every: bool) -> dict[int, list[str]]:
    by_index: dict[int, list[str]] = {}
    for body in answers:
        family, length, _, scope, index = _ADDRESS.unpack_from(body)
        found = attributes(body, _ADDRESS.size)
        passing = scope != 0 or not as_u32(found.get(_IFA_FLAGS, b"\0\0\0\0")) & _IFA_F_PERMANENT
        if passing and not every:
            continue
        packed = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
        by_index.setdefault(index, []).append(f"{socket.inet_ntop(family, packed)}/{length}")
    return by_index


def _next_hops(payload: bytes) -> list[dict[int, bytes]]:
    hops, offset = [], 0
    while offset + _NEXT_HOP.size <= len(payload):
        size, _, _, index = _NEXT_HOP.unpack_from(payload, offset)
        found = attributes(payload[offset : offset + size], _NEXT_HOP.size)
        found[_RTA_OIF] = struct.pack("=i", index)
        hops.append(found)
        offset += (size + 3) & ~3
    return hops


def _gateway(hop: dict[int, bytes], family: int) -> str:
    if _RTA_GATEWAY in hop:
        return socket.inet_ntop(family, hop[_RTA_GATEWAY])
    if _RTA_VIA in hop:  # struct rtvia: family, then the address (an IPv6 gateway of an IPv4 route)
        via = hop[_RTA_VIA]
        return socket.inet_ntop(struct.unpack_from("=H", via)[0], via[2:])
    return ""
