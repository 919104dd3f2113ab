"""The engines, as a bench drives them: by their command line, each on a machine of its own. `peers` starts them."""

import resource
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import OUTSIDE4

from bench import processes
from bench.machine import Machine, run

LABEL = "landbridge-bench"
FILLERS = 4


class Engine:
    """One engine under measurement.

    `cli` is the command with what leads to this engine; `own` are processes of the bench on the engine's machine. By
    the label on every container `sweep` finds what a broken theme left.
    """

    run_flags: tuple[str, ...] = ("--label", LABEL)
    # How this engine is told not to wait for a container it is to remove by force.
    force: tuple[str, ...] = ("rm", "-f")
    # Where a container's names of the world are looked up.
    dns_flags: tuple[str, ...] = ("--dns", OUTSIDE4)
    # ::1 reaches a published port.
    loopback6 = True

    def __init__(self, name: str, cli: Sequence[str], machine: Machine, own: Collection[int] = ()) -> None:
        self.name, self.cli, self.machine = name, list(cli), machine
        self._not_engine = set(own)
        self.restart: Callable[[], None] | None = None
        self.version = ""

    # Commands.

    def do(self, *words: str, timeout: float = 120) -> str:
        """What the command printed; RuntimeError when it failed."""
        return run([*self.cli, *words], timeout)

    def timed(self, *words: str, timeout: float = 300) -> float:
        """Milliseconds from the start of the command to its end; RuntimeError when it failed."""
        begun = time.perf_counter()
        self.do(*words, timeout=timeout)
        return (time.perf_counter() - begun) * 1000

    def run_words(self, *flags: str) -> list[str]:
        """`run` with what this engine needs on this machine, then `flags`."""
        return ["run", *self.run_flags, *flags]

    def start(self, *flags: str) -> str:
        """A running busybox that sleeps; its id."""
        return self.do(*self.run_words("-d", *flags, "busybox", "sleep", "3600"), timeout=300).split()[-1]

    def start_many(self, flags: Sequence[Sequence[str]], deadline: float) -> list[str]:
        """Start several, a few at a time; those that were started before the deadline (time.monotonic)."""

        def one(words: Sequence[str]) -> str:
            return "" if time.monotonic() > deadline else self.start(*words)

        with ThreadPoolExecutor(FILLERS) as pool:
            return [identity for identity in pool.map(one, flags) if identity]

    def remove(self, identities: Sequence[str]) -> None:
        """Remove containers by force, a few at a time."""
        size = max(1, min(25, len(identities) // FILLERS))
        pieces = [identities[at : at + size] for at in range(0, len(identities), size)]
        with ThreadPoolExecutor(FILLERS) as pool:
            list(pool.map(lambda piece: self.do(*self.force, *piece, timeout=300), pieces))

    def process(self, identity: str) -> int:
        """The process id of a running container."""
        return int(self.do("inspect", "-f", "{{.State.Pid}}", identity))

    def address(self, identity: str, network: str) -> str:
        """A container's IPv4 address on a network."""
        words = '{{(index .NetworkSettings.Networks "%s").IPAddress}}' % network  # noqa: UP031 (braces are Go's here)
        return self.do("inspect", "-f", words, identity)

    # What it costs.

    def processes(self) -> list[int]:
        """Every process of the engine itself."""
        return processes.living_in(self.machine.host, self._not_engine)

    def memory(self) -> tuple[float, float]:
        """(proportional, resident) megabytes of all its processes."""
        return processes.memory(self.processes())

    # Its end.

    def sweep(self) -> None:
        """Remove the containers and networks that a broken theme left."""
        left = self.do("ps", "-aq", "--filter", f"label={LABEL}").split()
        if left:
            self.remove(left)
        for network in self.do("network", "ls", "--format", "{{.Name}}").split():
            if network.startswith("lbb-"):
                self.do("network", "rm", network)


class Landbridge(Engine):
    """Ours. The command is the real `docker`; `landbridge` is our own."""

    def __init__(self, cli: Sequence[str], machine: Machine, own_cli: Sequence[str]) -> None:
        super().__init__("landbridge", cli, machine)
        self.own_cli = list(own_cli)


class Docker(Engine):
    """A Docker Engine."""


class Podman(Engine):
    """Podman has no daemon: every command is the engine."""

    # `podman rm -f` first waits ten seconds for a process that ignores SIGTERM; `docker rm -f` kills at once.
    force = ("rm", "-f", "-t", "0")
    loopback6 = False
    # With --dns a container of Podman 4 asks that server only. aardvark-dns forwards to the host's: the same one.
    dns_flags = ()

    def __init__(self, cli: Sequence[str], machine: Machine, own: Collection[int]) -> None:
        super().__init__("podman", cli, machine, own)
        self.run_flags = (*Engine.run_flags, *_limits())


def load_image(engine: Engine, archive: Path) -> None:
    """Give the engine the image that every engine gets."""
    run([*engine.cli, "load", "-q"], 120, archive)


def _limits() -> tuple[str, ...]:
    """Podman asks for limits above the hard ones, which only CAP_SYS_RESOURCE may: ask for what there is instead."""
    flags: list[str] = []
    for name, kind, most in (("nofile", resource.RLIMIT_NOFILE, 1048576), ("nproc", resource.RLIMIT_NPROC, 16384)):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(hard, most)
        flags += [
            "--ulimit",
            f"{name}={min(1024, allowed)}:{allowed}" if name == "nofile" else f"{name}={allowed}:{allowed}",
        ]
    return tuple(flags)


def wait_until(answers: Callable[[], object], seconds: float) -> None:
    """Try until it does not raise; the last error when it never did."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answers()
            return
        except (RuntimeError, subprocess.SubprocessError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
