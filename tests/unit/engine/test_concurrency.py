"""Several requests at once for the same containers: they wait for each other, never for ever, and end consistently."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from landbridge.engine.locks import Locks
from landbridge.errors import Conflict, LandbridgeError, NotFound, NotModified
from landbridge.model.container import Phase
from rig import Rig, engine_test


async def at_once(*work: Awaitable[Any]) -> list[Any]:
    """Results and refusals; anything else is a bug. Nothing may hang."""
    results = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 10)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, LandbridgeError):
            raise result
    return results


@engine_test
async def test_two_starts(rig: Rig) -> None:
    await rig.create("web", ports={"80/tcp": "8080"})
    results = await at_once(rig.lifecycle.start("web"), rig.lifecycle.start("web"))
    assert results[0] is None
    assert isinstance(results[1], NotModified)


@engine_test
async def test_two_containers_and_one_port(rig: Rig) -> None:
    for name in ("one", "two"):
        await rig.create(name, ports={"80/tcp": "8080"})
    results = await at_once(rig.lifecycle.start("one"), rig.lifecycle.start("two"))
    assert sum(isinstance(result, LandbridgeError) for result in results) == 1


@engine_test
async def test_a_stop_during_a_start_waits_for_it(rig: Rig) -> None:
    await rig.create("web")
    rig.faults.turns = lambda: 5
    assert await at_once(rig.lifecycle.start("web"), rig.lifecycle.stop("web")) == [None, None]
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_a_kill_during_a_start_waits_for_it(rig: Rig) -> None:
    await rig.create("web")
    rig.faults.turns = lambda: 5
    assert await at_once(rig.lifecycle.start("web"), rig.lifecycle.kill("web")) == [None, None]
    assert rig.phase("web") is Phase.EXITED


@engine_test
async def test_a_forced_removal_during_a_start(rig: Rig) -> None:
    await rig.create("web")
    rig.faults.turns = lambda: 5
    assert await at_once(rig.lifecycle.start("web"), rig.containers.remove("web", force=True)) == [None, None]
    assert len(rig.state.containers) == 0


@engine_test
async def test_stop_and_forced_removal(rig: Rig) -> None:
    made = await rig.run("web")
    rig.runtime.stubborn.add(made.id)
    assert await at_once(rig.lifecycle.stop("web"), rig.containers.remove("web", force=True)) == [None, None]
    assert len(rig.state.containers) == 0


@engine_test
async def test_two_removals(rig: Rig) -> None:
    await rig.create("web")
    results = await at_once(rig.containers.remove("web"), rig.containers.remove("web"))
    assert results[0] is None
    assert results[1] is None or isinstance(results[1], NotFound | Conflict)
    assert rig.told().count("destroy") == 1


@engine_test
async def test_two_restarts_keep_the_stack(rig: Rig) -> None:
    made = await rig.run("web", ports={"80/tcp": ""})
    before = rig.state.sandbox(made.id), rig.published("web")
    assert await at_once(rig.lifecycle.restart("web"), rig.lifecycle.restart("web")) == [None, None]
    assert (rig.state.sandbox(made.id), rig.published("web")) == before
    assert not rig.stack.kept


@engine_test
async def test_restart_join_and_removal_do_not_wait_for_each_other_for_ever(rig: Rig) -> None:
    for _ in range(5):
        await rig.run("web")
        await rig.run("side", net="container:web")
        await rig.create("late", net="container:web")
        await at_once(
            rig.lifecycle.restart("web"), rig.lifecycle.restart("side"), rig.lifecycle.start("late"),
            rig.containers.remove("side", force=True), rig.containers.remove("web", force=True),
        )  # fmt: skip
        await rig.settle()
        rig.check()
        for container in rig.state.containers:
            await rig.containers.remove(container.id, force=True)


@engine_test
async def test_an_owners_start_and_the_end_of_who_joined_it(rig: Rig) -> None:
    """The one that leaves must not take the stack down while the owner comes up in it."""
    await rig.create("web", ports={"80/tcp": "8080"})
    await rig.run("side", net="container:web")
    for turns in range(6):
        rig.faults.turns = lambda turns=turns: turns
        start = asyncio.ensure_future(rig.lifecycle.start("web"))
        for _ in range(turns):
            await asyncio.sleep(0)
        rig.runtime.end(rig.of("side").id, 0)
        await start
        await rig.settle()
        rig.check()
        await rig.lifecycle.stop("web")
        await rig.lifecycle.start("side")


@engine_test
async def test_many_starts_at_once(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    names = [f"c{number}" for number in range(20)]
    for name in names:
        await rig.create(name, net="net", ports={"80/tcp": ""})
    assert await at_once(*(rig.lifecycle.start(name) for name in names)) == [None] * 20
    assert len({rig.ip(name, "net") for name in names}) == 20
    assert len({rig.published(name)["80/tcp"][0] for name in names}) == 20


@engine_test
async def test_networks_of_one_name(rig: Rig) -> None:
    results = await at_once(*(rig.network("net") for _ in range(3)))
    assert sum(isinstance(result, Conflict) for result in results) == 2


# The locks themselves.


def test_locks_are_taken_in_one_order_and_vanish() -> None:
    async def go() -> None:
        locks, seen = Locks(), []

        async def hold(*names: str) -> None:
            async with locks.holding(*names):
                seen.append(names)
                await asyncio.sleep(0)

        await asyncio.wait_for(asyncio.gather(*(hold("a", "b") if n % 2 else hold("b", "a") for n in range(10))), 5)
        assert len(seen) == 10
        assert not locks._locks
        assert not locks._wanted

    asyncio.run(go())


def test_who_gives_up_waiting_leaves_no_lock_behind() -> None:
    async def go() -> None:
        locks = Locks()
        async with locks.holding("a"):
            waiting = asyncio.ensure_future(locks.holding("a", "b").__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not locks._locks
        async with asyncio.timeout(1), locks.holding("a", "b"):
            pass

    asyncio.run(go())
