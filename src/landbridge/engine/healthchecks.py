"""Running health checks: one task per running container that has one, probe after probe.

A probe is an exec like any other, with the container's user, environment and directory; its results are judged
by `engine.health`. `watch` and `unwatch` are called by the container's life; nothing is lost with the daemon,
since results are in the container's record, and a new daemon watches on.
"""

import asyncio
import logging
import time
from dataclasses import replace

from landbridge.engine.execs import ExecConfig, Execs
from landbridge.engine.freeze import Watcher
from landbridge.engine.health import MOST_OUTPUT, Schedule, command, judged, kept
from landbridge.engine.restart import Sleep
from landbridge.engine.signals import Tell
from landbridge.engine.state import State
from landbridge.errors import LandbridgeError
from landbridge.model.container import Container, Health, HealthProbe, Phase
from landbridge.model.duration import show_duration

log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
FAILED = -1  # the exit code Docker shows for a probe that could not run or took too long


class HealthChecks(Watcher):
    """The monitors of all containers. `emit` tells the world of container events."""

    def __init__(self, state: State, execs: Execs, emit: Tell, *, sleep: Sleep = asyncio.sleep) -> None:
        self.state = state
        self.execs = execs
        self.emit = emit
        self._sleep = sleep
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def watch(self, identity: str) -> None:
        """Probe a container from now on, if it has a health check; a monitor it had ends."""
        self.unwatch(identity)
        if command(self.state.containers[identity].config):
            self._monitors[identity] = asyncio.get_running_loop().create_task(self._monitor(identity))

    def unwatch(self, identity: str) -> None:
        """No more probes; one that runs is killed. Twice is no error."""
        task = self._monitors.pop(identity, None)
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def close(self) -> None:
        """End all monitors; containers keep their state."""
        for identity in tuple(self._monitors):
            self.unwatch(identity)
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _monitor(self, identity: str) -> None:
        while (container := self._running(identity)) is not None:
            assert container.config.healthcheck is not None
            schedule = Schedule.of(container.config.healthcheck)
            health = container.state.health or Health(status="starting")
            await self._sleep(schedule.pause(health, (time.time_ns() - container.state.started_at) / _SECOND))
            if (container := self._running(identity)) is None:
                return
            start = time.time_ns()
            try:
                code, output = await self._probe(container, schedule.timeout)
            except LandbridgeError as error:
                code, output = FAILED, error.message
            self._record(identity, HealthProbe(start=start, end=time.time_ns(), exit_code=code, output=output))

    def _running(self, identity: str) -> Container | None:
        container = self.state.containers.get(identity)
        return container if container is not None and container.state.phase is Phase.RUNNING else None

    async def _probe(self, container: Container, timeout: float) -> tuple[int, str]:
        """Run the check once: exit code and output. Raises: LandbridgeError when it cannot run."""
        wanted = ExecConfig(cmd=command(container.config), attach_stdout=True, attach_stderr=True)
        made = self.execs.create(container.id, wanted)
        output = _Output()
        process = await self.execs.start(made.id)
        try:
            async with asyncio.timeout(timeout):
                while (chunk := await process.receive()) is not None:
                    output.add(chunk.data)
                return await self.execs.ended(made), output.text
        except TimeoutError:
            process.destroy()
            await self.execs.ended(made)
            said = f": {output.text}" if output.text else ""
            return FAILED, f"Health check exceeded timeout ({show_duration(round(timeout * _SECOND))}){said}"
        finally:
            process.destroy()  # cancelled: the container rests, or the daemon goes
            process.close()

    def _record(self, identity: str, probe: HealthProbe) -> None:
        container = self._running(identity)
        if container is None:
            return
        health = judged(container, probe)
        before = container.state.health.status if container.state.health else ""
        self.state.containers.put(replace(container, state=replace(container.state, health=health)))
        if health.status != before:
            self.emit(f"health_status: {health.status}", container)


class _Output:
    """The beginning of what a probe says."""

    def __init__(self) -> None:
        self._kept = b""
        self._more = False

    def add(self, data: bytes) -> None:
        room = MOST_OUTPUT - len(self._kept)
        self._kept += data[:room]
        self._more |= len(data) > room

    @property
    def text(self) -> str:
        return kept(self._kept, more=self._more)
