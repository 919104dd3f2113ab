"""Making the machine what the store says: at boot, and whenever somebody else took something away.

`diff` is pure: World and Facts in, steps out. Whatever carries our marks and is not in the world goes, whatever
is in the world and missing comes back, and a second diff is empty. Rules, names and held ports are not
compared but told whole: each of the three takes a full table atomically and keeps what did not change.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from landbridge.engine.apply import Apply
from landbridge.engine.attachments import Attachments, exposed_name
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.presence import asker_of, host_record, names_of, record_of
from landbridge.engine.publish import holds
from landbridge.engine.remotes import idle, is_asked_for
from landbridge.engine.state import State
from landbridge.errors import LandbridgeError
from landbridge.model.container import Container, Phase
from landbridge.model.hold import Hold
from landbridge.model.link import BridgeSpec, SandboxSpec, VethSpec
from landbridge.model.names import Asker, NameRecord, NetworkNames
from landbridge.model.network import Endpoint, Network, Sandbox
from landbridge.model.settings import Settings
from landbridge.model.world import World
from landbridge.network import gateways, ruleset
from landbridge.network.bridge import bridge_spec, network_mtu
from landbridge.network.drivers import driver
from landbridge.network.extension import extension_spec
from landbridge.network.stacked import STACKED, made_parents
from landbridge.network.steps import Bridge, Exposed, Extended, Namespace, Parent, Routes, Step, Veth

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the kernel has: links by name with their master, and pinned namespaces by path (inode, None: stale).

    `made` are the links that say they were made by this instance, whatever their names; `exposed` the names under
    which tools of the host find our namespaces, and their paths; `inside` the interfaces of namespaces, by path, where
    some of them cannot be seen from the host.
    """

    links: Mapping[str, str]
    pins: Mapping[str, int | None]
    made: Collection[str] = ()
    exposed: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, Collection[str]] = field(default_factory=dict)


def diff(world: World, facts: Facts, mtu: int) -> tuple[Step, ...]:
    """Steps from what is to what should be. Removals first, so that names and addresses are free."""
    steps: list[Step] = []
    wanted_pins = {sandbox.path for sandbox in world.sandboxes.values()}
    bridges = {one.bridge: one for one in world.networks.values() if one.driver == "bridge" and one.bridge}
    parents = {spec.name: spec for network in stacked_networks(world) for spec in made_parents(network)}
    active = [one for one in world.endpoints.values() if one.active and one.ifname]
    extensions = [(network, one) for network in bridges.values() for one in network.extensions]
    wires = {name for _, one in extensions for name in (one.bridge, one.upper, one.lower)}
    known = {*bridges, *parents, *(one.host_name for one in active), *wires}
    for name in facts.links:
        if (world.instance.owns_link(name) or name in facts.made) and name not in known:
            veth = name.startswith(world.instance.veth_prefix)
            steps.append(_no_veth(name) if veth else Bridge(spec=BridgeSpec(name=name), present=False))
    steps += [
        Namespace(spec=SandboxSpec(path=path), present=False) for path in facts.pins if path not in wanted_pins
    ]
    steps += _exposures(world, facts)
    for name, network in bridges.items():
        if name not in facts.links:
            steps.append(Bridge(spec=bridge_spec(network, mtu)))
    needed = {endpoint.extension for endpoint in active}
    for network, one in extensions:
        if one.bridge in needed and not {one.bridge, one.upper, one.lower} <= set(facts.links):
            steps.append(Extended(spec=extension_spec(network, one, network_mtu(network, mtu))))
    steps += [Parent(spec=spec) for name, spec in parents.items() if name not in facts.links]
    sandboxes = {sandbox.container: sandbox for sandbox in world.sandboxes.values()}
    for endpoint in active:
        sandbox = sandboxes.get(endpoint.container)
        if sandbox is None or facts.pins.get(sandbox.path) is None or _is_there(endpoint, sandbox, facts):
            continue
        network = world.networks[endpoint.network]
        steps += driver(network.driver).attach(network, endpoint, sandbox, mtu)
        after = gateways.routes(sandbox.path, world.endpoints_of(endpoint.container), world.networks)
        steps.append(Routes(after=after, before=after.cleared()))
    return tuple(steps)


