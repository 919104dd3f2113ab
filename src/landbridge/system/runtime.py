"""Containers as running processes: conmon beside each, crun or runc to make and remove them.

conmon is started in a session of its own and keeps stdio, log and exit status through any end of this daemon;
after a restart `adopt` picks a container up again. Signals and pauses go to the kernel directly, since forking
a runtime for them would cost milliseconds. No policy: what to run, and when, comes from the caller.
"""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from landbridge.errors import Internal, NotFound, StartFailed
from landbridge.model.process import Created, CreateRequest, ExecRequest, ExitInfo, RuntimeChoice
from landbridge.system import monitor, processes, runtime_errors
from landbridge.system.attach import Attachment, attach, resize
from landbridge.system.cgroups import Cgroups
from landbridge.system.descriptors import read_all
from landbridge.system.execs import ExecProcess, start_exec
from landbridge.system.filter_cache import FilterCache, filtered
from landbridge.system.logrotate import LogRotation, Rotated
from landbridge.system.processes import Process, spawn

# Docker's code for a process whose end nobody saw.
UNKNOWN_EXIT = 255
_EXECVE_LOOKS = 100  # a millisecond apart


@dataclass(slots=True)
class _Live:
    """A container this daemon knows: `conmon` or `init` is None when it had ended before we looked."""

    bundle: Path
    program: str
    cgroup: str
    conmon: Process | None
    init: Process | None


