"""Puts the rules back when somebody sweeps them away: a firewall that reloads, ``nft flush ruleset``.

Woken by the kernel, never by a clock. A program that sweeps again and again is answered every time, at a pace.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from landbridge.engine.effects import FirewallWatch
from landbridge.engine.rules import RuleTable
from landbridge.errors import LandbridgeError

log = logging.getLogger(__name__)

PACE = 0.1  # seconds between two restorations
AGAIN = 1.0  # seconds until a restoration that failed is tried again

Blocking = Callable[..., Awaitable[object]]
Sleep = Callable[[float], Awaitable[None]]


class Guard:
    """From `start` to `close`. Lives on the event loop; the work is done on the pool."""

    def __init__(
        self, watch: FirewallWatch, rules: RuleTable, blocking: Blocking, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._watch = watch
        self._rules = rules
        self._blocking = blocking
        self._sleep = sleep
        self._seen: set[str] = set()
        self._mending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen from now on."""
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._readable)

    async def close(self) -> None:
        """Listen no more; a restoration under way comes to its end."""
        asyncio.get_running_loop().remove_reader(self._watch.fileno())
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
        self._watch.close()

    def _readable(self) -> None:
        self._seen |= self._watch.drain()
        if self._seen and self._mending is None:
            self._mending = asyncio.get_running_loop().create_task(self._mend())

    async def _mend(self) -> None:
        try:
            while self._seen:
                seen = frozenset(self._seen)
                self._seen.clear()
                await self._sleep(await self._answer(seen))
        finally:
            self._mending = None

    async def _answer(self, seen: frozenset[str]) -> float:
        """Put back, or note what the user has now; how long to wait before the next."""
        try:
            if "lost" in seen:
                log.warning("firewall rules of this engine were removed by somebody; putting them back")
                await self._blocking(self._rules.restore)
            elif "user" in seen:
                await self._blocking(self._rules.remember)
            if "docker-user" in seen:
                await self._blocking(self._rules.heed)
        except LandbridgeError as error:
            log.error("the firewall rules cannot be put back: %s", error)
            self._seen |= seen
            return AGAIN
        return PACE
