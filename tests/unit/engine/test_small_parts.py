"""The engine's small tools by themselves: the store, its tables, the state's claims, waiting, events, undoing."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from landbridge.engine import events as events_module
from landbridge.engine.apply import Undo, finished
from landbridge.engine.events import Event, Events
from landbridge.engine.state import State
from landbridge.engine.store import Store
from landbridge.engine.waits import Outcome, Waits
from landbridge.errors import Conflict, Invalid, NotFound
from landbridge.model.container import Container
from landbridge.model.ports import Binding, Port
from landbridge.model.world import Instance
from worlds import container, endpoint, network, sandbox

NET, WEB = network("net", "10.1.0.0/24", "10.1.0.1"), container("web")
HERE = endpoint(WEB, NET, "10.1.0.2/24")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store(str(tmp_path / "db"))
    state = State(store, Instance("beef"))
    state.put_network(NET)
    state.containers.put(WEB)
    yield state
    store.close()


def reloaded(state: State) -> State:
    """What the next daemon would know."""
    return State(state.store, state.instance)


# Tables and look-ups.


def test_docker_finds_by_id_then_name_then_beginning(state: State) -> None:
    other = replace(container("abc"), id="f" * 64)
    named = replace(container("ff"), id="0" * 64)
    for one in (other, named):
        state.containers.put(one)
    assert state.container("f" * 64) is other
    assert state.container("ff") is named  # the name goes before the beginning of an id
    assert state.container("/ff") is named
    assert state.container("fff") is other
    with pytest.raises(NotFound, match="No such container: zz"):
        state.container("zz")
    state.containers.put(replace(container("abd"), id="fe" + "0" * 62))
    state.containers.remove(named.id)
    with pytest.raises(Invalid, match="multiple IDs found with provided prefix: f"):
        state.container("f")
    assert state.network("net") is NET
    with pytest.raises(NotFound, match="network nope not found"):
        state.network("nope")


def test_a_name_is_had_once_and_passed_on(state: State) -> None:
    with pytest.raises(Conflict):
        state.containers.put(replace(container("web"), id="1" * 64))
    state.containers.put(replace(WEB, name="www"))
    assert state.containers.by_name("web") is None
    state.containers.put(replace(container("web"), id="1" * 64))
    state.containers.remove(WEB.id)
    state.containers.remove(WEB.id)
    assert reloaded(state).containers.all() == state.containers.all()


def test_a_failed_transaction_leaves_nothing(state: State) -> None:
    store = state.store
    with pytest.raises(ZeroDivisionError), store.transaction(), store.transaction():
        store.put("container", replace(WEB, name="other"), "other")
        raise ZeroDivisionError
    [loaded] = store.load("container", Container)
    assert loaded.name == "web"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "db"))
    store.set_meta("id", "one")
    store.set_meta("id", "two")
    store.close()
    again = Store(str(tmp_path / "db"))
    assert (again.get_meta("id"), again.get_meta("nothing")) == ("two", "")
    again.close()


# Claims.


def test_an_address_belongs_to_one_endpoint(state: State) -> None:
    state.put_endpoint(HERE)
    rival = replace(HERE, id="r" * 64, container="c" * 64)
    with pytest.raises(Conflict, match="Address already in use"):
        state.put_endpoint(rival)
    assert state.endpoints_of(rival.container) == ()
    state.put_endpoint(replace(HERE, ipv4="10.1.0.9/24"))
    state.put_endpoint(rival)
    assert set(state.taken(NET.id).values()) == {HERE.id, rival.id}
    state.remove_endpoint(HERE.id)
    state.remove_endpoint(HERE.id)
    assert state.endpoint_on(WEB.id, NET.id) is None
    assert reloaded(state).taken(NET.id) == state.taken(NET.id)
    assert [one.id for one in state.endpoints_on(NET.id)] == [rival.id]


def test_ports_are_indexed_with_their_sandbox(state: State) -> None:
    box = sandbox(WEB)
    state.put_sandbox(box)
    binding = Binding(port=Port(80), host_ip="0.0.0.0", host_port=8080)
    box = state.reserve_ports(box, (binding,))
    assert state.ports.clash("tcp", "127.0.0.1", 8080, 8080) == (8080, WEB.id)
    assert reloaded(state).ports.clash("tcp", "0.0.0.0", 8000, 9000) == (8080, WEB.id)
    assert state.sandbox(WEB.id) == box
    state.remove_sandbox(WEB.id)
    state.remove_sandbox(WEB.id)
    assert state.ports.clash("tcp", "0.0.0.0", 1, 65535) is None
    assert state.sandbox(WEB.id) is None


# Waiting.


def test_everybody_waiting_is_told_once() -> None:
    async def go() -> None:
        waits = Waits()
        first, second, other = (waits.future("a", "exit") for _ in range(3))
        elsewhere = waits.future("b", "exit")
        other.cancel()
        await asyncio.sleep(0)
        waits.happened("a", "exit", Outcome(3))
        waits.happened("a", "exit", Outcome(4))
        assert (await first, await second) == (Outcome(3), Outcome(3))
        assert not elsewhere.done()
        elsewhere.cancel()
        await asyncio.sleep(0)
        assert not waits._waiting

    asyncio.run(go())


# Events.


def test_events_come_in_order_to_everybody_and_are_kept() -> None:
    async def go() -> None:
        events = Events()
        events.emit("container", "create", "1", {})
        with events.subscribed() as one, events.subscribed() as other:
            events.emit("container", "start", "1", {"name": "web"})
            events.emit("container", "die", "1", {})
            for listener in (one, other):
                iterator = aiter(listener)
                assert [(await anext(iterator)).action for _ in range(2)] == ["start", "die"]
        events.emit("container", "destroy", "1", {})
        times = [event.time for event in events.past(0, 1 << 63)]
        assert times == sorted(set(times))
        assert [event.action for event in events.past(times[1], times[2])] == ["start", "die"]

    asyncio.run(go())


def test_who_does_not_listen_is_cut_off() -> None:
    async def go() -> None:
        events = Events()
        with events.subscribed() as sleeper:
            for _ in range(events_module.BACKLOG + 5):
                events.emit("container", "x", "1", {})
            seen: list[Event] = [event async for event in sleeper]
            assert len(seen) == events_module.BACKLOG

    asyncio.run(go())


# Undoing.


def test_a_failure_unwinds_everything_last_first_whatever_goes_wrong() -> None:
    async def go() -> None:
        done: list[str] = []

        async def note(what: str) -> None:
            done.append(what)
            if what == "second":
                raise ValueError(what)

        with pytest.raises(ZeroDivisionError):
            async with Undo() as undo:
                for what in ("first", "second", "third"):
                    undo.push(lambda what=what: note(what))
                raise ZeroDivisionError
        assert done == ["third", "second", "first"]
        async with Undo() as undo:
            undo.push(lambda: note("never"))
        assert done[-1] == "first"

    asyncio.run(go())


def test_what_was_begun_is_waited_for_under_cancellation() -> None:
    async def go() -> None:
        done = []

        async def work() -> str:
            for _ in range(5):
                await asyncio.sleep(0)
            done.append("work")
            return "result"

        assert await finished(work()) == "result"
        task = asyncio.ensure_future(finished(work()))
        for _ in range(2):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == ["work", "work"]

        async def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await finished(fail())

    asyncio.run(go())
