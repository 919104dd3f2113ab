"""The table of a container's phases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Conflict
from landbridge.model.container import TRANSITIONS, Act, Phase, State, advance
from worlds import HostConfig, container


def test_every_phase_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(Phase)
    reached = {Phase.CREATED} | {after for steps in TRANSITIONS.values() for after in steps.values()}
    assert reached == set(Phase)


def test_every_phase_can_end_in_removal() -> None:
    def ways(phase: Phase, seen: frozenset[Phase] = frozenset()) -> bool:
        return phase is Phase.REMOVING or any(
            ways(after, seen | {phase}) for after in TRANSITIONS[phase].values() if after not in seen
        )

    assert all(ways(phase) for phase in Phase)


@given(st.sampled_from(Phase), st.sampled_from(Act))
def test_what_is_not_in_the_table_is_refused(phase: Phase, act: Act) -> None:
    if act in TRANSITIONS[phase]:
        assert advance(phase, act) is TRANSITIONS[phase][act]
    else:
        with pytest.raises(Conflict, match=f"cannot {act.value} a container that is {phase.value}"):
            advance(phase, act)


def test_nothing_runs_that_is_being_removed() -> None:
    for phase in (Phase.REMOVING, Phase.DEAD):
        with pytest.raises(Conflict):
            advance(phase, Act.START)


@pytest.mark.parametrize("phase", Phase)
def test_a_process_is_there_while_running_or_paused(phase: Phase) -> None:
    assert State(phase=phase).running is (phase in (Phase.RUNNING, Phase.PAUSED))


def test_whom_it_joins() -> None:
    assert container("a", host=HostConfig(network_mode="container:web")).joins == "web"
    assert container("a", host=HostConfig(network_mode="containers")).joins == ""
