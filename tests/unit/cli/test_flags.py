"""Every command and flag of docker 28 (tests/golden/cli-flags.json) is ours too, or in docs/differences.md with the reason."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from landbridge.cli.commands import COMMANDS, SHORT
from landbridge.cli.flags import Flag
from landbridge.cli.main import GLOBAL_FLAGS, find_command, handler_of
from landbridge.cli.outcome import ExitWith

ROOT = Path(__file__).parents[3]
DOCKERS: dict[str, dict[str, list[str]]] = json.loads((ROOT / "tests/golden/cli-flags.json").read_text())
_CODE = re.compile(r"`([^`]+)`")


def listed() -> list[tuple[list[str], list[str]]]:
    """Rows of the table: patterns of commands, and flags (none: the whole command)."""
    page = (ROOT / "docs/differences.md").read_text().partition("## The command line")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    assert rows and all(row[2].strip() for row in rows)
    return [(_CODE.findall(row[0]), _CODE.findall(row[1])) for row in rows]


def left_out(command: str) -> bool:
    return any(not flags and any(fnmatchcase(command, one) for one in commands) for commands, flags in listed())


def refused(command: str) -> set[str]:
    return {flag[2:] for commands, flags in listed() if command in commands for flag in flags}


def ours(command: str) -> tuple[Flag, ...]:
    if not command:
        return GLOBAL_FLAGS
    name = "completion" if command.startswith("completion ") else SHORT.get(command, command)
    return tuple(handler_of(name)[0])


@pytest.mark.parametrize("command", sorted(DOCKERS))
def test_command_takes_dockers_flags(command: str) -> None:
    if left_out(command):
        with pytest.raises(ExitWith, match="is left out on purpose"):
            find_command(command.split())
        return
    mine = {flag.name: flag for flag in ours(command)}
    for name, (short, kind) in DOCKERS[command].items():
        if name == "help":
            continue
        assert name in mine, f"{command} --{name}"
        assert (mine[name].short, mine[name].kind) == (short, kind), f"{command} --{name}"
    assert {name for name, flag in mine.items() if flag.refused} == refused(command)


def test_nothing_that_is_left_out_is_there() -> None:
    assert not [name for name in (*COMMANDS, *SHORT) if left_out(name)]


def test_flags_of_ours_alone_are_few() -> None:
    more = {
        f"{command} --{flag.name}" for command, flags in DOCKERS.items() if command and not left_out(command)
        for flag in ours(command) if flag.shown and flag.name not in flags
    }  # fmt: skip
    assert more == {f"{group}update --{flag}" for group in ("", "container ") for flag in ("kernel-memory", "publish", "unpublish")}
