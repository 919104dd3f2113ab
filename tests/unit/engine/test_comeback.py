"""What comes back at a boot and in which order; what is tried again, and what is not."""

from dataclasses import replace

import pytest

from landbridge.engine.comeback import waves
from landbridge.engine.predefined import Predefined
from landbridge.errors import StartFailed
from landbridge.model.config import HostConfig
from landbridge.model.container import Container, Phase
from rig import Rig, engine_test
from worlds import container

PORT = {"80/tcp": "8080"}


def joined(name: str, **modes: str) -> Container:
    """A container whose modes name others, by id as the engine keeps them; ids are names here."""
    made = container(name, host=HostConfig(**{key: f"container:{target}" for key, target in modes.items()}))
    return replace(made, id=name)


@pytest.mark.parametrize(("due", "wanted"), [
    ([joined("b", network_mode="a"), joined("a")], [["a"], ["b"]]),
    ([joined("c", pid_mode="b"), joined("b", ipc_mode="a"), joined("a"), joined("d")], [["a", "d"], ["b"], ["c"]]),
    ([joined("b", network_mode="gone"), joined("a")], [["b", "a"]]),
    ([joined("a", pid_mode="b"), joined("b", pid_mode="a")], [["b"], ["a"]]),
])  # fmt: skip
def test_shared_namespaces_come_first(due: list[Container], wanted: list[list[str]]) -> None:
    there = {one.id: one for one in due}
    assert [[one.id for one in wave] for wave in waves(due, there.get)] == wanted


def test_one_that_runs_already_holds_nobody_up() -> None:
    there = {one.id: one for one in (joined("a"), joined("b", network_mode="a"))}
    assert [[one.id for one in wave] for wave in waves([there["b"]], there.get)] == [["b"]]


@engine_test
async def test_what_is_missing_at_a_boot_is_waited_for(rig: Rig) -> None:
    await rig.run("web", restart="always", ports=PORT)
    rig.runtime.end(rig.of("web").id, 255)
    await rig.settle()
    rig.proxy.busy = {("tcp", 8080)}
    rig.sleeper.asked.clear()
    await rig.again()
    assert rig.phase("web") is Phase.RESTARTING
    assert "8080" in rig.of("web").state.error
    rig.check()
    for _ in range(8):
        rig.sleeper.wake()
        await rig.settle()
    assert rig.sleeper.asked == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    rig.proxy.busy = set()
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("web") is Phase.RUNNING
    assert rig.of("web").state.error == ""
    assert rig.published("web") == {"80/tcp": [8080, 8080]}


@engine_test
async def test_the_user_may_give_up_on_what_is_missing(rig: Rig) -> None:
    await rig.run("web", restart="unless-stopped", ports=PORT)
    rig.runtime.end(rig.of("web").id, 255)
    await rig.settle()
    rig.proxy.busy = {("tcp", 8080)}
    await rig.again()
    await rig.lifecycle.stop("web")
    assert rig.phase("web") is Phase.EXITED
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_a_program_that_cannot_run_is_not_tried_again(rig: Rig) -> None:
    await rig.run("web", restart="always")
    rig.runtime.end(rig.of("web").id, 255)
    await rig.settle()
    rig.runtime.fail_start = StartFailed("no such file", exit_code=127)
    rig.sleeper.asked.clear()
    await rig.again()
    assert rig.phase("web") is Phase.EXITED
    assert rig.sleeper.asked == []


@engine_test
async def test_one_that_cannot_come_back_keeps_nobody_from_coming(rig: Rig) -> None:
    await rig.run("bad", restart="on-failure", ports=PORT)
    await rig.run("good", restart="on-failure")
    for name in ("bad", "good"):
        rig.runtime.end(rig.of(name).id, 255)
    rig.proxy.busy = {("tcp", 8080)}
    await rig.again()
    assert rig.phase("bad") is Phase.EXITED
    assert rig.phase("good") is Phase.RUNNING


@engine_test
async def test_what_ended_with_the_daemon_away_is_known_when_it_is_ready(rig: Rig) -> None:
    await rig.run("once")
    await rig.run("again", restart="on-failure")
    await rig.stop()
    for name in ("once", "again"):
        rig.runtime.end(rig.of(name).id, 7)
    rig._assemble()
    await Predefined(rig.networks).ensure()
    await rig.reconcile.boot()
    assert rig.phase("once") is Phase.EXITED
    assert rig.of("once").state.exit_code == 7
    assert rig.phase("again") is Phase.EXITED  # until `start_by_policy`
    await rig.lifecycle.start_by_policy()
    assert rig.phase("again") is Phase.RUNNING
    assert rig.of("again").state.restart_count == 0