def _is_there(endpoint: Endpoint, sandbox: Sandbox, facts: Facts) -> bool:
    """Whether an endpoint's interface exists: its side in the host, or what is inside where there is none."""
    if endpoint.host_name:
        return endpoint.host_name in facts.links
    return endpoint.ifname in facts.inside.get(sandbox.path, ())


def stacked_networks(world: World) -> Iterable[Network]:
    """The networks whose interfaces are stacked on a parent."""
    return (one for one in world.networks.values() if one.driver in STACKED and not one.config_only)


def unseen(world: World) -> set[str]:
    """Paths of the sandboxes with interfaces that have no side in the host."""
    paths = {sandbox.container: sandbox.path for sandbox in world.sandboxes.values()}
    hidden = [one for one in world.endpoints.values() if one.active and one.ifname and not one.host_name]
    return {paths[one.container] for one in hidden if one.container in paths}


def _exposures(world: World, facts: Facts) -> list[Step]:
    """Names of sandboxes for tools of the host: stale ones away, missing ones there."""
    wanted = {
        exposed_name(world.instance, world.containers[sandbox.container].name): sandbox.path
        for sandbox in world.sandboxes.values()
        if sandbox.container in world.containers and facts.pins.get(sandbox.path) is not None
    }  # fmt: skip
    stale = [Exposed(path=path, name=name, present=False) for name, path in facts.exposed.items()
             if wanted.get(name) != path]
    missing = [Exposed(path=path, name=name) for name, path in wanted.items() if facts.exposed.get(name) != path]
    return [*stale, *missing]


def default_routes(world: World) -> tuple[Step, ...]:
    """The default routes of every sandbox, as they should be: a crash may have come before they followed a change."""
    by_container = _by_container(world.endpoints.values())
    steps = []
    for sandbox in world.sandboxes.values():
        after = gateways.routes(sandbox.path, by_container.get(sandbox.container, ()), world.networks)
        if after:
            steps.append(Routes(after=after, before=after))
    return tuple(steps)


def _no_veth(name: str) -> Veth:
    return Veth(spec=VethSpec(host_name=name, ifname="", sandbox="", bridge="", mac=""), present=False)


