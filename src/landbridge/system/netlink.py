"""Verbs on the links, addresses and routes of one network namespace.

A `Netlink` is one rtnetlink socket: the host's, or a sandbox's (`Netlink.inside`). It may be shared between
threads. Verbs take values from `model.link` and decide nothing; message content is in `rtnl`, the conversation
in `nlsocket`. What a verb started and could not finish it takes back; removing what is gone is no error.

Each verb costs a constant number of messages however many links exist, the two listings aside.
"""

import errno
import os
import socket
import time
from collections.abc import Sequence
from typing import Literal

from landbridge.errors import Conflict, NotFound
from landbridge.model.link import BridgeSpec, ExtensionSpec, LinkCounters, LinkFact, RouteFact, RouteSpec, VethSpec
from landbridge.system import inner, netns, nlwire, rtnl, sysctl
from landbridge.system.nlsocket import Channel, NetlinkError, Request, open_channel

OWNER = "landbridge"  # the alias (ip -d link) of a bridge made here when nobody gives another

Adopted = Literal["made", "ours", "foreign"]


class Netlink:
    """rtnetlink in the calling thread's namespace, or in a pinned one with `inside`."""

    def __init__(self, channel: Channel | None = None, path: str = "", *, owner: str = OWNER) -> None:
        """`owner` is the alias that tells bridges made here from adopted ones."""
        self._channel = channel or open_channel()
        self._path = path
        self._owner = owner

    @classmethod
    def inside(cls, path: str) -> "Netlink":
        """A Netlink of the namespace pinned at `path`, which it keeps alive until closed. Raises: NotFound."""
        return cls(Channel(netns.netlink_socket(path)), path)

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._channel.close()

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def channel(self) -> Channel:
        """The conversation, for the verbs of other modules."""
        return self._channel

    @property
    def owner(self) -> str:
        """The alias of what is made here."""
        return self._owner

    @property
    def messages_sent(self) -> int:
        """How many messages this socket has sent: the cost of what was done, free of timing."""
        return self._channel.sent

    # ---- bridges

    def ensure_bridge(self, spec: BridgeSpec) -> Adopted:
        """Make the bridge, or bring an existing one in line; it is up afterwards.

        A bridge made here carries the owner's alias and is kept exactly as `spec` says. Any other bridge is
        adopted: it gets the missing addresses and sysctls and is brought up, while its MTU, MAC and further
        addresses stay. Says which of the three it was. A bridge made without `spec.mac` gets a random address
        of its own, so that it does not change with the first or last port.
        Raises: Conflict when the name belongs to another kind of link, NetlinkError.
        """
        body = self._find(spec.name)
        how: Adopted = "ours"
        if body is None:
            self._make_bridge(spec)
            how, body = "made", self._found(spec.name)
        fact = rtnl.links([body], ())[0]
        if fact.kind != "bridge":
            raise Conflict(f"{spec.name} exists and is not a bridge")
        if fact.alias != self._owner:
            how = "foreign"
        try:
            self._shape_bridge(spec, fact, foreign=how == "foreign")
        except BaseException:
            if how == "made":
                self.remove_link(spec.name)
            raise
        return how

    def remove_bridge(self, name: str) -> None:
        """Remove the bridge if it was made here; an adopted one stays as it is. Twice is fine."""
        body = self._find(name)
        if body is not None and rtnl.links([body], ())[0].alias == self._owner:
            self.remove_link(name)

    def retire_bridge(self, name: str, prefix: str) -> int | None:
        """Take a bridge made here out of service, for somebody to delete: its index. Any other stays as it is: None.

        It has no address any more, is down, and its name, now `prefix` and its index, is free. Five messages, none
        of which waits. Raises: NetlinkError.
        """
        body = self._find(name)
        if body is None or rtnl.links([body], ())[0].alias != self._owner:
            return None
        index = rtnl.link_index(body)
        selected = Request(f"addresses of {name}", rtnl.RTM_GETADDR, rtnl.addresses_of(index))
        owned = rtnl.owned_addresses(self._channel.dump(selected)).get(index, [])
        # IFF_UP first: what it has of routes goes with it, and the kernel renames a link that is down only.
        self._channel.ask(
            inner.change(f"take {name} down", rtnl.link_down(name), inner.GONE),
            *(_delete_address(name, index, cidr) for cidr in owned),
            inner.change(f"retire {name}", rtnl.with_name(index, f"{prefix}{index:x}"), inner.GONE),
        )
        return index

    def _make_bridge(self, spec: BridgeSpec) -> None:
        body = rtnl.new_bridge(spec.name, spec.mac or _random_mac(), spec.mtu)
        self._channel.ask(Request(f"create bridge {spec.name}", rtnl.RTM_NEWLINK, body, inner.NEW))
        # Not in one batch with the above: a bridge somebody else made meanwhile must not get our mark.
        self._channel.ask(inner.change(f"alias of {spec.name}", rtnl.with_alias(spec.name, self._owner)))

    def _shape_bridge(self, spec: BridgeSpec, fact: LinkFact, *, foreign: bool) -> None:
        self._write_sysctls(spec.sysctls)
        requests = []
        if not foreign:
            selected = Request(f"addresses of {spec.name}", rtnl.RTM_GETADDR, rtnl.addresses_of(fact.index))
            owned = rtnl.owned_addresses(self._channel.dump(selected)).get(fact.index, [])
            requests += [_delete_address(spec.name, fact.index, cidr) for cidr in owned if cidr not in spec.addresses]
            if fact.mtu != spec.mtu:
                requests.append(inner.change(f"mtu of {spec.name}", rtnl.with_mtu(spec.name, spec.mtu)))
            if spec.mac and fact.mac != spec.mac.lower():
                requests.append(inner.change(f"mac of {spec.name}", rtnl.with_mac(spec.name, spec.mac)))
        requests += [inner.add_address(spec.name, fact.index, cidr, forgive=(errno.EEXIST,)) for cidr in spec.addresses]
        requests.append(inner.change(f"bring up {spec.name}", rtnl.link_up(spec.name)))
        self._channel.ask(*requests)

    def ensure_extension(self, spec: ExtensionSpec) -> None:
        """Have a bridge wired to another one; what is there of it already is brought in line.

        Raises: as `ensure_bridge`, NotFound when the bridge it belongs to is missing.
        """
        main = rtnl.link_index(self._found(spec.main))
        self.ensure_bridge(spec.bridge)
        own = rtnl.link_index(self._found(spec.bridge.name))
        if self._find(spec.upper) is None:
            body = rtnl.new_wire(spec.upper, main, spec.lower, mtu=spec.bridge.mtu)
            self._channel.ask(Request(f"create {spec.upper}/{spec.lower}", rtnl.RTM_NEWLINK, body, inner.NEW))
        for name, bridge, isolated in ((spec.lower, own, False), (spec.upper, main, spec.isolated)):
            self._channel.ask(
                inner.change(f"no link-local on {name}", rtnl.without_link_local(name), (errno.EAFNOSUPPORT,)),
                inner.change(f"port {name}", rtnl.into_bridge(name, bridge)),
                inner.change(f"port {name}", rtnl.port_up(name, hairpin=False, isolated=isolated)),
            )
        for name in (spec.lower, spec.upper, spec.bridge.name, spec.main):
            _await_carrier(self._channel, name)

    # ---- endpoints

    def add_veth(self, spec: VethSpec) -> None:
        """Connect a sandbox to a bridge; the first packet after this gets through, in both directions.

        All or nothing. The near end has no address of any kind, IPv6 link-local included.
        Raises: NotFound when the bridge or the sandbox is missing, NetlinkError (errno EEXIST when one of
        the two names is taken), and what `sysctl.write` raises.
        """
        bridge = rtnl.link_index(self._found(spec.bridge))
        self._make_veth(spec, bridge)
        try:
            name = spec.host_name
            # The port flags are set before anything can pass: the far end is still down.
            self._channel.ask(
                inner.change(f"no link-local on {name}", rtnl.without_link_local(name), (errno.EAFNOSUPPORT,)),
                inner.change(f"port {name}", rtnl.port_up(name, hairpin=spec.hairpin, isolated=spec.isolated)),
            )
            if spec.rate_in:
                self._channel.ask(inner.shape(name, rtnl.link_index(self._found(name)), spec.rate_in))
            with inner.channel_inside(spec) as inside:
                mac = inner.configure(inside, spec)
                _await_carrier(self._channel, name)
                _await_carrier(self._channel, spec.bridge)
                inside.ask(inner.change(f"announce {spec.ifname}", rtnl.with_mac(spec.ifname, mac)))
        except BaseException:
            self.remove_veth(spec.host_name)
            raise

    def detach_port(self, host_name: str) -> None:
        """Take a port out of its bridge, which makes its addresses reusable at once. Twice is fine."""
        what = f"detach {host_name}"
        # ENODEV: the namespace ended and took the pair with it.
        self._channel.ask(inner.change(what, rtnl.into_bridge(host_name, 0), inner.GONE))

    def remove_veth(self, host_name: str) -> None:
        """Detach and delete a pair. Twice is fine.

        The deletion waits 20-44 ms in the kernel: not on the reply path. Removing the sandbox does the same for free.
        """
        self.detach_port(host_name)
        self.remove_link(host_name)

    def index_of(self, name: str) -> int | None:
        """The index of a link, which is never used again for another; None when there is none of the name."""
        body = self._find(name)
        return rtnl.link_index(body) if body is not None else None

    def remove_link(self, name: str) -> None:
        """Delete a link of any kind. Twice is fine. Raises: NetlinkError."""
        self._channel.ask(Request(f"remove {name}", rtnl.RTM_DELLINK, rtnl.link_by_name(name), forgive=inner.GONE))

    def _make_veth(self, spec: VethSpec, bridge: int) -> None:
        try:
            sandbox = os.open(spec.sandbox, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"no network namespace at {spec.sandbox}") from error
        try:
            body = rtnl.new_veth(
                host_name=spec.host_name,
                bridge=bridge,
                mtu=spec.mtu,
                ifname=spec.ifname,
                mac=spec.mac,
                sandbox_fd=sandbox,
            )
            self._channel.ask(Request(f"create {spec.host_name}/{spec.ifname}", rtnl.RTM_NEWLINK, body, inner.NEW))
        finally:
            os.close(sandbox)

    # ---- listings

    def links(self) -> tuple[LinkFact, ...]:
        """Every link with its addresses, link-local ones included. Two dumps."""
        links = self._channel.dump(Request("list links", rtnl.RTM_GETLINK, rtnl.all_links()))
        addresses = self._channel.dump(Request("list addresses", rtnl.RTM_GETADDR, rtnl.addresses_of(0)))
        return rtnl.links(links, addresses)

    def link(self, name: str) -> LinkFact | None:
        """One link with its addresses; None when there is none of the name. Two messages."""
        body = self._find(name)
        if body is None:
            return None
        selected = Request(f"addresses of {name}", rtnl.RTM_GETADDR, rtnl.addresses_of(rtnl.link_index(body)))
        return rtnl.links([body], self._channel.dump(selected))[0]

    def name_of(self, index: int) -> str:
        """The name of a link, empty when it is gone. One message."""
        asked = Request("name of a link", rtnl.RTM_GETLINK, rtnl.link_by_index(index), forgive=inner.GONE)
        body = self._channel.get(asked)
        return rtnl.links([body], ())[0].name if body else ""

    def routes(self) -> tuple[RouteFact, ...]:
        """The unicast routes of the main table, IPv4 then IPv6. Two dumps, and one of the links for their names."""
        answers: list[bytes] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            # ENOENT: nothing was ever put into the table of this family.
            forgive = (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
            answers += self._channel.dump(
                Request("list routes", rtnl.RTM_GETROUTE, rtnl.main_routes(family), forgive=forgive)
            )
        links = self._channel.dump(Request("list links", rtnl.RTM_GETLINK, rtnl.all_links()))
        return rtnl.routes(answers, {fact.index: fact.name for fact in rtnl.links(links, ())})

    def counters(self) -> tuple[LinkCounters, ...]:
        """Traffic counters of every link; `Netlink.inside` gives those a container sees. One dump."""
        answers = self._channel.dump(Request("list counters", rtnl.RTM_GETLINK, rtnl.all_counters()))
        return tuple(rtnl.counters(body) for body in answers)

    def counters_of(self, name: str) -> LinkCounters:
        """Traffic counters of one link. Raises: NotFound."""
        request = Request(f"counters of {name}", rtnl.RTM_GETLINK, rtnl.counters_of(name), forgive=inner.GONE)
        body = self._channel.get(request)
        if body is None:
            raise NotFound(f"no interface {name}")
        return rtnl.counters(body)

    # ---- shared

    def _find(self, name: str) -> bytes | None:
        return inner.find(self._channel, name)

    def _found(self, name: str) -> bytes:
        return inner.found(self._channel, name)

    def _write_sysctls(self, settings: Sequence[tuple[str, str]]) -> None:
        if settings and self._path:
            with netns.inside(self._path):
                sysctl.write_all(inner.possible(settings))
        else:
            sysctl.write_all(inner.possible(settings))


def set_routes(spec: RouteSpec) -> None:
    """Make the default routes of a sandbox what `spec` says, replacing or removing those there are.

    Raises: NotFound when the sandbox or an interface is missing, NetlinkError.
    """
    with Channel(netns.netlink_socket(spec.sandbox)) as channel:
        _set_default(channel, socket.AF_INET, spec.gateway4, spec.ifname4)
        _set_default(channel, socket.AF_INET6, spec.gateway6, spec.ifname6)


def _set_default(channel: Channel, family: int, gateway: str, ifname: str) -> None:
    if ifname:
        index = rtnl.link_index(inner.found(channel, ifname))
        body = rtnl.default_route(gateway, index) if gateway else rtnl.device_route(family, index)
        flags = nlwire.NLM_F_CREATE | nlwire.NLM_F_REPLACE
        request = Request(f"default route via {gateway or ifname}", rtnl.RTM_NEWROUTE, body, flags)
        try:
            channel.ask(request)
        except NetlinkError as error:
            if error.errno not in (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH):
                raise
            # A program inside put the interface down; its network is the way out now.
            channel.ask(inner.change(f"{ifname} up", rtnl.link_up(ifname)), request)
    else:
        # ESRCH (IPv4) and ENOENT (IPv6): there is none. The others: a kernel without this family.
        forgive = (errno.ESRCH, errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
        body = rtnl.any_default_route(family)
        channel.ask(Request("remove the default route", rtnl.RTM_DELROUTE, body, forgive=forgive))


def _await_carrier(channel: Channel, name: str) -> None:
    """Wait until the kernel has noticed that a link can carry packets; the bridge drops them before.

    It notices in a worker (linkwatch), mostly at once, late under load, after a second at worst. Since Linux
    6.8 asking for one link does the worker's job first, and this never sleeps. A link that stays without one is
    no failure of ours: an adopted bridge may run the spanning tree protocol.
    """
    for attempt in range(11):  # from 0.5 ms, doubled: a second in all
        if rtnl.is_settled(inner.found(channel, name)):
            return
        time.sleep(0.0005 * 2**attempt)


def _delete_address(name: str, index: int, cidr: str) -> Request:
    what = f"remove address {cidr} from {name}"
    # EADDRNOTAVAIL: a secondary address that went with its primary.
    return Request(what, rtnl.RTM_DELADDR, rtnl.address(index, cidr), forgive=(errno.EADDRNOTAVAIL,))


def _random_mac() -> str:
    # 02:42 as Docker has it: locally administered, unicast.
    return f"02:42:{os.urandom(4).hex(':')}"


__all__ = ["OWNER", "Adopted", "Netlink", "NetlinkError", "set_routes"]
