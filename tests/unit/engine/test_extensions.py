"""Networks with more containers than one bridge has ports: where each goes, and that nothing of it stays."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from landbridge.errors import Internal
from landbridge.network import extension
from rig import Rig, scratch


def ports(rig: Rig) -> dict[str, int]:
    """Containers by bridge: ``main``, or the number of the further bridge."""
    (network,) = [one for one in rig.state.networks if one.name == "net"]
    names = {network.bridge: "main"} | {one.bridge: str(n) for n, one in enumerate(network.extensions, 1)}
    return dict(Counter(names[veth.bridge] for veth in rig.kernel.veths.values()))


async def small(directory: Path) -> Rig:
    rig = await Rig(directory / "db", bridge_ports=2).boot()
    await rig.network("net", "10.1.0.0/16")
    for number in range(5):
        await rig.run(f"c{number}", net="net")
    return rig


def check(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
    """A test of an engine with five containers on a network whose bridges take two each; then all is in order."""

    def run() -> None:
        async def go() -> None:
            with scratch() as directory:
                rig = await small(directory)
                await test(rig)
                await rig.settle()
                rig.check()
                await rig.stop()

        asyncio.run(go())

    return run


@check
async def test_a_full_bridge_gets_a_further_one_and_what_becomes_free_is_used_again(rig: Rig) -> None:
    assert ports(rig) == {"main": 2, "1": 2, "2": 1}
    assert len(rig.kernel.wires) == 2
    await rig.lifecycle.stop("c0")
    await rig.run("more", net="net")
    assert ports(rig) == {"main": 2, "1": 2, "2": 1}
    await rig.lifecycle.start("c0")
    assert ports(rig) == {"main": 2, "1": 2, "2": 2}


@check
async def test_the_work_of_a_start_is_the_same_on_every_further_bridge(rig: Rig) -> None:
    kinds = []
    for name in ("c3", "c4"):  # on the first and on the second further bridge
        await rig.lifecycle.stop(name)
        rig.faults.watch()
        await rig.lifecycle.start(name)
        kinds.append([call.split()[0] for call in rig.faults.calls])
    assert kinds[0] == kinds[1]
    assert kinds[0].count("ensure_extension") == 1


@check
async def test_a_network_takes_its_further_bridges_with_it(rig: Rig) -> None:
    for number in range(5):
        await rig.containers.remove(f"c{number}", force=True)
    await rig.networks.remove("net")
    assert not rig.kernel.wires
    assert len(rig.kernel.bridges) == 1


@check
async def test_a_new_daemon_knows_them_and_a_reboot_makes_them_again(rig: Rig) -> None:
    before = dict(rig.kernel.bridges)
    await rig.again()
    assert rig.kernel.bridges == before
    await rig.run("more", net="net")
    assert ports(rig) == {"main": 2, "1": 2, "2": 2}


@check
async def test_a_start_that_fails_on_a_further_bridge_leaves_its_place(rig: Rig) -> None:
    await rig.create("more", net="net")
    (network,) = [one for one in rig.state.networks if one.name == "net"]
    with pytest.raises(Internal):
        await _failing(rig, "add_veth", "more")
    assert rig.state.ports_on(network.extensions[1].bridge) == 1


async def _failing(rig: Rig, verb: str, name: str) -> None:
    rig.faults.watch()
    calls = await _calls(rig)
    rig.faults.fail(calls.index(verb) + 1)
    await rig.lifecycle.start(name)


async def _calls(rig: Rig) -> list[str]:
    """What a start asks of the outside, in order."""
    await rig.create("model", net="net")
    rig.faults.watch()
    await rig.lifecycle.start("model")
    calls = [call.split()[0] for call in rig.faults.calls]
    await rig.containers.remove("model", force=True)
    await rig.settle()
    return calls


def test_there_is_an_end_to_it() -> None:
    assert extension.MOST_PORTS + extension.MOST_EXTENSIONS == 1023

