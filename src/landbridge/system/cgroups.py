"""Control groups of containers: what they use, who is in them, freezing, removal. Version 1, 2 and the mix.

A cgroup is named by its path below each hierarchy's root (``/landbridge/<id>``), the same everywhere. The runtime
makes the groups and sets limits; this module reads, freezes, lifts limits and removes. Readers forgive what is
missing, since a container may end at any moment.
"""

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from landbridge.errors import Internal
from landbridge.model.process import BlkioEntry, Stats

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_UNLIMITED = 1 << 60  # v1 has no word for it: the largest number of pages
_FREEZE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where the hierarchies are mounted: `v1` controller (or ``name=…``) → directory, `unified` the v2 root or None.

    `usual` is where others expect the hierarchies, by controller.
    """

    v1: dict[str, Path]
    unified: Path | None
    usual: Path = Path("/sys/fs/cgroup")

    @property
    def version(self) -> int:
        """1 as soon as resources are controlled by any v1 hierarchy (Docker's reading of the mixed set-up)."""
        return 1 if self.v1 else 2

    def freeze_file(self, cgroup: str) -> tuple[Path, str, str]:
        """The file that freezes `cgroup`, what freezes and what thaws."""
        if "freezer" in self.v1:
            return _below(self.v1["freezer"], cgroup) / "freezer.state", "FROZEN", "THAWED"
        return self._v2(cgroup) / "cgroup.freeze", "1", "0"

    async def freeze(self, cgroup: str) -> None:
        """Stop every process until `thaw`; returns when all have stopped. Raises: Internal."""
        path, frozen, thawed = self.freeze_file(cgroup)
        _write(path, frozen)
        delay, waited = 0.001, 0.0
        while not self.frozen(cgroup):
            if waited > _FREEZE_SECONDS:
                _write(path, thawed)
                raise Internal(f"cgroup {cgroup} does not freeze")
            await asyncio.sleep(delay)
            waited += delay
            delay = min(2 * delay, 0.05)
            if frozen == "FROZEN":
                _write(path, frozen)  # v1 skips a process that was being traced or forking; asking again helps

    async def thaw(self, cgroup: str) -> None:
        """Let every process go on. Raises: Internal."""
        path, _, thawed = self.freeze_file(cgroup)
        _write(path, thawed)

    def frozen(self, cgroup: str) -> bool:
        """True when all processes of `cgroup` are stopped."""
        if "freezer" in self.v1:
            return _text(_below(self.v1["freezer"], cgroup) / "freezer.state") == "FROZEN"
        return _table(self._v2(cgroup) / "cgroup.events").get("frozen") == 1

    def lift(self, cgroup: str, *, pids: bool, quota: bool) -> None:
        """Take away the limit of processes, of processor time, or both; crun cannot from a group that exists.

        Raises: Internal.
        """
        if pids:
            _write((_below(self.v1["pids"], cgroup) if "pids" in self.v1 else self._v2(cgroup)) / "pids.max", "max")
        if quota and "cpu" in self.v1:
            _write(_below(self.v1["cpu"], cgroup) / "cpu.cfs_quota_us", "-1")
        elif quota:
            _write(self._v2(cgroup) / "cpu.max", "max")

    def weighs_io(self) -> bool:
        """Whether the kernel knows weights of block devices (Docker's test)."""
        if "blkio" in self.v1:
            return (self.v1["blkio"] / "blkio.weight").exists()
        return self.unified is not None and "io" in _text(self.unified / "cgroup.controllers").split()

    def pids(self, cgroup: str) -> tuple[int, ...]:
        """Processes in `cgroup` and the groups below it, in the pid numbers of the host."""
        found = []
        for directory, _, _ in os.walk(self._any(cgroup)):
            found += [int(line) for line in _text(Path(directory) / "cgroup.procs").split()]
        return tuple(found)

    def oom_kills(self, cgroup: str) -> int:
        """How many processes of `cgroup` the kernel killed for want of memory."""
        if "memory" in self.v1:
            return _table(_below(self.v1["memory"], cgroup) / "memory.oom_control").get("oom_kill", 0)
        return _table(self._v2(cgroup) / "memory.events").get("oom_kill", 0)

    def remove(self, cgroup: str) -> None:
        """Remove `cgroup` and everything below it from every hierarchy; processes must be gone. Twice is no error."""
        if not cgroup.strip("/"):
            return  # the root is not ours to remove
        for root in {*self.v1.values(), *([self.unified] if self.unified else [])}:
            for directory, _, _ in os.walk(_below(root, cgroup), topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    pass  # gone already, or a process is still leaving: the next sweep finds it
        self._remove_litter(cgroup)

    def _remove_litter(self, cgroup: str) -> None:
        """crun looks for every controller at its usual place; a plain directory there gets plain files in it."""
        for controller, point in self.v1.items():
            usual = self.usual / controller
            if usual != point and usual.is_dir() and not os.path.ismount(usual):
                shutil.rmtree(_below(usual, cgroup), ignore_errors=True)

    def sample(self, cgroup: str) -> Stats:
        """What `cgroup` has used up to now; all zero when it is gone."""
        return self._sample_v2(self._v2(cgroup)) if self.version == 2 else self._sample_v1(cgroup)

    def _any(self, cgroup: str) -> Path:
        for name in ("pids", "freezer", "name=systemd"):
            if name in self.v1:
                return _below(self.v1[name], cgroup)
        return _below(next(iter(self.v1.values())), cgroup) if self.v1 else self._v2(cgroup)

    def _v2(self, cgroup: str) -> Path:
        return _below(self.unified or Path("/sys/fs/cgroup"), cgroup)

    def _sample_v1(self, cgroup: str) -> Stats:
        nowhere = Path("/nonexistent")
        names = ("cpu", "cpuacct", "memory", "pids", "blkio")
        place = {name: _below(self.v1.get(name, nowhere), cgroup) for name in names}
        memory, blkio = place["memory"], place["blkio"]
        ticks = _table(place["cpuacct"] / "cpuacct.stat")
        throttled = _table(place["cpu"] / "cpu.stat")
        limit = _number(memory / "memory.limit_in_bytes")
        return Stats(
            cpu_total=_number(place["cpuacct"] / "cpuacct.usage"),
            cpu_user=ticks.get("user", 0) * _TICK_NS,
            cpu_system=ticks.get("system", 0) * _TICK_NS,
            cpu_per_core=tuple(int(part) for part in _text(place["cpuacct"] / "cpuacct.usage_percpu").split()),
            throttling={
                "periods": throttled.get("nr_periods", 0),
                "throttled_periods": throttled.get("nr_throttled", 0),
                "throttled_time": throttled.get("throttled_time", 0),
            },
            memory_usage=_number(memory / "memory.usage_in_bytes"),
            memory_max_usage=_number(memory / "memory.max_usage_in_bytes"),
            memory_limit=limit if limit < _UNLIMITED else 0,
            memory_failcnt=_number(memory / "memory.failcnt"),
            memory_stats=_table(memory / "memory.stat"),
            pids=_number(place["pids"] / "pids.current"),
            pids_limit=_number(place["pids"] / "pids.max"),
            blkio_bytes=_blkio_v1(blkio / "blkio.throttle.io_service_bytes_recursive"),
            blkio_ops=_blkio_v1(blkio / "blkio.throttle.io_serviced_recursive"),
        )

    def _sample_v2(self, place: Path) -> Stats:
        cpu = _table(place / "cpu.stat")
        transferred, operations = _blkio_v2(place / "io.stat")
        return Stats(
            cpu_total=cpu.get("usage_usec", 0) * 1000,
            cpu_user=cpu.get("user_usec", 0) * 1000,
            cpu_system=cpu.get("system_usec", 0) * 1000,
            throttling={
                "periods": cpu.get("nr_periods", 0),
                "throttled_periods": cpu.get("nr_throttled", 0),
                "throttled_time": cpu.get("throttled_usec", 0) * 1000,
            },
            memory_usage=_number(place / "memory.current"),
            memory_max_usage=_number(place / "memory.peak"),
            memory_limit=_number(place / "memory.max"),
            memory_failcnt=_table(place / "memory.events").get("oom", 0),
            memory_stats=_table(place / "memory.stat"),
            pids=_number(place / "pids.current"),
            pids_limit=_number(place / "pids.max"),
            blkio_bytes=transferred,
            blkio_ops=operations,
        )


def detect() -> Cgroups:
    """The hierarchies as mounted now, from /proc/self/mountinfo (proc(5))."""
    v1: dict[str, Path] = {}
    unified = None
    with open("/proc/self/mountinfo") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split()[:3]
            # A bind of a part of a hierarchy (a container's own view) is not its root.
            root, point = before.split()[3:5]
            if kind == "cgroup2" and (unified is None or root == "/"):
                unified = Path(point)
            elif kind == "cgroup":
                for option in options.split(","):
                    if option not in ("rw", "ro", "xattr", "noprefix", "clone_children"):
                        v1.setdefault(option, Path(point))
    # A named hierarchy alone controls nothing: that is still a version 2 system.
    return Cgroups(v1 if any("=" not in name for name in v1) else {}, unified)


def _below(root: Path, cgroup: str) -> Path:
    return root / cgroup.lstrip("/")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as problem:
        raise Internal(f"cannot write {path}: {problem.strerror}") from problem


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # the controller is not there, or the container has ended


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0  # "max" is no limit


def _table(path: Path) -> dict[str, int]:
    found = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def _blkio_v1(path: Path) -> tuple[BlkioEntry, ...]:
    found = []
    for line in _text(path).splitlines():
        parts = line.split()
        if len(parts) == 3:
            major, _, minor = parts[0].partition(":")
            found.append(BlkioEntry(major=int(major), minor=int(minor), op=parts[1].lower(), value=int(parts[2])))
    return tuple(found)


def _blkio_v2(path: Path) -> tuple[tuple[BlkioEntry, ...], tuple[BlkioEntry, ...]]:
    transferred: list[BlkioEntry] = []
    operations: list[BlkioEntry] = []
    for line in _text(path).splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for target, key, op in (
            (transferred, "rbytes", "read"),
            (transferred, "wbytes", "write"),
            (operations, "rios", "read"),
            (operations, "wios", "write"),
        ):
            if values.get(key, "").isdigit():
                target.append(BlkioEntry(major=int(major), minor=int(minor), op=op, value=int(values[key])))
    return tuple(transferred), tuple(operations)
