"""The embedded DNS: names of containers, asked by one and by many; names of the world, forwarded."""

import subprocess
import time
from pathlib import Path

from lab import OUTSIDE4

from bench import processes, tools
from bench.engines import Engine
from bench.machine import inside
from bench.rows import Row, Target
from bench.stats import Better
from bench.theme import SUBNET, Size, Theme, Values

DOMAIN = "bench.test"
COLD_NAMES = 100_000
BOTH = (Target("docker", 5), Target("podman", 1.25))


class Names(Theme):
    """dnsperf within the containers' own network namespaces, against the server that their resolv.conf names."""

    name, title = "dns", "Embedded DNS"
    rounds, budget, quick_budget = 7, 240, 60
    unlike = (
        "dnsperf has one thread and shares two cores with the server, so the highest rates are bounded by it: the "
        "processor time of the engine per query says what the server costs. Forwarded names are answered by dnsmasq "
        "on the machine outside."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.places: dict[str, list[str]] = {}
        self.servers: dict[str, str] = {}

    def rows(self) -> tuple[Row, ...]:
        many = self.size.askers
        return (
            Row("dns-one", "local names, one container asks", "queries/s", Better.HIGHER, BOTH),
            Row("dns-many", f"local names, {many} containers ask", "queries/s", Better.HIGHER, BOTH),
            Row("dns-cpu", "the engine's processor time per query (one asks)", "µs"),
            Row("dns-latency", "latency at 1,000 queries/s", "µs", Better.LOWER, BOTH),
            Row("dns-cold", "forwarded, each name for the first time", "queries/s", Better.HIGHER, BOTH),
            Row("dns-cold-cpu", "the engine's processor time per such query", "µs"),
            Row("dns-warm", "forwarded, the same ten names", "queries/s", Better.HIGHER, BOTH),
        )

    def prepare(self, engine: Engine) -> None:
        self.network(engine, "lbb-dns", "--subnet", SUBNET)
        flags = ["--network", "lbb-dns", *engine.dns_flags, "--name"]
        wanted = [[*flags, f"lbbn{at}"] for at in range(self.size.askers)]
        made = engine.start_many(wanted, time.monotonic() + 180)
        self.later(engine).callback(engine.remove, made)
        found = [engine.process(identity) for identity in made]
        self.places[engine.name] = [inside(process) for process in found]
        self.servers[engine.name] = nameserver(found[0])
        self.later(engine).enter_context(tools.background(upstream(engine), "started"))
        self._file("local", [f"lbbn{at % len(made)}" for at in range(20)])
        self._file("warm", [f"warm{at}.{DOMAIN}" for at in range(10)])
        self._ask(engine, "local", 1)

    def play(self, engine: Engine, turn: int) -> Values:
        seconds = self.size.seconds
        one, one_cost = self._costly(engine, "local", seconds + 1)
        slow = self._ask(engine, "local", seconds, "-Q", "1000")
        self._file("cold", [f"n{at}t{turn + 1}{engine.name[0]}.{DOMAIN}" for at in range(COLD_NAMES)])
        cold, cold_cost = self._costly(engine, "cold", seconds)
        warm = self._ask(engine, "warm", seconds)
        return {
            "dns-one": one.per_second, "dns-cpu": one_cost, "dns-latency": slow.latency,
            "dns-cold": cold.per_second, "dns-cold-cpu": cold_cost, "dns-warm": warm.per_second,
            "dns-many": self._many(engine, seconds + 1),
        }  # fmt: skip

    def _costly(self, engine: Engine, which: str, seconds: int) -> tuple[tools.Asked, float]:
        """What was seen, and the microseconds of processor time that the engine took for each query."""
        before = processes.cpu_seconds(engine.processes())
        asked = self._ask(engine, which, seconds)
        used = processes.cpu_seconds(engine.processes()) - before
        return asked, used / asked.completed * 1e6

    def _ask(self, engine: Engine, which: str, seconds: int, *flags: str) -> tools.Asked:
        return tools.read_dnsperf(_finish(self._begin(engine, 0, which, seconds, *flags), seconds))

    def _many(self, engine: Engine, seconds: int) -> float:
        askers = range(len(self.places[engine.name]))
        running = [self._begin(engine, at, "local", seconds, "-q", "10") for at in askers]
        done = [tools.read_dnsperf(_finish(process, seconds + 10)) for process in running]
        return sum(one.per_second for one in done)

    def _begin(self, engine: Engine, at: int, which: str, seconds: int, *flags: str) -> subprocess.Popen[str]:
        words = tools.dnsperf_words(
            self.places[engine.name][at], self.servers[engine.name], self.directory / f"{which}.names", seconds, *flags
        )
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def _file(self, which: str, names: list[str]) -> None:
        (self.directory / f"{which}.names").write_text("".join(f"{name} A\n" for name in names))


def upstream(engine: Engine) -> list[str]:
    """The command of a DNS server on the machine outside, which knows every name below the domain."""
    return engine.machine.on_outside(
        "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
        "--user=root", "--pid-file=", f"--address=/{DOMAIN}/192.0.2.9",
        f"--listen-address={OUTSIDE4}", "--bind-interfaces",
    )  # fmt: skip


def nameserver(process: int) -> str:
    for line in Path(f"/proc/{process}/root/etc/resolv.conf").read_text().splitlines():
        if line.startswith("nameserver"):
            return line.split()[1]
    raise RuntimeError("the container has no name server")


def _finish(process: subprocess.Popen[str], seconds: float) -> str:
    try:
        out, _ = process.communicate(timeout=seconds + 15)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return out
