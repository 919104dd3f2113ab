"""Recorded answers: one JSON file per file of the corpus, for every docker command they were recorded with.

    {"engine": "26.1.5", "scenarios": {name: [{"line": …, "any": answer}, {"line": …, "28.2.2": …, "20.10.24": …}]}}

`any` stands for all commands, where they got the same.
"""

import json
from pathlib import Path
from typing import Any

from corpus import Scenario
from play import Answer

ANSWERS = Path(__file__).parent / "answers"


def load(file: str, version: str) -> dict[str, list[Answer]]:
    """The answers to the scenarios of one file as docker command `version` got them. {} when there are none."""
    path = ANSWERS / f"{file}.json"
    if not path.exists():
        return {}
    scenarios = json.loads(path.read_text())["scenarios"]
    return {
        name: [{"line": one["line"], **one.get(version, one.get("any", {}))} for one in lines]
        for name, lines in scenarios.items()
    }


def versions() -> set[str]:
    """Docker commands there are answers for."""
    path = ANSWERS / "versions.json"
    return set(json.loads(path.read_text())["commands"]) if path.exists() else set()


def save(engine: str, played: dict[str, list[tuple[Scenario, list[Answer]]]]) -> None:
    """Write what each docker command (by version) was answered; files of subjects that were not played stay."""
    files: dict[str, dict[str, dict[str, list[Answer]]]] = {}
    for version, scenarios in played.items():
        for scenario, answers in scenarios:
            files.setdefault(scenario.file, {}).setdefault(scenario.name, {})[version] = answers
    ANSWERS.mkdir(exist_ok=True)
    for file, names in files.items():
        merged = {name: _merge(by_version) for name, by_version in names.items()}
        _write(ANSWERS / f"{file}.json", {"engine": engine, "scenarios": merged})
    _write(ANSWERS / "versions.json", {"engine": engine, "commands": sorted(played)})


def _merge(by_version: dict[str, list[Answer]]) -> list[dict[str, Any]]:
    merged = []
    for column in zip(*by_version.values(), strict=True):
        found = {version: {k: v for k, v in one.items() if k != "line"} for version, one in zip(by_version, column, strict=True)}
        values = list(found.values())
        same = all(value == values[0] for value in values)
        merged.append({"line": column[0]["line"], **({"any": values[0]} if same else found)})
    return merged


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
