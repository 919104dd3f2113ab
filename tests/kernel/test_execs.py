"""Further processes in a running container: streams, terminals, ends and what is left behind."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from runtime_kit import Box, gathered, lab, skip_without, until

from landbridge.system import processes

pytestmark = pytest.mark.kernel

Scenario = Callable[[Box], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["crun", "runc"])
def run(request: pytest.FixtureRequest, tmp_path: Path, unique_name: Callable[[str], str]) -> Run:
    """Run a scenario with a sleeping container of either runtime."""
    skip_without("conmon", "busybox", request.param)

    def go(scenario: Scenario) -> None:
        async def inside() -> None:
            async with asyncio.timeout(100), lab(tmp_path, unique_name("ex"), runtime=request.param) as made:
                await scenario(await made.start("sleep", "1000"))

        asyncio.run(inside())

    return go


def test_streams_and_status(run: Run) -> None:
    async def scenario(box: Box) -> None:
        assert await box.output("sh", "-c", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
        assert await box.output("sh", "-c", "kill -9 $$") == (137, b"", b"")
        # Without input there is an end of file at once.
        assert await box.output("cat") == (0, b"", b"")

    run(scenario)


def test_nothing_is_read_ahead_and_nothing_is_lost(run: Run) -> None:
    async def scenario(box: Box) -> None:
        process = await box.run("sh", "-c", "dd if=/dev/zero bs=1M count=20 2>/dev/null; echo done > /tmp/mark")
        await asyncio.sleep(0.3)
        assert not (box.lab.root / "tmp" / "mark").exists()
        assert len((await gathered(process.receive))["stdout"]) == 20 << 20
        assert await process.wait() == 0
        process.close()

    run(scenario)


def test_input_with_backpressure_and_its_end(run: Run) -> None:
    async def scenario(box: Box) -> None:
        process = await box.run("sh", "-c", "sleep 0.3; wc -c", stdin=True)
        writing = asyncio.ensure_future(process.write(b"x" * 5_000_000))
        await asyncio.sleep(0.05)
        assert not writing.done()
        await writing
        process.end_input()
        process.end_input()
        assert (await gathered(process.receive))["stdout"].strip() == b"5000000"
        with pytest.raises(BrokenPipeError):
            await process.write(b"more")
        process.close()

    run(scenario)


def test_a_terminal_with_resize(run: Run) -> None:
    async def scenario(box: Box) -> None:
        # With a limit: a signal that comes just before `read` begins to wait is seen after it only.
        script = "trap 'stty size' WINCH; stty size; until read -t 1 x; do :; done; stty size; echo got $x; exit 4"
        process = await box.run("sh", "-c", script, tty=True, stdin=True)
        await until(process, b"24 80\r\n")
        process.resize(rows=50, columns=132)
        await until(process, b"50 132\r\n")
        process.end_input()  # means nothing on a terminal
        await process.write(b"hello\n")
        seen = (await gathered(process.receive))["stdout"]
        assert seen.endswith(b"50 132\r\ngot hello\r\n")
        assert await process.wait() == 4
        process.close()

    run(scenario)


def test_what_a_left_over_child_holds_open_is_not_waited_for(run: Run) -> None:
    async def scenario(box: Box) -> None:
        if box.lab.runtime.choice.name == "runc":
            pytest.skip("runc itself copies the streams and waits for their end")
        process = await box.run("sh", "-c", "sleep 1000 & echo said")
        async with asyncio.timeout(20):
            assert (await gathered(process.receive))["stdout"] == b"said\n"
            assert await process.wait() == 0
        process.close()

    run(scenario)


def test_closing_early_frees_who_waits_and_kills_nobody(run: Run) -> None:
    async def scenario(box: Box) -> None:
        process = await box.run("sleep", "1000", stdin=True)
        reading = asyncio.ensure_future(process.receive())
        writing = asyncio.ensure_future(process.write(b"x" * 1_000_000))
        await asyncio.sleep(0.05)
        process.close()
        process.close()
        async with asyncio.timeout(10):
            assert await reading is None
            with pytest.raises(BrokenPipeError):
                await writing
        assert processes.started(process.pid)
        process.kill(signal.SIGKILL)
        assert await process.wait() == 137

    run(scenario)


def test_output_nobody_wants_is_thrown_away(run: Run) -> None:
    async def scenario(box: Box) -> None:
        # The container has made something else of its /dev/null: nothing of the host's may stand in.
        await box.output("sh", "-c", "rm /dev/null; mkfifo /dev/null")
        assert await box.output("sh", "-c", "cat; echo out") == (0, b"out\n", b"")
        assert (os.stat("/dev/null").st_uid, os.stat("/dev/null").st_mode) == (0, 0o20666)

    run(scenario)


def test_many_at_once(run: Run) -> None:
    async def scenario(box: Box) -> None:
        results = await asyncio.gather(*(box.output("sh", "-c", f"echo {number}") for number in range(20)))
        assert results == [(0, f"{number}\n".encode(), b"") for number in range(20)]

    run(scenario)
