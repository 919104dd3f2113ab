"""Processes as the engine, the spec builder and the runtime speak of them.

Values only: what is asked of a runtime, what it answers, what the kernel knows about a container's user,
devices and consumption. No paths are opened and no defaults of Docker's are decided here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who a process runs as, in numbers. `groups` are supplementary; `home` is empty when no passwd line names one."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """A device node: `path` as the container shall see it, `type` ``c`` or ``b``, `mode` permission bits."""

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A container to be made up to the moment before its program runs.

    `bundle` is a directory of this container's own (made when missing) that holds config.json and the monitor's
    sockets. `log_path` empty keeps no log; at `log_size_max` bytes the monitor starts an empty one (0: never), at
    `log_turn` the log is kept as an older one of `log_files` files. `stdin` says whether input is kept
    open for attachers, `stdin_once` whether the first attacher's end of input is the program's.
    """

    id: str
    bundle: str
    spec: Mapping[str, Any]
    log_path: str = ""
    log_size_max: int = 0
    log_turn: int = 0
    log_files: int = 1
    terminal: bool = False
    stdin: bool = False
    stdin_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """`pid` is the container's first process, waiting for its start; `conmon_pid` the monitor beside it."""

    pid: int
    conmon_pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitInfo:
    """How a container ended. `code` as a shell would say it (128 + signal); time in nanoseconds since the epoch."""

    code: int
    finished_at: int
    oom_killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """A process to run inside container `container`. `process` is an OCI process object.

    `stdin` false gives it /dev/null; output that is not attached is thrown away.
    """

    container: str
    process: Mapping[str, Any]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Output of a process: `stream` is ``stdout`` or ``stderr`` (a terminal has only ``stdout``)."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One record of a container's log. `partial`: the line goes on in the stream's next record.

    `data` has its newline unless `partial`; `time` in nanoseconds since the epoch.
    """

    time: int
    stream: str
    data: bytes
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeChoice:
    """Which OCI runtime is in use and why. `mounted` is the cgroup mount made for its sake, or empty."""

    name: str
    path: str
    version: str
    reason: str
    mounted: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may call it, its own name first: there is one, and Docker's names for its one mean it too."""
        return tuple(dict.fromkeys((self.name, "runc", "io.containerd.runc.v2")))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlkioEntry:
    major: int
    minor: int
    op: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """One sample of a container's consumption. CPU in nanoseconds, memory in bytes; limits 0 when there are none."""

    cpu_total: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    cpu_per_core: tuple[int, ...] = ()
    throttling: Mapping[str, int] = field(default_factory=dict)
    memory_usage: int = 0
    memory_max_usage: int = 0
    memory_limit: int = 0
    memory_failcnt: int = 0
    memory_stats: Mapping[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    blkio_bytes: tuple[BlkioEntry, ...] = ()
    blkio_ops: tuple[BlkioEntry, ...] = ()
