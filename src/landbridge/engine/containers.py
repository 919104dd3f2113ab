"""Containers as records: created, renamed, attached to networks, removed. Their running is `engine.lifecycle`."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from landbridge.engine.apply import Undo, finished
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.mountplan import plan, shallow
from landbridge.engine.state import State
from landbridge.engine.validate import Facts, check_endpoints, main_endpoint, normalise
from landbridge.engine.validate_network import check_endpoint
from landbridge.engine.volumes import Volumes
from landbridge.engine.waits import Outcome
from landbridge.errors import Conflict, Forbidden, Invalid, LandbridgeError, NotFound, NotModified
from landbridge.images.images import Images
from landbridge.model import ids
from landbridge.model.config import Config, EndpointConfig, HostConfig
from landbridge.model.container import Act, Container, Phase, advance
from landbridge.model.network import Network
from landbridge.network.steps import Rules
from landbridge.oci.merge import merged_config

_HOST_IS_FIXED = "container cannot be disconnected from host network or connected to host network"

MOST_KILLS = 5  # a forced removal gives up on somebody who keeps starting the container


class StillRunning(Conflict):
    """Somebody started the container between the look and the removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``POST /containers/create`` after parsing. `endpoints` are in the order of the request.

    `shallow_readonly`: a read-only bind leaves the mounts below it as they are, the rule before API 1.44.
    """

    name: str = ""
    config: Config
    host: HostConfig
    endpoints: tuple[EndpointConfig, ...] = ()
    platform: str = ""
    shallow_readonly: bool = False


class Containers:
    """Makes and removes containers and changes what they are attached to."""

    def __init__(
        self, *, state: State, lifecycle: Lifecycle, images: Images, volumes: Volumes, facts: Facts
    ) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.stack = lifecycle.stack
        self.images = images
        self.volumes = volumes
        self.facts = facts
        self.links = self.stack.presence.links
        lifecycle.remove_ended = self._remove_ended

    # Create.

    async def create(self, request: Request) -> tuple[Container, tuple[str, ...]]:
        """A new container and Docker's warnings. Nothing of it runs and no kernel object exists yet.

        Raises: Invalid, Conflict (name in use), NotFound (image); nothing is left then.
        """
        if not request.config.image and not request.config.cmd and not request.config.entrypoint:
            raise Invalid("no command specified")
        image = self.images.resolve(request.config.image, request.platform)
        name = self._free_name(request.name)
        identity = ids.new_id()
        checked = normalise(request.config, request.host, self.facts)
        config = merged_config(image.config, checked.config)
        config, host, joined = self._joining(config, self.lifecycle.launch.sharing.resolved(checked.host))
        if not config.hostname and not joined and host.network_mode != "host":
            config = replace(config, hostname=ids.short(identity))
        endpoints = self._endpoints(host, request.endpoints, config)
        async with Undo() as undo:
            planned = plan(config, host, self.volumes, self.state.container)
            planned = shallow(planned) if request.shallow_readonly else planned
            mounts = await self.volumes.realise(identity, planned, undo.push)
            words = (*(config.entrypoint or ()), *(config.cmd or ()))
            container = Container(
                id=identity, name=name, created=time.time_ns(), image=image.id, path=words[0], args=words[1:],
                config=config, host=replace(host, links=None), endpoints=endpoints, mounts=mounts,
                joined_name=joined, links=self.links.resolved(host),
            )
            undo.push(lambda: self.lifecycle.launch.destroy(identity))
            await self.lifecycle.launch.make(container, self.images.lower_dirs(image))
            self._check_name(name)
            self.state.containers.put(container)
        self._reserve(container, tuple(enumerate(endpoints)))
        self.lifecycle.emit("create", container)
        return container, checked.warnings

    def _free_name(self, wanted: str) -> str:
        if not wanted:
            while self.state.containers.by_name(name := ids.random_name()) is not None:
                wanted = f"{name}_{ids.short(ids.new_id())[:4]}"
                if self.state.containers.by_name(wanted) is None:
                    return wanted
            return name
        name = ids.check_container_name(wanted)
        self._check_name(name)
        return name

    def _check_name(self, name: str) -> None:
        other = self.state.containers.by_name(name)
        if other is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{other.id}".'
                " You have to remove (or rename) that container to be able to reuse that name."
            )

    def _joining(self, config: Config, host: HostConfig) -> tuple[Config, HostConfig, str]:
        """``container:NAME`` becomes ``container:ID`` when the target exists (Docker), its name is kept beside."""
        if not host.network_mode.startswith("container:"):
            return config, host, ""
        target = self.state.containers.find(host.network_mode.removeprefix("container:"))
        if target is None:
            return config, host, host.network_mode.removeprefix("container:")
        host = replace(host, network_mode=f"container:{target.id}")
        shared = replace(config, hostname=target.config.hostname, domainname=target.config.domainname)
        return shared, host, target.name

    def _endpoints(
        self, host: HostConfig, given: Sequence[EndpointConfig], config: Config
    ) -> tuple[EndpointConfig, ...]:
        """The network of the mode first, then the others in the order of the request."""
        mode = host.network_mode
        if mode.startswith("container:") or config.network_disabled:
            check_endpoints(mode, tuple(given))
            return ()
        # Docker: where the request lists attachments, these are all there are; the mode only says which comes first.
        asked = [replace(one, network="bridge" if one.network == "default" else one.network or mode) for one in given]
        find = self.state.networks.find
        first = find(mode)
        main = [one for one in asked if one.network == mode or (first and find(one.network) is first)]
        rest = [one for one in asked if one not in main]
        if not asked:
            main = [EndpointConfig(network=mode)]
        found = (*(main_endpoint(config, replace(one, network=mode)) for one in main[:1]), *rest)
        check_endpoints(mode, found, find)
        return found

    def _reserve(self, container: Container, endpoints: Iterable[tuple[int, EndpointConfig]]) -> None:
        """A static address belongs to the container from now on. Faults are left for the start to report."""
        attachments = self.stack.attachments
        for order, config in endpoints:
            wanted = config.ipam_config
            network = self.state.networks.find(config.network)
            if network is not None and wanted and (wanted.ipv4_address or wanted.ipv6_address):
                try:
                    attachments.claim_one(container, network, config, order)
                except LandbridgeError:
                    continue

    # Remove.

    async def remove(self, text: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; with `force` a running one is killed first.

        Raises: NotFound, Conflict when it runs and `force` is off, or is being removed.
        """
        identity = self.state.container(text).id
        for attempt in range(MOST_KILLS):
            if self.state.containers[identity].state.phase is Phase.REMOVING:
                raise Conflict(f"removal of container {identity} is already in progress")
            async with self.lifecycle.locks.holding(identity):  # what is going on with it comes first
                container = self.state.containers[identity]
            if container.state.running or container.state.phase is Phase.RESTARTING:
                if not force or attempt == MOST_KILLS - 1:
                    raise _still_there(container)
                await self._kill_for_removal(container)
                continue
            try:
                await self._remove(identity, volumes=volumes)
                return
            except StillRunning:
                if not force:
                    raise

    async def _kill_for_removal(self, container: Container) -> None:
        try:
            if container.state.phase is Phase.RESTARTING:
                await self.lifecycle.stop(container.id, timeout=0)
            else:
                await self.lifecycle.kill(container.id, "SIGKILL")
        except (Conflict, NotFound, NotModified):
            pass  # it ended by itself meanwhile

    async def _remove_ended(self, identity: str) -> None:
        """``--rm``: gone with its anonymous volumes as soon as it has ended."""
        try:
            await self._remove(identity, volumes=True)
        except (NotFound, Conflict):
            pass  # somebody was faster

    async def _remove(self, identity: str, *, volumes: bool) -> None:
        async with self.lifecycle.locks.holding(identity):
            container = self.state.containers.get(identity)
            if container is None:
                return
            if container.state.running:
                raise StillRunning(_still_there(container).message)
            self._step(container, Act.REMOVE)
            await finished(self._dismantle(container, volumes=volumes))

    async def _dismantle(self, container: Container, *, volumes: bool) -> None:
        lifecycle, identity = self.lifecycle, container.id
        try:
            await lifecycle.clear(identity)
            await self.stack.orphan(container)
        except BaseException:
            # Not to stay "removing" for ever: the removal may be tried again.
            self._step(self.state.containers[identity], Act.FAIL_REMOVE)
            raise
        with self.state.store.transaction():
            for endpoint in self.state.endpoints_of(identity):
                self.state.remove_endpoint(endpoint.id)
            self.state.containers.remove(identity)
        lifecycle.forget(identity)  # its directories too
        lifecycle.emit("destroy", container)
        lifecycle.waits.happened(identity, "removed", _outcome(container))
        lifecycle.waits.happened(identity, "exit", _outcome(container))
        if volumes:
            await self.volumes.remove_anonymous(container)
        await self.images.release()

    def _step(self, container: Container, act: Act) -> None:
        phase = advance(container.state.phase, act)
        self.state.containers.put(replace(container, state=replace(container.state, phase=phase)))

    # Rename.

    async def rename(self, text: str, name: str) -> None:
        """Give a container another name; DNS follows at once. Raises: NotFound, Invalid, Conflict."""
        container = self.state.container(text)
        if not name:
            raise Invalid("Neither old nor new names may be empty")
        async with self.lifecycle.locks.holding(container.id):
            container = self.state.containers[container.id]
            if name.removeprefix("/") == container.name:
                raise Invalid("Renaming a container with the same name as its current name")
            try:
                new = ids.check_container_name("/" + name.removeprefix("/"))
                self._check_name(new)
            except (Invalid, Conflict) as error:
                raise type(error)(f"Error when allocating new name: {error.message}") from None
            renamed = replace(container, name=new)
            presence, endpoints = self.stack.presence, self.state.endpoints_of
            before = presence.record_changes(endpoints(container.id))
            self.stack.attachments.name(renamed)
            try:
                async with Undo() as undo:
                    if container.state.running:
                        await presence.tell(presence.record_changes(endpoints(container.id)), undo, back=before)
                    await self._expose_anew(container, renamed, undo)
            except BaseException:
                self.stack.attachments.name(container)
                raise
        self.lifecycle.emit("rename", renamed, oldName=f"/{container.name}")

    async def _expose_anew(self, before: Container, after: Container, undo: Undo) -> None:
        """The name of a network stack that is up is its owner's."""
        sandbox, attachments = self.state.sandbox(after.id), self.stack.attachments
        if sandbox is not None:
            old, new = (attachments.exposed(sandbox, one.name) for one in (before, after))
            await attachments.apply.run((old.inverse(), new), undo)

    async def unlink(self, text: str) -> None:
        """Forget a link, named ``linker/alias``, and close what it opened. Raises: NotFound."""
        attachments = self.stack.attachments
        ends = [one for one in self.state.endpoints_of(self.links.linker(text).id) if one.active]
        before = {element for end in ends for element in attachments.linked(end)}
        self.links.remove(text)
        gone = before - {element for end in ends for element in attachments.linked(end)}
        if gone:
            await attachments.apply.run_forgiving((Rules(remove=tuple(sorted(gone))),))

    # Networks of a container.

    async def connect(self, network_text: str, text: str, config: EndpointConfig) -> None:
        """Attach a container to one more network, at once when it runs.

        Raises: NotFound, Forbidden (already attached and running, host network, joined stack), Invalid.
        """
        container = self.state.container(text)
        network = self.state.network(network_text)
        check_endpoint(network.name, config, network)
        _check_connectable(network, container, self.state)
        config = replace(config, network=network.name)
        async with self.lifecycle.locks.holding(container.id):
            container = self.state.containers[container.id]
            if network.id not in self.state.networks:
                raise NotFound(f"network {network_text} not found")
            existing = self.state.endpoint_on(container.id, network.id)
            if existing is not None and existing.active:
                raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
            container = self._without(container, network)
            if self.state.sandbox(container.id) is None:
                order = len(container.endpoints)
                self.state.containers.put(replace(container, endpoints=(*container.endpoints, config)))
                self._reserve(container, ((order, config),))
                return
            await self.stack.connect(container, network, config, self.lifecycle.launch.directory(container.id))
        self.stack.tell_one("connect", container, network)

    def _without(self, container: Container, network: Network) -> Container:
        """The container without what was only asked for on a network; a claim that is not up is given back."""
        existing = self.state.endpoint_on(container.id, network.id)
        if existing is not None:
            self.state.remove_endpoint(existing.id)
        return replace(container, endpoints=self._asked_without(container, network))

    def _asked_without(self, container: Container, network: Network) -> tuple[EndpointConfig, ...]:
        return tuple(one for one in container.endpoints if self.state.networks.find(one.network) is not network)

    async def disconnect(self, network_text: str, text: str, *, force: bool = False) -> None:
        """Detach a container from a network, at once when it runs.

        Raises: NotFound, Forbidden (host network, not attached).
        """
        try:
            container = self.state.container(text)
        except NotFound:
            if not force:
                raise
            self.state.network(network_text)
            raise NotFound(f"endpoint {text} not found") from None
        try:
            network = self.state.network(network_text)
        except NotFound:
            await self._forget_network(container, network_text)
            return
        if network.name == "host" and container.host.network_mode == "host":
            raise Forbidden(_HOST_IS_FIXED)
        async with self.lifecycle.locks.holding(container.id):
            container = self.state.containers[container.id]
            endpoint = self.state.endpoint_on(container.id, network.id)
            without = self._asked_without(container, network)
            if endpoint is None and without == container.endpoints:
                raise Forbidden(f"container {container.id} is not connected to network {network.name}")
            if endpoint is None or not endpoint.active:
                if endpoint is not None:
                    self.state.remove_endpoint(endpoint.id)
                self.state.containers.put(replace(container, endpoints=without))
                return
            await self.stack.disconnect(container, network, self.lifecycle.launch.directory(container.id))
        self.stack.tell_one("disconnect", container, network)


    async def _forget_network(self, container: Container, name: str) -> None:
        """A network that is gone is taken off what a stopped container asks for. Raises: NotFound."""
        async with self.lifecycle.locks.holding(container.id):
            container = self.state.containers[container.id]
            without = tuple(one for one in container.endpoints if one.network != name)
            if container.state.running or without == container.endpoints:
                raise NotFound(f"network {name} not found")
            self.state.containers.put(replace(container, endpoints=without))


def _check_connectable(network: Network, container: Container, state: State) -> None:
    mode = container.host.network_mode
    if mode.startswith("container:"):
        raise Forbidden("container sharing network namespace with another container or host cannot be connected to"
                        " any other network")
    if network.name == "host":
        raise Forbidden(_HOST_IS_FIXED)
    if mode == "host":
        raise Forbidden("container sharing network namespace with another container or host cannot be connected to"
                        " any other network")
    others = [found.name for one in container.endpoints if (found := state.networks.find(one.network)) is not None]
    if "none" in others or (network.name == "none" and others):
        raise Forbidden("container cannot be connected to multiple networks with one of the networks in private"
                        " (none) mode")


def _still_there(container: Container) -> Conflict:
    phase = container.state.phase
    what = f"cannot remove container \"/{container.name}\": container is {phase.value}"
    if phase is Phase.PAUSED:
        return Conflict(f"{what} and must be unpaused first")
    return Conflict(f"{what}: stop the container before removing or force remove")


def _outcome(container: Container) -> Outcome:
    return Outcome(container.state.exit_code)
