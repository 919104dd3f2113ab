"""Every effect of every operation fails once, is cut once and is the last before a crash: nothing stays half-made.

The operations are not told apart by their steps: effects are counted, and the n-th one is chosen for every n.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from landbridge.errors import Internal, LandbridgeError
from landbridge.model.container import Phase
from rig import Rig, engine_test, scratch

Step = Callable[[Rig], Awaitable[object]]


async def two_networks(rig: Rig) -> None:
    await rig.network("one", "10.1.0.0/24")
    await rig.network("two", "10.2.0.0/24")


async def fresh(rig: Rig) -> None:
    await two_networks(rig)
    await rig.create("web", net="one", ports={"80/tcp": "8080", "53/udp": ""})
    await rig.connect("two", "web")


async def running(rig: Rig) -> None:
    await fresh(rig)
    await rig.lifecycle.start("web")


async def alone(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"})


async def joined(rig: Rig) -> None:
    await running(rig)
    await rig.create("side", net="container:web")


async def joined_first(rig: Rig) -> None:
    await fresh(rig)
    await rig.create("side", net="container:web")


async def joined_running(rig: Rig) -> None:
    await joined(rig)
    await rig.lifecycle.start("side")


async def ended(rig: Rig) -> None:
    await running(rig)
    await rig.lifecycle.stop("web")


async def ends(rig: Rig) -> None:
    await rig.end("web", 3)


async def restarting(rig: Rig) -> None:
    await two_networks(rig)
    await rig.run("web", net="one", ports={"80/tcp": "8080"}, restart="always")
    await rig.end("web")


async def back_off_over(rig: Rig) -> None:
    rig.sleeper.wake()
    await rig.settle()


# name → (what is there before, the operation). These happen wholly or not at all.
ATOMIC: Mapping[str, tuple[Step, Step]] = {
    "start": (fresh, lambda rig: rig.lifecycle.start("web")),
    "start of a joined container": (joined, lambda rig: rig.lifecycle.start("side")),
    "start of a joined container before its owner": (joined_first, lambda rig: rig.lifecycle.start("side")),
    "create": (two_networks, lambda rig: rig.create("web", net="one", ip="10.1.0.9")),
    "network create": (two_networks, lambda rig: rig.network("three")),
    "connect": (alone, lambda rig: rig.connect("two", "web", aliases=("w",))),
    "connect that moves the gateway": (alone, lambda rig: rig.connect("two", "web", gw_priority=5)),
    "rename": (running, lambda rig: rig.containers.rename("web", "www")),
}  # fmt: skip

# These can only go forward: whatever fails on the way, all else is done.
FORWARD: Mapping[str, tuple[Step, Step]] = {
    "end": (running, ends),
    "stop": (running, lambda rig: rig.lifecycle.stop("web")),
    "end of a joined container": (joined_running, lambda rig: rig.lifecycle.stop("side")),
    "end of an owner others joined": (joined_running, lambda rig: rig.lifecycle.stop("web")),
    "end before a back-off": (restarting, back_off_over),
    "restart": (running, lambda rig: rig.lifecycle.restart("web")),
    "restart under who joined it": (joined_running, lambda rig: rig.lifecycle.restart("web")),
    "remove": (ended, lambda rig: rig.containers.remove("web")),
    "forced removal": (joined_running, lambda rig: rig.containers.remove("web", force=True)),
    "disconnect of the gateway": (running, lambda rig: rig.containers.disconnect("one", "web")),
    "disconnect of the only network": (alone, lambda rig: rig.containers.disconnect("one", "web")),
    "network remove": (ended, lambda rig: rig.networks.remove("two")),
}  # fmt: skip
ALL = {**ATOMIC, **FORWARD}


def each_effect(name: str, one: Callable[[Rig, int], Awaitable[bool]]) -> None:
    """`one(rig, n)` for n = 1, 2, …, each on an engine of its own, until it says that there is no n-th effect."""

    async def go() -> None:
        number, more = 1, True
        while more:
            rig = await Rig(directory / f"{number}.db").boot()
            try:
                await ALL[name][0](rig)
                await rig.settle()
                rig.check()
                rig.faults.watch()
                more = await one(rig, number)
            finally:
                await rig.stop()
            number += 1
        assert number > 2, "no effect at all"

    with scratch() as directory:
        asyncio.run(go())


@pytest.mark.parametrize("manner", ["undone", "unanswered"])
@pytest.mark.parametrize("name", ATOMIC)
def test_a_failure_leaves_nothing(name: str, manner: str) -> None:
    async def fail(rig: Rig, number: int) -> bool:
        outline = rig.outline()
        rig.faults.fail(number, late=manner == "unanswered")
        try:
            await ALL[name][1](rig)
            if manner == "undone" and not rig.faults.pending:
                pytest.fail(f"effect {number} ({rig.faults.calls[number - 1]}) failed and nobody noticed")
            return not rig.faults.pending
        except Internal:
            await rig.settle()
        assert rig.outline() == outline, f"after a failure of {rig.faults.calls[number - 1]}"
        rig.check()
        await ALL[name][1](rig)  # nothing is in the way of another try
        await rig.settle()
        rig.check()
        return True

    each_effect(name, fail)


@pytest.mark.parametrize("name", ALL)
def test_a_cancelled_request_leaves_nothing_half_made(name: str) -> None:
    async def cut(rig: Rig, number: int) -> bool:
        task = asyncio.ensure_future(ALL[name][1](rig))
        rig.faults.watch(hook=lambda count, what: task.cancel() if count >= number else None)  # again and again
        try:
            await task
            happened = len(rig.faults.calls) >= number
        except asyncio.CancelledError:
            happened = True
        rig.faults.watch()
        await rig.settle()
        rig.check()
        return happened

    each_effect(name, cut)


@pytest.mark.parametrize("name", ALL)
def test_a_daemon_killed_anywhere_finds_its_way_at_the_next_boot(name: str) -> None:
    async def kill(rig: Rig, number: int) -> bool:
        found: list[Rig] = []

        def photograph(count: int, what: str) -> None:
            if count == number:
                found.append(rig.photograph(rig.database.with_suffix(".left")))

        rig.faults.watch(hook=photograph)
        await ALL[name][1](rig)
        await rig.settle()
        rig.faults.watch()
        for left in found:
            await left.boot()
            try:
                left.check()
            except AssertionError as error:
                raise AssertionError(f"killed before {rig.faults.calls}") from error
            if name != "network remove":  # nothing is in the way of what comes next
                for container in left.state.containers:
                    if not container.state.running:
                        await left.lifecycle.start(container.id)
            left.check()
            await left.stop()
        return bool(found)

    each_effect(name, kill)


@pytest.mark.parametrize("name", FORWARD)
def test_a_failure_on_the_way_down_stops_nothing_else(name: str) -> None:
    """What failed is there until the next boot, which puts it right."""

    async def fail(rig: Rig, number: int) -> bool:
        rig.faults.fail(number)
        try:
            await ALL[name][1](rig)
        except LandbridgeError:
            pass  # a restart may fail at its second half, a removal at its first
        await rig.settle()
        happened = not rig.faults.pending
        rig.faults.watch()
        assert not rig.locks._locks
        await rig.again()
        rig.check()
        return happened

    each_effect(name, fail)


@engine_test
async def test_a_failed_start_says_why_in_its_state(rig: Rig) -> None:
    await fresh(rig)
    rig.faults.fail(4)
    with pytest.raises(LandbridgeError):
        await rig.lifecycle.start("web")
    state = rig.of("web").state
    assert state.phase is Phase.CREATED
    assert state.error.startswith("injected failure of ")
    assert state.exit_code == 128
    await rig.lifecycle.start("web")
    assert rig.of("web").state.error == ""
