"""Networks: made, joined, left, removed."""

import time
from pathlib import Path

from bench.engines import Engine
from bench.rows import Row, Target
from bench.theme import Size, Theme, Values
from bench.themes.lifecycle import SETTLE


class Networks(Theme):
    """One life of a network per round, with a running container that comes and goes."""

    name, title = "network", "Networks"
    rounds = 12
    unlike = (
        "`client` is the docker command alone (`docker --version`), which every figure of landbridge and Docker "
        "contains."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.containers: dict[str, str] = {}

    def rows(self) -> tuple[Row, ...]:
        return (
            Row("network-create", "`network create`", "ms", targets=(Target("docker", 4),)),
            Row("network-connect", "`network connect`", "ms", targets=(Target("docker", 2),)),
            Row("network-disconnect", "`network disconnect`", "ms", targets=(Target("docker", 2),)),
            Row("network-rm", "`network rm`", "ms", targets=(Target("docker", 8),)),
            Row("client", "the command alone", "ms"),
        )

    def prepare(self, engine: Engine) -> None:
        self.network(engine, "lbb-home")
        self.containers[engine.name] = self.container(engine, "--network", "lbb-home")
        self.play(engine, -1)

    def play(self, engine: Engine, turn: int) -> Values:
        name, container = f"lbb-n{turn + 1}", self.containers[engine.name]
        found: dict[str, float | list[float]] = {"client": engine.timed("--version")}
        for verb, words in (
            ("create", [name]),
            ("connect", [name, container]),
            ("disconnect", [name, container]),
            ("rm", [name]),
        ):
            found[f"network-{verb}"] = engine.timed("network", verb, *words)
            time.sleep(SETTLE)
        return found
