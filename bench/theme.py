"""What a theme is: a group of rows measured together, on each engine in turn."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.engines import Engine
from bench.rows import Row

SUBNET = "10.90.0.0/16"
Values = Mapping[str, float | list[float]]


class Skip(Exception):
    """An engine cannot play (this round of) a theme; the text says why and is shown in the results."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: the whole bench, or a quick look whether it works."""

    quick: bool
    limit: float  # seconds for everything
    seconds: int
    askers: int
    ports: tuple[int, ...]
    peer_ports: int
    others: int
    steps: tuple[int, ...]
    many_for_peers: int
    fill_seconds: float
    crowd: int
    restart: tuple[int, int]
    peer_restart: tuple[int, int]


WHOLE = Size(
    quick=False, limit=39 * 60, seconds=2, askers=100, ports=(1, 200, 10_000), peer_ports=200, others=1000,
    steps=(1, 100, 500, 1000), many_for_peers=100, fill_seconds=120, crowd=20, restart=(500, 2000),
    peer_restart=(50, 200),
)  # fmt: skip
QUICK = Size(
    quick=True, limit=7.5 * 60, seconds=1, askers=10, ports=(1, 50, 10_000), peer_ports=50, others=100,
    steps=(1, 20, 60), many_for_peers=20, fill_seconds=20, crowd=20, restart=(50, 200), peer_restart=(10, 40),
)  # fmt: skip


class Theme:
    """Prepare each engine, play rounds on each in turn, clean each.

    `play` returns values by row key; a list holds several samples. Whatever an engine needs between the calls is
    kept by the theme under the engine's name. Any of the calls may raise `Skip`, or RuntimeError, which takes that
    engine out.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    unlike: ClassVar[str] = ""
    engines: ClassVar[tuple[str, ...]] = ("landbridge", "docker", "podman")
    rounds: ClassVar[int] = 15
    quick_rounds: ClassVar[int] = 3
    # Seconds after which no further round begins.
    budget: ClassVar[float] = 90
    quick_budget: ClassVar[float] = 30

    def __init__(self, size: Size, directory: Path) -> None:
        self.size, self.directory = size, directory
        self.undo: dict[str, ExitStack] = {}

    @property
    def turns(self) -> int:
        """How many rounds are played."""
        return self.quick_rounds if self.size.quick else self.rounds

    def rows(self) -> tuple[Row, ...]:
        """The rows, in the order they are shown."""
        raise NotImplementedError

    def prepare(self, engine: Engine) -> None:
        """What is needed before the first round."""

    def play(self, engine: Engine, turn: int) -> Values:
        """One round."""
        raise NotImplementedError

    def clean(self, engine: Engine) -> None:
        """Take away what `prepare` made, in reverse. Called once, whatever happened."""
        if engine.name in self.undo:
            self.undo.pop(engine.name).close()

    def later(self, engine: Engine) -> ExitStack:
        """What is to be undone for this engine."""
        return self.undo.setdefault(engine.name, ExitStack())

    def network(self, engine: Engine, name: str, *flags: str) -> None:
        """A network for the time of the theme."""
        engine.do("network", "create", *flags, name)
        self.later(engine).callback(engine.do, "network", "rm", name)

    def container(self, engine: Engine, *flags: str) -> str:
        """A sleeping container for the time of the theme; its id."""
        identity = engine.start(*flags)
        self.later(engine).callback(engine.remove, [identity])
        return identity
