"""The resolver and the proxy as the engine's companions: found or started, told everything, restarted when lost.

Both outlive the daemon. A new daemon connects to what is there and tells it the whole table; one that dies is
started again and told again. While a companion is away, whoever needs it waits for a moment, then fails.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from landbridge.errors import LandbridgeError, Unavailable
from landbridge.model.hold import Hold
from landbridge.model.names import Asker, Change, NameRecord, NetworkNames

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds a call waits for a companion that is being restarted
PAUSE = 0.02  # seconds between attempts to reach one that has just been started
LONGEST_PAUSE = 5.0  # between attempts to start one that does not come up


class Client(Protocol):
    """What both clients have in common."""

    async def quit(self) -> None: ...
    async def close(self) -> None: ...


Connect = Callable[[Callable[[], None]], Awaitable[Client]]
"""(called when the connection is lost) → a connected client. Raises: Unavailable."""


class Companion:
    """One process: `spawn` starts it, `connect` gives a client that calls back when the connection is lost."""

    def __init__(
        self, name: str, spawn: Callable[[], object], connect: Connect, *, patience: float = PATIENCE
    ) -> None:
        self.name = name
        self._patience = patience
        self._spawn = spawn
        self._reach = connect
        self._client: Client | None = None
        self._ready = asyncio.Event()
        self._closing = False
        self._revival: asyncio.Task[None] | None = None
        self.restore: Callable[[], Awaitable[None]] | None = None  # tells the whole table; set once the engine is up

    def __repr__(self) -> str:
        return f"<{self.name} {'ready' if self._ready.is_set() else 'away'}>"

    async def start(self) -> None:
        """Connect to a running process or start one. Raises: Unavailable when that does not work in time."""
        try:
            await self._connect()
            return
        except LandbridgeError:
            self._spawn()
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                await self._connect()
                return
            except LandbridgeError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(PAUSE)

    async def _connect(self) -> None:
        self._client = await self._reach(self._lost)
        self._ready.set()

    def _lost(self) -> None:
        """The connection broke: the process died or was taken over."""
        self._ready.clear()
        self._client = None
        if not self._closing and self._revival is None:
            log.warning("the %s is gone; starting it again", self.name)
            self._revival = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        """Until it is there and knows everything: without it nothing can be started, so nothing is given up."""
        pause = PAUSE
        try:
            while not self._closing:
                try:
                    await self.start()
                    if self.restore is not None:
                        await self.restore()
                    if self._client is not None:  # it may have gone again meanwhile
                        return
                except Exception as error:
                    log.error("the %s cannot be started: %s", self.name, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._revival = None

    async def client(self) -> Client:
        """The connected client. Raises: Unavailable when it does not come back in time."""
        if self._client is None:
            if asyncio.current_task() is self._revival:
                raise Unavailable(f"the {self.name} is gone again")  # nobody else brings it back
            try:
                await asyncio.wait_for(self._ready.wait(), self._patience)
            except TimeoutError:
                raise Unavailable(f"the {self.name} does not answer") from None
        assert self._client is not None
        return self._client

    async def close(self, *, quit: bool) -> None:
        """Let go; with `quit` the process ends too."""
        self._closing = True
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.gather(self._revival, return_exceptions=True)
        if self._client is not None:
            client = self._client
            if quit:
                try:
                    await client.quit()
                except LandbridgeError as error:
                    log.warning("the %s did not say goodbye: %s", self.name, error)
            await client.close()


class ResolverClient(Client, Protocol):
    async def apply(self, changes: Sequence[Change]) -> None: ...
    async def replace(
        self, networks: Sequence[NetworkNames], records: Sequence[NameRecord], askers: Sequence[Asker]
    ) -> object: ...


class ProxyClient(Client, Protocol):
    async def hold(self, holds: Sequence[Hold]) -> None: ...
    async def release(self, keys: Sequence[str]) -> None: ...
    async def replace(self, holds: Sequence[Hold]) -> Mapping[str, str]: ...


class ResolverLink:
    """Satisfies `effects.Resolver` over a companion; a call cut off by a crash is made once more."""

    def __init__(self, companion: Companion) -> None:
        self.companion = companion

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._twice(lambda client: client.apply(changes))

    async def replace(
        self, networks: Sequence[NetworkNames], records: Sequence[NameRecord], askers: Sequence[Asker]
    ) -> None:
        await self._twice(lambda client: client.replace(networks, records, askers))

    async def _twice(self, call: Callable[[ResolverClient], Awaitable[object]]) -> None:
        try:
            await call(await self.companion.client())  # type: ignore[arg-type]
        except Unavailable:
            await call(await self.companion.client())  # type: ignore[arg-type]


class ProxyLink:
    """Satisfies `effects.Proxy` over a companion; a call cut off by a crash is made once more."""

    def __init__(self, companion: Companion) -> None:
        self.companion = companion

    async def hold(self, holds: Sequence[Hold]) -> None:
        await self._twice(lambda client: client.hold(holds))

    async def release(self, keys: Sequence[str]) -> None:
        await self._twice(lambda client: client.release(keys))

    async def replace(self, holds: Sequence[Hold]) -> Mapping[str, str]:
        found = await self._twice(lambda client: client.replace(holds))
        return found if isinstance(found, Mapping) else {}

    async def _twice(self, call: Callable[[ProxyClient], Awaitable[object]]) -> object:
        try:
            return await call(await self.companion.client())  # type: ignore[arg-type]
        except Unavailable:
            return await call(await self.companion.client())  # type: ignore[arg-type]
