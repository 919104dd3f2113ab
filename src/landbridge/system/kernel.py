"""The host's network as one object: the verbs of `netlink`, `netns`, `conntrack` and `sysctl` behind one door.

Calls come from worker threads and block for milliseconds, never for a deletion's end: see `sweeper`.
"""

import logging
import os
from collections.abc import Callable, Sequence
from threading import Lock

from landbridge.errors import Conflict, LandbridgeError, NotFound
from landbridge.model.link import (
    BridgeSpec,
    ExtensionSpec,
    Flow,
    LinkFact,
    MovedSpec,
    ParentSpec,
    RouteFact,
    RouteSpec,
    SandboxSpec,
    StackedSpec,
    VethSpec,
)
from landbridge.system import forwarding, moved, neighbours, netlink, netns, stacked, sysctl
from landbridge.system.conntrack import Conntrack
from landbridge.system.netlink import Netlink
from landbridge.system.route_table import RouteTable
from landbridge.system.sweeper import Sweeper

log = logging.getLogger(__name__)


class HostKernel:
    """Satisfies `engine.effects.Kernel`.

    `netns_dir` is where this instance pins its namespaces, `owner` the alias of the bridges it makes.
    """

    def __init__(self, netns_dir: str, owner: str, *, retired: str = "lb-x") -> None:
        """`retired` begins the names of bridges that only wait to be deleted."""
        self._netlink = Netlink(owner=owner)
        self._retired = retired
        self._sweeper = Sweeper()
        self._routes = RouteTable(self._netlink)
        self._conntrack = Conntrack()
        self._netns_dir = netns_dir
        self._lock = Lock()

    def close(self) -> None:
        """Waits for deletions under way, up to some seconds."""
        self._sweeper.close()
        self._routes.close()
        self._netlink.close()
        self._conntrack.close()

    def ensure_bridge(self, spec: BridgeSpec) -> None:
        self._sweeper.stir()
        self._netlink.ensure_bridge(spec)

    def remove_bridge(self, name: str) -> None:
        """Its name and addresses are free on return; it ends later."""
        index = self._netlink.retire_bridge(name, self._retired)
        if index is not None:
            self._sweeper.later(index)

    def ensure_extension(self, spec: ExtensionSpec) -> None:
        self._sweeper.stir()
        with self._lock:  # the first two containers on it may come at the same time
            self._netlink.ensure_extension(spec)

    def remove_extension(self, spec: ExtensionSpec) -> None:
        """Out of sight on return, as are bridges and endpoints."""
        self.remove_veth(spec.upper)
        self.remove_bridge(spec.bridge.name)

    def create_sandbox(self, spec: SandboxSpec) -> None:
        self._sweeper.stir()
        netns.create(spec)

    def remove_sandbox(self, path: str) -> None:
        netns.remove(path)

    def add_veth(self, spec: VethSpec) -> None:
        self._sweeper.stir()
        self._netlink.add_veth(spec)

    def remove_veth(self, host_name: str) -> None:
        """Both ends are out of sight on return."""
        index = self._netlink.index_of(host_name)
        if index is not None:
            self._sweeper.remove(index)

    def detach_port(self, host_name: str) -> None:
        self._netlink.detach_port(host_name)

    def ensure_parent(self, spec: ParentSpec) -> None:
        with self._lock:
            stacked.ensure_parent(self._netlink, spec)

    def remove_parent(self, name: str) -> None:
        with self._lock:
            stacked.remove_parent(self._netlink, name)

    def add_stacked(self, spec: StackedSpec) -> None:
        with self._lock:
            stacked.add(self._netlink, spec)

    def remove_stacked(self, sandbox: str, ifname: str) -> None:
        stacked.remove(sandbox, ifname)

    def move_in(self, spec: MovedSpec) -> None:
        with self._lock:
            moved.move_in(self._netlink, spec)

    def move_out(self, spec: MovedSpec) -> None:
        moved.move_out(spec)

    def supports(self, kind: str) -> bool:
        with self._lock:
            return stacked.supports(self._netlink, kind)

    def links_in(self, sandbox: str) -> tuple[str, ...]:
        """Names of the interfaces in a sandbox; none when it is gone."""
        try:
            with Netlink.inside(sandbox) as inside:
                return tuple(fact.name for fact in inside.links())
        except NotFound:
            return ()

    def set_routes(self, spec: RouteSpec) -> None:
        netlink.set_routes(spec)

    def flush_flows(self, flows: Sequence[Flow]) -> None:
        with self._lock:
            self._conntrack.flush(flows)

    def flush_addresses(self, addresses: Sequence[str]) -> None:
        with self._lock:
            self._conntrack.flush_addresses(addresses)

    def links(self) -> tuple[LinkFact, ...]:
        return self._netlink.links()

    def link(self, name: str) -> LinkFact | None:
        return self._netlink.link(name)

    def routes_elsewhere(self, own: Callable[[str], bool]) -> tuple[RouteFact, ...]:
        return self._routes.elsewhere(own)

    def sandboxes(self) -> tuple[str, ...]:
        """Paths of everything in this instance's namespace directory, pinned or not."""
        try:
            return tuple(entry.path for entry in os.scandir(self._netns_dir))
        except FileNotFoundError:
            return ()

    def expose(self, path: str, name: str) -> None:
        """`netns.expose`; a name somebody else has is left to them."""
        try:
            netns.expose(path, name)
        except Conflict as error:
            log.warning("%s", error)

    def conceal(self, name: str) -> None:
        netns.conceal(name)

    def exposed(self) -> dict[str, str]:
        """{name: path} of everything `netns.exposed` finds in this instance's namespace directory."""
        return netns.exposed(self._netns_dir)

    def sandbox_inode(self, path: str) -> int | None:
        return netns.inode(path)

    def read_sysctl(self, key: str) -> str:
        return sysctl.read(key)

    def write_sysctl(self, key: str, value: str) -> None:
        sysctl.write(key, value)

    def widen_neighbours(self) -> None:
        """As far as this machine lets us; containers are started all the same."""
        try:
            neighbours.widen()
        except LandbridgeError as error:
            log.warning("the kernel's tables of neighbours stay as they are: %s", error)

    def forward_ipv4(self) -> None:
        forwarding.forward_ipv4()

    def forward_ipv6(self) -> None:
        forwarding.forward_ipv6()
