"""A container's standard streams for clients: attach, past output, terminal size."""

from collections.abc import AsyncIterator

from landbridge.engine.effects import LogEntry, Logs, Runtime
from landbridge.engine.hub import Hub, Session
from landbridge.engine.launch import Launch
from landbridge.engine.state import State
from landbridge.errors import Conflict, Invalid
from landbridge.model.container import Container, Phase


class Streams:
    """Attach and logs."""

    def __init__(self, state: State, runtime: Runtime, hub: Hub, launch: Launch, logs: Logs) -> None:
        self.state = state
        self.runtime = runtime
        self.hub = hub
        self.launch = launch
        self._logs = logs

    async def attach(self, text: str) -> tuple[Container, Session]:
        """A session on a container's streams; on one that does not run yet it waits for the start.

        The caller closes the session. Raises: NotFound, Conflict when paused or restarting.
        """
        container = self.state.container(text)
        if container.state.phase is Phase.PAUSED:
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.state.phase is Phase.RESTARTING:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        if container.state.running:
            return container, await self.hub.join(container.id)
        return container, self.hub.expect(container.id)

    def resize(self, text: str, *, rows: int, columns: int) -> None:
        """Terminal size. Raises: NotFound, Conflict when it does not run."""
        container = self.state.container(text)
        if not container.state.running:
            raise Conflict(f"cannot resize a stopped container: container {container.id} is not running")
        self.runtime.resize(container.id, rows=rows, columns=columns)

    def logs(
        self, text: str, *, since: int = 0, until: int = 0, tail: int | None = None, follow: bool = False
    ) -> AsyncIterator[LogEntry]:
        """Past output, then, with `follow`, what comes until the container ends. Times in nanoseconds.

        Raises: NotFound, Invalid when the container keeps no log.
        """
        container = self.state.container(text)
        if container.host.log_config.type == "none":
            raise Invalid("configured logging driver does not support reading")

        def running() -> bool:
            current = self.state.containers.get(container.id)
            return current is not None and (current.state.running or current.state.phase is Phase.RESTARTING)

        path = self.launch.log_path(container.id)
        return self._logs.read(path, since=since, until=until, tail=tail, follow=running if follow else None)
