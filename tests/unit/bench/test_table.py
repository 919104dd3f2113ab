"""The bench's page: figures, targets, verdicts."""

import pytest
from bench.rows import Findings, Limit, Row, Target, judge
from bench.stats import Better
from bench.table import figures, number, report, section

START = Row("start", "start", "ms", targets=(Target("docker", 4), Target("podman", 2)))
RATE = Row("rate", "rate", "queries/s", Better.HIGHER, (Target("bare", 0.98),))


def findings(*rows: Row, **samples: dict[str, list[float]]) -> Findings:
    return Findings("theme", "A theme", rows, samples=samples)


def verdicts(found: Findings) -> list[str]:
    return [judgement.verdict for judgement in judge(found)]


def test_a_target_is_met_by_the_medians_or_in_every_round() -> None:
    found = findings(START, start={"landbridge": [10, 10, 10], "docker": [50, 39, 50], "podman": [21, 22, 23]})
    assert verdicts(found) == ["met", "met in every round"]


def test_a_target_is_missed_by_the_medians_even_when_one_round_met_it() -> None:
    found = findings(START, start={"landbridge": [10, 10, 10], "docker": [39, 39, 50]})
    assert verdicts(found) == ["missed", "not measured"]


def test_higher_is_better_for_rates() -> None:
    assert verdicts(findings(RATE, rate={"landbridge": [97.0], "bare": [100.0]})) == ["missed"]
    assert verdicts(findings(RATE, rate={"landbridge": [98.5], "bare": [100.0]})) == ["met in every round"]


def test_a_target_may_be_another_row_of_ours() -> None:
    many = Row("many", "many", "ms", targets=(Target("row:one", 1 / 1.3),))
    assert verdicts(findings(many, many={"landbridge": [13.0]}, one={"landbridge": [10.0]})) == ["met in every round"]
    assert verdicts(findings(many, many={"landbridge": [13.1]}, one={"landbridge": [10.0]})) == ["missed"]


def test_a_limit_holds_for_the_median_or_always() -> None:
    lost = Row("lost", "lost", "packets", targets=(Limit(0),))
    assert verdicts(findings(lost, lost={"landbridge": [0, 0, 0]})) == ["met in every round"]
    assert verdicts(findings(lost, lost={"landbridge": [0, 0, 5]})) == ["met"]
    assert verdicts(findings(lost, lost={"landbridge": [1, 1, 0]})) == ["missed"]
    assert verdicts(findings(lost)) == ["not measured"]


def test_figures_show_those_who_were_measured_in_the_usual_order() -> None:
    found = findings(START, start={"docker": [40.0], "landbridge": [9, 10, 12]})
    lines = figures(found).splitlines()
    assert lines[0] == "| work | unit | landbridge | Docker |"
    assert lines[2] == "| start | ms | 10.0 (9.00–12.0, ±8%) | 40.0 (once) |"


def test_a_row_nobody_measured_is_a_dash() -> None:
    assert figures(findings(START, RATE, rate={"landbridge": [5.0]})).splitlines()[2] == "| start | ms | – |"


def test_a_section_says_ratios_unlike_things_and_remarks() -> None:
    found = findings(START, start={"landbridge": [10.0, 20.0], "docker": [50.0, 60.0]})
    found.unlike = "this is not that."
    found.remark("Docker: stopped at 400")
    found.remark("Docker: stopped at 400")
    text = section(found)
    assert "| start | Docker | 4 x | 3.67 x | 3.00–5.00 (2) | **missed** |" in text
    assert "| start | Podman | 2 x | – | – | **not measured** |" in text
    assert "Where unlike things are compared: this is not that." in text
    assert text.count("stopped at 400") == 1


def test_the_page_counts_and_names_what_was_missed() -> None:
    found = findings(START, RATE, start={"landbridge": [10.0], "docker": [30.0], "podman": [30.0]})
    page = report([found], {"kernel": "6.1 | odd"}, "How it was done.")
    assert "1 of 3 targets met." in page
    assert "- missed: start (`theme`), 4 x against Docker: 3.00 x" in page
    assert "- not measured: rate (`theme`), 0.98 x against by hand" in page
    assert "| kernel | 6.1 \\| odd |" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"), (0, "0.00")],
)
def test_numbers_show_what_matters(value: float, text: str) -> None:
    assert number(value) == text
