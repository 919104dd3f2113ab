"""How two answers differ, and which differences are meant: the table of docs/differences.md. Pure but for reading it.

A row of the table: | `pattern of the line` | `field` | `Docker` | `landbridge` | why |. All patterns are shell patterns;
a field is exit, stdout, stderr, status, type, stat, location or body.Path.To.Member (lists: `[]`).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from play import Answer

TABLE = Path(__file__).parents[2] / "docs/differences.md"
ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one answer, as both engines gave it."""

    line: str
    field: str
    docker: str
    landbridge: str

    def __str__(self) -> str:
        return f"{self.line}\n    {self.field}\n      docker:     {self.docker}\n      landbridge: {self.landbridge}"


@dataclass(frozen=True, slots=True)
class Row:
    """One meant difference."""

    line: str
    field: str
    docker: str
    landbridge: str
    reason: str

    def fits(self, found: Difference) -> bool:
        """Whether `found` is this difference."""
        return (
            _fits(self.line, found.line) and _fits(self.field, found.field)
            and _fits(self.docker, found.docker) and _fits(self.landbridge, found.landbridge)
        )  # fmt: skip


def _fits(pattern: str, text: str) -> bool:
    # Brackets are common in JSON and in templates and never meant as a class of characters.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def compare(docker: list[Answer], landbridge: list[Answer]) -> Iterator[Difference]:
    """Every difference between two lists of answers to the same lines. Raises: ValueError for other lines."""
    if [one["line"] for one in docker] != [one["line"] for one in landbridge]:
        raise ValueError("the corpus has changed since the answers were recorded: make parity")
    for theirs, ours in zip(docker, landbridge, strict=True):
        for field, left, right in _unlike(theirs, ours, ""):
            yield Difference(theirs["line"], field, _show(left), _show(right))


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _unlike(left: Any, right: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _unlike(left.get(key, ABSENT), right.get(key, ABSENT), inner)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for one, other in zip(left, right, strict=True):
            yield from _unlike(one, other, f"{path}.[]")
    elif left != right or type(left) is not type(right):
        yield path, left, right


def table(path: Path = TABLE) -> list[Row]:
    """The rows of the tables in the page whose first cell is code. Raises: ValueError for a row without a reason."""
    rows = []
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and cells[0].startswith("`"):
            if not cells[4]:
                raise ValueError(f"no reason given: {line}")
            rows.append(Row(*(_code(cell) for cell in cells[:4]), cells[4]))
    return rows


def _code(cell: str) -> str:
    return cell.strip("`").replace("\\|", "|").replace("\\n", "\n") if cell.startswith("`") else "*"
