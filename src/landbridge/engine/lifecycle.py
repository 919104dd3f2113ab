"""Start, stop and everything between: the order in which a container's parts come and go.

Start: claim → sandbox → ports → names → root file system → process; any failure unwinds in reverse and
leaves the phase as it was with the reason in `State.error`. The end of a process, asked for or not, is seen
in one place (`_watch`), which takes down what the container alone needed.
"""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace

from landbridge.engine.apply import Undo, finished
from landbridge.engine.comeback import Comebacks
from landbridge.engine.effects import Runtime
from landbridge.engine.events import Events
from landbridge.engine.freeze import Freezer, Watcher
from landbridge.engine.health import at_rest, at_start
from landbridge.engine.hub import Hub
from landbridge.engine.launch import Launch
from landbridge.engine.locks import Locks
from landbridge.engine.restart import Sleep
from landbridge.engine.signals import Signals
from landbridge.engine.stack import Stack
from landbridge.engine.state import State
from landbridge.engine.waits import Outcome, Waits
from landbridge.errors import Conflict, Invalid, LandbridgeError, NotFound, NotModified, StartFailed
from landbridge.model.container import Act, Container, Phase, advance
from landbridge.model.container import State as ContainerState
from landbridge.model.process import ExitInfo
from landbridge.model.signals import signal_number

