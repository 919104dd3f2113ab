"""bench/RESULTS.md as text, from findings. Pure."""

from collections.abc import Mapping, Sequence

from bench.rows import Findings, Judgement, Limit, judge
from bench.stats import Ratio, Summary, summarize

NAMES = {"landbridge": "landbridge", "docker": "Docker", "podman": "Podman", "bare": "by hand"}


def report(found: Sequence[Findings], facts: Mapping[str, str], how: str) -> str:
    """The whole page: the machine, what was met, then a section per theme."""
    parts = [
        "# landbridge beside its peers",
        how,
        "## Versions and machine",
        _facts(facts),
        "## Targets",
        _overview(found),
    ]
    for findings in found:
        parts.append(section(findings))
    return "\n\n".join(parts) + "\n"


def section(findings: Findings) -> str:
    """One theme: the figures, the targets, and where unlike things are compared."""
    parts = [f"## {findings.title} (`{findings.theme}`)", figures(findings)]
    judged = judge(findings)
    if judged:
        parts.append(targets(judged))
    if findings.unlike:
        parts.append(f"Where unlike things are compared: {findings.unlike}")
    if findings.remarks:
        parts.append("\n".join(f"- {remark}" for remark in findings.remarks))
    return "\n\n".join(parts)


def figures(findings: Findings) -> str:
    """Median (lowest–highest, spread) of each row on each engine."""
    engines = [name for name in NAMES if any(findings.of(row.key, name) for row in findings.rows)]
    lines = [_line(["work", "unit", *(NAMES[name] for name in engines)]), _line(["---"] * (2 + len(engines)))]
    for row in findings.rows:
        cells = [_cell(findings.of(row.key, name)) for name in engines]
        lines.append(_line([row.title, row.unit, *cells]))
    return "\n".join(lines)


def targets(judged: Sequence[Judgement]) -> str:
    """Each target, what was found, over how many rounds, and the verdict."""
    lines = [_line(["work", "against", "target", "found", "over the rounds", "verdict"]), _line(["---"] * 6)]
    for judgement in judged:
        found = judgement.found
        ratio, over = "–", "–"
        if isinstance(found, Ratio):
            ratio, over = f"{found.of_medians:.2f} x", f"{found.low:.2f}–{found.high:.2f} ({found.rounds})"
        elif isinstance(found, Summary):
            ratio, over = number(found.median), f"{number(found.low)}–{number(found.high)} ({found.count})"
        lines.append(_line([judgement.row.title, *_asked(judgement), ratio, over, f"**{judgement.verdict}**"]))
    return "\n".join(lines)


def number(value: float) -> str:
    """Three or four digits that matter, thousands with a comma."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 or size == 0 else f"{value:.3f}"


def _cell(samples: Sequence[float]) -> str:
    if not samples:
        return "–"
    found = summarize(samples)
    if found.count == 1:
        return f"{number(found.median)} (once)"
    return f"{number(found.median)} ({number(found.low)}–{number(found.high)}, ±{found.spread:.0%})"


def _asked(judgement: Judgement) -> tuple[str, str]:
    target, row = judgement.target, judgement.row
    if isinstance(target, Limit):
        return "itself", f"at most {number(target.at_most)} {row.unit}"
    if target.against.startswith("row:"):
        return (
            f"our `{target.against[4:]}`",
            f"within {1 / target.factor:.2f} x" if target.factor < 1 else f"{target.factor:g} x",
        )
    return NAMES.get(target.against, target.against), f"{target.factor:g} x"


def _overview(found: Sequence[Findings]) -> str:
    judged = [(findings, judgement) for findings in found for judgement in judge(findings)]
    met = sum(judgement.verdict.startswith("met") for _, judgement in judged)
    lines = [f"{met} of {len(judged)} targets met."]
    for findings, judgement in judged:
        if not judgement.verdict.startswith("met"):
            against, asked = _asked(judgement)
            what = f"{judgement.row.title} (`{findings.theme}`)"
            lines.append(f"- {judgement.verdict}: {what}, {asked} against {against}{_got(judgement)}")
    return "\n".join(lines)


def _got(judgement: Judgement) -> str:
    match judgement.found:
        case Ratio(of_medians=found):
            return f": {found:.2f} x"
        case Summary(median=found):
            return f": {number(found)} {judgement.row.unit}"
    return ""


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(
        [_line(["what", "which"]), _line(["---", "---"]), *(_line([name, text]) for name, text in facts.items())]
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
