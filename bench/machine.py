"""Machines to measure on: a host's network namespace with a machine "outside" on a wire; facts about the real one."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import HOST4, OUTSIDE4

NETNS = "/run/netns/"


@dataclass(frozen=True, slots=True)
class Machine:
    """Paths of two network namespaces; the wire between them has HOST4 and OUTSIDE4."""

    host: str
    outside: str

    def on_host(self, *argv: str) -> list[str]:
        """The command that runs `argv` on the host."""
        return ["nsenter", f"--net={self.host}", *argv]

    def on_outside(self, *argv: str) -> list[str]:
        """The command that runs `argv` on the machine outside."""
        return ["nsenter", f"--net={self.outside}", *argv]


def inside(process: int) -> str:
    """The network namespace of a process."""
    return f"/proc/{process}/ns/net"


def run(argv: Sequence[str], timeout: float = 60, stdin: Path | None = None) -> str:
    """What the command printed; RuntimeError with its words when it failed or took too long."""
    with open(stdin or "/dev/null", "rb") as source:
        try:
            done = subprocess.run(argv, stdin=source, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(argv)[:160]}: not done after {timeout:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)[:160]}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout.strip()


def ip(words: str, namespace: str = "") -> None:
    """One command of iproute2, in a namespace when its path is given."""
    run([*(["nsenter", f"--net={namespace}"] if namespace else []), "ip", *words.split()])


def make_machine(tag: str) -> Machine:
    """Two namespaces of our own and the wire."""
    machine = Machine(f"{NETNS}{tag}-host", f"{NETNS}{tag}-out")
    for name in (f"{tag}-host", f"{tag}-out"):
        ip(f"netns add {name}")
        ip(f"-n {name} link set lo up")
    ip(f"link add up0 netns {tag}-host type veth peer name wire0 netns {tag}-out")
    _address(machine, "up0")
    ip(f"route add default via {OUTSIDE4}", machine.host)
    return machine


def attach_machine(tag: str, process: int) -> Machine:
    """A machine outside, wired to the namespace in which a peer of somebody else's already runs."""
    machine = Machine(inside(process), f"{NETNS}{tag}-out")
    ip(f"netns add {tag}-out")
    ip(f"-n {tag}-out link set lo up")
    ip(f"link add {tag} type veth peer name wire0 netns {tag}-out", machine.host)
    _address(machine, tag)
    return machine


def remove_machine(tag: str) -> None:
    """Take the namespaces away, and with them the wire. Twice is fine."""
    for name in (f"{tag}-host", f"{tag}-out"):
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def prepare_outside(machine: Machine) -> None:
    """Room for many short connections: every port may be a client's."""
    run(machine.on_outside("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535"))


def _address(machine: Machine, link: str) -> None:
    for namespace, name, address in ((machine.host, link, HOST4), (machine.outside, "wire0", OUTSIDE4)):
        ip(f"addr add {address}/24 dev {name}", namespace)
        ip(f"link set {name} up", namespace)


def facts() -> dict[str, str]:
    """The machine in a few lines."""
    model = _field("/proc/cpuinfo", "model name", ":") or platform.machine()
    memory = int(_field("/proc/meminfo", "MemTotal", ":").split()[0]) // 1024
    load = Path("/proc/loadavg").read_text().split()[0]
    return {
        "machine": f"{os.cpu_count()} cores ({model}), {memory:,} MB, load before {load}",
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
    }


def _field(path: str, name: str, separator: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip()
    return ""
