"""The composition root: the only file that names concrete classes. Builds the engine, boots it, serves, ends.

``python -m landbridge.daemon [dockerd's flags]``. Prints ``ready: <socket>`` when requests are accepted.
On SIGTERM or SIGINT containers go on; with none running, every trace of this engine's network goes too.
"""

import asyncio
import fcntl
import grp
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from landbridge import __version__, options
from landbridge.api.router import MAXIMUM_VERSION, Router, show_version
from landbridge.api.routes import SERVER_VERSION, routes
from landbridge.api.server import Server, api_headers
from landbridge.api.tls import server_context
from landbridge.engine.apply import Apply
from landbridge.engine.attachments import Attachments
from landbridge.engine.companions import Client, Companion, ProxyLink, ResolverLink
from landbridge.engine.containers import Containers
from landbridge.engine.contents import Contents
from landbridge.engine.copies import Copies
from landbridge.engine.disk import Disk
from landbridge.engine.effects import SpecFacts
from landbridge.engine.engine import Engine
from landbridge.engine.events import Events
from landbridge.engine.execs import Execs
from landbridge.engine.explain import Explain
from landbridge.engine.guard import Guard
from landbridge.engine.healthchecks import HealthChecks
from landbridge.engine.hub import Hub
from landbridge.engine.info import Info
from landbridge.engine.launch import Launch
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.locks import Locks
from landbridge.engine.networks import Networks, removal
from landbridge.engine.overlaps import Overlaps
from landbridge.engine.predefined import Predefined
from landbridge.engine.presence import Presence
from landbridge.engine.prune import Prune
from landbridge.engine.publish import Publish
from landbridge.engine.reconcile import Reconcile
from landbridge.engine.remotes import Remotes
from landbridge.engine.rules import RuleTable, rule_chains
from landbridge.engine.stack import Stack
from landbridge.engine.state import State
from landbridge.engine.store import Store
from landbridge.engine.streams import Streams
from landbridge.engine.update import Updates
from landbridge.engine.usage import Usage
from landbridge.engine.validate import Facts
from landbridge.engine.volumes import Volumes
from landbridge.engine.waits import Waits
from landbridge.errors import LandbridgeError, Unavailable
from landbridge.images.effects import ImageUser
from landbridge.images.images import Images
from landbridge.images.records import ImageRecords
from landbridge.model import ids
from landbridge.model.process import RuntimeChoice
from landbridge.model.settings import Settings
from landbridge.model.world import Instance
from landbridge.network import ruleset
from landbridge.network.steps import Links
from landbridge.oci import capabilities
from landbridge.oci.archive import Platform
from landbridge.oci.conmon import parse_record
from landbridge.proxy.client import ProxyClient
from landbridge.registry.blob_records import BlobRecords
from landbridge.registry.registries import Registries
from landbridge.resolver.client import ResolverClient
from landbridge.system import cgroups, probe, processes, sockets
from landbridge.system.copying import HostCopying
from landbridge.system.files import Files
from landbridge.system.firewall import Firewall
from landbridge.system.firewall_watch import FirewallWatch
from landbridge.system.host import HostFacts, host_facts
from landbridge.system.kernel import HostKernel
from landbridge.system.layers import LayerStore
from landbridge.system.listening import listening
from landbridge.system.logs import ContainerLogs
from landbridge.system.machine import HostMachine
from landbridge.system.meter import HostMeter
from landbridge.system.plugins import DIRECTORIES as PLUGIN_DIRECTORIES
from landbridge.system.plugins import Plugins
from landbridge.system.registry_http import HttpClient
from landbridge.system.registry_proxy import Proxies
from landbridge.system.roots import Roots
from landbridge.system.route_watch import RouteWatch
from landbridge.system.runtime import Runtime
from landbridge.system.trees import HostTrees
from landbridge.system.volumes import VolumeDirectories

log = logging.getLogger("landbridge")