class Runtime:
    """All containers of one daemon. `root` holds the runtime's state and conmon's exit files."""

    def __init__(self, choice: RuntimeChoice, cgroups: Cgroups, *, root: str, conmon: str = "/usr/bin/conmon") -> None:
        self.choice = choice
        self.cgroups = cgroups
        self._conmon = conmon
        self._state = os.path.join(root, choice.name)
        self._exits = Path(root, "exits")
        self._filters = FilterCache(Path(root, "filters"), version=f"{choice.name} {choice.version}")
        self._live: dict[str, _Live] = {}
        self._rotation = LogRotation()

    async def create(self, request: CreateRequest) -> Created:
        """Make the container up to the moment before its program runs.

        Cancelled, it lets the runtime finish first and removes what was made: a runtime killed half-way would
        leave things nobody knows of.

        Raises: StartFailed with Docker's text and exit code when the runtime refuses; nothing is left then.
        """
        making = asyncio.ensure_future(self._make(request))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.gather(making, return_exceptions=True)
            await self.delete(request.id)
            raise

    async def _make(self, request: CreateRequest) -> Created:
        quick = self._filters.apply(request.spec) if self.choice.name == "crun" else None
        created = await self._create_quickly(request, quick) if quick else None
        if created is None:
            created = await self._create(request, request.spec)
            if self.choice.name == "crun":
                self._filters.learn(request.spec, Path(self._state, request.id))
        return created

    async def _create_quickly(self, request: CreateRequest, spec: Mapping[str, Any]) -> Created | None:
        """Create with a compiled filter; None when this runtime cannot: never run a program without one."""
        try:
            created = await self._create(request, spec)
        except StartFailed as problem:
            if problem.exit_code != runtime_errors.UNCLEAR:
                raise  # the user's mistake, the same without the filter
        else:
            if filtered(created.pid):
                return created
            await self.delete(request.id)
        self._filters.forget(request.spec)
        return None

    async def _create(self, request: CreateRequest, spec: Mapping[str, Any]) -> Created:
        bundle = Path(request.bundle)
        program = str(spec["process"]["args"][0])
        self._prepare(request, bundle, spec)
        argv = monitor.arguments(
            request, conmon=self._conmon, choice=self.choice, state=self._state, exits=str(self._exits)
        )
        try:
            conmon, pid = await monitor.start(argv, bundle=bundle)
        except monitor.Refused as refusal:
            if self._recorded(request.id):  # crun cannot tidy up under a limit of a few open files
                await self.delete(request.id)
            raise runtime_errors.create_failed(str(refusal), program) from None
        self._live[request.id] = _Live(bundle, program, str(spec["linux"]["cgroupsPath"]), conmon, _watch(pid))
        self._keep_log(request.id, bundle)
        return Created(pid=pid, conmon_pid=conmon.pid)

    def _recorded(self, container: str) -> bool:
        """Whether the runtime has a record of it."""
        return Path(self._state, container).exists()

    async def start(self, container: str) -> None:
        """Let the program of a created container run; returns when it is in place. Raises: StartFailed, NotFound."""
        live = self._find(container)
        waiting = _image_of(live.init)
        if self.choice.name != "crun" or not _open_gate(Path(self._state, container, "exec.fifo")):
            try:
                await self._run("start", container)
            except Internal as problem:
                raise runtime_errors.create_failed(problem.message, live.program) from None
        # A signal sent now is meant for the program, not for the runtime that is about to become it. Nothing tells of
        # execve(2) in somebody else's child; where it takes longer than this, it is not waited for.
        for _ in range(_EXECVE_LOOKS):
            if _image_of(live.init) != waiting:
                return
            await asyncio.sleep(0.001)

    async def exited(self, container: str) -> ExitInfo:
        """Wait for the container's end; at once when it has ended already.

        The status is conmon's exit file. Without one (conmon itself was killed) the container's own process is
        waited for and the code is 255. Raises: NotFound for a container neither created here nor adopted.
        """
        live = self._find(container)
        if live.conmon:
            await live.conmon.gone()
        report = self._exits / container
        if not report.exists() and live.init:
            await live.init.gone()
        try:
            code, finished = int(report.read_text()), report.stat().st_mtime_ns
        except (OSError, ValueError):
            code, finished = UNKNOWN_EXIT, time.time_ns()
        return ExitInfo(code=code, finished_at=finished, oom_killed=self.cgroups.oom_kills(live.cgroup) > 0)

    def adopt(self, container: str, *, bundle: str, pid: int, conmon_pid: int) -> bool:
        """Take up a container a former daemon made; true while it runs.

        Also right for one that ended meanwhile: `exited` then answers at once from conmon's exit file.
        A pid is believed only when its process carries this container's id, in its cgroup or in conmon's arguments.
        """
        conmon = _verified(conmon_pid, container, processes.command_line)
        init = _verified(pid, container, processes.cgroup_of)
        spec = _saved_spec(Path(bundle))
        program = str((spec.get("process", {}).get("args") or [""])[0])
        cgroup = str(spec.get("linux", {}).get("cgroupsPath", ""))
        self._live[container] = _Live(Path(bundle), program, cgroup, conmon, init)
        if conmon is not None:
            self._keep_log(container, Path(bundle))
        return conmon is not None or init is not None

    def kill(self, container: str, signum: int) -> None:
        """Send a signal to the container's first process; ended ones are left alone. Raises: NotFound."""
        live = self._find(container)
        if live.init:
            live.init.kill(signum)

    def kill_all(self, container: str, signum: int) -> None:
        """Send a signal to every process of the container (one without a PID namespace of its own needs it)."""
        live = self._find(container)
        for pid in self.cgroups.pids(live.cgroup):
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass  # ended between listing and signal

    async def pause(self, container: str) -> None:
        """Freeze all processes. Raises: NotFound, Internal."""
        await self.cgroups.freeze(self._find(container).cgroup)

    async def resume(self, container: str) -> None:
        """Thaw all processes. Raises: NotFound, Internal."""
        await self.cgroups.thaw(self._find(container).cgroup)

    async def update(self, container: str, resources: Mapping[str, Mapping[str, object]]) -> None:
        """Apply OCI ``linux.resources`` to a running container; -1 lifts a limit. Raises: NotFound, Internal."""
        live = self._find(container)
        path = live.bundle / "resources.json"
        quota = resources.get("cpu", {}).get("quota") == -1
        pids = resources.get("pids", {}).get("limit") == -1
        rest = {kind: {**values} for kind, values in resources.items() if kind != "pids" or not pids}
        if quota:
            del rest["cpu"]["quota"]
        path.write_text(json.dumps(rest))
        await self._run("update", "--resources", str(path), container)
        self.cgroups.lift(live.cgroup, pids=pids, quota=quota)

    async def exec(self, request: ExecRequest) -> ExecProcess:
        """Start a process inside a running container. Raises: NotFound, StartFailed."""
        live = self._find(request.container)
        return await start_exec(
            (self.choice.path, "--root", self._state),
            request,
            init=live.init.pid if live.init else 0,
            directory=live.bundle,
            console_socket=self.choice.name == "crun",
        )

    async def attach(self, container: str) -> Attachment:
        """Connect to the container's stdio. Raises: NotFound, Unavailable when conmon has ended."""
        return await attach(self._find(container).bundle)

    def resize(self, container: str, *, rows: int, columns: int) -> None:
        """Set the size of the container's terminal. Raises: NotFound."""
        resize(self._find(container).bundle, rows=rows, columns=columns)

    def cgroup(self, container: str) -> str:
        """The cgroup path the container was made with. Raises: NotFound."""
        return self._find(container).cgroup

    async def delete(self, container: str) -> None:
        """Kill what still runs and remove every trace of the container's process. Twice is no error."""
        self._rotation.unwatch(container)
        live = self._live.get(container)
        if live is None or not await self._remove_ended(container, live):
            await self._try("delete", "--force", container)  # fails when there is nothing left to delete
        if live:
            for process in (live.init, live.conmon):
                if process:
                    await process.gone()
        await asyncio.to_thread(self._sweep, container, live)
        if self._live.get(container) is live:
            self._live.pop(container, None)

    def _sweep(self, container: str, live: _Live | None) -> None:
        """The files of an ended container; some twenty calls that wait for locks of the kernel's."""
        if live:
            self.cgroups.remove(live.cgroup)
            monitor.sweep(live.bundle)
        (self._exits / container).unlink(missing_ok=True)

    async def _remove_ended(self, container: str, live: _Live) -> bool:
        """Remove the runtime's record without its help; false when processes remain that it must deal with.

        What crun and runc keep of an ended container is a directory and its cgroups (no hooks here).
        """
        if live.init:
            live.init.kill(signal.SIGKILL)
            if self.cgroups.frozen(live.cgroup):
                await self.cgroups.thaw(live.cgroup)
            await live.init.gone()
        if self.cgroups.pids(live.cgroup):
            return False
        shutil.rmtree(Path(self._state, container), ignore_errors=True)
        return True

    def close(self) -> None:
        """Stop watching; the containers go on."""
        self._rotation.close()
        for live in self._live.values():
            for process in (live.conmon, live.init):
                if process:
                    process.forget()
        self._live.clear()

    def _find(self, container: str) -> _Live:
        try:
            return self._live[container]
        except KeyError:
            raise NotFound(f"No such container: {container}") from None

    def _prepare(self, request: CreateRequest, bundle: Path, spec: Mapping[str, Any]) -> None:
        for directory in (bundle, self._exits, Path(self._state)):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        monitor.sweep(bundle)
        (self._exits / request.id).unlink(missing_ok=True)
        (bundle / "config.json").write_text(json.dumps(spec))
        if request.log_path and request.log_turn and request.log_files > 1:
            asked = Rotated(request.log_path, str(bundle / "ctl"), request.log_turn, request.log_files)
            (bundle / "log.json").write_text(json.dumps(asdict(asked)))

    def _keep_log(self, container: str, bundle: Path) -> None:
        """Turn the container's log, if it is to be in several files; a later daemon reads the same note."""
        try:
            self._rotation.watch(container, Rotated(**json.loads((bundle / "log.json").read_text())))
        except FileNotFoundError:
            pass  # one file is its monitor's business

    async def _run(self, *arguments: str) -> None:
        """Run the runtime to its end. Raises: Internal with its last words."""
        status, said = await self._try(*arguments)
        if status:
            raise Internal(said or f"{self.choice.name} {arguments[0]} failed with status {status}")

    async def _try(self, *arguments: str) -> tuple[int, str]:
        """Run the runtime to its end: its status and what it said on stderr."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            child = spawn((self.choice.path, "--root", self._state, *arguments), streams={"stderr": writing})
            os.close(writing)
            writing = -1
            said = await read_all(reading)
            return await child.wait(), said.decode(errors="replace").strip()
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)


def _image_of(process: Process | None) -> str:
    """The program file a process runs; empty when it has ended."""
    try:
        return os.readlink(f"/proc/{process.pid}/exe") if process else ""
    except OSError:
        return ""


def _open_gate(fifo: Path) -> bool:
    """What `crun start` does: take the FIFO away and send one byte. False when that is not possible here."""
    try:
        gate = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fifo.unlink()
        os.write(gate, b"\0")
    finally:
        os.close(gate)
    return True


def _watch(pid: int) -> Process | None:
    """Watch a process that cannot have been replaced: its parent has not reaped it."""
    try:
        return Process(pid, os.pidfd_open(pid), child=False)
    except ProcessLookupError:
        return None


def _verified(pid: int, container: str, marks: Callable[[int], str]) -> Process | None:
    """Watch `pid` if `marks` of it name `container`, read after the pidfd was taken; else its pid is another's.

    One that has ended and only waits to be reaped by somebody is not there any more.
    """
    process = _watch(pid) if pid > 0 else None
    if process and (container not in marks(pid) or not processes.started(pid)):
        process.forget()
        return None
    return process


def _saved_spec(bundle: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    except (OSError, ValueError):
        return {}
    return found
