"""Reading containers' logs, with the parser of their format handed in."""

from collections.abc import AsyncIterator, Awaitable, Iterator

from landbridge.model.process import LogEntry
from landbridge.system import logfile
from landbridge.system.logfile import Parse


class ContainerLogs:
    """Satisfies `engine.effects.Logs`."""

    def __init__(self, parse: Parse) -> None:
        self._parse = parse

    def entries(self, path: str, *, tail: int | None, since: int, until: int) -> Iterator[LogEntry]:
        """As `logfile.entries`."""
        return logfile.entries(path, self._parse, tail=tail, since=since, until=until)

    def follow(
        self, path: str, *, ended: Awaitable[object], tail: int | None, since: int, until: int
    ) -> AsyncIterator[LogEntry]:
        """As `logfile.follow`."""
        return logfile.follow(path, self._parse, ended=ended, tail=tail, since=since, until=until)
