"""Waiting for a container to end or to go: what ``POST /wait`` and ``run`` hang on."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a waiter is told: the exit code and, when the container could not even be started, why."""

    code: int
    error: str = ""


class Waits:
    """Futures by container and occasion (``exit`` or ``removed``)."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[asyncio.Future[Outcome]]] = {}

    def future(self, container: str, occasion: str) -> asyncio.Future[Outcome]:
        """Resolves at the next such occasion. Cancelling it is how a waiter leaves."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((container, occasion), []).append(future)
        future.add_done_callback(lambda done: self._leave(container, occasion, done))
        return future

    def happened(self, container: str, occasion: str, outcome: Outcome) -> None:
        """Tell everybody who waits for this."""
        for future in self._waiting.pop((container, occasion), []):
            if not future.done():
                future.set_result(outcome)

    def _leave(self, container: str, occasion: str, done: asyncio.Future[Outcome]) -> None:
        waiting = self._waiting.get((container, occasion))
        if waiting and done in waiting:
            waiting.remove(done)
            if not waiting:
                del self._waiting[(container, occasion)]
