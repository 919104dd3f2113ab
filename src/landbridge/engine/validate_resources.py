"""Limits of a container: what the host can give, what contradicts what, what Docker completes. Pure."""

import re
from dataclasses import dataclass, replace

from landbridge.errors import Invalid
from landbridge.model.config import HostConfig, Ulimit

_MEGABYTE = 1024 * 1024
MINIMUM_MEMORY = 6 * _MEGABYTE  # Docker: less is not enough to start runc in

_ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_PERIOD = range(1000, 1_000_001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The machine as far as requests are measured against it.

    `runtimes`: names that may be asked for, the default first. `cpuset` and `mems` are lists as in
    ``0-3,6``; empty: the first `cpus` CPUs, the first memory node.
    """

    cpus: int
    memory: int = 0
    runtimes: tuple[str, ...] = ("runc",)
    cgroup_version: int = 2
    cpuset: str = ""
    mems: str = ""
    blkio_weight: bool = True


def check_resources(host: HostConfig, facts: Facts) -> tuple[HostConfig, tuple[str, ...]]:
    """The limits as Docker keeps them, and its warnings. Raises: Invalid."""
    host, warnings = _memory(host, facts)
    _check_cpu(host, facts)
    _check_set(host.cpuset_cpus, "cpus", "CPUs", facts.cpuset or _first(facts.cpus))
    _check_set(host.cpuset_mems, "mems", "memory nodes", facts.mems or "0")
    host, words = _block_io(host, facts)
    warnings += words
    if host.cpu_percent:
        warnings.append("linux does not support CPU percent. Percent discarded.")
        host = replace(host, cpu_percent=0)
    if host.io_maximum_iops or host.io_maximum_bandwidth:
        what = "IOPs" if host.io_maximum_iops else "bandwidth"
        raise Invalid(f"Invalid QoS settings: linux does not support configuration of maximum {what}")
    for ulimit in host.ulimits or ():
        _check_ulimit(ulimit)
    if not -1000 <= host.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.pids_limit is not None and host.pids_limit <= 0:
        host = replace(host, pids_limit=None)
    return replace(host, kernel_memory=0), tuple(warnings)


def _memory(host: HostConfig, facts: Facts) -> tuple[HostConfig, list[str]]:
    memory, swap, reserved = host.memory, host.memory_swap, host.memory_reservation
    if memory and memory < MINIMUM_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    if memory > 0 and 0 < swap < memory:
        raise Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
    if reserved and reserved < MINIMUM_MEMORY:
        raise Invalid("Minimum memory reservation allowed is 6MB")
    if memory > 0 and reserved > memory:
        raise Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
    if memory > 0 and swap == 0:
        swap = 2 * memory
    warnings: list[str] = []
    swappiness = host.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise Invalid(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if swappiness == -1:
        swappiness = None
    if swappiness is not None and facts.cgroup_version == 2:
        swappiness = None
        warnings.append(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted."
            " Memory swappiness discarded."
        )
    disable: bool | None = host.oom_kill_disable or False
    if facts.cgroup_version == 2:
        if disable:
            warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        disable = None
    elif disable and not memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system"
            " running out of resources."
        )
    return replace(host, memory_swap=swap, memory_swappiness=swappiness, oom_kill_disable=disable), warnings


def _check_cpu(host: HostConfig, facts: Facts) -> None:
    if host.nano_cpus:
        for value, name in ((host.cpu_period, "Period"), (host.cpu_quota, "Quota")):
            if value > 0:
                raise Invalid(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
        if not 0 < host.nano_cpus <= facts.cpus * 1_000_000_000:
            raise Invalid(
                f"Range of CPUs is from 0.01 to {facts.cpus}.00, as there are only {facts.cpus} CPUs available"
            )
    if host.cpu_period and host.cpu_period not in _PERIOD:
        raise Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < _PERIOD.start:
        raise Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host.cpu_shares < 0:
        raise Invalid("shares: invalid argument")
    if (host.cpu_realtime_period or host.cpu_realtime_runtime) and facts.cgroup_version == 2:
        raise Invalid("Your kernel does not support CPU real-time scheduler")


def _first(count: int) -> str:
    return f"0-{count - 1}" if count > 1 else "0"


def _check_set(text: str, field: str, name: str, available: str) -> None:
    if not text:
        return
    wanted = _parse_set(text)
    if wanted is None:
        raise Invalid(f"Invalid value {text} for cpuset {field}: invalid format: {text}")
    if not wanted <= (_parse_set(available) or set()):
        raise Invalid(f"Requested {name} are not available - requested {text}, available: {available}")


def _parse_set(text: str) -> set[int] | None:
    """``0-2,5`` → numbers; None when it is no such list. Numbers are bounded so that a range cannot eat memory."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part.strip())
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            return None
        found |= set(range(first, last + 1))
    return found


def _block_io(host: HostConfig, facts: Facts) -> tuple[HostConfig, list[str]]:
    warnings: list[str] = []
    if not facts.blkio_weight:
        reason = "or the cgroup is not mounted."
        if host.blkio_weight:
            warnings.append(f"Your kernel does not support Block I/O weight {reason} Weight discarded.")
        if host.blkio_weight_device:
            warnings.append(f"Your kernel does not support Block I/O weight_device {reason} Weight-device discarded.")
        return replace(host, blkio_weight=0, blkio_weight_device=() if host.blkio_weight_device else
                       host.blkio_weight_device), warnings
    weights = (host.blkio_weight, *(device.weight for device in host.blkio_weight_device or ()))
    if any(weight and not 10 <= weight <= 1000 for weight in weights):
        raise Invalid("Range of blkio weight is from 10 to 1000")
    return host, warnings


def _check_ulimit(ulimit: Ulimit) -> None:
    if ulimit.name not in _ULIMITS:
        raise Invalid(f"invalid ulimit type: {ulimit.name}")
    text = "ulimit soft limit must be less than or equal to hard limit"
    if ulimit.hard == -1:
        return
    if ulimit.soft == -1:
        raise Invalid(f"{text}: soft: -1 (unlimited), hard: {ulimit.hard}")
    if ulimit.soft > ulimit.hard:
        raise Invalid(f"{text}: {ulimit.soft} > {ulimit.hard}")
