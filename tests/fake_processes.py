"""Processes, root file systems and files outside the engine, in memory: the half of `fakes` that is no network."""

import asyncio
import signal
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults import Faults
from landbridge.engine.effects import Attachment
from landbridge.errors import NotFound, StartFailed, Unavailable
from landbridge.model.process import Chunk, Created, CreateRequest, DeviceNode, ExecRequest, ExitInfo, User


class Pins:
    """What the runtime must know of namespaces: `fakes.FakeKernel` has it."""

    pins: dict[str, int]


class FakeAttachment:
    """One client's view of a process: what `FakeRuntime.say` said since it was made, then the end."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.written: list[bytes] = []
        self.closed = self.input_ended = False

    def feed(self, chunk: Chunk | None) -> None:
        self._chunks.put_nowait(chunk)

    async def receive(self) -> Chunk | None:
        return await self._chunks.get()

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    def end_input(self) -> None:
        self.input_ended = True

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProcess:
    """A container's process: ``created``, ``running`` or ``ended``."""

    pid: int
    request: CreateRequest
    status: str = "created"
    frozen: bool = False
    killed: int = 0
    info: ExitInfo | None = None
    attached: list[FakeAttachment] = field(default_factory=list)


class FakeRuntime:
    """conmon and the runtime. Processes die of SIGTERM unless `stubborn`, and of SIGKILL when not frozen."""

    def __init__(self, faults: Faults, kernel: Pins, roots: "FakeRoots", files: "FakeFiles") -> None:
        self.faults = faults
        self.kernel = kernel
        self.roots = roots
        self.files = files
        self.processes: dict[str, FakeProcess] = {}
        self.known: set[str] = set()  # what this daemon made or adopted
        self.stubborn: set[str] = set()
        self.signals: list[tuple[str, int]] = []
        self.fail_start: StartFailed | None = None
        self._ends: dict[str, list[asyncio.Future[ExitInfo]]] = {}
        self._pid = 1000
        self._clock = 1_700_000_000_000_000_000

    async def create(self, request: CreateRequest) -> Created:
        def effect() -> Created:
            self.faults.demand(request.spec["root"]["path"] in self.roots.mounted.values(), "the root is not mounted")
            spaces = {one["type"]: one.get("path", "") for one in request.spec["linux"]["namespaces"]}
            netns = spaces.get("network", "")
            self.faults.demand(not netns or netns in self.kernel.pins, "no network namespace at {}", netns)
            if request.id in self.processes:
                raise StartFailed(f"container with given ID already exists: {request.id}", exit_code=128)
            self._pid += 2
            self.processes[request.id] = FakeProcess(self._pid, request)
            self.files.texts[f"{request.bundle}/config.json"] = "{}"
            self.known.add(request.id)
            return Created(pid=self._pid, conmon_pid=self._pid + 1)

        created: Created = self.faults.call("runtime.create", effect)
        await self.faults.pause()
        return created

    async def start(self, container: str) -> None:
        def effect() -> None:
            process = self._find(container)
            self.faults.demand(process.status == "created", "started while {}", process.status)
            if self.fail_start is not None:
                raise self.fail_start
            process.status = "running"

        self.faults.call("runtime.start", effect, can_be_late=True)
        await self.faults.pause()

    async def exited(self, container: str) -> ExitInfo:
        if container not in self.known:
            raise NotFound(f"No such container: {container}")
        process = self.processes.get(container)
        if process is None:
            return self._info(255)
        if process.info is not None:
            return process.info
        future = asyncio.get_running_loop().create_future()
        self._ends.setdefault(container, []).append(future)
        return await future

    def adopt(self, container: str, *, bundle: str, pid: int, conmon_pid: int) -> bool:
        self.known.add(container)
        process = self.processes.get(container)
        return process is not None and process.status == "running"

    def kill(self, container: str, signum: int) -> None:
        self.faults.call(f"kill {signum}", lambda: self._kill(container, signum))

    def kill_all(self, container: str, signum: int) -> None:
        self.kill(container, signum)

    def _kill(self, container: str, signum: int) -> None:
        self.signals.append((container, signum))
        process = self._find(container)
        if process.status == "ended":
            return
        if signum == signal.SIGKILL or (signum == signal.SIGTERM and container not in self.stubborn):
            process.killed = max(process.killed, signum)
            if not process.frozen:
                self.end(container, 128 + signum)

    async def pause(self, container: str) -> None:
        def effect() -> None:
            self._find(container).frozen = True

        self.faults.call("pause", effect)

    async def resume(self, container: str) -> None:
        def effect() -> None:
            process = self._find(container)
            process.frozen = False
            if process.killed and process.status != "ended":
                self.end(container, 128 + process.killed)

        self.faults.call("resume", effect)

    async def update(self, container: str, resources: Mapping[str, Mapping[str, object]]) -> None:
        self.faults.call("update")

    async def exec(self, request: ExecRequest) -> Any:
        raise StartFailed("this runtime runs no further processes", exit_code=126)

    async def attach(self, container: str) -> Attachment:
        def effect() -> FakeAttachment:
            process = self._find(container)
            if process.status == "ended":
                raise Unavailable("conmon has ended")
            process.attached.append(FakeAttachment())
            return process.attached[-1]

        attachment: FakeAttachment = self.faults.call("attach", effect)
        await self.faults.pause()
        return attachment

    def resize(self, container: str, *, rows: int, columns: int) -> None:
        self._find(container)

    async def delete(self, container: str) -> None:
        def effect() -> None:
            process = self.processes.get(container)
            if process is not None and process.status != "ended":
                self.end(container, 137)
            self.processes.pop(container, None)
            if container in self.known and process is not None:
                self.files.texts.pop(f"{process.request.bundle}/config.json", None)
            self.known.discard(container)

        self.faults.call("runtime.delete", effect)
        await self.faults.pause()

    # What a test does to processes.

    def say(self, container: str, data: bytes) -> None:
        """The program writes to its standard output."""
        for attachment in self.processes[container].attached:
            attachment.feed(Chunk(stream="stdout", data=data))

    def end(self, container: str, code: int, *, oom: bool = False) -> None:
        """The program ends."""
        process = self.processes[container]
        process.status, process.info = "ended", self._info(code, oom=oom)
        for attachment in process.attached:
            attachment.feed(None)
        for future in self._ends.pop(container, []):
            if not future.done():
                future.set_result(process.info)

    def forget(self) -> None:
        """The daemon is gone; the processes are not."""
        self.known.clear()
        self._ends.clear()

    def _info(self, code: int, *, oom: bool = False) -> ExitInfo:
        self._clock += 1_000_000
        return ExitInfo(code=code, finished_at=self._clock, oom_killed=oom)

    def _find(self, container: str) -> FakeProcess:
        if container not in self.known or container not in self.processes:
            raise NotFound(f"No such container: {container}")
        return self.processes[container]