# Blocking kernel work is short; more threads would only fight for the interpreter.
WORKERS = 4

# Dockerd's directory is read too, so that a machine's registries need no second set-up.
CERTIFICATES = ("/etc/landbridge/certs.d", "/etc/docker/certs.d")

_GO_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Everything with a life of its own, for boot and shutdown."""

    engine: Engine
    reconcile: Reconcile
    companions: tuple[Companion, Companion]
    kernel: HostKernel
    firewall: Firewall
    guard: Guard
    overlaps: Overlaps
    runtime: Runtime
    roots: Roots
    choice: RuntimeChoice
    pool: ThreadPoolExecutor
    store: Store
    http: HttpClient


def assemble(settings: Settings, choice: RuntimeChoice, host: HostFacts) -> Daemon:
    """Put the engine together; nothing happens yet.

    Long: it is a list of constructor calls, one service after the other in the order of their needs.
    """
    instance = Instance.of(settings.data_root)
    store = Store(f"{settings.data_root}/landbridge.db")
    if not store.get_meta("id"):
        store.set_meta("id", ids.new_id())
    state = State(store, instance)
    netns_dir = f"{settings.exec_root}/netns"
    kernel, firewall = HostKernel(netns_dir, instance.table, retired=instance.retired_prefix), Firewall(instance.table)
    pool = ThreadPoolExecutor(WORKERS, "landbridge")
    resolver = Companion("resolver", lambda: _spawn(settings, "resolver"), _resolver_at(settings))
    proxy = Companion("proxy", lambda: _spawn(settings, "proxy"), _proxy_at(settings))
    events, files, waits, locks = Events(), Files(), Waits(), Locks()
    rules = RuleTable(
        firewall, files, table=instance.table, chains=rule_chains(settings),
        kept=f"{settings.exec_root}/user.nft",
    )  # fmt: skip
    apply = Apply(kernel, rules, ResolverLink(resolver), ProxyLink(proxy), pool)
    watch = FirewallWatch(instance.table, user_chain=ruleset.USER_CHAIN, user_set=ruleset.USER_SET)
    roots, machine = Roots(f"{settings.data_root}/overlay"), HostMachine()
    volumes = Volumes(
        state=state, events=events, files=files, disk=VolumeDirectories(), blocking=apply.blocking,
        root=f"{settings.data_root}/volumes",
    )  # fmt: skip
    images = Images(
        ImageRecords(store.db),
        LayerStore(Path(settings.data_root, "layers")),
        emit=lambda action, identity, name: events.emit(
            "image", action, identity, {"reclaimed" if action == "prune" else "name": name}
        ),
        in_use=lambda image: [
            ImageUser(one.id, one.state.running) for one in state.containers if one.image == image
        ],
        platform=Platform("linux", _GO_ARCH.get(platform.machine(), platform.machine())),
    )
    mtu = settings.mtu or host.uplink_mtu
    http = HttpClient(
        agent=f"landbridge/{__version__}", certificates=CERTIFICATES, proxies=Proxies(os.environ)
    )
    registries = Registries(images.parts, BlobRecords(store.db), http, settings)
    remotes = Remotes(Plugins((*settings.plugin_dirs, *PLUGIN_DIRECTORIES)))
    networks = Networks(state, apply, events, settings, mtu, remotes)
    attachments = Attachments(state, apply, netns_dir, mtu, remotes, bridge_ports=settings.bridge_ports)
    presence = Presence(state, apply, files, settings)
    groups = cgroups.detect()
    runtime = Runtime(choice, groups, root=f"{settings.exec_root}/runtime")
    facts = SpecFacts(
        cgroup_version=groups.version, capabilities=capabilities.from_mask(probe.capability_mask()),
        arch=probe.machine()[0], kernel=probe.machine()[1], init_binary=probe.init_binary(),
        seccomp_supported=probe.seccomp_supported(),
    )  # fmt: skip
    launch = Launch(
        state=state, apply=apply, files=files, roots=roots, machine=machine, images=images, volumes=volumes,
        presence=presence, settings=settings, facts=facts,
    )  # fmt: skip
    hub = Hub(runtime)
    stack = Stack(state, attachments, Publish(state, apply, settings, ipv6=host.ipv6), presence, events)
    lifecycle = Lifecycle(
        state=state, stack=stack, runtime=runtime, launch=launch, hub=hub, events=events, waits=waits, locks=locks
    )
    limits = Facts(
        cpus=host.cpus, memory=host.memory, runtimes=choice.names, cgroup_version=facts.cgroup_version,
        blkio_weight=groups.weighs_io(),
    )  # fmt: skip
    containers = Containers(state=state, lifecycle=lifecycle, images=images, volumes=volumes, facts=limits)
    execs = Execs(state, lifecycle, runtime, apply, machine)
    lifecycle.check_health_with(HealthChecks(state, execs, lifecycle.emit))
    contents = Contents(state, lifecycle, images, apply, HostTrees())
    engine = Engine(
        settings=settings,
        state=state,
        containers=containers,
        lifecycle=lifecycle,
        streams=Streams(state, runtime, hub, launch, ContainerLogs(parse_record), waits),
        execs=execs,
        networks=networks,
        images=images,
        registries=registries,
        volumes=volumes,
        events=events,
        info=Info(settings=settings, state=state, images=images, choice=choice, host=host, apply=apply),
        contents=contents,
        copies=Copies(state, lifecycle, contents, apply, HostCopying()),
        usage=Usage(state, apply, attachments, HostMeter(), memory=host.memory),
        updates=Updates(state, lifecycle, limits),
        prune=Prune(state, containers, networks, contents, events),
        disk=Disk(state, images, volumes, contents),
        explain=Explain(state, apply, attachments, presence, listening),
    )
    reconcile = Reconcile(state, apply, attachments, lifecycle, settings)
    return Daemon(
        engine=engine, reconcile=reconcile, companions=(resolver, proxy), kernel=kernel, firewall=firewall,
        guard=Guard(watch, rules, apply.blocking), overlaps=Overlaps(RouteWatch(), state, events),
        runtime=runtime, roots=roots, choice=choice, pool=pool,
        store=store, http=http,
    )  # fmt: skip


def _spawn(settings: Settings, name: str) -> processes.Process:
    """Start the resolver or the proxy in a session of its own, so that it outlives us."""
    with open(f"{settings.exec_root}/{name}.log", "a") as errors:
        return processes.spawn(
            (sys.executable, "-I", "-m", f"landbridge.{name}", "--socket", f"{settings.exec_root}/{name}.sock"),
            streams={"stderr": errors.fileno()},
            session=True,
        )


def _resolver_at(settings: Settings) -> Callable[[Callable[[], None]], "asyncio.Future[Client]"]:
    async def connect(lost: Callable[[], None]) -> Client:
        client = ResolverClient(lost)
        await client.connect(f"{settings.exec_root}/resolver.sock")
        return client

    return lambda lost: asyncio.ensure_future(connect(lost))


def _proxy_at(settings: Settings) -> Callable[[Callable[[], None]], "asyncio.Future[Client]"]:
    async def connect(lost: Callable[[], None]) -> Client:
        return await ProxyClient.connect(Path(settings.exec_root, "proxy.sock"), on_lost=lost)

    return lambda lost: asyncio.ensure_future(connect(lost))


async def boot(daemon: Daemon) -> None:
    """From whatever the machine is in to what the store says; requests may come afterwards."""
    settings = daemon.engine.settings
    if settings.ip_forward:
        daemon.kernel.forward_ipv4()
    daemon.roots.prepare()
    resolver, proxy = daemon.companions
    await asyncio.gather(resolver.start(), proxy.start())
    resolver.restore, proxy.restore = daemon.reconcile.restore_names, daemon.reconcile.restore_ports
    await Predefined(daemon.engine.networks).ensure()
    await daemon.engine.images.start()
    daemon.guard.start()
    daemon.overlaps.start()
    await daemon.reconcile.boot()
    await daemon.engine.volumes.recover()


async def shut_down(daemon: Daemon) -> None:
    """Let go of everything. Containers that run keep their network; with none, nothing of ours stays."""
    engine = daemon.engine
    idle = not any(one.state.running for one in engine.state.containers)
    await engine.lifecycle.close()
    await engine.execs.close()
    await engine.networks.remotes.close()
    await daemon.guard.close()
    daemon.overlaps.close()
    if idle:
        steps = [step for network in engine.state.networks for step in removal(network, 0)]
        links = [step for step in steps if isinstance(step, Links)]  # names and rules go with who has them
        await engine.networks.apply.run_forgiving(links)
        engine.networks.apply.rules.remove()
    for companion in daemon.companions:
        await companion.close(quit=idle)
    daemon.http.close()
    daemon.runtime.close()
    if idle:
        probe.release_runtime(daemon.choice.mounted)
    daemon.pool.shutdown()
    daemon.kernel.close()
    daemon.firewall.close()
    daemon.store.close()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Boot, listen, wait for `stop`, end."""
    choice = await probe.choose_runtime(settings.exec_root, preferred=settings.runtime)
    daemon = assemble(settings, choice, host_facts())
    server = Server(
        Router(routes(daemon.engine)).respond,
        api_headers(api_version=show_version(MAXIMUM_VERSION), server_version=SERVER_VERSION),
    )
    try:
        await boot(daemon)
        for url in settings.hosts:
            await _listen(server, url, settings)
        await daemon.engine.lifecycle.start_by_policy()
        print(f"ready: {settings.hosts[0]}", flush=True)
        await stop.wait()
    finally:
        await server.close()
        await shut_down(daemon)


