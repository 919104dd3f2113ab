"""A container's life: start, end, stop, kill, restart, pause, removal, with the events Docker's clients see."""

import asyncio
import signal

import pytest

from landbridge.engine.waits import Outcome
from landbridge.errors import Conflict, Internal, Invalid, NotFound, NotModified, StartFailed
from landbridge.model.config import Config
from landbridge.model.container import Phase
from rig import Rig, engine_test


@engine_test
async def test_a_life_and_its_events(rig: Rig) -> None:
    await rig.create("web", ports={"80/tcp": "8080"})
    assert rig.phase("web") is Phase.CREATED
    await rig.lifecycle.start("web")
    assert rig.phase("web") is Phase.RUNNING
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    rig.check()
    await rig.lifecycle.stop("web")
    assert rig.phase("web") is Phase.EXITED
    assert rig.of("web").state.exit_code == 143
    assert rig.published("web") == {}
    rig.check()
    await rig.containers.remove("web")
    assert rig.told() == [
        "create", "connect bridge", "start", "kill", "disconnect bridge", "die", "stop", "destroy",
    ]  # fmt: skip
    with pytest.raises(NotFound, match="No such container: web"):
        rig.of("web")


@engine_test
async def test_an_end_by_itself(rig: Rig) -> None:
    await rig.run("job")
    await rig.end("job", 7)
    assert rig.phase("job") is Phase.EXITED
    assert rig.of("job").state.exit_code == 7
    assert rig.told()[-2:] == ["disconnect bridge", "die"]


@engine_test
async def test_out_of_memory_is_told_before_the_end(rig: Rig) -> None:
    made = await rig.run("big")
    rig.runtime.end(made.id, 137, oom=True)
    await rig.settle()
    assert rig.of("big").state.oom_killed
    assert rig.told()[-3:] == ["oom", "disconnect bridge", "die"]


@engine_test
async def test_starting_twice_is_no_change(rig: Rig) -> None:
    await rig.run("web")
    with pytest.raises(NotModified):
        await rig.lifecycle.start("web")


@engine_test
async def test_stopping_what_does_not_run_is_no_change(rig: Rig) -> None:
    await rig.create("web")
    with pytest.raises(NotModified):
        await rig.lifecycle.stop("web")
    with pytest.raises(Conflict, match="is not running"):
        await rig.lifecycle.kill("web")


@engine_test
async def test_who_does_not_listen_is_killed(rig: Rig) -> None:
    made = await rig.run("deaf")
    rig.runtime.stubborn.add(made.id)
    await rig.lifecycle.stop("deaf", timeout=0)
    assert rig.of("deaf").state.exit_code == 137
    assert rig.told().count("kill") == 2


@engine_test
async def test_stop_uses_the_containers_signal(rig: Rig) -> None:
    made = await rig.run("web", config=Config(stop_signal="SIGINT"))
    await rig.lifecycle.stop("web", timeout=0)
    assert rig.runtime.signals == [(made.id, signal.SIGINT), (made.id, signal.SIGKILL)]
    await rig.lifecycle.start("web")
    rig.runtime.signals.clear()
    await rig.lifecycle.stop("web", signame="TERM")
    assert rig.runtime.signals == [(made.id, signal.SIGTERM)]


@engine_test
async def test_an_unknown_signal_changes_nothing(rig: Rig) -> None:
    await rig.run("web")
    for attempt in (rig.lifecycle.kill("web", "NONSENSE"), rig.lifecycle.stop("web", signame="NONSENSE")):
        with pytest.raises(Invalid, match="invalid signal: NONSENSE"):
            await attempt
    assert not rig.of("web").state.manually_stopped


@engine_test
async def test_other_signals_are_only_sent(rig: Rig) -> None:
    made = await rig.run("web")
    await rig.lifecycle.kill("web", "HUP")
    assert rig.runtime.signals == [(made.id, signal.SIGHUP)]
    assert rig.phase("web") is Phase.RUNNING
    assert not rig.of("web").state.manually_stopped


@engine_test
async def test_a_paused_container_can_be_stopped_and_killed(rig: Rig) -> None:
    for end in (rig.lifecycle.stop, rig.lifecycle.kill):
        await rig.run("web")
        await rig.lifecycle.pause("web")
        assert rig.phase("web") is Phase.PAUSED
        with pytest.raises(Conflict, match="already paused"):
            await rig.lifecycle.pause("web")
        with pytest.raises(Conflict, match="cannot start a paused container"):
            await rig.lifecycle.start("web")
        await end("web")
        assert rig.phase("web") is Phase.EXITED
        await rig.containers.remove("web")


@engine_test
async def test_pause_and_unpause(rig: Rig) -> None:
    made = await rig.run("web")
    await rig.lifecycle.pause("web")
    assert rig.runtime.processes[made.id].frozen
    await rig.lifecycle.unpause("web")
    assert not rig.runtime.processes[made.id].frozen
    with pytest.raises(Conflict, match="is not paused"):
        await rig.lifecycle.unpause("web")
    assert rig.told()[-2:] == ["pause", "unpause"]


@engine_test
async def test_restart_and_its_events(rig: Rig) -> None:
    await rig.network("net")
    before = await rig.run("web", net="net", ports={"80/tcp": ""})
    sandbox, published = rig.state.sandbox(before.id), rig.published("web")
    await rig.lifecycle.restart("web")
    assert rig.of("web").state.pid != before.state.pid
    assert rig.state.sandbox(before.id) == sandbox
    assert rig.published("web") == published
    assert rig.told()[-7:] == ["kill", "disconnect net", "die", "stop", "connect net", "start", "restart"]
    assert rig.of("web").state.restart_count == 0


