"""Pause and unpause: a container's processes frozen and thawed."""

from dataclasses import replace

from landbridge.engine.effects import Runtime
from landbridge.engine.health import at_rest
from landbridge.engine.locks import Locks
from landbridge.engine.signals import Tell
from landbridge.engine.state import State
from landbridge.errors import Conflict
from landbridge.model.container import Act, Health, Phase, advance


class Watcher:
    """Who looks after the health of running containers; this one looks away."""

    def watch(self, identity: str) -> None:
        """From now on, if the container has a health check."""

    def unwatch(self, identity: str) -> None:
        """Not any more; twice is no error."""

    async def close(self) -> None:
        """Let go of all."""


class Freezer:
    """Freezes with the container's lock held. `health` is set once there is somebody to look after it."""

    def __init__(self, state: State, runtime: Runtime, locks: Locks, emit: Tell) -> None:
        self.state = state
        self.runtime = runtime
        self.locks = locks
        self.emit = emit
        self.health = Watcher()

    async def pause(self, text: str) -> None:
        """Freeze. Raises: Conflict when not running or paused already."""
        identity = self.state.container(text).id
        async with self.locks.holding(identity):
            container = self.state.containers[identity]
            if container.state.phase is Phase.PAUSED:
                raise Conflict(f"Container {identity} is already paused")
            if container.state.phase is Phase.RESTARTING:
                raise Conflict(f"Container {identity} is restarting, wait until the container is running")
            if not container.state.running:
                raise Conflict(f"container {identity} is not running")
            await self.runtime.pause(identity)
            self.health.unwatch(identity)
            self._step(identity, Act.PAUSE, at_rest(self.state.containers[identity].state.health))
        self.emit("pause", self.state.containers[identity])

    async def unpause(self, text: str) -> None:
        """Thaw. Raises: Conflict when not paused."""
        identity = self.state.container(text).id
        async with self.locks.holding(identity):
            if self.state.containers[identity].state.phase is not Phase.PAUSED:
                raise Conflict(f"Container {identity} is not paused")
            await self.runtime.resume(identity)
            self._step(identity, Act.UNPAUSE, self.state.containers[identity].state.health)
            self.health.watch(identity)
        self.emit("unpause", self.state.containers[identity])

    def _step(self, identity: str, act: Act, health: Health | None) -> None:
        container = self.state.containers[identity]
        state = replace(container.state, phase=advance(container.state.phase, act), health=health)
        self.state.containers.put(replace(container, state=state))