async def _listen(server: Server, url: str, settings: Settings) -> None:
    parts = urlsplit(url)
    match parts.scheme:
        case "unix":
            path = parts.path or f"/{parts.netloc}"
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            await server.listen_unix(path, gid=_group(settings.group))
        case "tcp":
            tls = server_context(settings.tls_cert, settings.tls_key, settings.tls_ca) if settings.tls_cert else None
            await server.listen_tcp(parts.hostname or "127.0.0.1", parts.port or (2376 if tls else 2375), tls=tls)
        case "fd":
            for sock in sockets.activated():
                await server.listen(sock)
        case _:
            raise Unavailable(f"cannot listen on {url}: use unix://PATH, tcp://HOST:PORT or fd://")


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1  # no such group on this machine: root only


def _prepare(settings: Settings) -> int:
    """Make the directories and lock the data root: one engine per root. The lock's descriptor stays open."""
    for directory in (settings.data_root, settings.exec_root):
        os.makedirs(directory, mode=0o711, exist_ok=True)
    lock = os.open(f"{settings.data_root}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unavailable(f"another landbridge daemon uses {settings.data_root}") from None
    # conmon leaves a file in its working directory, which is ours, when a container runs out of memory.
    os.chdir(settings.exec_root)
    if settings.pidfile:
        Path(settings.pidfile).write_text(f"{os.getpid()}\n")
    return lock


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 after a clean end, 1 when the daemon could not start."""
    try:
        settings = options.parse(sys.argv[1:] if argv is None else argv)
        logging.basicConfig(
            level=logging.DEBUG if settings.debug else logging.INFO, format="%(asctime)s %(name)s %(message)s"
        )
        log.info("landbridge %s, data root %s", __version__, settings.data_root)
        lock = _prepare(settings)
        sockets.raise_descriptor_limit()
        asyncio.run(_run(settings))
        os.close(lock)
    except LandbridgeError as error:
        print(f"landbridge daemon: {error.message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
