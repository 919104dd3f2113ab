"""Restart policies and their back-off; what stops them; what runs again after a boot."""

import asyncio
from dataclasses import replace

import pytest

from landbridge.engine.restart import Restarts, due_at_boot
from landbridge.errors import StartFailed
from landbridge.model.config import HostConfig, RestartPolicy
from landbridge.model.container import Container, Phase
from rig import Rig, Sleeper, engine_test
from worlds import container

SECOND = 1_000_000_000


@engine_test
async def test_always_comes_back_after_a_while(rig: Rig) -> None:
    await rig.run("web", restart="always", ports={"80/tcp": "8080"})
    await rig.end("web", 0)
    assert rig.phase("web") is Phase.RESTARTING
    assert rig.sleeper.asked == [0.1]
    assert rig.published("web") == {"80/tcp": [8080, 8080]}  # nobody else may take it meanwhile
    assert rig.names("bridge") == set()
    rig.check()
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("web") is Phase.RUNNING
    assert rig.of("web").state.restart_count == 1


@engine_test
async def test_the_wait_doubles(rig: Rig) -> None:
    await rig.run("web", restart="always")
    for _ in range(4):
        await rig.end("web", 1)
        rig.sleeper.wake()
        await rig.settle()
    assert rig.sleeper.asked == [0.1, 0.2, 0.4, 0.8]
    assert rig.of("web").state.restart_count == 4


@engine_test
async def test_on_failure_looks_at_the_code_and_counts(rig: Rig) -> None:
    await rig.run("good", restart="on-failure")
    await rig.end("good", 0)
    assert rig.phase("good") is Phase.EXITED
    made = await rig.create("bad", restart="on-failure")
    limited = replace(made.host, restart_policy=RestartPolicy(name="on-failure", maximum_retry_count=2))
    rig.state.containers.put(replace(made, host=limited))
    await rig.lifecycle.start("bad")
    for _ in range(2):
        await rig.end("bad", 1)
        assert rig.phase("bad") is Phase.RESTARTING
        rig.sleeper.wake()
        await rig.settle()
    await rig.end("bad", 1)
    assert rig.phase("bad") is Phase.EXITED
    assert rig.of("bad").state.restart_count == 2


@engine_test
async def test_a_stop_during_the_back_off_ends_it(rig: Rig) -> None:
    await rig.run("web", restart="always", ports={"80/tcp": "8080"})
    await rig.end("web", 1)
    waiting = rig.lifecycle.waiting("web", "not-running")
    await rig.lifecycle.stop("web")
    assert rig.phase("web") is Phase.EXITED
    assert (await waiting).code == 1
    assert rig.published("web") == {}
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_networks_change_during_the_back_off(rig: Rig) -> None:
    await rig.network("one", "10.1.0.0/24")
    await rig.network("two", "10.2.0.0/24")
    await rig.run("web", net="one", restart="always", ports={"80/tcp": "8080"})
    await rig.end("web", 1)
    await rig.connect("two", "web", gw_priority=1)
    assert rig.names("two") == set()
    assert {hold.target_ip for hold in rig.proxy.held.values()} == {"10.2.0.2"}
    rig.check()
    await rig.containers.disconnect("two", "web")
    assert {hold.target_ip for hold in rig.proxy.held.values()} == {"10.1.0.2"}
    rig.check()
    await rig.connect("two", "web")
    await rig.containers.disconnect("one", "web")
    assert {hold.target_ip for hold in rig.proxy.held.values()} == {rig.ip("web", "two")}
    rig.check()
    rig.sleeper.wake()
    await rig.settle()
    assert rig.names("two") == {"web"}


@engine_test
async def test_a_kill_during_the_back_off_ends_it(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.end("web", 1)
    await rig.lifecycle.kill("web")
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_a_stop_at_the_very_moment_the_back_off_is_over(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.end("web", 1)
    stop = asyncio.ensure_future(rig.lifecycle.stop("web"))
    await asyncio.sleep(0)  # it has the lock
    rig.sleeper.wake()
    await stop
    await rig.settle()
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_a_start_during_the_back_off_starts_at_once_and_once(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.end("web", 1)
    await rig.lifecycle.start("web")
    assert rig.phase("web") is Phase.RUNNING
    assert rig.of("web").state.restart_count == 0
    rig.sleeper.wake()
    await rig.settle()
    assert rig.told().count("start") == 2


@engine_test
async def test_a_removal_by_force_during_the_back_off(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.end("web", 1)
    await rig.containers.remove("web", force=True)
    rig.sleeper.wake()
    await rig.settle()
    assert rig.told()[-1] == "destroy"


@engine_test
async def test_a_stopped_one_stays_down(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.lifecycle.stop("web")
    assert rig.phase("web") is Phase.EXITED
    assert rig.sleeper.asked == []


@engine_test
async def test_a_start_that_fails_after_the_back_off_is_the_last(rig: Rig) -> None:
    await rig.run("web", restart="always", ports={"80/tcp": "8080"})
    await rig.end("web", 1)
    rig.runtime.fail_start = StartFailed("gone", exit_code=127)
    waiting = rig.lifecycle.waiting("web", "not-running")
    rig.sleeper.wake()
    assert (await waiting).code == 127
    await rig.settle()
    assert rig.phase("web") is Phase.EXITED
    assert rig.of("web").state.error == "gone"
    assert rig.published("web") == {}


@engine_test
async def test_the_daemons_end_ends_the_waiting(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.end("web", 1)
    await rig.again()
    assert rig.phase("web") is Phase.RUNNING  # by the boot, not by the back-off


@pytest.mark.parametrize(
    ("policy", "exit_code", "stopped", "expected"),
    [
        ("no", 1, False, False), ("always", 0, False, True), ("always", 0, True, True),
        ("unless-stopped", 0, False, True), ("unless-stopped", 0, True, False),
        ("on-failure", 1, False, True), ("on-failure", 0, False, False), ("on-failure", 1, True, False),
    ],
)  # fmt: skip
def test_what_runs_again_at_a_boot(policy: str, exit_code: int, stopped: bool, expected: bool) -> None:  # noqa: FBT001 (a table)
    ended = _ended(policy, exit_code, stopped=stopped)
    assert due_at_boot(ended) is expected
    assert not due_at_boot(replace(ended, state=replace(ended.state, started_at=0)))  # it never ran


def _ended(policy: str, exit_code: int = 1, *, stopped: bool = False, started_at: int = 1, count: int = 0) -> Container:
    host = HostConfig(network_mode="bridge", restart_policy=RestartPolicy(name=policy))
    made = container("web", host=host)
    state = replace(
        made.state, phase=Phase.EXITED, exit_code=exit_code, manually_stopped=stopped, started_at=started_at,
        restart_count=count,
    )  # fmt: skip
    return replace(made, state=state)


def test_the_delays() -> None:
    """100 ms, doubled, one minute at most; ten seconds of running start over."""
    now = 1000 * SECOND

    async def never(container: str) -> None:
        raise AssertionError

    async def go() -> None:
        restarts = Restarts(never, Sleeper(), clock=lambda: now)
        crashing = _ended("always", started_at=now - SECOND)
        delays = [restarts.delay(crashing, 1) for _ in range(12)]
        assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
        assert delays[-1] == 60.0
        assert restarts.delay(_ended("always", started_at=now - 10 * SECOND), 1) == 0.1
        assert restarts.delay(_ended("no"), 1) is None
        assert restarts.delay(_ended("always", stopped=True), 1) is None

    asyncio.run(go())
