"""What an engine's processes hold and use. An engine's processes are those that live in its network namespace:
dockerd, containerd and every shim; conmon and aardvark-dns; our daemon, resolver, proxy and every conmon. So none of
its helpers can be forgotten, while the containers' own processes, in namespaces of theirs, are never counted.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def living_in(namespace: str, without: Collection[int] = ()) -> list[int]:
    """Process ids in the network namespace at that path, except `without` and ourselves."""
    wanted = os.stat(namespace).st_ino
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in without or int(entry) == os.getpid():
            continue
        try:
            if os.stat(f"/proc/{entry}/ns/net").st_ino == wanted:
                found.append(int(entry))
        except OSError:
            continue  # it has gone, or is a zombie
    return found


def memory(processes: Iterable[int]) -> tuple[float, float]:
    """(proportional, resident) megabytes. Proportional: each page divided by the number of processes that share it."""
    proportional = resident = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue  # it has gone
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name == "Pss":
                proportional += int(rest.split()[0])
            elif name == "Rss":
                resident += int(rest.split()[0])
    return proportional / 1024, resident / 1024


def cpu_seconds(processes: Iterable[int]) -> float:
    """User and system time they have used so far."""
    total = 0
    for process in processes:
        try:
            # The name may hold blanks and brackets: count from the last bracket (proc(5): utime is field 14).
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has gone
        total += int(fields[11]) + int(fields[12])
    return total / TICKS
