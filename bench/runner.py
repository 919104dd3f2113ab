"""Plays the rounds: every engine in turn, a different one first each time, within the time that a theme may take."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from subprocess import SubprocessError

from bench.engines import Engine
from bench.rows import Findings
from bench.stats import rotated
from bench.table import NAMES, section
from bench.theme import Skip, Theme

# A theme is broken off at this many times its budget: preparation comes on top of the rounds.
PATIENCE = 2.5
LEAST = 20.0


class Overdue(RuntimeError):
    """A theme took far longer than it may."""


def play(theme: Theme, engines: Mapping[str, Engine], left: float) -> Findings:
    """All rounds of a theme on those of its engines that are there, within the seconds left for everything.

    What an engine could not do is among the remarks.
    """
    findings = Findings(theme.name, theme.title, theme.rows(), theme.unlike)
    playing = [engines[name] for name in theme.engines if name in engines]
    budget = theme.quick_budget if theme.size.quick else theme.budget
    begun = time.monotonic()
    prepared: list[Engine] = []
    if left < LEAST:
        findings.remark("not played: the time for the whole bench was up")
        return findings
    try:
        with _bounded(min(left, budget * PATIENCE)):
            for engine in list(playing):
                prepared.append(engine)
                if not _guarded(findings, engine, partial(theme.prepare, engine)):
                    playing.remove(engine)
            _rounds(theme, playing, findings, time.monotonic() + budget)
    except Overdue as error:
        findings.remark(f"broken off: {error}")
    finally:
        for engine in reversed(prepared):
            _clean(theme, engine, findings)
    findings.seconds = time.monotonic() - begun
    return findings


def _rounds(theme: Theme, playing: list[Engine], findings: Findings, deadline: float) -> None:
    for turn in range(theme.turns):
        if time.monotonic() > deadline:
            findings.remark(f"{turn} of {theme.turns} rounds: the time was up")
            return
        for engine in rotated(list(playing), turn):
            if not _guarded(findings, engine, partial(_one, theme, engine, turn, findings)):
                playing.remove(engine)


def _one(theme: Theme, engine: Engine, turn: int, findings: Findings) -> None:
    for key, value in theme.play(engine, turn).items():
        findings.add(key, engine.name, value if isinstance(value, list) else [value])


def _guarded(findings: Findings, engine: Engine, act: Callable[[], None]) -> bool:
    """Whether the engine goes on playing."""
    try:
        act()
    except Overdue:
        raise
    except Skip as reason:
        findings.remark(f"{NAMES[engine.name]}: {reason}")
        return False
    except (RuntimeError, OSError, SubprocessError, ValueError) as error:
        findings.remark(f"{NAMES[engine.name]} failed: {error}")
        print(f"  {engine.name}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _clean(theme: Theme, engine: Engine, findings: Findings) -> None:
    """What the theme made, then what a broken round may have left, so that the next theme finds an empty engine."""
    for act in (partial(theme.clean, engine), engine.sweep):
        try:
            act()
        except (RuntimeError, OSError, SubprocessError) as error:
            findings.remark(f"{NAMES[engine.name]} could not be cleaned: {error}")
            print(f"  cleaning {engine.name}: {error}", file=sys.stderr, flush=True)


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Overdue(f"over {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def chosen(themes: Sequence[Theme], wanted: Sequence[str]) -> list[Theme]:
    """The themes that were asked for by name or by the key of one of their rows; all without a wish; ValueError."""
    if not wanted:
        return list(themes)
    known = {theme.name for theme in themes} | {row.key for theme in themes for row in theme.rows()}
    unknown = [word for word in wanted if word not in known]
    if unknown:
        raise ValueError(f"no such row: {' '.join(unknown)}; there are: {' '.join(theme.name for theme in themes)}")
    return [theme for theme in themes if theme.name in wanted or any(row.key in wanted for row in theme.rows())]


def show(findings: Findings) -> None:
    """What a theme found, as soon as it is known."""
    print(section(findings), f"\n({findings.seconds:.0f} s)\n", flush=True)
