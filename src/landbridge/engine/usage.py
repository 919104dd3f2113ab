"""What containers consume and run: the source of ``stats`` and ``top``."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from landbridge.engine.apply import Apply
from landbridge.engine.attachments import Attachments
from landbridge.engine.effects_usage import Meter
from landbridge.engine.state import State
from landbridge.errors import Conflict, Internal, Invalid
from landbridge.model.container import Container, Phase
from landbridge.model.link import LinkCounters
from landbridge.model.process import Stats

_NO_PID = "Couldn't find PID field in ps output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A container's consumption at `time` (nanoseconds since the epoch, 0: never taken).

    `host_cpu` is the whole machine's CPU time in nanoseconds; `links` the traffic by interface name.
    """

    time: int = 0
    stats: Stats = field(default_factory=Stats)
    host_cpu: int = 0
    links: Mapping[str, LinkCounters] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessTable:
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Usage:
    """Reads the kernel's counters; keeps nothing. `memory` is the host's, the limit of containers without one."""

    def __init__(self, state: State, apply: Apply, attachments: Attachments, meter: Meter, *, memory: int) -> None:
        self.state = state
        self.apply = apply
        self.attachments = attachments
        self._meter = meter
        self._memory = memory

    async def sample(self, identity: str) -> Sample:
        """Empty for a container that does not run. Raises: NotFound."""
        container = self.state.container(identity)
        if not container.state.running:
            return Sample()
        found = await self.apply.blocking(self._sample, self.cgroup(container), self._namespace(container))
        assert isinstance(found, Sample)
        return found

    def _sample(self, cgroup: str, namespace: str) -> Sample:
        stats = self._meter.sample(cgroup)
        if not stats.memory_limit or stats.memory_limit > self._memory:
            stats = replace(stats, memory_limit=self._memory)
        links = self._meter.counters(namespace) if namespace else ()
        return Sample(
            time=time.time_ns(), stats=stats, host_cpu=self._meter.host_cpu(),
            links={link.name: link for link in links if link.name != "lo"},
        )

    def cgroup(self, container: Container) -> str:
        """The container's cgroup below the root of each hierarchy."""
        parent = container.host.cgroup_parent.rstrip("/") or self.state.instance.cgroup
        return f"{parent}/{container.id}"

    def _namespace(self, container: Container) -> str:
        """The path of the network namespace the container lives in; empty for the host's."""
        sandbox = self.state.sandbox(container.state.stack_of)
        return sandbox.path if sandbox is not None else ""

    async def top(self, text: str, arguments: str) -> ProcessTable:
        """The processes of a container as the host's ``ps`` shows them.

        Raises: NotFound, Conflict when it does not run, Invalid (arguments), Internal (``ps`` failed).
        """
        container = self.state.container(text)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        if container.state.phase is Phase.RESTARTING:
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        words = split_arguments(arguments)
        found = await self.apply.blocking(self._top, self.cgroup(container), words)
        assert isinstance(found, ProcessTable)
        return found

    def _top(self, cgroup: str, words: Sequence[str]) -> ProcessTable:
        output = self._meter.processes(words)
        return process_table(output, frozenset(self._meter.pids(cgroup)))


def split_arguments(text: str) -> tuple[str, ...]:
    """Arguments for ``ps``. Raises: Invalid for those that give the column of process ids another name (Docker)."""
    if re.search(r"\s+[^\s]*=\s*(PID[^\s]*)", f" {text}", re.IGNORECASE):
        raise Invalid(f'specifying "{text}" is not allowed')
    return tuple((text or "-ef").split())


def process_table(output: str, pids: frozenset[int]) -> ProcessTable:
    """The lines of ``ps`` about `pids`; the last column may have blanks. Raises: Internal without a PID column."""
    head, *lines = output.splitlines() or [""]
    titles = tuple(head.split())
    if "PID" not in titles:
        raise Internal(_NO_PID)
    at = titles.index("PID")
    rows = []
    for line in lines:
        cells = line.split(None, len(titles) - 1)
        if len(cells) <= at:
            continue
        if not cells[at].isdigit():
            raise Internal(f'unexpected pid "{cells[at]}"')
        if int(cells[at]) in pids:
            rows.append(tuple(cells))
    return ProcessTable(titles, tuple(rows))
