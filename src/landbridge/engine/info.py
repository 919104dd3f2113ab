"""What the engine knows about itself and its host: the source of ``version`` and ``info``.

Values only; how they are shown is the API's. What never changes is read once.
"""

import asyncio
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from landbridge.engine.apply import Apply
from landbridge.engine.state import State
from landbridge.images.images import Images
from landbridge.model.container import Phase
from landbridge.model.process import RuntimeChoice
from landbridge.model.settings import Settings
from landbridge.network.ipam import DEFAULT_POOLS

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class Host(Protocol):
    """What the daemon found out about its host at start."""

    @property
    def cpus(self) -> int: ...
    @property
    def memory(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Containers by what they do."""

    all: int
    running: int
    paused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look at engine and host. `time` in nanoseconds since the epoch, `memory` in bytes."""

    id: str
    settings: Settings
    table: str
    containers: Counts
    images: int
    kernel: str
    os_name: str
    os_version: str
    architecture: str
    go_architecture: str
    hostname: str
    cpus: int
    memory: int
    cgroup_version: int
    forwarding: bool
    descriptors: int
    tasks: int
    time: int
    runtimes: tuple[str, ...]
    runtime_path: str
    runtime_version: str
    runtime_reason: str
    security: tuple[str, ...]
    address_pools: tuple[tuple[str, int], ...]
    python: str
    commit: str = ""
    built: str = ""


class Info:
    """Collects `Facts`."""

    def __init__(
        self, *, settings: Settings, state: State, images: Images, choice: RuntimeChoice, host: Host, apply: Apply
    ) -> None:
        self._settings = settings
        self._state = state
        self._images = images
        self._choice = choice
        self._host = host
        self._apply = apply
        self._os = _os_release()

    def facts(self) -> Facts:
        """As things are now."""
        machine = os.uname()
        name = self._os.get("PRETTY_NAME", "Linux")
        pools = self._settings.address_pools or tuple((str(pool.base), pool.size) for pool in DEFAULT_POOLS)
        return Facts(
            id=self._state.store.get_meta("id"),
            settings=self._settings,
            table=self._state.instance.table,
            containers=self._counts(),
            images=len(self._images.list()),
            kernel=machine.release,
            os_name=name,
            os_version=self._os.get("VERSION_ID", ""),
            architecture=machine.machine,
            go_architecture=_GO_ARCHITECTURES.get(machine.machine, machine.machine),
            hostname=machine.nodename,
            cpus=self._host.cpus,
            memory=self._host.memory,
            cgroup_version=_cgroup_version(),
            forwarding=self._apply.kernel.read_sysctl("net/ipv4/ip_forward") == "1",
            descriptors=len(os.listdir("/proc/self/fd")),
            tasks=len(asyncio.all_tasks()),
            time=time.time_ns(),
            runtimes=self._choice.names,
            runtime_path=self._choice.path,
            runtime_version=self._choice.version,
            runtime_reason=self._choice.reason,
            security=("name=seccomp,profile=builtin",),
            address_pools=tuple(pools),
            python=platform.python_version(),
        )

    def _counts(self) -> Counts:
        phases = [one.state.phase for one in self._state.containers]
        return Counts(
            all=len(phases),
            running=sum(phase in (Phase.RUNNING, Phase.RESTARTING) for phase in phases),
            paused=phases.count(Phase.PAUSED),
        )


def _os_release() -> Mapping[str, str]:
    """The distribution's description (os-release(5)); empty when it has none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _cgroup_version() -> int:
    """2 when the unified hierarchy is all there is."""
    return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1
