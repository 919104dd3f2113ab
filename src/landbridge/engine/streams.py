"""A container's standard streams for clients: attach, past output, terminal size."""

import asyncio
from collections.abc import AsyncIterator

from landbridge.engine.effects import Logs, Runtime
from landbridge.engine.hub import Hub, Session
from landbridge.engine.launch import Launch
from landbridge.engine.state import State
from landbridge.engine.waits import Waits
from landbridge.errors import Conflict, Unsupported
from landbridge.model.container import Container, Phase
from landbridge.model.process import LogEntry


class Streams:
    """Attach and logs."""

    def __init__(self, state: State, runtime: Runtime, hub: Hub, launch: Launch, logs: Logs, waits: Waits) -> None:
        self.state = state
        self.runtime = runtime
        self.hub = hub
        self.launch = launch
        self._logs = logs
        self._waits = waits

    async def attach(self, text: str) -> tuple[Container, Session]:
        """A session on a container's streams; on one that does not run yet it waits for the start.

        The caller closes the session. Raises: NotFound, Conflict when paused or restarting.
        """
        container = self.state.container(text)
        if container.state.phase is Phase.PAUSED:
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.state.phase is Phase.RESTARTING:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        ended = self._waits.future(container.id, "exit")
        if container.state.running:
            return container, await self.hub.join(container.id, ended)
        return container, self.hub.expect(container.id, ended)

    def resize(self, text: str, *, rows: int, columns: int) -> None:
        """Terminal size. Raises: NotFound, Conflict when it does not run."""
        container = self.state.container(text)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        self.runtime.resize(container.id, rows=rows, columns=columns)

    def logs(
        self, text: str, *, since: int = 0, until: int = 0, tail: int | None = None, follow: bool = False
    ) -> AsyncIterator[LogEntry]:
        """Past output, then, with `follow`, what comes until the container ends. Times in nanoseconds.

        Raises: NotFound, Unsupported when the container keeps no log.
        """
        container = self.state.container(text)
        if container.host.log_config.type == "none":
            raise Unsupported("configured logging driver does not support reading")

        path = self.launch.log_path(container.id)
        if follow and container.state.running:
            ended = self._waits.future(container.id, "exit")
            return self._logs.follow(path, ended=ended, tail=tail, since=since, until=until)
        return _replay(self._logs, path, tail, since, until)


async def _replay(logs: Logs, path: str, tail: int | None, since: int, until: int) -> AsyncIterator[LogEntry]:
    """Past entries, giving way to others now and then: a log may be large."""
    for number, entry in enumerate(logs.entries(path, tail=tail, since=since, until=until)):
        if number % 64 == 63:
            await asyncio.sleep(0)
        yield entry
