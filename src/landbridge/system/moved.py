"""Links somebody else made, taken into a sandbox and given back. No policy; removing what is gone is no error."""

import os

from landbridge.errors import NotFound
from landbridge.model.link import MovedSpec
from landbridge.system import inner, nlwire, rtnl
from landbridge.system.netlink import Netlink
from landbridge.system.nlsocket import Request


def move_in(host: Netlink, spec: MovedSpec) -> None:
    """The host's link `source` becomes `ifname` in the sandbox, with addresses and routes, and up. All or nothing.

    Raises: NotFound when the link or the sandbox is missing, NetlinkError, and what `sysctl.write` raises.
    """
    index = rtnl.link_index(inner.found(host.channel, spec.source))
    try:
        sandbox = os.open(spec.sandbox, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no network namespace at {spec.sandbox}") from error
    try:
        host.channel.ask(inner.change(f"{spec.source} down", rtnl.link_down(spec.source)))
        host.channel.ask(inner.change(f"move {spec.source} to a sandbox", rtnl.moved(index, spec.ifname, sandbox)))
    finally:
        os.close(sandbox)
    try:
        _make_ready(spec)
    except BaseException:
        move_out(spec)
        raise


def move_out(spec: MovedSpec) -> None:
    """Back to the caller's namespace under its old name. Twice is fine, also when the sandbox is gone."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with Netlink.inside(spec.sandbox) as inside:
            body = inner.find(inside.channel, spec.ifname)
            if body is not None:
                inside.channel.ask(inner.change(f"{spec.ifname} down", rtnl.link_down(spec.ifname)))
                moved = rtnl.moved(rtnl.link_index(body), spec.source, own)
                inside.channel.ask(inner.change(f"move {spec.ifname} back", moved))
    except NotFound:
        pass  # the namespace took it along
    finally:
        os.close(own)


def _make_ready(spec: MovedSpec) -> None:
    with inner.channel_inside(spec) as inside:
        if spec.mac:
            inside.ask(inner.change(f"mac of {spec.ifname}", rtnl.with_mac(spec.ifname, spec.mac)))
        mac = inner.configure(inside, spec)
        inside.ask(inner.change(f"announce {spec.ifname}", rtnl.with_mac(spec.ifname, spec.mac or mac)))
        index = rtnl.link_index(inner.found(inside, spec.ifname))
        for destination, hop in spec.routes:
            body, flags = rtnl.route(destination, hop, index), nlwire.NLM_F_CREATE | nlwire.NLM_F_REPLACE
            inside.ask(Request(f"route {destination}", rtnl.RTM_NEWROUTE, body, flags))
