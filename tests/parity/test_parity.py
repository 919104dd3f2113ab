"""The corpus on landbridge, compared with what a real Docker Engine answered (answers/, recorded by `make parity`).

A difference must be a row of docs/differences.md, and a row must still be a difference.
"""

import answers
import differences
import pytest
from corpus import Scenario, load
from play import Engine, cli_version

pytestmark = pytest.mark.system

_SCENARIOS = load()


@pytest.fixture(scope="module")
def seen() -> set[differences.Row]:
    """Rows of the table that were met."""
    return set()


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=str)
def test_scenario(scenario: Scenario, engine: Engine, docker_command: str, seen: set[differences.Row]) -> None:
    recorded = answers.load(scenario.file, cli_version(docker_command)).get(scenario.name)
    assert recorded is not None, "no answers are recorded: make parity"
    rows = differences.table()
    unlisted = []
    for found in differences.compare(recorded, engine.play(scenario)):
        fitting = [row for row in rows if row.fits(found)]
        seen.update(fitting)
        if not fitting:
            unlisted.append(found)
    assert not unlisted, "landbridge differs from Docker:\n" + "\n".join(map(str, unlisted))


def test_listed_differences_are_still_there(request: pytest.FixtureRequest, seen: set[differences.Row]) -> None:
    played = [item for item in request.session.items if item.name.startswith("test_scenario[")]
    if len(played) < len(_SCENARIOS):
        pytest.skip("only a part of the corpus was played")
    gone = [row for row in differences.table() if row not in seen]
    assert not gone, "no longer different, take them off docs/differences.md:\n" + "\n".join(map(str, gone))


def test_corpus_is_large() -> None:
    lines = {step.line for scenario in _SCENARIOS for step in scenario.steps}
    commands = {step.line for scenario in _SCENARIOS for step in scenario.steps if step.kind != "api"}
    assert len(commands) >= 250
    assert len(lines) > len(commands)
