"""docs/complaints.md: every complaint has an answer, and every answer a test that is there, or a reason."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "complaints.md").read_text().splitlines() if line.startswith("| C")
]  # fmt: skip


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )  # fmt: skip


def test_none_is_left_out() -> None:
    assert [row[0] for row in ROWS] == [f"C{number}" for number in range(1, 59)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_answer_is_shown_or_reasoned(row: tuple[str, ...]) -> None:
    _, complaint, answer, how, shown = row
    assert complaint
    assert answer in ("default", "option", "no")
    named = re.findall(r"`(tests/\S+)::(test_\w+)`", shown)
    assert len(named) == shown.count("::"), "a test is named as `path::name`"
    for path, name in named:
        assert (ROOT / path).exists(), path
        assert name in names_in(path), f"{path} has no {name}"
    if answer == "no":
        assert len(how.split()) > 10, "a reason, not a word"
    else:
        assert named, "show it"
