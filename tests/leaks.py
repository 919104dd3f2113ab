"""What a test may leave behind: nothing. Snapshots before and after, and their difference in words.

Looked at are this process' own things (tasks, threads, descriptors, children, its network namespace) and, for
tests that touch the kernel, whatever carries one of the run's *marks*: links, nft tables, mounts, names under
/run/netns and processes that were adopted by init. Other runs work on the same machine at the same time, so a
thing without our mark is never ours to complain about; a thing with it always is.

A unit test pays about a tenth of a millisecond. A difference is given time to vanish before it counts: the
kernel takes a namespace down some 40 ms after it was closed.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from pathlib import Path

from landbridge.model.world import Instance
from landbridge.system.netlink import Netlink
from landbridge.system.netns import current
from landbridge.system.nft import Nft

MARK_VARIABLE = "LANDBRIDGE_TEST_RUN"  # in the environment of everything a test starts
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Each field is a set of descriptions; a leak is a description that was not there before."""

    tasks: frozenset[str] = frozenset()
    threads: frozenset[str] = frozenset()
    fds: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    namespace: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    mounts: frozenset[str] = frozenset()
    pins: frozenset[str] = frozenset()
    processes: frozenset[str] = frozenset()

    def new_since(self, before: "Snapshot") -> list[str]:
        """One line for everything that is here and was not there."""
        return [
            f"{part.name}: {found}"
            for part in fields(self)
            for found in sorted(getattr(self, part.name) - getattr(before, part.name))
        ]


@dataclass(slots=True)
class Watch:
    """What a run looks for, and what one test was allowed to keep, with the reason."""

    marks: set[str]
    forgiven: dict[str, str] = field(default_factory=dict)

    def add_instance(self, instance: Instance) -> None:
        """Look for what a daemon's instance makes, too, from the next snapshot on.

        By whole prefixes: its four digits alone stand in every hundredth container id of somebody else.
        """
        self.marks |= {instance.table, instance.cgroup, instance.bridge_prefix, instance.veth_prefix}

    def forgive(self, kind: str, *, because: str) -> None:
        """Let this test keep new things of `kind` (a field of `Snapshot`)."""
        assert kind in Snapshot.__dataclass_fields__, kind
        assert because, "a leak is forgiven for a reason"
        self.forgiven[kind] = because


def take(marks: Collection[str], *, kernel: bool) -> Snapshot:
    """What is there now; `kernel` adds what can be left behind outside this process."""
    own = {
        "tasks": _tasks(),
        "threads": _threads(),
        "fds": _fds(),
        "children": _children(),
        "namespace": frozenset([str(current())]),
    }
    if not kernel:
        return Snapshot(**own)
    return Snapshot(
        **own,
        links=_links(marks),
        tables=_tables(marks),
        mounts=_mounts(marks),
        pins=_pins(marks),
        processes=_processes(marks),
    )


def settled(before: Snapshot, again: Callable[[], Snapshot], forgiven: Collection[str] = ()) -> list[str]:
    """The leaks since `before` that do not go away, as lines; empty is what a test wants."""
    deadline = time.monotonic() + _PATIENCE
    pause = 0.002
    while True:
        found = [line for line in again().new_since(before) if line.partition(":")[0] not in forgiven]
        if not found or time.monotonic() > deadline:
            return found
        gc.collect()  # a descriptor in a reference cycle is untidy, not leaked
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def _tasks() -> frozenset[str]:
    # Tasks outlive their loop when nobody awaited them; only these private sets know them (3.11; 3.12 on).
    known = getattr(asyncio.tasks, "_all_tasks", None) or getattr(asyncio.tasks, "_scheduled_tasks", ())
    return frozenset(repr(task) for task in list(known) if not task.done())


def _threads() -> frozenset[str]:
    return frozenset(f"{thread.name} ({thread.ident})" for thread in threading.enumerate())


def _fds() -> frozenset[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} -> {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            pass  # the descriptor of this very listing
    return frozenset(found)


def _children() -> frozenset[str]:
    found: set[str] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            found.update(Path(f"/proc/self/task/{task}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread that ended meanwhile, or a kernel without CONFIG_PROC_CHILDREN
    return frozenset(found)


def _marked(names: Collection[str], marks: Collection[str]) -> frozenset[str]:
    return frozenset(name for name in names if any(mark in name for mark in marks))


def _links(marks: Collection[str]) -> frozenset[str]:
    with Netlink() as host:
        return _marked([fact.name for fact in host.links()], marks)


def _tables(marks: Collection[str]) -> frozenset[str]:
    with Nft() as nft:
        return _marked([" ".join(table) for table in nft.tables()], marks)


def _mounts(marks: Collection[str]) -> frozenset[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return _marked([line.split()[4] for line in lines], marks)


def _pins(marks: Collection[str]) -> frozenset[str]:
    try:
        return _marked(os.listdir("/run/netns"), marks)
    except FileNotFoundError:
        return frozenset()


def _processes(marks: Collection[str]) -> frozenset[str]:
    """Processes of this run that are no longer its children: they carry a mark in environment or arguments."""
    wanted = [mark.encode() for mark in marks]
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            arguments = Path(f"/proc/{name}/cmdline").read_bytes()
            text = arguments + Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or not ours to read
        if any(mark in text for mark in wanted):
            found.add(f"{name} {arguments.replace(bytes(1), b' ').decode(errors='replace')[:100]}")
    return frozenset(found)