@engine_test
async def test_restart_starts_what_does_not_run(rig: Rig) -> None:
    await rig.create("web")
    await rig.lifecycle.restart("web")
    assert rig.phase("web") is Phase.RUNNING
    assert rig.told()[-2:] == ["start", "restart"]


@engine_test
async def test_a_restart_whose_second_half_fails_leaves_a_stopped_container(rig: Rig) -> None:
    await rig.run("web", ports={"80/tcp": "8080"})
    rig.runtime.fail_start = StartFailed("no such file or directory", exit_code=127)
    with pytest.raises(StartFailed):
        await rig.lifecycle.restart("web")
    assert rig.phase("web") is Phase.EXITED
    assert rig.of("web").state.exit_code == 127
    assert rig.published("web") == {}


@engine_test
async def test_a_program_that_is_not_there(rig: Rig) -> None:
    rig.runtime.fail_start = StartFailed('exec: "nope": executable file not found in $PATH', exit_code=127)
    await rig.create("web")
    with pytest.raises(StartFailed):
        await rig.lifecycle.start("web")
    state = rig.of("web").state
    assert (state.phase, state.exit_code) == (Phase.CREATED, 127)
    assert "executable file not found" in state.error


@engine_test
async def test_a_failed_first_start_of_a_rm_container_removes_it(rig: Rig) -> None:
    rig.runtime.fail_start = StartFailed("no", exit_code=127)
    made = await rig.create("web", auto_remove=True)
    removed = rig.lifecycle.waiting("web", "removed")
    with pytest.raises(StartFailed):
        await rig.lifecycle.start("web")
    await removed
    assert made.id not in rig.state.containers


@engine_test
async def test_rm_removes_at_the_end_but_not_at_a_restart(rig: Rig) -> None:
    made = await rig.run("web", auto_remove=True)
    await rig.lifecycle.restart("web")
    await rig.settle()
    assert rig.phase("web") is Phase.RUNNING
    removed = rig.lifecycle.waiting("web", "removed")
    await rig.end("web", 3)
    assert (await removed).code == 3
    assert made.id not in rig.state.containers
    assert rig.told()[-2:] == ["die", "destroy"]


@engine_test
async def test_a_running_container_is_removed_by_force_only(rig: Rig) -> None:
    await rig.run("web")
    with pytest.raises(Conflict, match='cannot remove container "/web": container is running: stop the container'):
        await rig.containers.remove("web")
    await rig.lifecycle.pause("web")
    with pytest.raises(Conflict, match="container is paused and must be unpaused first"):
        await rig.containers.remove("web")
    await rig.containers.remove("web", force=True)
    assert rig.told()[-4:] == ["kill", "disconnect bridge", "die", "destroy"]


@engine_test
async def test_a_removal_that_fails_can_be_tried_again(rig: Rig) -> None:
    await rig.create("web")
    rig.faults.fail(1)
    with pytest.raises(Internal):
        await rig.containers.remove("web")
    assert rig.phase("web") is Phase.DEAD
    with pytest.raises(Conflict, match="marked for removal"):
        await rig.lifecycle.start("web")
    await rig.containers.remove("web")


@engine_test
async def test_a_process_that_never_ends_is_reported(rig: Rig) -> None:
    made = await rig.run("web")
    rig.runtime.processes[made.id].frozen = True  # as if it hung in the kernel
    rig.lifecycle.signals.grace = 0.01
    with pytest.raises(Internal, match="did not receive an exit event"):
        await rig.lifecycle.kill("web")
    assert rig.phase("web") is Phase.RUNNING
    rig.runtime.processes[made.id].frozen = False
    await rig.end("web", 137)


@engine_test
async def test_a_container_has_ended_whatever_goes_wrong_afterwards(rig: Rig) -> None:
    await rig.run("web")
    waiting = rig.lifecycle.waiting("web", "not-running")

    def fail(count: int, what: str) -> None:
        if what in ("runtime.delete", "roots.unmount"):
            raise Internal("stuck")

    rig.faults.watch(hook=fail)
    await rig.end("web", 4)
    assert (await waiting).code == 4
    assert rig.told()[-1] == "die"
    rig.faults.watch()
    await rig.again()


# Waiting.


@engine_test
async def test_wait_conditions(rig: Rig) -> None:
    await rig.create("web")
    assert (await rig.lifecycle.wait("web")).code == 0  # it does not run
    following = rig.lifecycle.waiting("web", "next-exit")
    await rig.lifecycle.start("web")
    ending = rig.lifecycle.waiting("web", "not-running")
    removed = rig.lifecycle.waiting("web", "removed")
    await rig.settle()
    assert not (following.done() or ending.done() or removed.done())
    await rig.end("web", 5)
    assert (await following).code == (await ending).code == 5
    assert not removed.done()
    await rig.containers.remove("web")
    assert (await removed).code == 5
    with pytest.raises(NotFound):
        await rig.lifecycle.wait("web")


@engine_test
async def test_an_unknown_condition_is_refused(rig: Rig) -> None:
    await rig.create("web")
    with pytest.raises(Invalid, match='invalid condition: "never"'):
        await rig.lifecycle.wait("web", "never")


@engine_test
async def test_who_waits_hears_that_a_start_failed(rig: Rig) -> None:
    rig.runtime.fail_start = StartFailed("no such file", exit_code=127)
    await rig.create("web")
    following = rig.lifecycle.waiting("web", "next-exit")
    with pytest.raises(StartFailed):
        await rig.lifecycle.start("web")
    assert await following == Outcome(127)  # the reason is the answer to the start


@engine_test
async def test_a_waiter_may_leave(rig: Rig) -> None:
    await rig.run("web")
    waiter = asyncio.ensure_future(rig.lifecycle.wait("web"))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert not rig.waits._waiting
    await rig.end("web")
