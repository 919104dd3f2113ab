"""Consumption of containers and of the machine, and the host's ``ps``."""

import os
import subprocess
from collections.abc import Sequence

from landbridge.errors import Internal, LandbridgeError
from landbridge.model.link import LinkCounters
from landbridge.model.process import Stats
from landbridge.system import cgroups
from landbridge.system.netlink import Netlink

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PS_SECONDS = 10.0


class HostMeter:
    """Satisfies `engine.effects_usage.Meter`. Blocking."""

    def __init__(self) -> None:
        self._cgroups = cgroups.detect()

    def sample(self, cgroup: str) -> Stats:
        """As `cgroups.Cgroups.sample`."""
        return self._cgroups.sample(cgroup)

    def pids(self, cgroup: str) -> tuple[int, ...]:
        """Processes of a cgroup and the groups below it."""
        return self._cgroups.pids(cgroup)

    def counters(self, namespace: str) -> tuple[LinkCounters, ...]:
        """Of every link in a namespace; empty when it is gone."""
        try:
            with Netlink.inside(namespace) as netlink:
                return netlink.counters()
        except LandbridgeError:
            return ()

    def host_cpu(self) -> int:
        """CPU time of the machine since its start, idle time included, in nanoseconds (proc(5), /proc/stat)."""
        with open("/proc/stat") as file:
            words = file.readline().split()
        # Guest times (the last two) are part of user and nice already.
        return sum(int(word) for word in words[1:9]) * _TICK_NS

    def processes(self, arguments: Sequence[str]) -> str:
        """What ``ps`` prints. Raises: Internal with its own words."""
        try:
            done = subprocess.run(
                ("ps", *arguments), capture_output=True, timeout=_PS_SECONDS, check=False, close_fds=True
            )
        except FileNotFoundError:
            raise Internal("error running ps: it is not installed on this host") from None
        except subprocess.TimeoutExpired:
            raise Internal("error running ps: it did not end") from None
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
            raise Internal(f"ps: {words.splitlines()[0]}")
        return done.stdout.decode(errors="replace")
