"""Containers as real processes: create, start, streams, end, signals, limits, with crun and with runc."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from runtime_kit import Lab, gathered, lab, skip_without, until

from landbridge.errors import NotFound, StartFailed, Unavailable
from landbridge.model.config import HostConfig, Ulimit
from landbridge.model.process import User
from landbridge.oci.conmon import parse_record
from landbridge.system import processes
from landbridge.system.logfile import entries
from landbridge.system.runtime import UNKNOWN_EXIT

pytestmark = pytest.mark.kernel

Scenario = Callable[[Lab], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["crun", "runc"])
def run(request: pytest.FixtureRequest, tmp_path: Path, unique_name: Callable[[str], str]) -> Run:
    """Run a scenario with either runtime."""
    skip_without("conmon", "busybox", request.param)

    def go(scenario: Scenario) -> None:
        async def inside() -> None:
            async with asyncio.timeout(100), lab(tmp_path, unique_name("rt"), runtime=request.param) as made:
                await scenario(made)

        asyncio.run(inside())

    return go


def named(text: str) -> list[int]:
    """Processes whose arguments name `text`."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and text in processes.command_line(int(pid))]


def test_a_life(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("sh", "-c", "echo out; echo err >&2; printf '\\0\\377no newline'; exit 7")
        assert processes.started(box.created.pid)
        async with await lab.runtime.attach(box.id) as attached:
            await lab.runtime.start(box.id)
            streams = await gathered(attached.receive)
        assert streams == {"stdout": b"out\n\0\377no newline", "stderr": b"err\n"}
        info = await lab.runtime.exited(box.id)
        assert (info.code, info.oom_killed) == (7, False)
        assert info == await lab.runtime.exited(box.id)
        logged = [(one.stream, one.data) for one in entries(f"{lab.path}/{box.id}.log", parse_record)]
        assert sorted(logged) == [("stderr", b"err\n"), ("stdout", b"\0\377no newline"), ("stdout", b"out\n")]
        await lab.runtime.delete(box.id)
        await lab.runtime.delete(box.id)
        assert not lab.runtime.cgroups.pids(f"/{lab.name}")
        assert os.listdir(box.bundle) == []
        with pytest.raises(NotFound):
            await lab.runtime.exited(box.id)

    run(scenario)


def test_what_the_process_has(run: Run) -> None:
    """The same as in Docker's containers, compared by hand with Docker 26."""

    async def scenario(lab: Lab) -> None:
        box = await lab.start("sleep", "1000")
        _, out, _ = await box.output("cat", "/proc/1/status")
        status = dict(line.split(":\t", 1) for line in out.decode().splitlines() if ":\t" in line)
        expected = {"CapPrm": "a80425fb", "CapEff": "a80425fb", "CapBnd": "a80425fb", "CapInh": "0", "CapAmb": "0"}
        assert {name: status[name].lstrip("0") or "0" for name in expected} == expected
        assert (status["Seccomp"], status["NoNewPrivs"], status["Groups"].split()) == ("2", "0", ["0"])
        _, out, _ = await box.output("cat", "/proc/self/status")
        assert "Seccomp:\t2" in out.decode()
        _, out, _ = await box.output("sh", "-c", "tr '\\0' '\\n' < /proc/1/environ")
        assert set(out.decode().split()) == {"PATH=/bin", f"HOSTNAME={box.id[:12]}", "HOME=/"}
        _, out, _ = await box.output("sh", "-c", "hostname; stat -c %a /dev/shm; echo 1 > /proc/sys/kernel/hostname")
        assert out.decode().split() == [box.id[:12], "1777"]
        code, _, err = await box.output("unshare", "-m", "true")
        assert code != 0
        assert b"Operation not permitted" in err

    run(scenario)


# Forbidden by the filter alone: the kernel lets anybody make a user namespace.
FORBIDDEN = ("unshare", "-U", "true")


def test_compiled_filters_are_used_and_in_force(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        used = []
        for _ in range(2):
            box = await lab.create("sh", "-c", f"{' '.join(FORBIDDEN)} 2>/dev/null; echo code $?; exec sleep 1000")
            async with await lab.runtime.attach(box.id) as attached:
                await lab.runtime.start(box.id)
                assert await until(attached, b"\n") == b"code 1\n"
            assert (await box.output(*FORBIDDEN))[0] != 0
            used.append(b"seccomp_bpf_data" in (box.bundle / "config.json").read_bytes())
        assert used == [False, lab.runtime.choice.name == "crun"]
        free = await lab.start("sleep", "1000", host=HostConfig(security_opt=("seccomp=unconfined",)))
        assert (await free.output(*FORBIDDEN))[0] == 0

    run(scenario)


# A crun that does not know the annotation, and one that knows it but gets no rules either way.
DEAF = """#!{python}
import json, os, sys
if "create" in sys.argv:
    path = sys.argv[sys.argv.index("--bundle") + 1] + "/config.json"
    spec = json.load(open(path))
    if spec.pop("annotations", None):
        del spec["linux"]["seccomp"]
        json.dump(spec, open(path, "w"))
os.execv("{crun}", ["crun", *sys.argv[1:]])
"""


@pytest.mark.parametrize("trouble", ["ignored", "damaged"])
def test_no_program_runs_without_its_filter(run: Run, trouble: str) -> None:
    async def scenario(lab: Lab) -> None:
        if lab.runtime.choice.name != "crun":
            pytest.skip("only crun takes compiled filters")
        await lab.start("sleep", "1000")
        if trouble == "ignored":
            script = lab.path / "crun"
            script.write_text(DEAF.format(python=sys.executable, crun=lab.runtime.choice.path))
            script.chmod(0o755)
            lab.runtime.choice = replace(lab.runtime.choice, path=str(script))
        else:
            (kept,) = (lab.path / "run" / "filters").iterdir()
            kept.write_bytes(b"no filter at all")
        box = await lab.start("sleep", "1000")
        assert (await box.output(*FORBIDDEN))[0] != 0
        assert (await box.output("grep", "Seccomp:", "/proc/1/status"))[1].split() == [b"Seccomp:", b"2"]

    run(scenario)


@pytest.mark.parametrize(
    ("program", "phrase", "code"),
    [
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH: unknown', 127),
        ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory: unknown', 127),
        ("/etc", "permission denied", 126),
        ("/etc/plain", 'exec: "/etc/plain": permission denied: unknown', 126),
    ],
)
def test_programs_that_cannot_start(run: Run, program: str, phrase: str, code: int) -> None:
    async def scenario(lab: Lab) -> None:
        (lab.root / "etc" / "plain").touch()
        with pytest.raises(StartFailed) as created:
            await lab.create(program)
        box = await lab.start("sleep", "1000")
        with pytest.raises(StartFailed) as executed:
            await box.run(program)
        for caught in (created, executed):
            assert phrase in caught.value.message
            assert caught.value.exit_code == code
        assert created.value.message.startswith("failed to create task for container: failed to create shim task: ")
        assert executed.value.message.startswith("OCI runtime exec failed: exec failed: ")
        assert not [name for name in os.listdir(box.bundle) if name.startswith("exec-")]

    run(scenario)


def test_a_failed_creation_says_why_and_leaves_no_record(run: Run) -> None:
    """Five files are too few for the runtime itself, to make the container as well as to take it away again."""

    async def scenario(lab: Lab) -> None:
        narrow = HostConfig(ulimits=(Ulimit(name="nofile", soft=5, hard=5),))
        for _ in range(2):  # the second comes after the filter was learnt
            await lab.start("true")
            with pytest.raises(StartFailed) as caught:
                await lab.create("true", host=narrow)
            assert "already exists" not in caught.value.message
            assert not list(lab.path.glob(f"run/*/{lab.boxes[-1]}"))

    run(scenario)


def test_a_program_the_kernel_refuses(run: Run) -> None:
    """Found out only at the start, as in Docker: a sentence in the container's log and exit code 1."""

    async def scenario(lab: Lab) -> None:
        (lab.root / "script").write_text("no interpreter line\n")
        (lab.root / "script").chmod(0o755)
        box = await lab.start("/script")
        assert (await lab.runtime.exited(box.id)).code == 1
        (entry,) = entries(f"{lab.path}/{box.id}.log", parse_record)
        assert entry.data.startswith(b"exec ")
        assert entry.data.lower().endswith(b"exec format error\n")

    run(scenario)


def test_signals_and_pause(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        runtime = lab.runtime
        box = await lab.create("sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
        async with await runtime.attach(box.id) as attached:
            await runtime.start(box.id)
            await until(attached, b"ready")
        await runtime.pause(box.id)
        assert runtime.cgroups.frozen(runtime.cgroup(box.id))
        runtime.kill(box.id, signal.SIGTERM)
        waiting = asyncio.ensure_future(runtime.exited(box.id))
        done, _ = await asyncio.wait((waiting,), timeout=0.1)
        assert not done
        await runtime.resume(box.id)
        assert (await waiting).code == 5
        runtime.kill(box.id, signal.SIGKILL)  # ended: no error

        box = await lab.start("sleep", "1000")
        runtime.kill_all(box.id, signal.SIGKILL)
        assert (await runtime.exited(box.id)).code == 137

    run(scenario)


def test_a_frozen_container_can_be_deleted(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.start("sleep", "1000")
        await lab.runtime.pause(box.id)
        await lab.runtime.delete(box.id)
        assert not processes.started(box.created.pid)

    run(scenario)


def test_input_reaches_the_program_once(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("sh", "-c", "wc -c", stdin=True, stdin_once=True)
        async with await lab.runtime.attach(box.id) as attached:
            await lab.runtime.start(box.id)
            await attached.write(b"x" * 1_000_000)
            attached.end_input()
            attached.end_input()
            assert (await gathered(attached.receive))["stdout"].strip() == b"1000000"
        assert (await lab.runtime.exited(box.id)).code == 0
        with pytest.raises(Unavailable):
            await lab.runtime.attach(box.id)

    run(scenario)


def test_several_attachers_and_input_that_stays_open(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("cat", stdin=True)
        first = await lab.runtime.attach(box.id)
        second = await lab.runtime.attach(box.id)
        await lab.runtime.start(box.id)
        await first.write(b"one\n")
        await until(first, b"one\n")
        await until(second, b"one\n")
        first.end_input()
        first.close()
        await second.write(b"two\n")
        await until(second, b"two\n")
        pending = asyncio.ensure_future(second.receive())
        await asyncio.sleep(0)
        second.close()
        assert await pending is None

    run(scenario)


def test_a_terminal(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("sh", "-c", "read x; stty size; tty; echo $TERM", tty=True, stdin=True)
        lab.runtime.resize(box.id, rows=33, columns=77)
        async with await lab.runtime.attach(box.id) as attached:
            await lab.runtime.start(box.id)
            await attached.write(b"go\n")
            seen = (await gathered(attached.receive))["stdout"]
        assert seen.split(b"\r\n")[-4:] == [b"33 77", b"/dev/pts/0", b"xterm", b""]
        lab.runtime.resize(box.id, rows=1, columns=1)  # ended: no error

    run(scenario)


def test_memory_limit_kills_and_says_so(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        limit = HostConfig(memory=16 << 20, memory_swap=16 << 20)
        hungry = "dd if=/dev/zero of=/dev/null bs=64M count=1"
        box = await lab.start("sh", "-c", f"exec {hungry}", host=limit)
        info = await lab.runtime.exited(box.id)
        assert (info.code, info.oom_killed) == (137, True)

    run(scenario)


def test_limits_arrive_and_can_be_changed(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.start("sleep", "1000", host=HostConfig(memory=64 << 20, pids_limit=50))
        async with asyncio.timeout(20):
            # Until the runtime's own threads have made way for the program.
            while (sample := lab.runtime.cgroups.sample(lab.runtime.cgroup(box.id))).pids != 1:  # noqa: ASYNC110 - a kernel count has no event
                await asyncio.sleep(0.01)
        assert (sample.memory_limit, sample.pids_limit) == (64 << 20, 50)
        assert 0 < sample.memory_usage < 64 << 20
        await lab.runtime.update(box.id, {"memory": {"limit": 32 << 20}, "pids": {"limit": 20}})
        sample = lab.runtime.cgroups.sample(lab.runtime.cgroup(box.id))
        assert (sample.memory_limit, sample.pids_limit) == (32 << 20, 20)
        _, _, err = await box.output("sh", "-c", "for i in $(seq 30); do sleep 9 & done; wait")
        assert b"fork" in err

    run(scenario)


def test_a_program_is_in_place_when_start_returns(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        for _ in range(5):
            box = await lab.start("sleep", "1000")
            assert os.readlink(f"/proc/{box.created.pid}/exe") == "/bin/busybox"

    run(scenario)


def test_limits_are_lifted(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.start("sleep", "1000", host=HostConfig(cpu_quota=20000, pids_limit=50))
        groups, group = lab.runtime.cgroups, lab.runtime.cgroup(box.id)
        await lab.runtime.update(box.id, {"cpu": {"quota": -1}, "pids": {"limit": -1}})
        assert groups.sample(group).pids_limit == 0
        directory, name = (groups.v1["cpu"], "cpu.cfs_quota_us") if "cpu" in groups.v1 else (groups.unified, "cpu.max")
        assert (directory / group.lstrip("/") / name).read_text().split()[0] in ("-1", "max")

    run(scenario)


def test_a_long_bundle_path(run: Run) -> None:
    """The socket's path would not fit into sun_path (107 bytes)."""

    async def scenario(lab: Lab) -> None:
        deep = lab.path / ("d" * 100) / ("e" * 100)
        box = await lab.create("cat", stdin=True, bundle=deep)
        await lab.runtime.start(box.id)
        async with await lab.runtime.attach(box.id) as attached:
            await attached.write(b"here\n")
            await until(attached, b"here\n")
        process = await box.run("tty", tty=True)
        assert b"/dev/pts" in (await gathered(process.receive))["stdout"]
        process.close()

    run(scenario)


def test_the_hosts_null_device_stays_roots(run: Run) -> None:
    """crun 1.8 gives standard streams to the process's user, even the host's /dev/null."""

    async def scenario(lab: Lab) -> None:
        box = await lab.create("sleep", "1000", user=User(uid=1000, gid=1000))
        await lab.runtime.start(box.id)
        code, out, _ = await box.output("sh", "-c", "id -u; cat", user=User(uid=1234, gid=1234))
        assert (code, out) == (0, b"1234\n")
        assert (os.stat("/dev/null").st_uid, os.stat("/dev/null").st_gid) == (0, 0)

    run(scenario)


def test_a_container_without_a_log(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("echo", "said", log=False)
        async with await lab.runtime.attach(box.id) as attached:
            await lab.runtime.start(box.id)
            assert (await gathered(attached.receive))["stdout"] == b"said\n"
        assert (await lab.runtime.exited(box.id)).code == 0
        assert not [name for name in os.listdir(lab.path) if name.endswith(".log")]

    run(scenario)


def test_a_log_of_limited_size_keeps_its_end(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("sh", "-c", "for i in $(seq 3000); do echo line $i; done", log_size_max=20_000)
        await lab.runtime.start(box.id)
        await lab.runtime.exited(box.id)
        assert len(box.log) <= 20_000
        (last,) = entries(f"{lab.path}/{box.id}.log", parse_record, tail=1)
        assert last.data == b"line 3000\n"

    run(scenario)


def test_a_long_line_is_whole_again(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.start("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")
        await lab.runtime.exited(box.id)
        found = list(entries(f"{lab.path}/{box.id}.log", parse_record, tail=2))
        assert b"".join(one.data for one in found) == b"x" * 100_000 + b"\nend\n"
        assert found[0].partial

    run(scenario)


def test_processes_left_in_the_hosts_pid_namespace_go_with_the_container(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.create("sh", "-c", "sleep 1000 & echo $!; exit 3", pid_ns="host")
        async with await lab.runtime.attach(box.id) as attached:
            await lab.runtime.start(box.id)
            left = int(await until(attached, b"\n"))
        assert (await lab.runtime.exited(box.id)).code == 3
        assert processes.started(left)
        orphan = processes.adopt(left, start_time=processes.started(left))
        await lab.runtime.delete(box.id)
        assert orphan is not None
        async with asyncio.timeout(10):
            await orphan.gone()

    run(scenario)


def test_conmon_killed_under_us(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        box = await lab.start("sleep", "1000")
        os.kill(box.created.conmon_pid, signal.SIGKILL)
        waiting = asyncio.ensure_future(lab.runtime.exited(box.id))
        done, _ = await asyncio.wait((waiting,), timeout=0.2)
        assert not done
        lab.runtime.kill(box.id, signal.SIGTERM)
        lab.runtime.kill(box.id, signal.SIGKILL)
        assert (await waiting).code == UNKNOWN_EXIT

    run(scenario)


def test_many_at_once(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        boxes = await asyncio.gather(*(lab.start("sh", "-c", f"exit {code}") for code in range(16)))
        ends = await asyncio.gather(*(lab.runtime.exited(box.id) for box in boxes))
        assert [end.code for end in ends] == list(range(16))
        await asyncio.gather(*(lab.runtime.delete(box.id) for box in boxes))

    run(scenario)


def test_no_process_is_left_when_create_is_cancelled(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        for delay in (0.001, 0.005, 0.015):
            creating = asyncio.ensure_future(lab.create("sleep", "1000"))
            await asyncio.sleep(delay)
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            await lab.runtime.delete(lab.boxes[-1])
            assert not named(lab.boxes[-1])

    run(scenario)
