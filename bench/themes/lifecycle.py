"""Starting, running, entering and removing one container."""

import time
from pathlib import Path

from bench.engines import Engine
from bench.rows import Row, Target
from bench.theme import Size, Theme, Values

# What an engine finishes after its command has returned (namespaces, links) should burden its own next turn at most.
SETTLE = 0.15


class Start(Theme):
    """`docker run -d --network n busybox sleep 600`."""

    name, title = "start", "Start a container on a network"
    unlike = "Podman has no daemon and no docker command; its own command does the work itself. The same holds below."

    def rows(self) -> tuple[Row, ...]:
        return (
            Row(
                "start",
                "`run -d --network n busybox sleep 600`",
                "ms",
                targets=(Target("docker", 4), Target("podman", 2)),
            ),
        )

    def prepare(self, engine: Engine) -> None:
        self.network(engine, "lbb-start")
        self.play(engine, -1)

    def play(self, engine: Engine, turn: int) -> Values:
        name = f"lbb-s{turn + 1}"
        words = engine.run_words("-d", "--network", "lbb-start", "--name", name, "busybox", "sleep", "600")
        taken = engine.timed(*words)
        engine.remove([name])
        time.sleep(SETTLE)
        return {"start": taken}


class Run(Theme):
    """A container that does nothing, from nothing to nothing."""

    name, title = "run", "Run and forget"

    def rows(self) -> tuple[Row, ...]:
        return (Row("run", "`run --rm busybox true`", "ms", targets=(Target("docker", 4), Target("podman", 1))),)

    def prepare(self, engine: Engine) -> None:
        self.play(engine, -1)

    def play(self, engine: Engine, turn: int) -> Values:
        taken = engine.timed(*engine.run_words("--rm", "busybox", "true"))
        time.sleep(SETTLE)
        return {"run": taken}


class Execute(Theme):
    """A second process in a running container."""

    name, title = "exec", "Execute in a running container"

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.containers: dict[str, str] = {}

    def rows(self) -> tuple[Row, ...]:
        return (Row("exec", "`exec c true`", "ms", targets=(Target("docker", 2), Target("podman", 1))),)

    def prepare(self, engine: Engine) -> None:
        self.containers[engine.name] = self.container(engine)
        self.play(engine, -1)

    def play(self, engine: Engine, turn: int) -> Values:
        return {"exec": engine.timed("exec", self.containers[engine.name], "true")}


class Remove(Theme):
    """Removing a running container by force."""

    name, title = "rm", "Remove a running container"
    unlike = "Podman is told `-t 0`: by default its `rm -f` waits ten seconds for a process that ignores SIGTERM."

    def rows(self) -> tuple[Row, ...]:
        return (Row("rm", "`rm -f` of a running container", "ms", targets=(Target("docker", 4), Target("podman", 1))),)

    def prepare(self, engine: Engine) -> None:
        self.network(engine, "lbb-rm")

    def play(self, engine: Engine, turn: int) -> Values:
        identity = engine.start("--network", "lbb-rm")
        time.sleep(SETTLE)
        taken = engine.timed(*engine.force, identity)
        time.sleep(SETTLE)
        return {"rm": taken}
