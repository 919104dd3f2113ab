"""An engine put together as `landbridge.daemon` does, on the fakes of `fakes`, and the rules that hold between calls.

`Rig.boot` is a daemon's start; `Rig.settle` waits until background work is done; `Rig.check` compares everything
outside with what the state says should be there. Nothing of `landbridge.system` is used.
"""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fake_processes import FakeLogs
from fakes import Outside
from faults import LoopExecutor
from landbridge.engine import reconcile as reconciling
from landbridge.engine.apply import Apply
from landbridge.engine.attachments import Attachments
from landbridge.engine.containers import Containers, Request
from landbridge.engine.effects import SpecFacts
from landbridge.engine.events import Events
from landbridge.engine.hub import Hub
from landbridge.engine.launch import Launch
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.locks import Locks
from landbridge.engine.networks import Networks
from landbridge.engine.predefined import Predefined
from landbridge.engine.presence import HOST_NAME, Presence
from landbridge.engine.publish import Publish
from landbridge.engine.reconcile import Reconcile
from landbridge.engine.remotes import Remotes
from landbridge.engine.rules import RuleTable, rule_chains
from landbridge.engine.stack import Stack
from landbridge.engine.state import State
from landbridge.engine.store import Store
from landbridge.engine.streams import Streams
from landbridge.engine.validate import Facts
from landbridge.engine.volumes import Volumes
from landbridge.engine.waits import Waits
from landbridge.errors import NotFound
from landbridge.model.config import Config, EndpointConfig, EndpointIpam, HostConfig, RestartPolicy
from landbridge.model.container import Container, Phase
from landbridge.model.image import Image
from landbridge.model.network import Endpoint, IpamPool, Network, NetworkRequest
from landbridge.model.ports import PortBinding
from landbridge.model.settings import Settings
from landbridge.model.world import Instance
from landbridge.network import gateways, ruleset

INSTANCE = Instance("beef")
IMAGE = Image(
    id="sha256:" + "1" * 64, created="", architecture="amd64", os="linux", config=Config(cmd=("sh",)), diff_ids=(),
    size=0, raw="",
)  # fmt: skip


class OneImage:
    """An image store with one image, called ``busybox``."""

    def resolve(self, text: str, *_: object, **__: object) -> Image:
        if text != "busybox":
            raise NotFound(f"No such image: {text}:latest")
        return IMAGE

    def get(self, identity: str) -> Image:
        return IMAGE

    def lower_dirs(self, image: Image) -> tuple[str, ...]:
        return ("/layers/1",)

    async def release(self) -> None:
        return None


