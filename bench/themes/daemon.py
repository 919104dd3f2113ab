"""The daemon itself: idle, restarted, and asked for its list."""

import time
from contextlib import ExitStack
from pathlib import Path

from lab import HOST4

from bench import tools
from bench.engines import Engine, Landbridge, wait_until
from bench.machine import inside, run
from bench.rows import Limit, Row, Target
from bench.theme import SUBNET, Size, Skip, Theme, Values
from bench.themes.names import nameserver

ECHO = 7777


class Idle(Theme):
    """What lies in memory when nothing runs."""

    name, title = "idle", "Memory of the idle engine"
    engines = ("landbridge", "docker")
    rounds, budget = 3, 30
    unlike = (
        "All processes of the engine: daemon, resolver and proxy here; dockerd and containerd there. Podman has none "
        "when idle."
    )

    def rows(self) -> tuple[Row, ...]:
        return (
            Row("idle-resident", "resident memory", "MB (RSS)", targets=(Target("docker", 2),)),
            Row("idle-proportional", "its share (pages shared with others divided)", "MB (PSS)"),
        )

    def play(self, engine: Engine, turn: int) -> Values:
        time.sleep(1)
        proportional, resident = engine.memory()
        return {"idle-resident": resident, "idle-proportional": proportional}


class Restart(Theme):
    """SIGTERM to the daemon, start it again, until `docker ps` answers; datagrams and DNS queries go on meanwhile."""

    name, title = "restart", "Restart of the daemon"
    engines = ("landbridge", "docker")
    rounds, budget, quick_rounds, quick_budget = 5, 150, 2, 40
    unlike = (
        "Docker runs with live-restore, so that its containers live on too, and with a tenth of the containers and "
        "ports, which it takes minutes to start. A Docker Engine that belongs to somebody else is not restarted. "
        "Streams of 100 datagrams a second: from outside to a published UDP port, from container to container, and "
        "DNS queries for a container's name."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.streams: dict[str, list[list[str]]] = {}

    def rows(self) -> tuple[Row, ...]:
        containers, ports = self.size.restart
        title = f"restart with {containers} containers and {ports:,} ports until `docker ps` answers"
        return (
            Row("restart", title, "s", targets=(Limit(2),)),
            Row("restart-packets", "datagrams lost meanwhile", "datagrams", targets=(Limit(0),)),
            Row("restart-answers", "DNS answers lost meanwhile", "answers", targets=(Limit(0),)),
        )

    def prepare(self, engine: Engine) -> None:
        if engine.restart is None:
            raise Skip("not ours to restart")
        containers, ports = self.size.restart if engine.name == "landbridge" else self.size.peer_restart
        self.network(engine, "lbb-restart", "--subnet", SUBNET)
        each = ports // containers
        flags = []
        for at in range(containers - 2):
            first = 10_000 + 2 * each * at
            published = [word for port in range(each) for word in ("-p", f"{first + 2 * port}:{port + 1}")]
            flags.append(["--network", "lbb-restart", *published])
        made = engine.start_many(flags, time.monotonic() + 200)
        self.later(engine).callback(engine.remove, made)
        self._streams(engine)

    def _streams(self, engine: Engine) -> None:
        server = self.container(engine, "--network", "lbb-restart", "--name", "lbb-echo", "-p", f"{ECHO}:{ECHO}/udp")
        client = self.container(engine, "--network", "lbb-restart")
        place, process = inside(engine.process(server)), engine.process(client)
        echo = tools.stream_words(place, "echo", "0.0.0.0", str(ECHO))
        self.later(engine).enter_context(tools.background(echo, "listening"))
        address = engine.address(server, "lbb-restart")
        self.streams[engine.name] = [
            tools.stream_words(engine.machine.outside, "send", HOST4, str(ECHO)),
            tools.stream_words(inside(process), "send", address, str(ECHO)),
            tools.stream_words(inside(process), "send", nameserver(process), "53", "lbb-echo"),
        ]

    def play(self, engine: Engine, turn: int) -> Values:
        with ExitStack() as stack:
            running = [stack.enter_context(tools.background(words, "listening")) for words in self.streams[engine.name]]
            time.sleep(0.3)
            assert engine.restart is not None
            begun = time.perf_counter()
            engine.restart()
            wait_until(lambda: engine.do("ps", "-q"), 60)
            taken = time.perf_counter() - begun
            time.sleep(0.5)
            lost = [tools.end_stream(process)[1] for process in running]
        return {"restart": taken, "restart-packets": lost[0] + lost[1], "restart-answers": lost[2]}


class Ps(Theme):
    """Our own command beside the real one, on the same socket."""

    name, title = "ps", "`landbridge ps` beside `docker ps`"
    engines = ("landbridge",)
    rounds = 30
    unlike = "Both ask landbridge's socket, with twenty containers running, in turn."

    def rows(self) -> tuple[Row, ...]:
        return (
            Row("ps", "`landbridge ps`", "ms", targets=(Target("row:ps-docker", 1),)),
            Row("ps-docker", "`docker ps`", "ms"),
        )

    def prepare(self, engine: Engine) -> None:
        made = engine.start_many([["-p", "80"]] * 20, time.monotonic() + 60)
        self.later(engine).callback(engine.remove, made)

    def play(self, engine: Engine, turn: int) -> Values:
        assert isinstance(engine, Landbridge)
        found: dict[str, float | list[float]] = {}
        commands = [("ps", [*engine.own_cli, "ps"]), ("ps-docker", [*engine.cli, "ps"])]
        for key, words in commands if turn % 2 else reversed(commands):
            begun = time.perf_counter()
            run(words)
            found[key] = (time.perf_counter() - begun) * 1000
        return found
