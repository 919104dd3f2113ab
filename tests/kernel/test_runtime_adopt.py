"""A container outlives the daemon that made it: another process takes it up, whatever happened meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runtime_kit import make_root, skip_without, until

from landbridge.model.process import RuntimeChoice
from landbridge.system import probe, processes
from landbridge.system.cgroups import detect
from landbridge.system.runtime import UNKNOWN_EXIT, Runtime

pytestmark = pytest.mark.kernel

# The former daemon: makes a container, says where it is and is killed, with its process group, without a chance to tidy up.
FORMER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from landbridge.system.runtime import Runtime
from landbridge.system.cgroups import detect
from landbridge.model.process import RuntimeChoice
import runtime_kit

async def main():
    path, name, choice, *command = sys.argv[1:]
    runtime = Runtime(RuntimeChoice(**json.loads(choice)), detect(), root=f"{path}/run")
    lab = runtime_kit.Lab(Path(path), runtime, Path(path, "root"), name)
    box = await lab.create(*command, stdin=True)
    await runtime.start(box.id)
    print(json.dumps([box.id, str(box.bundle), box.created.pid, box.created.conmon_pid]), flush=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)

asyncio.run(main())
"""


class Place:
    """Where the former daemon worked."""

    def __init__(self, path: Path, name: str, choice: RuntimeChoice) -> None:
        self.path, self.name, self.choice = path, name, choice

    def former(self, *command: str) -> tuple[str, str, int, int]:
        """Let it make a container of `command` and die: id, bundle, pid, conmon's pid."""
        choice = json.dumps({key: getattr(self.choice, key) for key in ("name", "path", "version", "reason")})
        arguments = (sys.executable, "-c", FORMER, str(self.path), self.name, choice, *command)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            arguments, capture_output=True, text=True, env=environment, check=False, start_new_session=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        identity, bundle, pid, conmon = json.loads(done.stdout)
        return identity, bundle, pid, conmon

    def runtime(self) -> Runtime:
        return Runtime(self.choice, detect(), root=f"{self.path}/run")


async def gone(*pids: int) -> None:
    """Wait for the end of processes that are not ours."""
    for pid in pids:
        process = processes.adopt(pid, start_time=processes.started(pid))
        if process:
            await process.gone()


@pytest.fixture
def place(tmp_path: Path, unique_name: Callable[[str], str]) -> Iterator[Place]:
    skip_without("conmon", "busybox", "crun")
    choice = asyncio.run(probe.choose_runtime(f"{tmp_path}/run"))
    make_root(tmp_path / "root")
    name = unique_name("ad")
    yield Place(tmp_path, name, choice)
    detect().remove(f"/{name}")
    probe.release_runtime(choice.mounted)


def test_a_running_container_is_as_if_we_had_made_it(place: Place) -> None:
    async def scenario() -> None:
        loop = "trap 'exit 6' TERM; while read x; do echo got $x; done"
        identity, bundle, pid, conmon = place.former("sh", "-c", loop)
        runtime = place.runtime()
        assert runtime.adopt(identity, bundle=bundle, pid=pid, conmon_pid=conmon)
        async with asyncio.timeout(30), await runtime.attach(identity) as attached:
            await attached.write(b"it\n")
            await until(attached, b"got it\n")
        await runtime.pause(identity)
        await runtime.resume(identity)
        runtime.kill(identity, signal.SIGTERM)
        async with asyncio.timeout(30):
            assert (await runtime.exited(identity)).code == 6
        await runtime.delete(identity)
        assert not os.listdir(bundle)

    asyncio.run(scenario())


def test_one_that_ended_meanwhile(place: Place) -> None:
    async def scenario() -> None:
        identity, bundle, pid, conmon = place.former("sh", "-c", "exit 9")
        await gone(conmon)
        runtime = place.runtime()
        assert not runtime.adopt(identity, bundle=bundle, pid=pid, conmon_pid=conmon)
        info = await runtime.exited(identity)
        assert info.code == 9
        assert info.finished_at == os.stat(f"{place.path}/run/exits/{identity}").st_mtime_ns
        await runtime.delete(identity)

    asyncio.run(scenario())


def test_pids_that_became_somebody_elses(place: Place) -> None:
    async def scenario() -> None:
        identity, bundle, pid, conmon = place.former("sleep", "1000")
        os.kill(conmon, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        await gone(pid, conmon)
        runtime = place.runtime()
        # Our own pid stands for whoever got theirs.
        assert not runtime.adopt(identity, bundle=bundle, pid=os.getpid(), conmon_pid=os.getpid())
        runtime.kill(identity, signal.SIGKILL)
        assert (await runtime.exited(identity)).code == UNKNOWN_EXIT
        await runtime.delete(identity)

    asyncio.run(scenario())


def test_conmon_killed_leaves_the_container_watched(place: Place) -> None:
    async def scenario() -> None:
        identity, bundle, pid, conmon = place.former("sleep", "1000")
        runtime = place.runtime()
        assert runtime.adopt(identity, bundle=bundle, pid=pid, conmon_pid=conmon)
        os.kill(conmon, signal.SIGKILL)
        waiting = asyncio.ensure_future(runtime.exited(identity))
        done, _ = await asyncio.wait((waiting,), timeout=0.2)
        assert not done
        runtime.kill(identity, signal.SIGKILL)
        async with asyncio.timeout(30):
            assert (await waiting).code == UNKNOWN_EXIT
        await runtime.delete(identity)

    asyncio.run(scenario())


def test_closing_leaves_containers_running(place: Place) -> None:
    async def scenario() -> None:
        identity, bundle, pid, conmon = place.former("sleep", "1000")
        first = place.runtime()
        assert first.adopt(identity, bundle=bundle, pid=pid, conmon_pid=conmon)
        first.close()
        second = place.runtime()
        assert second.adopt(identity, bundle=bundle, pid=pid, conmon_pid=conmon)
        await second.delete(identity)
        assert not processes.started(pid)

    asyncio.run(scenario())
