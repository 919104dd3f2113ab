"""Verbs on interfaces that are stacked on another one: macvlan and ipvlan in sandboxes, and the parents we make.

Every stacked interface is made inside its sandbox by one message, and goes with it. What a verb started and could not
finish it takes back; removing what is gone is no error. No policy: modes and names were chosen above.
"""

import errno
import os

from landbridge.errors import NotFound
from landbridge.model.link import ParentSpec, StackedSpec
from landbridge.system import inner, nlwire, rtnl
from landbridge.system.netlink import Netlink
from landbridge.system.nlsocket import NetlinkError, Request

# What has a carrier and drops everything it is given. The second for kernels without the first: it only passes on
# what traffic control redirected to it.
_NOWHERE = ("dummy", "ifb")


def supports(host: Netlink, kind: str) -> bool:
    """Whether this kernel can make links of `kind`, its module loaded if need be. Nothing is made."""
    try:
        host.channel.ask(Request(f"ask for {kind}", rtnl.RTM_NEWLINK, rtnl.nothing_of_kind(kind), inner.NEW))
    except NetlinkError as error:
        return error.errno != errno.EOPNOTSUPP
    return True


def ensure_parent(host: Netlink, spec: ParentSpec) -> None:
    """Make the parent if it is not there, mark it as ours, bring it up.

    Raises: NotFound when the interface a VLAN belongs to is missing, NetlinkError (EOPNOTSUPP: the kernel has no
    VLANs).
    """
    if inner.find(host.channel, spec.name) is None:
        _make_parent(host, spec)
        host.channel.ask(inner.change(f"alias of {spec.name}", rtnl.with_alias(spec.name, host.owner)))
    host.channel.ask(inner.change(f"failed to enable {spec.name} the parent link", rtnl.link_up(spec.name)))
    if spec.addresses:
        _take_part(host, spec)


def _take_part(host: Netlink, spec: ParentSpec) -> None:
    """The host's addresses on its own interface, and the routes that go through it."""
    index = rtnl.link_index(inner.found(host.channel, spec.name))
    flags = nlwire.NLM_F_CREATE | nlwire.NLM_F_REPLACE
    host.channel.ask(
        *(inner.add_address(spec.name, index, cidr, (errno.EEXIST,)) for cidr in spec.addresses),
        *(Request(f"route to {subnet} on {spec.name}", rtnl.RTM_NEWROUTE, rtnl.link_route(subnet, index), flags)
          for subnet in spec.reaches),
    )


def remove_parent(host: Netlink, name: str) -> None:
    """Remove a parent made here; any other stays. Twice is fine."""
    body = inner.find(host.channel, name)
    if body is not None and rtnl.links([body], ())[0].alias == host.owner:
        host.remove_link(name)


def add(host: Netlink, spec: StackedSpec) -> None:
    """Make the interface inside its sandbox, with its addresses, and up. All or nothing.

    A parent that is down is brought up: nothing stacked on it could be. Raises: NotFound when the parent or the
    sandbox is missing, NetlinkError (EINVAL: a passthru parent that is taken, EBUSY: one that macvlan and ipvlan
    would share, EEXIST: the name is taken inside), and what `sysctl.write` raises.
    """
    parent = inner.find(host.channel, spec.parent)
    if parent is None:
        raise NotFound(f"the requested parent interface {spec.parent} was not found on the host")
    host.channel.ask(inner.change(f"bring up {spec.parent}", rtnl.link_up(spec.parent)))
    _make(host, spec, rtnl.link_index(parent))
    try:
        with inner.channel_inside(spec) as inside:
            mac = inner.configure(inside, spec)
            if spec.kind == "macvlan":  # has the kernel announce the addresses; a passthru takes a MAC only now
                inside.ask(inner.change(f"announce {spec.ifname}", rtnl.with_mac(spec.ifname, spec.mac or mac)))
    except BaseException:
        remove(spec.sandbox, spec.ifname)
        raise


def remove(sandbox: str, ifname: str) -> None:
    """Take an interface out of a sandbox. Twice is fine, also when the sandbox is gone."""
    try:
        with Netlink.inside(sandbox) as inside:
            inside.remove_link(ifname)
    except NotFound:
        pass  # the namespace took it along


def _make(host: Netlink, spec: StackedSpec, parent: int) -> None:
    try:
        sandbox = os.open(spec.sandbox, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no network namespace at {spec.sandbox}") from error
    try:
        body = rtnl.new_stacked(spec, parent=parent, sandbox_fd=sandbox)
        _create(host, f"failed to create the {spec.kind} port", body)
    finally:
        os.close(sandbox)


def _make_parent(host: Netlink, spec: ParentSpec) -> None:
    if spec.addresses:
        below = rtnl.link_index(inner.found(host.channel, spec.of))
        _create(host, f"failed to create {spec.name}", rtnl.new_macvlan(spec.name, below))
        return
    if spec.vlan:
        below = rtnl.link_index(inner.found(host.channel, spec.of))
        _create(host, f"failed to create {spec.name} vlan link", rtnl.new_vlan(spec.name, below, spec.vlan))
        return
    for kind in _NOWHERE:
        try:
            _create(host, f"failed to create the {spec.name} parent link", rtnl.new_plain(spec.name, kind))
            return
        except NetlinkError as error:
            if error.errno != errno.EOPNOTSUPP or kind == _NOWHERE[-1]:
                raise


def _create(host: Netlink, what: str, body: bytes) -> None:
    """Raises: NetlinkError in Docker's words, which are Go's."""
    try:
        host.channel.ask(Request(what, rtnl.RTM_NEWLINK, body, inner.NEW))
    except NetlinkError as error:
        raise NetlinkError(f"{what}: {os.strerror(error.errno).lower()}", error.errno) from error
