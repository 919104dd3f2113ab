"""Starts nobody asked for: what its restart policy brings back, at boot and after a back-off.

At boot those others depend on come first. What is missing may still come (an address, a network, the container
whose namespace is shared), so such a start is tried again; a program that cannot run is not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from landbridge.engine.locks import Locks
from landbridge.engine.restart import Restarts, Sleep, due_at_boot
from landbridge.engine.state import State
from landbridge.errors import Invalid, LandbridgeError, StartFailed
from landbridge.model.container import Act, Container, Phase, advance

log = logging.getLogger(__name__)

AT_ONCE = 8  # containers started side by side; more would only wait for each other


class Comebacks:
    """`start_if` starts a container that is still in the phase given, its restart count kept."""

    def __init__(
        self, state: State, locks: Locks, start_if: Callable[[str, Phase], Awaitable[None]], sleep: Sleep
    ) -> None:
        self.state = state
        self.locks = locks
        self.restarts = Restarts(self._after_back_off, sleep)
        self._start_if = start_if

    async def at_boot(self) -> None:
        """What its restart policy says shall run, runs, or will be tried again."""
        due = [one for one in self.state.containers if not one.state.running and due_at_boot(one)]
        room = asyncio.Semaphore(AT_ONCE)

        async def bring(container: Container) -> None:
            async with room:
                try:
                    await self._start(container.id, Phase.EXITED)
                except Exception:  # whatever is wrong with one, the others and the daemon come up
                    log.exception("start of %s", container.name)

        for wave in waves(due, self.state.containers.get):
            await asyncio.gather(*(bring(one) for one in wave))

    async def _after_back_off(self, identity: str) -> None:
        await self._start(identity, Phase.RESTARTING)

    async def _start(self, identity: str, phase: Phase) -> None:
        try:
            await self._start_if(identity, phase)
        except LandbridgeError as error:
            log.warning("restart of %s failed: %s", identity, error)
            if not isinstance(error, StartFailed | Invalid) or self._leans(identity):
                await self._try_later(identity)

    def _leans(self, identity: str) -> bool:
        """Whether its start may have failed because a process whose namespace it shares has just ended."""
        container = self.state.containers.get(identity)
        return container is not None and any(
            mode.startswith("container:") for mode in (container.host.pid_mode, container.host.ipc_mode)
        )

    async def _try_later(self, identity: str) -> None:
        async with self.locks.holding(identity):
            container = self.state.containers.get(identity)
            if container is None or container.state.phase is not Phase.EXITED:
                return  # somebody did something about it meanwhile
            seconds = self.restarts.patience(container)
            if seconds is not None:
                state = replace(container.state, phase=advance(container.state.phase, Act.BACK_OFF))
                self.state.containers.put(replace(container, state=state))
                self.restarts.schedule(identity, seconds)


def waves(due: Sequence[Container], find: Callable[[str], Container | None]) -> list[list[Container]]:
    """`due` in groups: those whose namespaces are shared come in an earlier group than those who share them."""
    wanted = {one.id for one in due}
    depths: dict[str, int] = {}

    def depth(container: Container, above: frozenset[str]) -> int:
        if container.id not in depths:
            targets = [find(identity) for identity in (*_joined(container), *(one.target for one in container.links))]
            depths[container.id] = 1 + max(
                (depth(one, above | {container.id}) for one in targets
                 if one is not None and one.id in wanted and one.id not in above),
                default=-1,
            )  # fmt: skip
        return depths[container.id]

    found: dict[int, list[Container]] = {}
    for one in due:
        found.setdefault(depth(one, frozenset({one.id})), []).append(one)
    return [found[level] for level in sorted(found)]


def _joined(container: Container) -> list[str]:
    host = container.host
    modes = (host.network_mode, host.pid_mode, host.ipc_mode)
    return [mode.removeprefix("container:") for mode in modes if mode.startswith("container:")]
