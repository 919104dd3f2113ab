"""Signals to containers, and waiting until those meant to end have ended.

Sent without the container's lock: the end of the process, which takes the lock, must be able to come in between.
"""

import asyncio
import signal
from typing import Protocol

from landbridge.engine.effects import Runtime
from landbridge.engine.state import State
from landbridge.engine.waits import Outcome, Waits
from landbridge.errors import Internal
from landbridge.model.container import Container, Phase
from landbridge.model.signals import signal_number

STOP_TIMEOUT = 10
KILL_GRACE = 10


class Tell(Protocol):
    def __call__(self, action: str, container: Container, **attributes: str) -> None: ...


class Signals:
    """`emit` tells the world of container events."""

    def __init__(
        self, state: State, runtime: Runtime, waits: Waits, emit: Tell, grace: float = KILL_GRACE
    ) -> None:
        self.state = state
        self.runtime = runtime
        self.waits = waits
        self.emit = emit
        self.grace = grace  # seconds a killed process has to be gone

    async def send(self, container: Container, number: int, *, last: bool) -> None:
        """Send one signal, if the container runs. `last`: it is meant to end by this."""
        if not self._runs(container.id):
            return
        self.emit("kill", container, signal=str(int(number)))
        if number == signal.SIGKILL and container.host.pid_mode not in ("", "private"):
            self.runtime.kill_all(container.id, number)
        self.runtime.kill(container.id, number)
        if last and self.state.containers[container.id].state.phase is Phase.PAUSED:
            await self.runtime.resume(container.id)  # a frozen process hears nothing, nor does it die (cgroup v1)

    async def kill(self, container: Container) -> None:
        """SIGKILL; returns when the container has ended and all is in order. Raises: Internal when it never ends."""
        if self._runs(container.id):
            done = self.waits.future(container.id, "exit")
            await self.send(container, signal.SIGKILL, last=True)
            await self._gone(container, done)

    async def end(self, container: Container, timeout: int | None, signame: str) -> None:
        """Ask the process to end and, after `timeout` seconds (negative: never), make it; returns when it has ended.

        Raises: Invalid (signal), Internal when it never ends.
        """
        number = signal_number(signame or container.config.stop_signal or "SIGTERM")
        if timeout is None:
            timeout = container.config.stop_timeout if container.config.stop_timeout is not None else STOP_TIMEOUT
        if not self._runs(container.id):
            return
        done = self.waits.future(container.id, "exit")
        await self.send(container, number, last=True)
        try:
            if timeout != 0 or number == signal.SIGKILL:
                await asyncio.wait_for(asyncio.shield(done), None if timeout < 0 else max(timeout, 0.001))
                return
        except TimeoutError:
            pass  # it did not listen: now it has no choice
        if not done.done():
            await self.send(container, signal.SIGKILL, last=True)
        await self._gone(container, done)

    async def _gone(self, container: Container, done: asyncio.Future[Outcome]) -> None:
        try:
            await asyncio.wait_for(done, self.grace)
        except TimeoutError:
            raise Internal(
                f"cannot stop container: {container.id}: tried to kill container, but did not receive an exit event"
            ) from None

    def _runs(self, identity: str) -> bool:
        current = self.state.containers.get(identity)
        return current is not None and current.state.running