class Sleeper:
    """A clock for back-offs: sleeping tasks wait until `wake`."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiting: list[asyncio.Future[None]] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._waiting.append(asyncio.get_running_loop().create_future())
        await self._waiting[-1]

    def wake(self) -> None:
        """Every sleeper's time is over."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Rig:
    """One daemon's engine. `outside` and the database outlive it: see `again`."""

    def __init__(self, database: Path, outside: Outside | None = None, **settings: object) -> None:
        self.database = database
        self.outside = outside or Outside()
        self.kernel, self.firewall = self.outside.kernel, self.outside.firewall
        self.resolver, self.proxy = self.outside.resolver, self.outside.proxy
        self.runtime, self.files, self.faults = self.outside.runtime, self.outside.files, self.outside.faults
        self.given = settings
        self.settings = Settings(data_root="/data", exec_root="/run/x", **settings)  # type: ignore[arg-type]
        self.sleeper = Sleeper()
        self._assemble()

    def _assemble(self) -> None:
        """`landbridge.daemon.assemble`, with everything outside faked."""
        outside, settings = self.outside, self.settings
        self.store = Store(str(self.database))
        if not self.store.get_meta("id"):
            self.store.set_meta("id", "cafe")
        self.state = State(self.store, INSTANCE)
        pool = LoopExecutor(outside.faults)
        rules = RuleTable(
            outside.firewall, outside.files, table=INSTANCE.table, chains=rule_chains(settings),
            kept="/run/x/user.nft",
        )  # fmt: skip
        self.apply = Apply(outside.kernel, rules, outside.resolver, outside.proxy, pool)
        self.events, self.waits, self.locks = Events(), Waits(), Locks()
        self.volumes = Volumes(
            state=self.state, events=self.events, files=outside.files, disk=outside.disk,
            blocking=self.apply.blocking, root="/data/volumes",
        )  # fmt: skip
        self.remotes = Remotes(outside.plugins)
        self.networks = Networks(self.state, self.apply, self.events, settings, 1500, self.remotes)
        self.attachments = Attachments(self.state, self.apply, "/run/x/netns", 1500, self.remotes, bridge_ports=settings.bridge_ports)
        self.presence = Presence(self.state, self.apply, outside.files, settings)
        self.images = OneImage()
        self.launch = Launch(
            state=self.state, apply=self.apply, files=outside.files, roots=outside.roots, machine=outside.machine,
            images=self.images, volumes=self.volumes, presence=self.presence, settings=settings,  # type: ignore[arg-type]
            facts=SpecFacts(cgroup_version=2, capabilities=("CAP_CHOWN",), arch="x86_64", kernel=(6, 1)),
        )  # fmt: skip
        self.hub = Hub(outside.runtime)
        self.publish = Publish(self.state, self.apply, settings, ipv6=True)
        self.stack = Stack(self.state, self.attachments, self.publish, self.presence, self.events)
        self.lifecycle = Lifecycle(
            state=self.state, stack=self.stack, runtime=outside.runtime, launch=self.launch, hub=self.hub,
            events=self.events, waits=self.waits, locks=self.locks, sleep=self.sleeper,
        )  # fmt: skip
        self.containers = Containers(
            state=self.state, lifecycle=self.lifecycle, images=self.images, volumes=self.volumes,  # type: ignore[arg-type]
            facts=Facts(cpus=2, memory=1 << 33),
        )  # fmt: skip
        self.streams = Streams(self.state, outside.runtime, self.hub, self.launch, FakeLogs(), self.waits)
        self.reconcile = Reconcile(self.state, self.apply, self.attachments, self.lifecycle, settings)

    # A daemon's life.

    async def boot(self) -> "Rig":
        """`landbridge.daemon.boot`, then what its policy says shall run."""
        await Predefined(self.networks).ensure()
        await self.reconcile.boot()
        await self.lifecycle.start_by_policy()
        await self.settle()
        return self

    async def stop(self) -> None:
        """The daemon ends; containers go on."""
        await self.lifecycle.close()
        await self.remotes.close()
        self.runtime.forget()
        self.store.close()

    async def again(self) -> None:
        """The daemon restarts: new services, the same database and the same world."""
        await self.stop()
        self._assemble()
        await self.boot()

    def photograph(self, to: Path) -> "Rig":
        """What a new daemon would find if this one were killed now. To be booted."""
        copy = sqlite3.connect(to)
        self.store.db.backup(copy)
        copy.close()
        return Rig(to, self.outside.photograph(), **self.given)

    async def settle(self) -> None:
        """Let background work come to rest: nothing asked of the outside and no task made or ended for a while."""
        quiet, last = 0, (-1, -1)
        while quiet < 20:
            await asyncio.sleep(0)
            now = (len(self.faults.calls), len(asyncio.all_tasks()))
            quiet, last = (quiet + 1, now) if now == last else (0, now)

    # Short forms of requests.

    async def network(self, name: str, subnet: str = "", **rest: object) -> Network:
        pools = (IpamPool(subnet=subnet),) if subnet else ()
        return await self.networks.create(NetworkRequest(name=name, pools=pools, **rest))  # type: ignore[arg-type]

    async def create(
        self,
        name: str,
        *,
        net: str = "bridge",
        ports: Mapping[str, str | tuple[PortBinding, ...]] | None = None,
        ip: str = "",
        endpoints: tuple[EndpointConfig, ...] = (),
        restart: str = "",
        config: Config | None = None,
        **host: object,
    ) -> Container:
        """`ports` is {"80/tcp": "8080"}; `ip` a static address on `net`."""
        bindings = {
            port: (PortBinding(host_port=given),) if isinstance(given, str) else given
            for port, given in (ports or {}).items()
        }
        if ip:
            endpoints = (EndpointConfig(network=net, ipam_config=EndpointIpam(ipv4_address=ip)), *endpoints)
        wanted = HostConfig(
            network_mode=net, port_bindings=bindings, restart_policy=RestartPolicy(name=restart), **host,  # type: ignore[arg-type]
        )  # fmt: skip
        made, _ = await self.containers.create(
            Request(name=name, config=replace(config or Config(), image="busybox"), host=wanted, endpoints=endpoints)
        )
        return made

    async def run(self, name: str, **rest: object) -> Container:
        made = await self.create(name, **rest)  # type: ignore[arg-type]
        await self.lifecycle.start(made.id)
        return self.state.containers[made.id]

    async def end(self, name: str, code: int = 0) -> None:
        """The program of a container ends by itself."""
        self.runtime.end(self.of(name).id, code)
        await self.settle()

    async def connect(self, network: str, container: str, **settings: object) -> None:
        await self.containers.connect(network, container, EndpointConfig(**settings))  # type: ignore[arg-type]

    # Looking.

    def of(self, name: str) -> Container:
        return self.state.container(name)

    def phase(self, name: str) -> Phase:
        return self.of(name).state.phase

    def endpoint(self, container: str, network: str = "bridge") -> Endpoint:
        found = self.state.endpoint_on(self.of(container).id, self.state.network(network).id)
        assert found is not None, f"{container} has no endpoint on {network}"
        return found

    def ip(self, container: str, network: str = "bridge") -> str:
        return self.endpoint(container, network).ipv4.split("/")[0]

    def published(self, container: str) -> dict[str, list[int]]:
        """{"80/tcp": [host port of each binding]}, empty when nothing is."""
        sandbox = self.state.sandbox(self.of(container).id)
        found: dict[str, list[int]] = {}
        for one in sandbox.published if sandbox else ():
            found.setdefault(str(one.port), []).append(one.host_port)
        return found

    def names(self, network: str) -> set[str]:
        """First names of everybody the resolver knows on a network, the host aside."""
        identity = self.state.network(network).id
        known = [one.names[0] for one in self.resolver.records.values() if one.network == identity]
        return set(known) - {HOST_NAME}

    def told(self, *, type: str = "container") -> list[str]:
        """Actions of all events so far, network events with the network's name."""
        shown = []
        for event in self.events.past(0, 1 << 63):
            if event.type == "network":
                shown.append(f"{event.action} {event.attributes['name']}")
            elif event.type == type:
                shown.append(event.action)
        return shown

    def outline(self) -> dict[str, object]:
        """Everything outside and every claim, as one comparable value. What is only remembered is left out."""
        claims = sorted(self.store.db.execute("SELECT network, address, endpoint FROM address"))
        return {
            "bridges": set(self.kernel.bridges), "pins": set(self.kernel.pins), "exposed": set(self.kernel.names), "veths": set(self.kernel.veths),
            "elements": self.firewall.elements, "held": dict(self.proxy.held), "names": dict(self.resolver.records),
            "askers": dict(self.resolver.askers), "processes": set(self.runtime.processes),
            "mounted": set(self.outside.roots.mounted), "roots": set(self.outside.roots.made), "claims": claims,
            "networks": {one.name for one in self.state.networks},
            "phases": {one.name: one.state.phase for one in self.state.containers},
            "attached": {one.name: one.endpoints for one in self.state.containers},
        }  # fmt: skip

    # What must hold whenever nothing is going on.

    def check(self) -> None:
        """The world outside is what the state says, and the store says the same as memory."""
        assert not self.faults.objections, self.faults.objections
        self._check_tables()
        self._check_kernel()
        self._check_processes()
        self._check_store()

    def _check_tables(self) -> None:
        world = self.state.world()
        wanted = {(one.container, one.key, one.value) for one in ruleset.elements(world)}
        assert self.firewall.elements == wanted, "rules"
        assert self.proxy.held == {one.key: one for one in reconciling.wanted_holds(world, self.settings)}, "held ports"
        networks, records, askers = reconciling.names(world, self.settings)
        assert self.resolver.records == {one.endpoint: one for one in records}, "names"
        assert self.resolver.askers == {one.sandbox: one for one in askers}, "askers"
        known = {one.id: one for one in networks}
        assert self.resolver.networks.items() <= known.items(), "network names"
        assert {one.network for one in records} <= set(self.resolver.networks), "network names"

    def _check_kernel(self) -> None:
        world = self.state.world()
        bridges = {one.bridge for one in world.networks.values() if one.bridge}
        further = {one.bridge for network in world.networks.values() for one in network.extensions}
        assert bridges <= set(self.kernel.bridges) <= bridges | further, "bridges"
        assert set(self.kernel.pins) == {one.path for one in world.sandboxes.values()}, "namespaces"
        sandboxes = {one.container: one.path for one in world.sandboxes.values()}
        active = {one.host_name: one for one in world.endpoints.values() if one.active and one.host_name}
        assert set(self.kernel.veths) == set(active), "interfaces"
        assert not self.kernel.detached, "detached ports"
        for name, endpoint in active.items():
            spec = self.kernel.veths[name]
            assert spec.addresses == tuple(one for one in (endpoint.ipv4, endpoint.ipv6) if one)
            assert (spec.mac, spec.ifname) == (endpoint.mac, endpoint.ifname)
            assert spec.bridge == (endpoint.extension or world.networks[endpoint.network].bridge)
        for sandbox in world.sandboxes.values():
            wanted = gateways.routes(sandbox.path, world.endpoints_of(sandbox.container), world.networks)
            there = self.kernel.routes_in.get(sandbox.path)
            assert (there.gateway4 if there else "") == wanted.gateway4, "default route"
            assert (there.gateway6 if there else "") == wanted.gateway6, "default route"
        facts = reconciling.Facts(
            links={one.name: one.master for one in self.kernel.links()}, pins=dict(self.kernel.pins),
            exposed=self.kernel.exposed(),
            inside={path: self.kernel.links_in(path) for path in reconciling.unseen(world)},
        )
        stacked = {(sandboxes[one.container], one.ifname) for one in world.endpoints.values()
                   if one.active and one.ifname and not one.host_name and not one.source}
        moved = {(sandboxes[one.container], one.ifname) for one in world.endpoints.values() if one.active and one.source}
        assert set(self.kernel.moved) == moved, "interfaces of plugins"
        assert set(self.kernel.stacked) == stacked, "stacked interfaces"
        assert reconciling.diff(world, facts, 1500) == (), "something to reconcile"

    def _check_processes(self) -> None:
        running = {one.id: one for one in self.state.containers if one.state.running}
        alive = self.runtime.processes
        assert set(alive) == set(running), "processes"
        assert all(one.status == "running" for one in alive.values())
        assert all(one.state.pid == alive[key].pid for key, one in running.items())
        assert set(self.outside.roots.mounted) == set(running), "mounted roots"
        assert self.outside.roots.made == {one.id for one in self.state.containers}, "roots"
        for sandbox in self.state.world().sandboxes.values():
            owner = self.state.containers[sandbox.container]
            publishes = owner.state.running or owner.state.phase is Phase.RESTARTING
            assert publishes or not sandbox.published, f"{owner.name} does not run and publishes"
            assert self.attachments.users(owner.id), f"the sandbox of {owner.name} stands for nobody"
        for container in running.values():
            owner = self.state.containers.get(container.state.stack_of)
            there = owner is None or owner.host.network_mode == "host" or self.state.sandbox(owner.id)
            assert there, f"{container.name} has no stack"  # unless the owner was removed under it
        assert not self.locks._locks, "locks left behind"

    def _check_store(self) -> None:
        loaded = State(self.store, INSTANCE).world()
        assert loaded == self.state.world(), "the store and memory differ"
        rows = set(self.store.db.execute("SELECT network, address, endpoint FROM address"))
        claims = {
            (one.network, cidr.split("/")[0], one.id)
            for one in loaded.endpoints.values() for cidr in (one.ipv4, one.ipv6) if cidr
        }
        assert rows == claims, "claims"
        for endpoint in loaded.endpoints.values():
            assert endpoint.container in loaded.containers, "an endpoint of nobody"
            assert endpoint.network in loaded.networks, "an endpoint on nothing"


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for databases, in memory where the system has such a place: hundreds are made and thrown away."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        yield Path(directory)


def engine_test(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
    """Make a pytest test of a coroutine that is given a booted engine; afterwards everything must be in order."""

    def run() -> None:
        async def go() -> None:
            with scratch() as directory:
                rig = await Rig(directory / "db").boot()
                try:
                    await test(rig)
                    await rig.settle()
                    rig.check()
                finally:
                    await rig.stop()

        asyncio.run(go())

    run.__doc__ = test.__doc__
    return run
