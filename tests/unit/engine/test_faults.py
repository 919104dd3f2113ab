"""Every effect of an operation fails once, and every operation is cut once at every effect: nothing is left half-made."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from landbridge.errors import Internal, LandbridgeError
from landbridge.model.container import Phase
from landbridge.model.network import NetworkRequest
from rig import Rig

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


# name → (what is there before, the operation). Each must be all or nothing.
OPERATIONS: Mapping[str, tuple[Step, Step]] = {
    "start": (fresh, lambda rig: rig.lifecycle.start("web")),
    "start of a joined container": (joined, lambda rig: rig.lifecycle.start("side")),
    "start of a joined container before its owner": (joined_first, lambda rig: rig.lifecycle.start("side")),
    "create": (two_networks, lambda rig: rig.create("web", net="one", ip="10.1.0.9")),
    "network create": (two_networks, lambda rig: rig.networks.create(NetworkRequest(name="three"))),
    "connect": (alone, lambda rig: rig.connect("two", "web", aliases=("w",))),
    "connect that moves the gateway": (alone, lambda rig: rig.connect("two", "web", gw_priority=5)),
}  # fmt: skip


async def failing(rig: Rig, before: Step, operation: Step, number: int, *, late: bool) -> bool:
    """Let the `number`-th effect fail; false when the operation has fewer."""
    await before(rig)
    rig.check()
    outline = rig.outline()
    rig.faults.fail(number, late=late)
    try:
        await operation(rig)
        happened = not rig.faults.pending
        if happened and not late:
            pytest.fail(f"effect {number} ({rig.faults.calls[number - 1]}) failed and nobody noticed")
        return happened
    except Internal:
        calls = list(rig.faults.calls)
    rig.faults.watch()
    await rig.settle()
    assert rig.outline() == outline, f"after a failure of {calls[number - 1]}"
    rig.check()
    return True


@pytest.mark.parametrize("late", [False, True], ids=["undone", "unanswered"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_failure_leaves_nothing(name: str, late: bool, tmp_path: Path) -> None:
    before, operation = OPERATIONS[name]

    async def go() -> None:
        number, more = 1, True
        while more:
            rig = await Rig(tmp_path / f"db{number}").boot()
            more = await failing(rig, before, operation, number, late=late)
            await rig.stop()
            number += 1
        assert number > 3, "no effect at all"

    asyncio.run(go())


def test_a_failed_start_says_why_in_its_state(tmp_path: Path) -> None:
    async def go() -> None:
        rig = await Rig(tmp_path / "db").boot()
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
        rig.check()
        await rig.stop()

    asyncio.run(go())
