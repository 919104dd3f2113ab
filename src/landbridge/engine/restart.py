"""Restart policies: whether an ended container runs again, and when. Docker's back-off.

100 ms, doubled at each end, at most one minute; a run of ten seconds or more starts over at 100 ms.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from landbridge.model.container import Container

log = logging.getLogger(__name__)

FIRST = 0.1
MOST = 60.0
PATIENT = 5.0  # at most so long until a start that lacked something is tried again: what was missing may come
SETTLED = 10.0  # seconds a container must have run for the delay to start over

Sleep = Callable[[float], Awaitable[None]]


class Restarts:
    """Schedules restarts; `again` starts a container."""

    def __init__(
        self,
        again: Callable[[str], Awaitable[None]],
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._again = again
        self._clock = clock
        self._sleep = sleep
        self._delays: dict[str, float] = {}
        self._due: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def delay(self, container: Container, code: int) -> float | None:
        """Seconds until the next start, or None when the policy says it stays down."""
        policy, state = container.host.restart_policy, container.state
        wanted = (
            policy.name in ("always", "unless-stopped")
            or (policy.name == "on-failure" and code != 0
                and (not policy.maximum_retry_count or state.restart_count < policy.maximum_retry_count))
        )
        if not wanted or state.manually_stopped:
            self._delays.pop(container.id, None)
            return None
        ran = self._clock() - state.started_at
        last = self._delays.get(container.id, 0.0)
        following = FIRST if not last or ran / 1e9 >= SETTLED else min(last * 2, MOST)
        self._delays[container.id] = following
        return following

    def patience(self, container: Container) -> float | None:
        """Seconds until a start that failed is tried again; None when its policy does not insist."""
        if container.host.restart_policy.name not in ("always", "unless-stopped"):
            return None
        following = min(max(FIRST, 2 * self._delays.get(container.id, 0.0)), PATIENT)
        self._delays[container.id] = following
        return following

    def schedule(self, container: str, seconds: float) -> None:
        """Start the container after a while, unless `cancel` comes first."""

        async def later() -> None:
            await self._sleep(seconds)
            self._due.pop(container, None)  # from here on it is a start like any other
            try:
                await self._again(container)
            except Exception:
                log.exception("restart of %s", container)

        self.cancel(container)
        task = self._due[container] = asyncio.get_running_loop().create_task(later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, container: str) -> None:
        """No restart after all; twice is fine."""
        task = self._due.pop(container, None)
        if task is not None:
            task.cancel()

    def forget(self, container: str) -> None:
        """The container is gone."""
        self.cancel(container)
        self._delays.pop(container, None)

    async def close(self) -> None:
        """No more restarts; one that has begun is cut short and leaves nothing."""
        self._due.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def due_at_boot(container: Container) -> bool:
    """Whether a container that does not run shall, now that the daemon is there again (Docker's rules)."""
    policy, state = container.host.restart_policy, container.state
    if not state.started_at:
        return False
    if policy.name == "on-failure":
        tries = policy.maximum_retry_count
        return state.exit_code != 0 and not state.manually_stopped and (not tries or state.restart_count < tries)
    return policy.name == "always" or (policy.name == "unless-stopped" and not state.manually_stopped)
