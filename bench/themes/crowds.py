"""Many containers: what the Nth costs, and twenty clients at once."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench.engines import Engine
from bench.rows import Row, Target
from bench.stats import Better
from bench.theme import SUBNET, Size, Skip, Theme, Values

SAMPLES = 5
PER_NETWORK = 20


class Nth(Theme):
    """One network is filled; at each step a few more are started one by one."""

    name, title = "nth", "The Nth container, all on one network"
    budget, quick_budget = 600, 90
    unlike = (
        "A round is a step: each engine is filled up to it, a few at a time, then five more containers are started "
        "one by one. Memory is that of all the engine's own processes (PSS) beyond what they held before the first "
        "container."
    )
    prefix = "nth"

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.made: dict[str, list[str]] = {}
        self.before: dict[str, float] = {}
        self.spent: dict[str, float] = {}

    @property
    def turns(self) -> int:
        return len(self.size.steps)

    def rows(self) -> tuple[Row, ...]:
        rows = []
        first, last = self.size.steps[0], self.size.steps[-1]
        for step in self.size.steps:
            flat = (Target(f"row:{self.prefix}-{first}", 1 / 1.3),) if step == last else ()
            rows.append(Row(f"{self.prefix}-{step}", f"start of container {step:,}", "ms", targets=flat))
        for step in self.size.steps[1:]:
            third = (Target("docker", 3),) if step < self.size.steps[-1] else ()
            rows.append(
                Row(f"{self.prefix}-memory-{step}", f"memory per container at {step:,}", "MB (PSS)", targets=third)
            )
        return tuple(rows)

    def prepare(self, engine: Engine) -> None:
        self.made[engine.name], self.spent[engine.name] = [], 0.0
        # What is loaded at the first start of all is not a container's own.
        engine.remove([engine.start()])
        time.sleep(0.5)
        self.before[engine.name] = engine.memory()[0]
        self.later(engine).callback(lambda: engine.remove(self.made[engine.name]))
        self.networks(engine)

    def networks(self, engine: Engine) -> None:
        """The network or networks; removed after the containers."""
        engine.do("network", "create", "--subnet", SUBNET, "lbb-nth")
        stack = self.later(engine).pop_all()
        self.later(engine).callback(engine.do, "network", "rm", "lbb-nth")
        self.later(engine).push(stack)

    def network_of(self, number: int) -> str:
        """The network of the container with that number."""
        return "lbb-nth"

    def play(self, engine: Engine, turn: int) -> Values:
        step = self.size.steps[turn]
        self._fill(engine, step - 1)
        taken: list[float] = []
        for _ in range(SAMPLES):
            begun = time.perf_counter()
            made = self.made[engine.name]
            made.append(engine.start("--network", self.network_of(len(made))))
            taken.append((time.perf_counter() - begun) * 1000)
        found: dict[str, float | list[float]] = {f"{self.prefix}-{step}": taken}
        if turn:
            grown = engine.memory()[0] - self.before[engine.name]
            found[f"{self.prefix}-memory-{step}"] = grown / len(self.made[engine.name])
        return found

    def _fill(self, engine: Engine, count: int) -> None:
        made = self.made[engine.name]
        begun = time.monotonic()
        deadline = begun + self.size.fill_seconds - self.spent[engine.name]
        while len(made) < count and time.monotonic() < deadline:
            some = range(len(made), min(count, len(made) + 40))
            made += engine.start_many([["--network", self.network_of(number)] for number in some], deadline)
        self.spent[engine.name] += time.monotonic() - begun
        if len(made) < count:
            raise Skip(f"{len(made)} containers after {self.spent[engine.name]:.0f} s of filling; stopped there")


class Many(Nth):
    """The same with a network for every twenty containers."""

    name, title = "many", "The Nth container, a network for every twenty"
    budget, quick_budget = 450, 60
    unlike = "As above. Docker and Podman are filled less far here."
    prefix = "many"

    def networks(self, engine: Engine) -> None:
        stack = self.later(engine).pop_all()
        for number in range(self.size.steps[-1] // PER_NETWORK + 1):
            if engine.name != "landbridge" and number > self.size.many_for_peers // PER_NETWORK:
                break
            self.network(engine, f"lbb-many{number}", "--subnet", f"10.91.{number}.0/24")
        self.later(engine).push(stack)

    def network_of(self, number: int) -> str:
        return f"lbb-many{number // PER_NETWORK}"

    def play(self, engine: Engine, turn: int) -> Values:
        step = self.size.steps[turn]
        if engine.name != "landbridge" and step > self.size.many_for_peers:
            raise Skip(f"filled up to {self.size.many_for_peers} only")
        return super().play(engine, turn)


class Crowd(Theme):
    """Clients that start a container each, all at once."""

    name, title = "crowd", "Twenty clients at once"
    rounds, budget, quick_budget = 7, 120, 40

    def rows(self) -> tuple[Row, ...]:
        title = f"{self.size.crowd} x `run -d` at once"
        return (Row("crowd", title, "starts/s", Better.HIGHER, (Target("docker", 4), Target("podman", 1))),)

    def prepare(self, engine: Engine) -> None:
        self.network(engine, "lbb-crowd")
        engine.remove([engine.start("--network", "lbb-crowd")])

    def play(self, engine: Engine, turn: int) -> Values:
        words = [*engine.cli, *engine.run_words("-d", "--network", "lbb-crowd", "busybox", "sleep", "600")]
        begun = time.perf_counter()
        clients = [
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            for _ in range(self.size.crowd)
        ]
        said = [client.communicate(timeout=120)[0].strip() for client in clients]
        taken = time.perf_counter() - begun
        self._check(engine, clients, said)
        return {"crowd": self.size.crowd / taken}

    @staticmethod
    def _check(engine: Engine, clients: Sequence["subprocess.Popen[str]"], said: Sequence[str]) -> None:
        engine.remove([identity for identity in said if identity])
        time.sleep(0.5)
        failed = sum(client.returncode != 0 for client in clients)
        if failed:
            raise RuntimeError(f"{failed} of {len(clients)} clients failed")