log = logging.getLogger(__name__)


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
        self.signals = Signals(state, runtime, waits, self.emit)
        self.comebacks = Comebacks(state, locks, self._start_if, sleep)
        self.restarts = self.comebacks.restarts
        self.freezer = Freezer(state, runtime, locks, self.emit)
        self.health = Watcher()
        self._tasks: set[asyncio.Task[None]] = set()
        self.remove_ended: Callable[[str], Coroutine[None, None, None]] | None = None  # for --rm; set by Containers

    def check_health_with(self, watcher: Watcher) -> None:
        """Who probes running containers; it needs us to exist first."""
        self.health = self.freezer.health = watcher

    # Start.

    async def start(self, text: str) -> None:
        """Start a container.

        Raises: NotModified when it runs, Conflict when paused or being removed, NotFound (network, joined
        container), StartFailed, Conflict (port taken)…; nothing is left half-made.
        """
        container = self.state.container(text)
        async with self._holding(container.id):
            container = self.state.containers[container.id]
            if container.state.phase is Phase.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.state.running:
                raise NotModified(f"container {container.id} is already running")
            if container.state.phase in (Phase.REMOVING, Phase.DEAD):
                raise Conflict("container is marked for removal and cannot be started")
            self.restarts.cancel(container.id)
            await self._launch(container, restart_count=0)

    @asynccontextmanager
    async def _holding(self, identity: str) -> AsyncIterator[None]:
        """The locks of a container and of the owner of its stack, which its start or end may bring up or take down.

        Whom it joins may change while we wait: then we look again.
        """
        while True:
            names = self._locked(identity)
            async with self.locks.holding(*names):
                if self._locked(identity) <= names:
                    yield
                    return

    def _locked(self, identity: str) -> set[str]:
        container = self.state.containers.get(identity)
        if container is None:
            return {identity}
        try:
            owner = self.stack.owner(container).id
        except LandbridgeError:
            owner = identity  # the launch itself will say what is wrong with it
        return {identity, owner, container.state.stack_of or identity}

    async def _launch(self, container: Container, *, restart_count: int) -> None:
        advance(container.state.phase, Act.START)
        stack_of = ""
        try:
            stack_of = self.stack.owner(container).id
            async with Undo() as undo:
                started = await self._bring_up(container, undo)
        except BaseException as error:
            code = error.exit_code if isinstance(error, StartFailed) else 128
            message = error.message if isinstance(error, LandbridgeError) else f"{type(error).__name__}: {error}"
            await finished(self._failed(container.id, stack_of, Outcome(code, message)))
            raise
        current = self.state.containers[container.id]
        state = replace(started, restart_count=restart_count, phase=Phase.RUNNING, stack_of=stack_of)
        state = replace(state, health=at_start(current))
        self.state.containers.put(replace(current, state=state))
        self.emit("start", current)
        self._spawn(self._watch(container.id))
        self.health.watch(container.id)
        if self.hub.expected(container.id):
            self._spawn(self.hub.connect(container.id))  # who came while the process was being started

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

    async def _failed(self, identity: str, stack_of: str, outcome: Outcome) -> None:
        """Record why a start failed; with ``--rm`` a container that never ran goes away, as in Docker."""
        self.hub.disappoint(identity)
        container = self.state.containers.get(identity)
        if container is None:
            return
        phase = Phase.EXITED if container.state.phase is Phase.RESTARTING else container.state.phase
        state = replace(
            container.state, phase=phase, error=outcome.error, exit_code=outcome.code, pid=0, conmon_pid=0
        )
        self.state.containers.put(replace(container, state=state))
        await self.stack.down(self.state.containers[identity], stack_of)
        # Why is the start's own answer; the docker command would report a waiter's error as a second failure.
        self.waits.happened(identity, "exit", Outcome(outcome.code))
        if container.host.auto_remove and not container.state.started_at and self.remove_ended is not None:
            self._spawn(self.remove_ended(identity))

    # The end of a process.

    async def _watch(self, identity: str) -> None:
        """Wait for the process to end and put everything in order."""
        try:
            info = await self.runtime.exited(identity)
        except NotFound:
            return
        async with self._holding(identity):
            container = self.state.containers.get(identity)
            if container is not None and container.state.running:
                await finished(self._ended(container, info))

    async def _ended(self, container: Container, info: ExitInfo, *, lasting: bool = False) -> None:
        identity, state = container.id, container.state
        self.health.unwatch(identity)
        kept = self.stack.kept[identity] > 0  # it is being restarted: its stack stays as it is
        again = None if kept or lasting else self.restarts.delay(container, info.code)
        ended = replace(
            state, phase=advance(state.phase, Act.EXIT if again is None else Act.BACK_OFF), pid=0, conmon_pid=0,
            exit_code=info.code, oom_killed=info.oom_killed, finished_at=info.finished_at, error="",
            restart_count=state.restart_count + (again is not None), health=at_rest(state.health),
        )
        self.state.containers.put(replace(container, state=ended))
        if info.oom_killed:
            self.emit("oom", container)
        await self._clean_up(self.state.containers[identity], kept=kept, again=again is not None)
        seconds = max(0, info.finished_at - state.started_at) // 1_000_000_000
        self.emit("die", container, exitCode=str(info.code), execDuration=str(seconds))
        self.waits.happened(identity, "exit", Outcome(info.code))
        if again is not None:
            self.restarts.schedule(identity, again)
        elif container.host.auto_remove and not kept and self.remove_ended is not None:
            self._spawn(self.remove_ended(identity))

    async def _clean_up(self, container: Container, *, kept: bool, again: bool) -> None:
        """What a process leaves. Failures are logged: the container has ended whatever else goes wrong."""
        work = [self.runtime.delete(container.id)]
        if not kept:
            work.append(self.stack.down(container, container.state.stack_of, keep=again))
        results = await asyncio.gather(*work, return_exceptions=True)
        results += await asyncio.gather(self.launch.release(container.id), return_exceptions=True)
        if container.state.stack_of == container.id:
            self.stack.tell_disconnected(container)
        for error in results:
            if error is not None:
                log.error("after the end of %s", container.name, exc_info=error)

    # Stop, kill, restart, pause.

    async def stop(self, text: str, *, timeout: int | None = None, signame: str = "") -> None:
        """Ask the process to end, then make it. `timeout` seconds, negative: wait for ever.

        Raises: NotModified when it does not run, NotFound, Invalid (signal).
        """
        container = self.state.container(text)
        if signame:
            signal_number(signame)
        async with self._holding(container.id):  # a start in progress comes first
            container = self.state.containers[container.id]
            if not await self._give_up(container):
                if not container.state.running:
                    raise NotModified(f"container {container.id} is not running")
                self._mark_stopped(container)
        await self.signals.end(container, timeout, signame)
        self.emit("stop", container)

    async def _give_up(self, container: Container) -> bool:
        """No restart after all: true when the container was waiting for one. With the locks held."""
        self.restarts.cancel(container.id)
        if container.state.phase is not Phase.RESTARTING:
            return False
        state = replace(container.state, phase=advance(Phase.RESTARTING, Act.EXIT), manually_stopped=True)
        self.state.containers.put(replace(container, state=state))
        await finished(self.stack.down(self.state.containers[container.id], state.stack_of))
        self.waits.happened(container.id, "exit", Outcome(state.exit_code))
        return True

    def _mark_stopped(self, container: Container) -> None:
        """Its restart policy no longer applies (``unless-stopped`` remembers it over daemon restarts)."""
        current = self.state.containers[container.id]
        self.state.containers.put(replace(current, state=replace(current.state, manually_stopped=True)))

    async def kill(self, text: str, signame: str = "") -> None:
        """Send a signal. SIGKILL returns when the container has ended. Raises: Conflict when it does not run."""
        container = self.state.container(text)
        number = signal_number(signame or "SIGKILL")
        ending = number in (signal.SIGKILL, signal_number(container.config.stop_signal or "SIGTERM"))
        async with self._holding(container.id):  # a start in progress comes first
            container = self.state.containers[container.id]
            # Whatever the signal, as in Docker: there is no process that could tell them apart.
            if await self._give_up(container):
                return
            if not container.state.running:
                raise Conflict(f"cannot kill container: {text}: container {container.id} is not running")
            if ending:
                self._mark_stopped(container)
        if number == signal.SIGKILL:
            await self.signals.kill(container)
        else:
            await self.signals.send(container, number, last=ending)

    async def restart(self, text: str, *, timeout: int | None = None, signame: str = "") -> None:
        """Stop (when running) and start again in the same sandbox: addresses, ports and joined containers stay."""
        container = self.state.container(text)
        self.stack.kept[container.id] += 1
        try:
            if container.state.running:
                await self.signals.end(container, timeout, signame)
                self.emit("stop", container)
            async with self._holding(container.id):
                current = self.state.containers[container.id]
                self.restarts.cancel(current.id)
                if not current.state.running:
                    await self._launch(current, restart_count=0)
        except BaseException:
            await finished(self._abandon(container.id))
            raise
        finally:
            self.stack.kept[container.id] -= 1
            self.stack.kept += Counter()  # drops what is at zero
        self.emit("restart", container)

    async def _abandon(self, identity: str) -> None:
        """A restart that did not come to its end must not leave the stack of a container that does not run."""
        async with self._holding(identity):
            container = self.state.containers.get(identity)
            if container is not None and not container.state.running and container.state.phase is not Phase.RESTARTING:
                await self.stack.down(container, container.state.stack_of)

    async def pause(self, text: str) -> None:
        """Freeze. Raises: Conflict when not running or paused already."""
        await self.freezer.pause(text)

    async def unpause(self, text: str) -> None:
        """Thaw. Raises: Conflict when not paused."""
        await self.freezer.unpause(text)

    # Waiting.

    async def wait(self, text: str, condition: str = "not-running") -> Outcome:
        """Return at the next occasion: ``not-running`` (at once when it does not run), ``next-exit``, ``removed``.

        Raises: NotFound; Invalid for another word.
        """
        return await self.waiting(text, condition)

    def waiting(self, text: str, condition: str) -> asyncio.Future[Outcome]:
        """As `wait`, but registered when this returns, so that nothing can happen unseen in between."""
        container = self.state.container(text)
        if condition not in ("not-running", "next-exit", "removed"):
            raise Invalid(f'invalid condition: "{condition}"')
        if condition == "removed":
            return self.waits.future(container.id, "removed")
        running = container.state.running or container.state.phase is Phase.RESTARTING
        if condition != "next-exit" and not running:
            done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            done.set_result(Outcome(container.state.exit_code, container.state.error))
            return done
        return self.waits.future(container.id, "exit")

    # After a boot.

    async def take_up(self, container: Container) -> None:
        """A container a former daemon started: watched on, or, when it ended meanwhile, put in order the same way.

        Its restart policy is for `start_by_policy` to look at.
        """
        identity, state = container.id, container.state
        bundle = self.launch.bundle(identity)
        if self.runtime.adopt(identity, bundle=bundle, pid=state.pid, conmon_pid=state.conmon_pid):
            self._spawn(self._watch(identity))
            if state.phase is Phase.RUNNING:
                self.health.watch(identity)
            return
        info = await self.runtime.exited(identity)
        async with self._holding(identity):
            await finished(self._ended(self.state.containers[identity], info, lasting=True))

    async def start_by_policy(self) -> None:
        """At boot: what its restart policy says shall run, runs."""
        await self.comebacks.at_boot()

    async def _start_if(self, identity: str, phase: Phase) -> None:
        """Start a container unless somebody changed its phase meanwhile. Raises as `start`."""
        async with self._holding(identity):
            current = self.state.containers.get(identity)
            if current is not None and current.state.phase is phase:
                await self._launch(current, restart_count=current.state.restart_count)

    async def clear(self, identity: str) -> None:
        """What a start or an end that went wrong left of a process and its mounts; nothing is no error."""
        bundle = self.launch.bundle(identity)
        if self.launch.has_process(identity):
            self.runtime.adopt(identity, bundle=bundle, pid=0, conmon_pid=0)
            await self.runtime.delete(identity)
        await self.launch.release(identity)

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

    def forget(self, identity: str) -> None:
        """A container is gone: nobody waits for its streams or its restart, and its directories go meanwhile.

        What is left of them when the daemon ends first is cleared at its next start: no record knows them.
        """
        self.hub.disappoint(identity)
        self.restarts.forget(identity)
        self._spawn(self.launch.destroy(identity))

    async def close(self) -> None:
        """Stop watching; containers go on."""
        await self.restarts.close()
        await self.health.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
