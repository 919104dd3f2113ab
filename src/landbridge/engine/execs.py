"""Processes run inside running containers: made, started once, remembered for a while."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from landbridge.engine.apply import Apply
from landbridge.engine.effects import ExecProcess, Machine, Runtime
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.state import State
from landbridge.errors import Conflict, Internal, NotFound, StartFailed
from landbridge.model.container import Container, Phase
from landbridge.model.process import ExecRequest
from landbridge.oci.spec import SpecContext, exec_process

REMEMBERED = 1000  # ended execs that can still be inspected
START_WITHIN = 10  # seconds a change of the terminal's size waits for the program (as in Docker)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """``POST /containers/{id}/exec`` after parsing."""

    cmd: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Exec:
    """One exec. `exit_code` None while it runs or before; `process` while it runs; `watcher` sees its end.

    `tried` is set once it runs or could not be started.
    """

    id: str
    container: str
    config: ExecConfig
    started: bool = False
    exit_code: int | None = None
    pid: int = 0
    process: ExecProcess | None = None
    watcher: asyncio.Task[None] | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        return self.started and self.exit_code is None


class Execs:
    """Makes and runs execs."""

    def __init__(
        self, state: State, lifecycle: Lifecycle, runtime: Runtime, apply: Apply, machine: Machine
    ) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.runtime = runtime
        self.apply = apply
        self.machine = machine
        self._execs: OrderedDict[str, Exec] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, text: str, config: ExecConfig) -> Exec:
        """Raises: NotFound, Conflict when the container does not run or is paused."""
        container = self._running(text)
        made = Exec(id=secrets.token_hex(32), container=container.id, config=config)
        self._execs[made.id] = made
        self._trim()
        self.lifecycle.emit(f"exec_create: {_line(config.cmd)}", container, execID=made.id)
        return made

    def get(self, identity: str) -> Exec:
        """Raises: NotFound."""
        found = self._execs.get(identity)
        if found is None or found.container not in self.state.containers:
            raise NotFound(f"No such exec instance: {identity}")
        return found

    def of(self, container: str) -> tuple[str, ...]:
        """Ids of a container's running execs."""
        return tuple(one.id for one in self._execs.values() if one.container == container and one.running)

    async def start(self, identity: str, *, tty: bool | None = None, size: tuple[int, int] = (0, 0)) -> ExecProcess:
        """Run it. The caller reads its output; the exit code is recorded here.

        Raises: NotFound, Conflict (ran before, container ended), StartFailed; then the exit code is recorded.
        """
        made = self.get(identity)
        if made.started:
            raise Conflict(f"Error: Exec command {identity} has already run")
        container = self._running(made.container)
        made.started = True
        try:
            process = await self.runtime.exec(await self._request(container, made, size))
        except BaseException:
            made.exit_code = 126  # also for a missing program, unlike that of a container (Docker)
            made.tried.set()
            raise
        made.process, made.pid = process, process.pid
        made.tried.set()
        self.lifecycle.emit(f"exec_start: {_line(made.config.cmd)}", container, execID=made.id)
        self._watch(container, made, process)
        return process

    async def resize(self, identity: str, *, rows: int, columns: int) -> None:
        """Terminal size. Clients send it beside the start: it waits for the program.

        Raises: NotFound, also when the program has ended; Internal when nobody starts it.
        """
        made = self.get(identity)
        try:
            async with asyncio.timeout(START_WITHIN):
                await made.tried.wait()
        except TimeoutError:
            raise Internal("timeout waiting for exec session ready") from None
        if made.process is None:
            raise NotFound(f"process does not exist {made.id}: not found")
        made.process.resize(rows=rows, columns=columns)

    async def ended(self, made: Exec) -> int:
        """The exit code of an exec that was started, once it has ended and that has been told."""
        if made.watcher is not None:
            await asyncio.shield(made.watcher)
        assert made.exit_code is not None
        return made.exit_code

    async def _request(self, container: Container, made: Exec, size: tuple[int, int]) -> ExecRequest:
        config = made.config
        if config.working_dir and not config.working_dir.startswith("/"):
            message = "OCI runtime exec failed: exec failed: Cwd must be an absolute path: unknown"
            raise StartFailed(message, exit_code=126)
        user = await self.apply.blocking(self._user, container, config)
        rows, columns = size if any(size) else config.console_size
        launch = self.lifecycle.launch
        context = SpecContext(
            rootfs="", cgroup="", hostname=container.config.hostname, user=user,  # type: ignore[arg-type]
            capabilities=launch.facts.capabilities, extra_env=launch.presence.links.environment(container),
        )
        process = exec_process(
            container, context, args=config.cmd, env=config.env, working_dir=config.working_dir,
            tty=config.tty, privileged=config.privileged, rows=rows, columns=columns,
        )
        return ExecRequest(
            container=container.id, process=process, stdin=config.attach_stdin,
            stdout=config.attach_stdout, stderr=config.attach_stderr,
        )

    def _user(self, container: Container, config: ExecConfig) -> object:
        root = f"/proc/{container.state.pid}/root"
        groups: Mapping[str, str] | tuple[str, ...] = container.host.group_add or ()
        return self.machine.user(root, config.user or container.config.user, tuple(groups))

    def _running(self, text: str) -> Container:
        container = self.state.container(text)
        if container.state.phase is Phase.PAUSED:
            raise Conflict(f"Container {text} is paused, unpause the container before exec")
        if container.state.phase is Phase.RESTARTING:
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        return container

    def _watch(self, container: Container, made: Exec, process: ExecProcess) -> None:
        async def until_end() -> None:
            made.exit_code = await process.wait()
            made.process, made.pid = None, 0
            self.lifecycle.emit("exec_die", container, execID=made.id, exitCode=str(made.exit_code))

        task = made.watcher = asyncio.get_running_loop().create_task(until_end())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _trim(self) -> None:
        for identity, one in list(self._execs.items()):
            if len(self._execs) <= REMEMBERED:
                return
            if one.exit_code is not None or one.container not in self.state.containers:
                del self._execs[identity]

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _line(cmd: tuple[str, ...]) -> str:
    """Docker's form in events: the program, a blank, the arguments, even if there are none."""
    return f"{cmd[0]} {' '.join(cmd[1:])}"
