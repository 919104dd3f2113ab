"""With hundreds of containers on one network an operation asks no more of the outside than with one."""

import asyncio
from collections.abc import Awaitable, Callable

from rig import Rig, scratch

MANY = 300


def test_the_work_of_an_operation_does_not_grow() -> None:
    async def go() -> None:
        with scratch() as directory:
            rig = await Rig(directory / "db").boot()
            await rig.network("net", "10.1.0.0/16")
            await rig.network("other")
            first = await measured(rig, "first")
            for number in range(MANY):
                await rig.run(f"c{number}", net="net", ports={"80/tcp": ""})
            assert await measured(rig, "last") == first
            rig.check()
            await rig.stop()

    asyncio.run(go())


async def measured(rig: Rig, name: str) -> dict[str, tuple[list[str], int]]:
    """What each operation asked of the outside, by kind, and the bytes of its rule changes (numbers aside)."""
    found = {}

    async def do(what: str, operation: Callable[[], Awaitable[object]]) -> None:
        rig.faults.watch()
        rig.firewall.transactions.clear()
        await operation()
        await rig.settle()
        kinds = [call.split()[0] for call in rig.faults.calls]
        found[what] = (kinds, sum(text.count(" : ") + 1 for text in rig.firewall.transactions))

    await do("create", lambda: rig.create(name, net="net", ports={"80/tcp": "", "53/udp": ""}))
    await do("start", lambda: rig.lifecycle.start(name))
    await do("connect", lambda: rig.connect("other", name))
    await do("rename", lambda: rig.containers.rename(name, f"{name}2"))
    await do("restart", lambda: rig.lifecycle.restart(f"{name}2"))
    await do("disconnect", lambda: rig.containers.disconnect("net", f"{name}2"))
    await do("stop", lambda: rig.lifecycle.stop(f"{name}2"))
    await do("remove", lambda: rig.containers.remove(f"{name}2"))
    await do("network create", lambda: rig.network("more"))
    await do("network remove", lambda: rig.networks.remove("more"))
    return found