class Reconcile:
    """Runs at boot, before the first request is accepted."""

    def __init__(
        self, state: State, apply: Apply, attachments: Attachments, lifecycle: Lifecycle, settings: Settings
    ) -> None:
        self.state = state
        self.apply = apply
        self.attachments = attachments
        self.lifecycle = lifecycle
        self.settings = settings

    async def boot(self) -> None:
        """Take up what a former daemon left, clear away what nobody owns, restore what is missing."""
        self._settle_interrupted()
        self._settle_sandboxes(await self.facts())
        await self._clear_processes()
        await self.repair()
        await self.apply.run_forgiving(default_routes(self.state.world()))
        for container in self.state.containers:
            if container.state.running:
                await self.lifecycle.take_up(container)
        await self._finish_removals()

    async def repair(self) -> None:
        """Links, namespaces, rules, names and held ports as the store says."""
        facts = await self.facts()
        world = self.state.world()
        await self.apply.run_forgiving(diff(world, facts, self.attachments.mtu))
        await self.restore_rules()
        await self.restore_names()
        await self.restore_ports()

    async def facts(self) -> Facts:
        """Read the kernel once."""

        def read() -> Facts:
            kernel, mark = self.apply.kernel, self.state.instance.table
            links = kernel.links()
            hidden = unseen(self.state.world())
            return Facts(
                links={fact.name: fact.master for fact in links},
                made={fact.name for fact in links if fact.alias == mark},
                pins={path: kernel.sandbox_inode(path) for path in kernel.sandboxes()},
                exposed=kernel.exposed(),
                inside={path: kernel.links_in(path) for path in hidden},
            )

        facts = await self.apply.blocking(read)
        assert isinstance(facts, Facts)
        return facts

    async def restore_rules(self) -> None:
        """The whole table in one transaction."""
        elements = ruleset.elements(self.state.world())
        await self.apply.blocking(self.apply.rules.load, elements, self.apply.local_ports())

    async def restore_names(self) -> None:
        """The resolver learns the whole table."""
        networks, records, askers = names(self.state.world(), self.settings, self.state.announced)
        await self.apply.resolver.replace(networks, records, askers)

    async def restore_ports(self) -> None:
        """The proxy learns the whole table; a port that somebody took meanwhile is logged and stays unheld."""
        lost = await self.apply.proxy.replace(wanted_holds(self.state.world(), self.settings))
        for key, reason in lost.items():
            log.warning("published port %s could not be held again: %s", key, reason)

    def _settle_interrupted(self) -> None:
        """A start or back-off cut short: the container is what its last finished step made it."""
        for container in self.state.containers:
            if container.state.phase is Phase.RESTARTING:
                self._set_phase(container, Phase.EXITED)

    def _settle_sandboxes(self, facts: Facts) -> None:
        """Sandboxes nobody lives in any more go, and those whose namespace a reboot took; claims stay.

        Only a running owner publishes. Plugins hear of it when they can.
        """
        guests: list[tuple[Network, Endpoint]] = []
        for sandbox in self.state.world().sandboxes.values():
            owner = self.state.containers.get(sandbox.container)
            if owner is None or facts.pins.get(sandbox.path) is None or not self.attachments.users(owner.id):
                for endpoint in self.state.endpoints_of(sandbox.container):
                    network = self.state.networks[endpoint.network]
                    if endpoint.active and is_asked_for(network):
                        guests.append((network, endpoint))
                    self.state.put_endpoint(idle(endpoint, network))
                self.state.remove_sandbox(sandbox.container)
            elif not owner.state.running and sandbox.published:
                self.state.reserve_ports(sandbox, ())
        self.attachments.remotes.dismiss_later(guests)

    async def _clear_processes(self) -> None:
        """What a start or an end that was cut short left of processes and mounts."""
        for container in self.state.containers:
            if not container.state.running:
                await self.lifecycle.clear(container.id)
        for identity in await self.lifecycle.launch.strays():
            try:
                await self.lifecycle.launch.destroy(identity)
            except LandbridgeError as error:
                log.error("cannot remove what is left of container %s: %s", identity, error)

    async def _finish_removals(self) -> None:
        """A removal cut short goes on to its end, as does that of a ``--rm`` container that ended unseen."""
        for container in self.state.containers:
            if container.state.phase in (Phase.REMOVING, Phase.DEAD):
                self._set_phase(container, Phase.DEAD)
            elif container.state.running or not (container.host.auto_remove and container.state.started_at):
                continue
            if self.lifecycle.remove_ended is not None:
                try:
                    await self.lifecycle.remove_ended(container.id)
                except LandbridgeError as error:
                    log.error("cannot remove %s: %s", container.name, error)

    def _set_phase(self, container: Container, phase: Phase) -> None:
        self.state.containers.put(replace(container, state=replace(container.state, phase=phase)))


def names(
    world: World, settings: Settings, announced: Collection[str] = ()
) -> tuple[tuple[NetworkNames, ...], tuple[NameRecord, ...], tuple[Asker, ...]]:
    """The resolver's whole table; `announced` are the containers that have their names though they do not run yet."""
    networks = tuple(names_of(network) for network in world.networks.values() if network.resolves)
    hosts = [host for network in world.networks.values() if (host := host_record(network)) is not None]
    spoken = [one for one in world.endpoints.values() if _speaks(one, world, announced)]
    records = (*hosts, *(record_of(endpoint) for endpoint in spoken))
    by_container = _by_container(world.endpoints.values())
    askers = []
    for sandbox in world.sandboxes.values():
        owner = world.containers.get(sandbox.container)
        if owner is None:
            continue
        asker = asker_of(owner, sandbox, by_container.get(owner.id, ()), world.networks, settings)
        if asker is not None:
            askers.append(asker)
    return networks, records, tuple(askers)


def _speaks(endpoint: Endpoint, world: World, announced: Collection[str]) -> bool:
    owner = world.containers.get(endpoint.container)
    known = owner is not None and (owner.state.running or owner.id in announced)
    return known and endpoint.active and world.networks[endpoint.network].resolves


def wanted_holds(world: World, settings: Settings) -> tuple[Hold, ...]:
    """The proxy's whole table."""
    by_container = _by_container(world.endpoints.values())
    found: list[Hold] = []
    for sandbox in world.sandboxes.values():
        if sandbox.published:
            target4, target6 = gateways.targets(by_container.get(sandbox.container, ()), world.networks)
            found += holds(sandbox, target4, target6, relays=settings.userland_proxy)
    return tuple(found)


def _by_container(endpoints: Iterable[Endpoint]) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.container, []).append(endpoint)
    return found
