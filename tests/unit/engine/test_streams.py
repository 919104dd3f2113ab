"""Attached clients: they may come before the process, miss nothing, and are told when there is nothing to come."""

import asyncio

import pytest

from landbridge.engine.hub import Session
from landbridge.errors import Conflict, Internal, NotFound, StartFailed, Unsupported
from landbridge.model.config import LogConfig
from rig import Rig, engine_test


async def read(session: Session) -> bytes:
    """Everything until the end of the stream."""
    return b"".join([chunk.data async for chunk in session.output()])


@engine_test
async def test_attached_before_the_start_everything_is_seen(rig: Rig) -> None:
    made = await rig.create("web")
    _, first = await rig.streams.attach("web")
    _, second = await rig.streams.attach("web")
    assert first.waiting
    write = asyncio.ensure_future(first.write(b"early"))
    await rig.lifecycle.start("web")
    await write
    rig.runtime.say(made.id, b"hello")
    process = rig.runtime.processes[made.id]
    await rig.end("web")
    assert await read(first) == await read(second) == b"hello"
    assert process.attached[0].written == [b"early"]
    for session in (first, second):
        session.close()
    assert all(one.closed for one in process.attached)


@engine_test
async def test_attached_while_it_runs(rig: Rig) -> None:
    made = await rig.run("web")
    _, session = await rig.streams.attach("web")
    rig.runtime.say(made.id, b"now")
    await session.end_input()
    assert rig.runtime.processes[made.id].attached[0].input_ended
    await rig.end("web")
    assert await read(session) == b"now"
    session.close()
    session.close()


@engine_test
async def test_output_is_over_when_the_end_is_on_record(rig: Rig) -> None:
    made = await rig.run("web")
    _, session = await rig.streams.attach("web")
    reading = asyncio.ensure_future(read(session))
    rig.runtime.processes[made.id].attached[0].feed(None)
    await rig.settle()
    assert not reading.done()
    await rig.end("web")
    assert await reading == b""
    assert not rig.state.containers[made.id].state.running
    session.close()


@engine_test
async def test_attached_while_the_process_is_being_started(rig: Rig) -> None:
    made = await rig.create("web")
    rig.faults.turns = lambda: 5
    found: list[Session] = []

    def come(count: int, what: str) -> None:
        if what == "runtime.start":
            found.append(rig.hub.expect(made.id, rig.waits.future(made.id, "exit")))

    rig.faults.watch(hook=come)
    await rig.lifecycle.start("web")
    await rig.settle()
    assert not found[0].waiting
    found[0].close()


@engine_test
async def test_a_failed_start_ends_the_waiting(rig: Rig) -> None:
    await rig.create("web")
    sessions = [(await rig.streams.attach("web"))[1] for _ in range(3)]
    rig.runtime.fail_start = StartFailed("no", exit_code=127)
    with pytest.raises(StartFailed):
        await rig.lifecycle.start("web")
    for session in sessions[1:]:
        session.close()
    assert await asyncio.wait_for(read(sessions[0]), 1) == b""


@engine_test
async def test_a_failing_attach_ends_everybodys_waiting(rig: Rig) -> None:
    await rig.create("web")
    sessions = [(await rig.streams.attach("web"))[1] for _ in range(3)]
    rig.faults.watch()
    attaches = 0

    def second(count: int, what: str) -> None:
        nonlocal attaches
        attaches += what == "attach"
        if what == "attach" and attaches == 2:
            raise Internal("no more attachments")

    rig.faults.watch(hook=second)
    with pytest.raises(Internal):
        await rig.lifecycle.start("web")
    rig.faults.watch()
    assert not any(session.waiting for session in sessions)
    assert await asyncio.wait_for(read(sessions[2]), 1) == b""


@engine_test
async def test_a_removal_ends_the_waiting(rig: Rig) -> None:
    await rig.create("web")
    _, session = await rig.streams.attach("web")
    await rig.containers.remove("web")
    assert await asyncio.wait_for(read(session), 1) == b""
    await session.write(b"into the void")


@engine_test
async def test_who_left_before_the_start_gets_nothing(rig: Rig) -> None:
    made = await rig.create("web")
    _, session = await rig.streams.attach("web")
    session.close()
    await rig.lifecycle.start("web")
    assert rig.runtime.processes[made.id].attached == []


@engine_test
async def test_when_attaching_is_refused(rig: Rig) -> None:
    await rig.run("web", restart="always")
    await rig.lifecycle.pause("web")
    with pytest.raises(Conflict, match="is paused"):
        await rig.streams.attach("web")
    await rig.lifecycle.unpause("web")
    await rig.end("web", 1)
    with pytest.raises(Conflict, match="is restarting"):
        await rig.streams.attach("web")
    with pytest.raises(NotFound):
        await rig.streams.attach("nobody")


@engine_test
async def test_logs_are_followed_to_the_end(rig: Rig) -> None:
    await rig.run("web")
    following = rig.streams.logs("web", follow=True)
    task = asyncio.ensure_future(anext(following, None))
    await rig.settle()
    assert not task.done()
    await rig.end("web")
    assert await task is None
    assert [entry async for entry in rig.streams.logs("web")] == []
    await rig.create("silent", log_config=LogConfig(type="none"))
    with pytest.raises(Unsupported, match="does not support reading"):
        rig.streams.logs("silent")


@engine_test
async def test_resize_needs_a_process(rig: Rig) -> None:
    await rig.create("web")
    with pytest.raises(Conflict, match="is not running"):
        rig.streams.resize("web", rows=24, columns=80)
    await rig.lifecycle.start("web")
    rig.streams.resize("web", rows=24, columns=80)
