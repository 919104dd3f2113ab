"""What usage and contents of containers need from the machine, as Protocols. `system` satisfies them.

All methods block for milliseconds and more; they are called from a worker thread.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from landbridge.model.layer import Change
from landbridge.model.link import LinkCounters
from landbridge.model.process import Stats


class Meter(Protocol):
    """Consumption as the kernel counts it."""

    def sample(self, cgroup: str) -> Stats:
        """All zero when the cgroup is gone."""
        ...

    def pids(self, cgroup: str) -> tuple[int, ...]: ...
    def counters(self, namespace: str) -> tuple[LinkCounters, ...]:
        """Of every link in a namespace, by its path; empty when the namespace is gone."""
        ...

    def host_cpu(self) -> int:
        """CPU time of the whole machine since its start, idle time included, in nanoseconds."""
        ...

    def processes(self, arguments: Sequence[str]) -> str:
        """What the host's ``ps`` prints. Raises: Internal with its own words when it fails."""
        ...


class Trees(Protocol):
    """Looking into and packing file systems."""

    def changes(self, upper: str, lowers: Sequence[str]) -> tuple[Change, ...]: ...
    def pack(self, root: str) -> Iterator[bytes]: ...
    def size(self, path: str) -> int: ...
