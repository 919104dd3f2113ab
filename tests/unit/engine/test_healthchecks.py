"""Monitors: probes come one after the other while a container runs, their results are kept and told."""

import asyncio
from typing import Any

from landbridge.engine.execs import Exec, ExecConfig
from landbridge.engine.healthchecks import HealthChecks
from landbridge.errors import StartFailed
from landbridge.model.config import Config, Healthcheck
from landbridge.model.process import Chunk
from rig import Rig, Sleeper, engine_test

CHECK = Healthcheck(test=("CMD", "probe"), retries=1, timeout=20_000_000)


class Program:
    """A probe that says something and ends, or (code None) goes on until it is killed."""

    def __init__(self, code: int | None, said: bytes) -> None:
        self.chunks = [Chunk(stream="stdout", data=said[at : at + 1000]) for at in range(0, len(said), 1000)]
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.killed = self.closed = False
        if code is not None:
            self.over.set_result(code)

    async def receive(self) -> Chunk | None:
        if self.chunks:
            return self.chunks.pop(0)
        await asyncio.shield(self.over)
        return None

    def destroy(self) -> None:
        self.killed = self.killed or not self.over.done()
        if not self.over.done():
            self.over.set_result(137)

    def close(self) -> None:
        self.closed = True


class Programs:
    """Execs that run what comes next in `script`: (exit code, output) or an error."""

    def __init__(self) -> None:
        self.script: list[tuple[int | None, bytes] | Exception] = []
        self.asked: list[ExecConfig] = []
        self.ran: list[Program] = []

    def create(self, text: str, config: ExecConfig) -> Exec:
        self.asked.append(config)
        return Exec(id=str(len(self.asked)), container=text, config=config)

    async def start(self, identity: str) -> Program:
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.ran.append(Program(*step))
        return self.ran[-1]

    async def ended(self, made: Exec) -> int:
        return await asyncio.shield(self.ran[-1].over)


def checked(rig: Rig, *script: tuple[int | None, bytes] | Exception) -> tuple[Programs, Sleeper]:
    """The rig's containers are looked after from now on."""
    programs, sleeper = Programs(), Sleeper()
    programs.script = list(script)
    execs: Any = programs
    rig.lifecycle.check_health_with(HealthChecks(rig.state, execs, rig.lifecycle.emit, sleep=sleeper))
    return programs, sleeper


async def probed(rig: Rig, sleeper: Sleeper, *, results: int) -> None:
    """Let the next probe come and wait until the container has `results` of them."""
    await rig.settle()
    sleeper.wake()
    for _ in range(400):
        health = rig.of("web").state.health
        if health is not None and len(health.log) == results:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"no result: {health}")


def status(rig: Rig) -> str:
    health = rig.of("web").state.health
    return health.status if health is not None else ""


@engine_test
async def test_from_starting_to_healthy_to_unhealthy(rig: Rig) -> None:
    programs, sleeper = checked(rig, (0, b"fine\n"), (0, b""), (7, b"x" * 5000))
    await rig.run("web", config=Config(healthcheck=CHECK))
    assert status(rig) == "starting"
    await probed(rig, sleeper, results=1)
    assert status(rig) == "healthy"
    await probed(rig, sleeper, results=2)
    await probed(rig, sleeper, results=3)
    assert status(rig) == "unhealthy"
    health = rig.of("web").state.health
    assert health is not None
    assert [(one.exit_code, one.output) for one in health.log] == [(0, "fine\n"), (0, ""), (7, "x" * 4096 + "...")]
    assert [one for one in rig.told() if "health" in one] == ["health_status: healthy", "health_status: unhealthy"]
    assert [one.cmd for one in programs.asked] == [("probe",)] * 3
    assert all(one.closed for one in programs.ran)
    await rig.lifecycle.stop("web")


@engine_test
async def test_a_probe_that_takes_too_long_is_killed(rig: Rig) -> None:
    programs, sleeper = checked(rig, (None, b"begun"), (None, b""))
    await rig.run("web", config=Config(healthcheck=CHECK))
    await probed(rig, sleeper, results=1)
    await probed(rig, sleeper, results=2)
    health = rig.of("web").state.health
    assert health is not None
    assert [(one.exit_code, one.output) for one in health.log] == [
        (-1, "Health check exceeded timeout (20ms): begun"), (-1, "Health check exceeded timeout (20ms)"),
    ]  # fmt: skip
    assert all(one.killed and one.closed for one in programs.ran)
    await rig.lifecycle.stop("web")


@engine_test
async def test_a_probe_that_cannot_start_is_a_failure_with_its_words(rig: Rig) -> None:
    _, sleeper = checked(rig, StartFailed("OCI runtime exec failed", exit_code=126))
    await rig.run("web", config=Config(healthcheck=CHECK))
    await probed(rig, sleeper, results=1)
    health = rig.of("web").state.health
    assert health is not None
    assert (health.status, health.log[0].exit_code, health.log[0].output) == (
        "unhealthy", -1, "OCI runtime exec failed",
    )  # fmt: skip
    await rig.lifecycle.stop("web")


@engine_test
async def test_no_probes_while_paused_or_after_the_end(rig: Rig) -> None:
    programs, sleeper = checked(rig, (0, b""), (0, b""), (None, b""))
    await rig.run("web", config=Config(healthcheck=CHECK))
    await probed(rig, sleeper, results=1)
    await rig.lifecycle.pause("web")
    assert status(rig) == "unhealthy"
    sleeper.wake()
    await rig.settle()
    assert len(programs.asked) == 1
    await rig.lifecycle.unpause("web")
    await probed(rig, sleeper, results=2)
    assert status(rig) == "healthy"
    sleeper.wake()
    await rig.settle()
    assert len(programs.asked) == 3
    await rig.lifecycle.stop("web")
    await rig.settle()
    assert programs.ran[-1].killed
    assert status(rig) == "unhealthy"
    assert [one for one in rig.told() if "health" in one] == ["health_status: healthy"] * 2
    sleeper.wake()
    await rig.settle()
    assert len(programs.asked) == 3


@engine_test
async def test_a_new_daemon_keeps_what_it_finds_and_looks_on(rig: Rig) -> None:
    _, sleeper = checked(rig, (0, b""))
    await rig.run("web", config=Config(healthcheck=CHECK))
    await probed(rig, sleeper, results=1)
    await rig.stop()
    rig._assemble()
    programs, sleeper = checked(rig, (0, b""))
    await rig.boot()
    assert status(rig) == "healthy"
    await probed(rig, sleeper, results=2)
    assert len(programs.asked) == 1
    await rig.lifecycle.stop("web")
