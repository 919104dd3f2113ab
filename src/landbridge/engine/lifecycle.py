"""Start, stop and everything between: the order in which a container's parts come and go.

Start: claim → sandbox → ports → names → root file system → process; any failure unwinds in reverse and
leaves the phase as it was with the reason in `State.error`. The end of a process, asked for or not, is seen
in one place (`_watch`), which takes down what the container alone needed.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace

from landbridge.engine.apply import Undo
from landbridge.engine.effects import Runtime
from landbridge.engine.events import Events
from landbridge.engine.hub import Hub
from landbridge.engine.launch import Launch
from landbridge.engine.locks import Locks
from landbridge.engine.restart import Restarts, Sleep
from landbridge.engine.stack import Stack
from landbridge.engine.state import State
from landbridge.engine.waits import Outcome, Waits
from landbridge.errors import Conflict, LandbridgeError, NotFound, NotModified, StartFailed
from landbridge.model.config import RestartPolicy
from landbridge.model.container import Act, Container, Phase, advance
from landbridge.model.container import State as ContainerState
from landbridge.model.process import ExitInfo
from landbridge.model.signals import signal_number

log = logging.getLogger(__name__)

STOP_TIMEOUT = 10
KILL_GRACE = 10


class Lifecycle:
    """Runs containers. One lock per container; a joined container's start also holds its owner's."""

    def __init__(
        self,
        *,
        state: State,
        stack: Stack,
        runtime: Runtime,
        launch: Launch,
        hub: Hub,
        events: Events,
        waits: Waits,
        locks: Locks,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.state = state
        self.stack = stack
        self.runtime = runtime
        self.launch = launch
        self.hub = hub
        self.events = events
        self.waits = waits
        self.locks = locks
        self.restarts = Restarts(self._restart_by_policy, sleep)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keep_network: set[str] = set()  # being restarted: its sandbox, ports and names stay
        self.remove_ended: Callable[[str], Coroutine[None, None, None]] | None = None  # for --rm; set by Containers

    # Start.

    async def start(self, text: str) -> None:
        """Start a container.

        Raises: NotModified when it runs, Conflict when paused or being removed, NotFound (network, joined
        container), StartFailed, Conflict (port taken)…; nothing is left half-made.
        """
        container = self.state.container(text)
        async with self.locks.holding(*self._locked(container)):
            container = self.state.containers[container.id]
            if container.state.phase is Phase.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.state.running:
                raise NotModified(f"container {container.id} is already running")
            if container.state.phase in (Phase.REMOVING, Phase.DEAD):
                raise Conflict("container is marked for removal and cannot be started")
            self.restarts.cancel(container.id)
            await self._launch(container, restart_count=0)

    def _locked(self, container: Container) -> set[str]:
        """A joined container's start may bring the owner's sandbox up: nobody else may do so meanwhile."""
        names = {container.id}
        try:
            names.add(self.stack.owner(container).id)
        except LandbridgeError:
            pass  # the launch itself will say what is wrong with it
        return names

    async def _launch(self, container: Container, *, restart_count: int) -> None:
        advance(container.state.phase, Act.START)
        try:
            async with Undo() as undo:
                started = await self._bring_up(container, undo)
        except LandbridgeError as error:
            code = error.exit_code if isinstance(error, StartFailed) else 128
            await self._failed(container.id, error.message, code)
            raise
        self.state.containers.put(
            replace(
                self.state.containers[container.id],
                state=replace(started, restart_count=restart_count, phase=Phase.RUNNING),
            )
        )
        self.emit("start", self.state.containers[container.id])
        self._spawn(self._watch(container.id))

    async def _bring_up(self, container: Container, undo: Undo) -> ContainerState:
        owner, sandbox = await self.stack.up(container, undo)
        request = await self.launch.prepare(container, owner, sandbox, undo)
        undo.push(lambda: self.runtime.delete(container.id))
        created = await self.runtime.create(request)
        await self.hub.connect(container.id)
        await self.runtime.start(container.id)
        return ContainerState(
            pid=created.pid, conmon_pid=created.conmon_pid, started_at=time.time_ns(),
            finished_at=container.state.finished_at,
        )

    async def _failed(self, identity: str, message: str, code: int) -> None:
        """Record why a start failed; with ``--rm`` a container that never ran goes away, as in Docker."""
        self.hub.disappoint(identity)
        container = self.state.containers.get(identity)
        if container is None:
            return
        await self._take_down(container)
        phase = Phase.EXITED if container.state.phase is Phase.RESTARTING else container.state.phase
        state = replace(container.state, phase=phase, error=message, exit_code=code, pid=0, conmon_pid=0)
        self.state.containers.put(replace(container, state=state))
        self.waits.happened(identity, "exit", Outcome(code, message))
        if container.host.auto_remove and not container.state.started_at and self.remove_ended is not None:
            self._spawn(self.remove_ended(identity))

    # The end of a process.

    async def _watch(self, identity: str) -> None:
        """Wait for the process to end and put everything in order."""
        try:
            info = await self.runtime.exited(identity)
        except NotFound:
            return
        async with self.locks.holding(identity):
            container = self.state.containers.get(identity)
            if container is not None and container.state.running:
                await self._ended(container, info)

    async def _ended(self, container: Container, info: ExitInfo) -> None:
        state = container.state
        again = self.restarts.delay(container, info.code) if container.id not in self._keep_network else None
        ended = replace(
            state, phase=advance(state.phase, Act.EXIT if again is None else Act.BACK_OFF), pid=0, conmon_pid=0,
            exit_code=info.code, oom_killed=info.oom_killed, finished_at=info.finished_at, error="",
            restart_count=state.restart_count + (again is not None), health=None,
        )
        self.state.containers.put(replace(container, state=ended))
        if info.oom_killed:
            self.emit("oom", container)
        await asyncio.gather(
            self.runtime.delete(container.id),
            self._take_down(self.state.containers[container.id], keep=again is not None),
        )
        await self.launch.release(container.id)
        seconds = max(0, info.finished_at - state.started_at) // 1_000_000_000
        self.emit("die", container, exitCode=str(info.code), execDuration=str(seconds))
        self.waits.happened(container.id, "exit", Outcome(info.code))
        if again is not None:
            self.restarts.schedule(container.id, again)
        elif container.host.auto_remove and container.id not in self._keep_network and self.remove_ended is not None:
            self._spawn(self.remove_ended(container.id))

    async def _take_down(self, container: Container, *, keep: bool = False) -> None:
        if container.id not in self._keep_network:
            await self.stack.down(container, keep=keep)

    # Stop, kill, restart, pause.

    async def stop(self, text: str, *, timeout: int | None = None, signame: str = "") -> None:
        """Ask the process to end, then make it. `timeout` seconds, negative: wait for ever.

        Raises: NotModified when it does not run, NotFound, Invalid (signal).
        """
        container = self.state.container(text)
        if container.state.phase is Phase.RESTARTING:
            await self._stop_restarting(container)
            return
        if not container.state.running:
            raise NotModified(f"container {container.id} is not running")
        self._mark_stopped(container)
        await self._end(container, timeout, signame)
        self.emit("stop", container)

    async def _stop_restarting(self, container: Container) -> None:
        async with self.locks.holding(container.id):
            self.restarts.cancel(container.id)
            container = self.state.containers[container.id]
            if container.state.phase is Phase.RESTARTING:
                state = replace(container.state, phase=advance(Phase.RESTARTING, Act.EXIT), manually_stopped=True)
                self.state.containers.put(replace(container, state=state))
                await self._take_down(self.state.containers[container.id])
        self.emit("stop", container)

    def _mark_stopped(self, container: Container) -> None:
        """Its restart policy no longer applies (``unless-stopped`` remembers it over daemon restarts)."""
        current = self.state.containers[container.id]
        self.state.containers.put(replace(current, state=replace(current.state, manually_stopped=True)))

    async def _end(self, container: Container, timeout: int | None, signame: str) -> None:
        number = signal_number(signame or container.config.stop_signal or "SIGTERM")
        if timeout is None:
            timeout = container.config.stop_timeout if container.config.stop_timeout is not None else STOP_TIMEOUT
        done = self.waits.future(container.id, "exit")
        if not self.state.containers[container.id].state.running:
            done.cancel()
            return
        await self._signal(container, number)
        try:
            if timeout != 0 or number == signal.SIGKILL:
                await asyncio.wait_for(asyncio.shield(done), None if timeout < 0 else max(timeout, 0.001))
                return
        except TimeoutError:
            pass  # it did not listen: now it has no choice
        if not done.done():
            await self._signal(container, signal.SIGKILL)
        await asyncio.wait_for(done, KILL_GRACE)

    async def _signal(self, container: Container, number: int) -> None:
        self.emit("kill", container, signal=str(int(number)))
        if number == signal.SIGKILL and container.host.pid_mode not in ("", "private"):
            self.runtime.kill_all(container.id, number)
        self.runtime.kill(container.id, number)
        if self.state.containers[container.id].state.phase is Phase.PAUSED and number == signal.SIGKILL:
            await self.runtime.resume(container.id)  # a frozen process dies only when it thaws (cgroup v1)

    async def kill(self, text: str, signame: str = "") -> None:
        """Send a signal. SIGKILL returns when the container has ended. Raises: Conflict when it does not run."""
        container = self.state.container(text)
        number = signal_number(signame or "SIGKILL")
        if not container.state.running:
            raise Conflict(f"cannot kill container: {text}: container {container.id} is not running")
        if number != signal.SIGKILL:
            if number == signal_number(container.config.stop_signal or "SIGTERM"):
                self._mark_stopped(container)
            await self._signal(container, number)
            return
        self._mark_stopped(container)
        done = self.waits.future(container.id, "exit")
        if self.state.containers[container.id].state.running:
            await self._signal(container, number)
            await asyncio.wait_for(done, KILL_GRACE)

    async def restart(self, text: str, *, timeout: int | None = None, signame: str = "") -> None:
        """Stop (when running) and start again in the same sandbox: addresses, ports and joined containers stay."""
        container = self.state.container(text)
        self._keep_network.add(container.id)
        try:
            if container.state.running:
                await self._end(container, timeout, signame)
            async with self.locks.holding(*self._locked(container)):
                current = self.state.containers[container.id]
                self.restarts.cancel(current.id)
                if not current.state.running:
                    self._keep_network.discard(container.id)
                    await self._launch(current, restart_count=0)
        finally:
            self._keep_network.discard(container.id)
        self.emit("restart", container)

    async def pause(self, text: str) -> None:
        """Freeze. Raises: Conflict when not running or paused already."""
        container = self.state.container(text)
        async with self.locks.holding(container.id):
            container = self.state.containers[container.id]
            if container.state.phase is Phase.PAUSED:
                raise Conflict(f"container {container.id} is already paused")
            if not container.state.running:
                raise Conflict(f"container {container.id} is not running")
            await self.runtime.pause(container.id)
            self._step(container, Act.PAUSE)
        self.emit("pause", container)

    async def unpause(self, text: str) -> None:
        """Thaw. Raises: Conflict when not paused."""
        container = self.state.container(text)
        async with self.locks.holding(container.id):
            container = self.state.containers[container.id]
            if container.state.phase is not Phase.PAUSED:
                raise Conflict(f"Container {container.id} is not paused")
            await self.runtime.resume(container.id)
            self._step(container, Act.UNPAUSE)
        self.emit("unpause", container)

    def _step(self, container: Container, act: Act) -> None:
        phase = advance(container.state.phase, act)
        self.state.containers.put(replace(container, state=replace(container.state, phase=phase)))

    # Waiting.

    async def wait(self, text: str, condition: str = "not-running") -> Outcome:
        """Return at the next occasion: ``not-running`` (at once when it does not run), ``next-exit``, ``removed``.

        Raises: NotFound; Invalid for another word.
        """
        return await self.waiting(text, condition)

    def waiting(self, text: str, condition: str) -> asyncio.Future[Outcome]:
        """As `wait`, but registered when this returns, so that nothing can happen unseen in between."""
        container = self.state.container(text)
        if condition == "removed":
            return self.waits.future(container.id, "removed")
        running = container.state.running or container.state.phase is Phase.RESTARTING
        if condition != "next-exit" and not running:
            done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            done.set_result(Outcome(container.state.exit_code, container.state.error))
            return done
        return self.waits.future(container.id, "exit")

    # After a boot.

    def resume_watching(self, container: Container) -> None:
        """Take up a container a former daemon started; one that ended meanwhile is put in order the same way."""
        bundle = self.launch.bundle(container.id)
        self.runtime.adopt(container.id, bundle=bundle, pid=container.state.pid, conmon_pid=container.state.conmon_pid)
        self._spawn(self._watch(container.id))

    async def start_by_policy(self) -> None:
        """At boot: what ``always`` and ``unless-stopped`` say shall run, runs. Owners before those who join them."""
        due = [one for one in self.state.containers if not one.state.running and _due_at_boot(one)]
        for container in sorted(due, key=lambda one: bool(one.joins)):
            await self._restart_by_policy(container.id)

    async def _restart_by_policy(self, identity: str) -> None:
        container = self.state.containers.get(identity)
        if container is None:
            return
        async with self.locks.holding(*self._locked(container)):
            current = self.state.containers.get(identity)
            if current is None or current.state.running or current.state.phase is Phase.REMOVING:
                return
            try:
                await self._launch(current, restart_count=current.state.restart_count)
            except LandbridgeError as error:
                log.warning("restart of %s failed: %s", current.name, error)

    # Small things.

    def emit(self, action: str, container: Container, **attributes: str) -> None:
        """A container event with Docker's attributes: image, name, labels and the action's own."""
        shown = {**container.config.labels, "image": container.config.image, "name": container.name, **attributes}
        self.events.emit("container", action, container.id, shown)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)

    async def close(self) -> None:
        """Stop watching; containers go on."""
        self.restarts.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _due_at_boot(container: Container) -> bool:
    policy: RestartPolicy = container.host.restart_policy
    state = container.state
    if policy.name == "always":
        return bool(state.started_at)
    if policy.name == "unless-stopped":
        return bool(state.started_at) and not state.manually_stopped
    return policy.name == "on-failure" and state.phase is Phase.RESTARTING
