"""A reboot of the lab's host, as far as an engine can tell: nothing that ran, was mounted or networked is left."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from lab import Lab
from patience import until

from landbridge.model.world import Instance


def reboot(lab: Lab) -> None:
    """Power off, power on, the engine starts. What is on disk stays."""
    lab.stop_daemon(signal.SIGKILL)
    instance = Instance.of(str(lab.data_root))
    until(lambda: _kill(lab, instance), 0)
    for point in _mounts_below(str(lab.directory)):
        subprocess.run(["umount", "-l", point], check=True)
    shutil.rmtree(lab.exec_root)
    for line in lab.host("ip", "-o", "link").out.splitlines():
        name = line.split()[1].rstrip(":").partition("@")[0]
        if instance.owns_link(name):
            lab.host("ip", "link", "del", name)
    lab.host("nft", "delete", "table", "inet", instance.table)
    lab.start_daemon()


def _kill(lab: Lab, instance: Instance) -> int:
    """Everything this engine started, companions included: how many were still there."""
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            mine = f"{instance.cgroup}/" in Path("/proc", name, "cgroup").read_text()
            mine = mine or str(lab.exec_root) in Path("/proc", name, "cmdline").read_text()
            dead = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue  # gone meanwhile
        if mine and not dead:
            found += 1
            os.kill(int(name), signal.SIGKILL)
    return found


def _mounts_below(directory: str) -> list[str]:
    """Deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [one for one in reversed(points) if one.startswith(f"{directory}/")]
