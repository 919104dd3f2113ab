"""docs/behaviours.md: every behaviour is there once, with a test that exists or a reason why there is none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "behaviours.md").read_text().splitlines() if re.match(r"\| \d", line)
]  # fmt: skip


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_none_is_left_out() -> None:
    assert [row[0] for row in ROWS] == [str(number) for number in range(1, 86)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_it_is_shown_or_reasoned(row: tuple[str, ...]) -> None:
    number, behaviour, shown = row
    named = re.findall(r"`(tests/system/\S+)::(test_\w+)`", shown)
    assert behaviour
    assert len(named) == shown.count("::"), f"{number}: a test is named as `path::name`"
    for path, name in named:
        assert name in names_in(path), f"{path} has no {name}"
    assert named or len(shown.split()) > 5, f"{number}: show it, or say why not"
