"""A container the engine keeps, and the table of phases it may go through.

All state logic of a container's life is in `TRANSITIONS`; the rest of the engine asks `advance` and never
compares phases to decide what may follow. The diagram in docs/ is drawn from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from landbridge.errors import Conflict
from landbridge.model.config import Config, EndpointConfig, HostConfig


class Phase(StrEnum):
    """Docker's words for ``State.Status``."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"


class Act(StrEnum):
    """What can happen to a container."""

    START = "start"
    EXIT = "exit"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    BACK_OFF = "back off"  # exited, will be started again by its restart policy
    REMOVE = "remove"
    FAIL_REMOVE = "fail to remove"


TRANSITIONS: Mapping[Phase, Mapping[Act, Phase]] = {
    Phase.CREATED: {Act.START: Phase.RUNNING, Act.REMOVE: Phase.REMOVING},
    Phase.RUNNING: {Act.EXIT: Phase.EXITED, Act.PAUSE: Phase.PAUSED, Act.BACK_OFF: Phase.RESTARTING},
    Phase.PAUSED: {Act.EXIT: Phase.EXITED, Act.UNPAUSE: Phase.RUNNING, Act.BACK_OFF: Phase.RESTARTING},
    Phase.RESTARTING: {Act.START: Phase.RUNNING, Act.EXIT: Phase.EXITED, Act.REMOVE: Phase.REMOVING},
    Phase.EXITED: {Act.START: Phase.RUNNING, Act.REMOVE: Phase.REMOVING, Act.BACK_OFF: Phase.RESTARTING},
    Phase.REMOVING: {Act.FAIL_REMOVE: Phase.DEAD},
    Phase.DEAD: {Act.REMOVE: Phase.REMOVING},
}


def advance(phase: Phase, act: Act) -> Phase:
    """The phase after `act`. Raises: Conflict when the table has no such step."""
    try:
        return TRANSITIONS[phase][act]
    except KeyError:
        raise Conflict(f"cannot {act.value} a container that is {phase.value}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """A mount as the container has it. `type` bind, volume or tmpfs; `source` is a host path.

    `create_source`: a missing source becomes a directory at start. `subpath` is within the volume. Of a bind,
    `options` has ``bind`` when it is not recursive and ``ro`` when only the top of it is read-only.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()
    copy_up: bool = False
    create_source: bool = False
    subpath: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProbe:
    """One run of a health check; times in nanoseconds since the epoch."""

    start: int
    end: int
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`status` is ``starting``, ``healthy`` or ``unhealthy``; the last five probes."""

    status: str
    failing_streak: int = 0
    log: tuple[HealthProbe, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Times are nanoseconds since the epoch, 0 for never.

    `stack_of` is the container whose network stack the process has (its own id, or the owner of the one joined);
    whom a later start would join may be somebody else.
    """

    phase: Phase = Phase.CREATED
    pid: int = 0
    conmon_pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    health: Health | None = None
    stack_of: str = ""

    @property
    def running(self) -> bool:
        """True while there is a process, paused or not."""
        return self.phase in (Phase.RUNNING, Phase.PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """``--link`` on the default bridge: `target` is an id, `name` what it was called then."""

    target: str
    name: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container. `created` is in nanoseconds since the epoch.

    `image` is the image id (``sha256:…``), `config.image` the reference as typed. `path` and `args` are the
    process after entrypoint and command were joined. `endpoints` are the attachments asked for, in order;
    `sticky_ports` maps "port/proto|host ip" to the dynamic host port once given, so that a restart keeps it.
    `joined_name` is the name of the container joined by ``container:``, so that a re-created one is found again.
    """

    id: str
    name: str
    created: int
    image: str
    path: str
    args: tuple[str, ...]
    config: Config
    host: HostConfig
    state: State = State()
    endpoints: tuple[EndpointConfig, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    sticky_ports: Mapping[str, int] = field(default_factory=dict)
    joined_name: str = ""
    links: tuple[Link, ...] = ()

    @property
    def joins(self) -> str:
        """The container whose network stack this one shares, as written after ``container:``; else empty."""
        mode = self.host.network_mode
        return mode.removeprefix("container:") if mode.startswith("container:") else ""