class FakeFiles:
    """Files by path. A text written with `remember` and changed since is the user's."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.texts: dict[str, str] = {"/etc/resolv.conf": "nameserver 192.0.2.53\n", "/etc/hosts": "127.0.0.1 lo\n"}
        self.remembered: dict[str, str] = {}
        self.directories: set[str] = set()

    def read(self, path: str) -> str:
        return self.texts.get(path, "")

    def write(self, path: str, text: str, *, remember: bool = False) -> None:
        def effect() -> None:
            self.texts[path] = text
            if remember:
                self.remembered[path] = text

        self.faults.call(f"write {path.rpartition('/')[2]}", effect)

    def unedited(self, path: str) -> bool:
        return path not in self.texts or self.remembered.get(path) == self.texts[path]

    def make_directory(self, path: str) -> None:
        self.faults.call("make_directory", lambda: self.directories.add(path))

    def remove_tree(self, path: str) -> None:
        def effect() -> None:
            self.directories = {one for one in self.directories if not f"{one}/".startswith(f"{path}/")}
            self.texts = {one: text for one, text in self.texts.items() if not f"{one}/".startswith(f"{path}/")}

        self.faults.call("remove_tree", effect)

    remove_own_tree = remove_tree

    def size(self, path: str) -> int:
        return 0

    def hostname(self) -> str:
        return "machine"


class FakeRoots:
    """Overlays: made, mounted once, unmounted before they are removed."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.made: set[str] = set()
        self.mounted: dict[str, str] = {}

    def make(self, container: str) -> None:
        self.faults.call("roots.make", lambda: self.made.add(container))

    def mount(self, container: str, lowers: Sequence[str]) -> str:
        def effect() -> str:
            self.faults.demand(container in self.made, "{} has no root", container)
            return self.mounted.setdefault(container, f"/overlay/{container}/merged")

        path: str = self.faults.call("roots.mount", effect)
        return path

    def mount_shm(self, container: str, size: int) -> str:
        path: str = self.faults.call("roots.mount_shm", lambda: f"/overlay/{container}/shm")
        return path

    def unmount(self, container: str) -> None:
        self.faults.call("roots.unmount", lambda: self.mounted.pop(container, None))

    def remove(self, container: str) -> None:
        def effect() -> None:
            self.faults.demand(container not in self.mounted, "{} removed while mounted", container)
            self.made.discard(container)

        self.faults.call("roots.remove", effect)

    def kept(self) -> list[str]:
        kept: list[str] = self.faults.call("roots.kept", lambda: sorted(self.made))
        return kept


class FakeMachine:
    """Everybody is root and there are no devices."""

    def user(self, root: str, user: str, groups: Sequence[str]) -> User:
        return User()

    def devices(self, host: object) -> tuple[DeviceNode, ...]:
        return ()

    def device_numbers(self, host: object) -> Mapping[str, tuple[int, int]]:
        return {}

    def prepare_root(self, root: str, container: object, user: User) -> None:
        return None


class FakeDisk:
    """Directories of volumes that are always there."""

    def make(self, path: str) -> None:
        return None

    def exists(self, path: str) -> bool:
        return True

    def is_directory(self, path: str) -> bool:
        return True

    def make_source(self, path: str) -> None:
        return None

    def mount(self, path: str, options: Mapping[str, str]) -> None:
        return None

    def unmount(self, path: str) -> None:
        return None

    def copy_up(self, root: str, destination: str, volume: str) -> None:
        return None


class FakeLogs:
    """Empty logs that can be followed to their end."""

    def entries(self, path: str, **_: object) -> Any:
        return iter(())

    async def follow(self, path: str, *, ended: Awaitable[object], **_: object) -> Any:
        await ended
        return
        yield
