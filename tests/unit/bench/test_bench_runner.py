"""Which themes play, in what order, and what happens when an engine cannot."""

from pathlib import Path

import pytest
from bench.engines import Engine
from bench.machine import Machine
from bench.rows import Row
from bench.runner import chosen, play
from bench.theme import QUICK, WHOLE, Skip, Theme, Values
from bench.themes import THEMES
from bench.tools import read_dnsperf


class Idle(Engine):
    """An engine that is only named."""

    def __init__(self, name: str) -> None:
        super().__init__(name, [], Machine("", ""))

    def sweep(self) -> None:
        pass


class Counted(Theme):
    """Writes down who was called."""

    name, title = "counted", "Counted"

    def __init__(self, fails: str = "", skips: str = "") -> None:
        super().__init__(QUICK, Path("/nonexistent"))
        self.fails, self.skips = fails, skips
        self.calls: list[str] = []

    def rows(self) -> tuple[Row, ...]:
        return (Row("call", "calls", "ms"),)

    def prepare(self, engine: Engine) -> None:
        if engine.name == self.skips:
            raise Skip("not here")

    def play(self, engine: Engine, turn: int) -> Values:
        self.calls.append(f"{engine.name[0]}{turn}")
        if engine.name == self.fails:
            raise RuntimeError("broken")
        return {"call": [float(turn), 0.0]}

    def clean(self, engine: Engine) -> None:
        self.calls.append(f"clean {engine.name}")


ENGINES = {name: Idle(name) for name in ("landbridge", "docker", "podman")}


def test_engines_play_in_turn_with_another_one_first_each_round() -> None:
    theme = Counted()
    found = play(theme, ENGINES, 60)
    assert theme.calls[:9] == "l0 d0 p0 d1 p1 l1 p2 l2 d2".split()
    assert theme.calls[9:] == ["clean podman", "clean docker", "clean landbridge"]
    assert found.of("call", "docker") == [0, 0, 1, 0, 2, 0]


def test_an_engine_that_fails_leaves_the_round_and_is_cleaned() -> None:
    theme = Counted(fails="docker", skips="podman")
    found = play(theme, ENGINES, 60)
    assert theme.calls[:4] == "l0 d0 l1 l2".split()
    assert theme.calls[4:] == ["clean podman", "clean docker", "clean landbridge"]
    assert found.remarks == ["Podman: not here", "Docker failed: broken"]


def test_nothing_is_played_when_the_time_is_up() -> None:
    theme = Counted()
    found = play(theme, ENGINES, 1)
    assert theme.calls == [] and found.remarks == ["not played: the time for the whole bench was up"]


@pytest.mark.parametrize("size", [QUICK, WHOLE])
def test_themes_are_chosen_by_their_names_and_rows(size: object) -> None:
    themes = [kind(size, Path("/nonexistent")) for kind in THEMES]
    assert chosen(themes, []) == themes
    assert [theme.name for theme in chosen(themes, ["rm", "network-rm"])] == ["rm", "network"]
    with pytest.raises(ValueError, match="no such row: starts; there are: idle start"):
        chosen(themes, ["start", "starts"])


@pytest.mark.parametrize("size", [QUICK, WHOLE])
def test_keys_are_unique_and_targets_name_what_exists(size: object) -> None:
    rows = [(theme, row) for kind in THEMES for theme in [kind(size, Path("/nonexistent"))] for row in theme.rows()]
    keys = [row.key for _, row in rows]
    assert len(keys) == len(set(keys))
    for theme, row in rows:
        for target in row.targets:
            against = getattr(target, "against", "")
            assert not against or against in theme.engines or against.removeprefix("row:") in keys


REPORT = """
  Queries sent:         16558
  Queries completed:    16558 (100.00%)
  Queries lost:         2 (0.00%)

  Response codes:       NOERROR 16558 (100.00%)
  Queries per second:   16427.728116

  Average Latency (s):  0.005439 (min 0.000036, max 0.034471)
"""


def test_a_report_of_dnsperf_is_read() -> None:
    found = read_dnsperf(REPORT)
    assert (found.completed, found.per_second, found.lost) == (16558, 16427.728116, 2)
    assert found.latency == pytest.approx(5439)


def test_names_that_were_refused_are_no_figure() -> None:
    with pytest.raises(RuntimeError, match="REFUSED"):
        read_dnsperf(REPORT.replace("NOERROR 16558 (100.00%)", "NOERROR 9 (50.00%), REFUSED 9 (50.00%)"))
