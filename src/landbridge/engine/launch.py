"""What stands between a container's record and its process: directories, root file system, config.json."""

from collections.abc import Sequence
from dataclasses import replace

from landbridge.engine.apply import Apply, Undo
from landbridge.engine.effects import Files, Machine, Roots, SpecFacts
from landbridge.engine.presence import Presence
from landbridge.engine.sharing import Sharing
from landbridge.engine.state import State
from landbridge.engine.validate_log import kept
from landbridge.engine.volumes import Volumes
from landbridge.images.images import Images
from landbridge.model import ids
from landbridge.model.container import Container
from landbridge.model.network import Sandbox
from landbridge.model.process import CreateRequest
from landbridge.model.settings import Settings
from landbridge.oci import seccomp
from landbridge.oci.spec import SpecContext, build


class Launch:
    """Prepares processes and cleans up after them. All methods may be called twice."""

    def __init__(
        self,
        *,
        state: State,
        apply: Apply,
        files: Files,
        roots: Roots,
        machine: Machine,
        images: Images,
        volumes: Volumes,
        presence: Presence,
        settings: Settings,
        facts: SpecFacts,
    ) -> None:
        self.state = state
        self.apply = apply
        self.files = files
        self.roots = roots
        self.machine = machine
        self.images = images
        self.volumes = volumes
        self.presence = presence
        self.settings = settings
        self.facts = facts
        self.sharing = Sharing(state, files, roots)

    # Where a container's things are.

    def directory(self, container: str) -> str:
        """hostname, hosts, resolv.conf and the log; lives as long as the container."""
        return f"{self.settings.data_root}/containers/{container}"

    def log_path(self, container: str) -> str:
        return f"{self.directory(container)}/{container}.log"

    def bundle(self, container: str) -> str:
        """config.json and conmon's sockets; lives as long as the process."""
        return f"{self.settings.exec_root}/bundles/{container}"

    def has_process(self, container: str) -> bool:
        """Whether the bundle is in use, or was not cleared after its last use."""
        return bool(self.files.read(f"{self.bundle(container)}/config.json"))

    # The life of these.

    async def make(self, container: Container, lowers: Sequence[str]) -> None:
        """Directories of a new container. The root is the first of them and the last to go: see `strays`."""
        await self.apply.blocking(self.roots.make, container.id)
        self.files.make_directory(self.directory(container.id))

    async def destroy(self, container: str) -> None:
        """Everything `make` and later runs left. Takes as long as the container wrote files: not on a reply's path."""
        await self.apply.blocking(self._destroy, container)

    def _destroy(self, container: str) -> None:
        self.roots.unmount(container)
        self.files.remove_own_tree(self.directory(container))
        self.files.remove_own_tree(self.bundle(container))
        self.roots.remove(container)

    async def strays(self) -> list[str]:
        """Who has directories and is in no record: a creation or a removal was cut short."""
        kept = await self.apply.blocking(self.roots.kept)
        assert isinstance(kept, list)
        return [identity for identity in kept if identity not in self.state.containers]

    async def prepare(
        self, container: Container, owner: Container, sandbox: Sandbox | None, undo: Undo
    ) -> CreateRequest:
        """Mount the root, write the files, build the specification.

        Raises: Invalid (user, option), Conflict (joined namespaces), Internal (mounts, links).
        """
        undo.push(lambda: self.release(container.id))
        self.presence.links.check(container)
        lowers = self.images.lower_dirs(self.images.get(container.image))
        if owner.id == container.id or not self.files.read(f"{self.directory(owner.id)}/hosts"):
            self.presence.write_files(owner, self.directory(owner.id))
        await self.volumes.acquire(container)
        spec = await self.apply.blocking(self._specify, container, owner, sandbox, tuple(lowers))
        assert isinstance(spec, dict)
        log = container.host.log_config
        asked = kept(log)
        return CreateRequest(
            id=container.id,
            bundle=self.bundle(container.id),
            spec=spec,
            log_path="" if log.type == "none" else self.log_path(container.id),
            log_size_max=asked.limit,
            log_turn=asked.size,
            log_files=asked.files,
            terminal=container.config.tty,
            stdin=container.config.open_stdin,
            # A terminal outlives its first visitor: detach and attach again (Docker ignores StdinOnce with a terminal).
            stdin_once=container.config.stdin_once and not container.config.tty,
        )

    async def release(self, container: str) -> None:
        """After the process: the root is unmounted, volumes are let go."""
        await self.apply.blocking(self.roots.unmount, container)
        record = self.state.containers.get(container)
        if record is not None:
            await self.volumes.release(record)

    def _specify(
        self, container: Container, owner: Container, sandbox: Sandbox | None, lowers: tuple[str, ...]
    ) -> dict[str, object]:
        root = self.roots.mount(container.id, lowers)
        host = container.host
        user = self.machine.user(root, container.config.user, host.group_add or ())
        self.machine.prepare_root(root, container, user)
        self.volumes.copy_up(container, root)
        facts = self.facts
        directory = self.directory(owner.id)
        hostname = self.files.hostname() if host.network_mode == "host" and not container.config.hostname else (
            container.config.hostname or owner.config.hostname or ids.short(owner.id))
        context = SpecContext(
            rootfs=root,
            cgroup=f"{host.cgroup_parent.rstrip('/') or self.state.instance.cgroup}/{container.id}",
            hostname=hostname,
            netns=sandbox.path if sandbox is not None else "",
            pid_ns=self.sharing.pid_namespace(host),
            ipc_ns=self.sharing.ipc_namespace(host),
            shm_dir=self.sharing.shm(container),
            extra_env=self.presence.links.environment(container),
            uts_ns="host" if host.uts_mode == "host" else "",
            user=user,
            files={
                "/etc/resolv.conf": f"{directory}/resolv.conf",
                "/etc/hostname": f"{directory}/hostname",
                "/etc/hosts": f"{directory}/hosts",
            },
            devices=self.machine.devices(host),
            device_numbers=self.machine.device_numbers(host),
            capabilities=facts.capabilities,
            machine=seccomp.Machine(arch=facts.arch, kernel=facts.kernel),
            seccomp_supported=facts.seccomp_supported,
            cgroup_version=facts.cgroup_version,
            recursive_readonly=facts.recursive_readonly,
            directories=self.volumes.directories(container),
            init_binary=facts.init_binary if (host.init if host.init is not None else self.settings.init) else "",
        )
        shown = replace(container.config, hostname=hostname)
        return build(replace(container, config=shown, mounts=self.volumes.sources(container)), context)
