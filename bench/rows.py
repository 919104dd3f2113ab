"""What a row of the table is, and what is asked of it. Values only."""

from dataclasses import dataclass, field

from bench.stats import Better, Ratio, Summary, ratio, summarize

OURS = "landbridge"


@dataclass(frozen=True, slots=True)
class Target:
    """Ours is to be `factor` times better than `against`: an engine's name, or `row:KEY` for another row of ours."""

    against: str
    factor: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Ours may be at most this much."""

    at_most: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a key to ask for it alone, what was measured, its unit, and what is asked."""

    key: str
    title: str
    unit: str
    better: Better = Better.LOWER
    targets: tuple[Target | Limit, ...] = ()


@dataclass(slots=True)
class Findings:
    """The samples of one theme: row key, then engine, in the order of rounds; and remarks worth reading beside them."""

    theme: str
    title: str
    rows: tuple[Row, ...]
    unlike: str = ""
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, key: str, engine: str, values: list[float]) -> None:
        """Append samples of one round."""
        self.samples.setdefault(key, {}).setdefault(engine, []).extend(values)

    def remark(self, text: str) -> None:
        """Say something once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def of(self, key: str, engine: str) -> list[float]:
        """The samples of a row on an engine; empty when it was not measured."""
        return self.samples.get(key, {}).get(engine, [])


@dataclass(frozen=True, slots=True)
class Judgement:
    """A target held against the samples. `found`: a Ratio, a Summary for a limit, None when a side is missing."""

    row: Row
    target: Target | Limit
    found: Ratio | Summary | None

    @property
    def verdict(self) -> str:
        """`met in every round`, `met` (by the medians), `missed`, or `not measured`."""
        match self.found, self.target:
            case Ratio() as found, Target(factor=factor):
                return _word(by_median=found.of_medians >= factor, always=found.low >= factor)
            case Summary() as found, Limit(at_most=limit):
                return _word(by_median=found.median <= limit, always=found.high <= limit)
        return "not measured"


def judge(findings: Findings) -> list[Judgement]:
    """Every target of every row, in order."""
    return [Judgement(row, target, _found(findings, row, target)) for row in findings.rows for target in row.targets]


def _found(findings: Findings, row: Row, target: Target | Limit) -> Ratio | Summary | None:
    ours = findings.of(row.key, OURS)
    if not ours:
        return None
    if isinstance(target, Limit):
        return summarize(ours)
    other_row = target.against.removeprefix("row:")
    theirs = findings.of(other_row, OURS) if target.against.startswith("row:") else findings.of(row.key, target.against)
    return ratio(ours, theirs, row.better) if theirs else None


def _word(*, by_median: bool, always: bool) -> str:
    if not by_median:
        return "missed"
    return "met in every round" if always else "met"
