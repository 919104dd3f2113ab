"""Publishing many ports, and what many published ports do to one of them."""

import time
from pathlib import Path

from lab import HOST4

from bench import tools
from bench.engines import Engine
from bench.machine import inside
from bench.rows import Limit, Row, Target
from bench.stats import Better
from bench.theme import Size, Theme, Values
from bench.themes.lifecycle import SETTLE

FIRST = 20_000


class Publish(Theme):
    """One container with 1, 200 and 10,000 ports; ports apart from each other, too, which no range can hold."""

    name, title = "publish", "Publish ports"
    rounds, budget = 5, 150
    unlike = (
        "Docker and Podman publish 200 ports at most here: 10,000 would be 20,000 processes of docker-proxy, and "
        "minutes. Extra processes and memory are those of the engine beside the same container without ports, "
        "measured before the first port was published."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.before: dict[str, tuple[int, float]] = {}

    def rows(self) -> tuple[Row, ...]:
        rows: list[Row] = []
        least, most = self.size.ports[0], self.size.ports[-1]
        for count in self.size.ports:
            near_one = (Target(f"row:publish-start-{least}", 1 / 1.2),) if count == most else ()
            rows.append(Row(f"publish-start-{count}", f"start with {count:,} ports", "ms", targets=near_one))
            near_one = (Target(f"row:publish-rm-{least}", 1 / 1.2),) if count == most else ()
            rows.append(Row(f"publish-rm-{count}", f"remove with {count:,} ports", "ms", targets=near_one))
        for count in self.size.ports[1:]:
            none, little = ((Limit(0),), (Limit(30),)) if count == most else ((), ())
            rows.append(
                Row(f"publish-processes-{count}", f"extra processes for {count:,} ports", "processes", targets=none)
            )
            rows.append(Row(f"publish-memory-{count}", f"extra memory for {count:,} ports", "MB (PSS)", targets=little))
        rows.append(Row("publish-apart", f"start with {self.size.peer_ports} ports that make no range", "ms"))
        return tuple(rows)

    def prepare(self, engine: Engine) -> None:
        identity = engine.start()
        time.sleep(1)
        self.before[engine.name] = (len(engine.processes()), engine.memory()[0])
        engine.remove([identity])

    def play(self, engine: Engine, turn: int) -> Values:
        found: dict[str, float | list[float]] = {}
        for count in self.size.ports:
            if engine.name == "landbridge" or count <= self.size.peer_ports:
                found |= self._range(engine, count)
        if engine.name != "docker":  # the same 400 processes once more
            apart = [word for at in range(self.size.peer_ports) for word in ("-p", f"{FIRST + 2 * at}:{at + 1}")]
            found["publish-apart"] = engine.timed(
                *engine.run_words("-d", "--name", "lbb-ports", *apart, "busybox", "sleep", "600")
            )
            engine.remove(["lbb-ports"])
            time.sleep(SETTLE)
        return found

    def _range(self, engine: Engine, count: int) -> dict[str, float]:
        span = f"{FIRST}-{FIRST + count - 1}" if count > 1 else str(FIRST)
        words = engine.run_words("-d", "--name", "lbb-ports", "-p", f"{span}:{span}", "busybox", "sleep", "600")
        found = {f"publish-start-{count}": engine.timed(*words)}
        if count > 1:
            processes, memory = self.before[engine.name]
            found[f"publish-processes-{count}"] = len(engine.processes()) - processes
            found[f"publish-memory-{count}"] = max(0.0, engine.memory()[0] - memory)
        else:
            time.sleep(SETTLE)
        found[f"publish-rm-{count}"] = engine.timed(*engine.force, "lbb-ports")
        time.sleep(SETTLE)
        return found


class Connections(Theme):
    """New connections to one published port, alone and beside many others."""

    name, title = "connections", "New connections beside other published ports"
    rounds, budget, quick_budget = 9, 200, 40
    unlike = (
        "The server is the same small program in each container's namespace. The others are ten containers whose "
        "ports make no range. Docker and Podman are asked in the first round only, since publishing takes Docker "
        "minutes."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.ways: dict[str, tools.Way] = {}

    def rows(self) -> tuple[Row, ...]:
        others = f"one port beside {self.size.others:,} others"
        near = (Target("row:connections-alone", 0.95),)
        return (
            Row("connections-alone", "one port alone", "requests/s", Better.HIGHER),
            Row("connections-beside", others, "requests/s", Better.HIGHER, near),
        )

    def prepare(self, engine: Engine) -> None:
        container = self.container(engine, "-p", "8080:80")
        way = tools.Way(inside(engine.process(container)), engine.machine.outside, HOST4, port=8080, listen_port=80)
        self.later(engine).enter_context(tools.background(tools.replier(way), "listening"))
        self.ways[engine.name] = way
        tools.connections(way, 1)

    def play(self, engine: Engine, turn: int) -> Values:
        if turn and engine.name != "landbridge":
            return {}
        way, seconds = self.ways[engine.name], self.size.seconds + 1
        # Whoever goes second finds a warmer machine: the order changes from round to round.
        if turn % 2 == 0:
            alone = tools.connections(way, seconds)
        others = self._others(engine)
        try:
            beside = tools.connections(way, seconds)
        finally:
            engine.remove(others)
        time.sleep(1)
        if turn % 2:
            alone = tools.connections(way, seconds)
        return {"connections-alone": alone, "connections-beside": beside}

    def _others(self, engine: Engine) -> list[str]:
        each = self.size.others // 10
        flags = []
        for at in range(10):
            first = FIRST + 2 * each * at
            flags.append([word for port in range(each) for word in ("-p", f"{first + 2 * port}:{port + 1}")])
        return engine.start_many(flags, time.monotonic() + 240)
