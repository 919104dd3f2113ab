"""Numbers about samples: medians, spreads, ratios over rounds. Pure; knows nothing of engines or files."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Better(StrEnum):
    """Which way a row's numbers improve."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Summary:
    """Samples of one row on one engine. `spread` is half the distance between the quartiles over the median."""

    count: int
    median: float
    low: float
    high: float
    spread: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """By what factor the first is better than the second: of the medians, and the worst and best single round."""

    of_medians: float
    low: float
    high: float
    rounds: int


def summarize(samples: Sequence[float]) -> Summary:
    """The summary of at least one sample; ValueError without."""
    if not samples:
        raise ValueError("no samples")
    median = statistics.median(samples)
    spread = 0.0
    if len(samples) > 1 and median:
        quartiles = statistics.quantiles(samples, n=4, method="inclusive")
        spread = (quartiles[2] - quartiles[0]) / 2 / abs(median)
    return Summary(len(samples), median, min(samples), max(samples), spread)


def advantage(ours: float, theirs: float, better: Better) -> float:
    """How many times better `ours` is: over 1 means better, whichever way the numbers improve."""
    above, below = (theirs, ours) if better is Better.LOWER else (ours, theirs)
    if below == 0:
        return 1.0 if above == 0 else float("inf")
    return above / below


def ratio(ours: Sequence[float], theirs: Sequence[float], better: Better) -> Ratio:
    """The advantage of the medians, and the lowest and highest of single rounds (n-th sample against n-th).

    Rounds are interleaved, so what disturbed the machine in one round disturbed both sides of that round's ratio.
    """
    whole = advantage(statistics.median(ours), statistics.median(theirs), better)
    single = [advantage(mine, other, better) for mine, other in zip(ours, theirs, strict=False)]
    return Ratio(whole, min(single), max(single), len(single))


def rotated(values: Sequence[T], turns: int) -> list[T]:
    """The values, beginning with the one at `turns`, so that nobody is always first."""
    if not values:
        return []
    start = turns % len(values)
    return [*values[start:], *values[:start]]
