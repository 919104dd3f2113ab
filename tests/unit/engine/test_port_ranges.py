"""Ten thousand published ports cost what one port costs: counted calls, elements, holds and rows, not seconds."""

from dataclasses import dataclass

import pytest

from landbridge.errors import Internal
from landbridge.model.container import Phase
from landbridge.model.link import Flow
from landbridge.network import ruleset
from rig import Rig, engine_test

FIRST, MANY = 20000, 10000


def span(first: int, count: int, proto: str = "udp") -> dict[str, str]:
    """As the docker command writes a range: a binding for each port."""
    return {f"{port}/{proto}": str(port) for port in range(first, first + count)}


@dataclass(frozen=True)
class Work:
    """What an operation made others do."""

    calls: list[str]
    rows: int
    elements: int
    holds: int


class Counter:
    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.reset()

    def reset(self) -> None:
        self.calls = len(self.rig.faults.calls)
        self.rows = self.rig.store.db.total_changes

    def taken(self) -> Work:
        rig = self.rig
        work = Work(
            calls=[call.split()[0] for call in rig.faults.calls[self.calls :]],
            rows=rig.store.db.total_changes - self.rows,
            elements=len([one for one in rig.firewall.elements if one[0].startswith("publish")]),
            holds=len(rig.proxy.held),
        )
        self.reset()
        return work


@engine_test
async def test_a_range_is_the_work_of_one_port(rig: Rig) -> None:
    work: dict[str, list[Work]] = {}
    for name, ports in (("one", {"80/udp": "8080"}), ("many", span(FIRST, MANY))):
        await rig.create(name, ports=ports)
        counter = Counter(rig)
        found = work[name] = []
        await rig.lifecycle.start(name)
        found.append(counter.taken())
        await rig.lifecycle.restart(name, timeout=0)
        found.append(counter.taken())
        await rig.lifecycle.stop(name, timeout=0)
        await rig.settle()
        found.append(counter.taken())
    assert work["one"] == work["many"]
    assert work["one"][0].calls.count("proxy.hold") == 1
    assert (work["many"][0].elements, work["many"][0].holds) == (1, 2)  # IPv4 alone is led by the kernel here
    assert work["many"][2].holds == 0


@engine_test
async def test_the_record_of_a_range_is_short(rig: Rig) -> None:
    await rig.run("many", ports=span(FIRST, MANY))
    [(body,)] = rig.store.db.execute("SELECT body FROM record WHERE kind = 'sandbox'")
    assert len(body) < 1000


@engine_test
async def test_udp_flows_of_the_whole_range_are_forgotten_on_publish_and_withdraw(rig: Rig) -> None:
    await rig.run("many", ports=span(FIRST, MANY))
    assert rig.kernel.flushed == [Flow(proto="udp", port=FIRST, count=MANY)]
    await rig.lifecycle.stop("many", timeout=0)
    assert rig.kernel.flushed == [Flow(proto="udp", port=FIRST, count=MANY)] * 2


@engine_test
async def test_a_port_taken_in_the_middle_is_named_and_nothing_is_left(rig: Rig) -> None:
    await rig.run("web", ports={"80/tcp": "25000"})
    await rig.create("many", ports=span(FIRST, MANY, "tcp"))
    with pytest.raises(Internal) as caught:
        await rig.lifecycle.start("many")
    assert "Bind for 0.0.0.0:25000 failed: port is already allocated (held by container web)" in caught.value.message
    rig.proxy.busy.add(("tcp", 25001))
    await rig.lifecycle.stop("web", timeout=0)
    with pytest.raises(Internal) as caught:
        await rig.lifecycle.start("many")
    words = "failed to bind host port 0.0.0.0:25001/tcp: address already in use (held by pid 7 (nginx))"
    assert words in caught.value.message
    assert rig.phase("many") is Phase.CREATED
    assert not rig.proxy.held
    assert not [one for one in rig.firewall.elements if one[0].startswith("publish")]
    rig.proxy.busy.clear()
    await rig.lifecycle.start("many")


@engine_test
async def test_a_range_survives_a_restart_of_the_daemon_and_still_keeps_others_out(rig: Rig) -> None:
    await rig.run("many", ports=span(FIRST, MANY, "tcp"))
    await rig.again()
    await rig.create("late", ports={"80/tcp": "29999"})
    with pytest.raises(Internal, match=r"29999 failed.*held by container many"):
        await rig.lifecycle.start("late")


@engine_test
async def test_a_shifted_range_is_one_hold_and_an_element_a_port(rig: Rig) -> None:
    shifted = {f"{80 + number}/tcp": str(9000 + number) for number in range(ruleset.RANGE_FROM)}
    await rig.run("web", ports=shifted)
    assert sorted((hold.count, hold.target_port) for hold in rig.proxy.held.values()) == [(16, 80), (16, 80)]
    led = {(key, value.split(" . ")[1]) for name, key, value in rig.firewall.elements if name == "publish_any"}
    assert led == {(f"tcp . {9000 + number}", f"{80 + number}") for number in range(ruleset.RANGE_FROM)}
