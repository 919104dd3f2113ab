"""A busybox root, a runtime of one's own and containers in it, for the tests of `system.runtime`."""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from landbridge.model.config import Config, HostConfig
from landbridge.model.container import Container
from landbridge.model.process import Chunk, Created, CreateRequest, ExecRequest, User
from landbridge.oci import capabilities, seccomp
from landbridge.oci.spec import SpecContext, build, exec_process
from landbridge.system import probe
from landbridge.system.attach import Attachment
from landbridge.system.cgroups import detect
from landbridge.system.execs import ExecProcess
from landbridge.system.runtime import Runtime

BUSYBOX = shutil.which("busybox") or "/bin/busybox"
ENV = ("PATH=/bin",)


def make_root(path: Path) -> Path:
    """A root with busybox under all its names."""
    for part in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (path / part).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "bin" / "busybox")
    for name in subprocess.run((BUSYBOX, "--list"), capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (path / "bin" / name).symlink_to("busybox")
    (path / "tmp").chmod(0o1777)
    return path


@dataclass(slots=True)
class Box:
    """One container being tested."""

    lab: "Lab"
    container: Container
    bundle: Path
    created: Created
    context: SpecContext

    @property
    def id(self) -> str:
        return self.container.id

    @property
    def log(self) -> bytes:
        return (self.lab.path / f"{self.id}.log").read_bytes()

    async def run(self, *args: str, user: User | None = None, tty: bool = False, stdin: bool = False) -> ExecProcess:
        """Start a further process."""
        context = self.context if user is None else SpecContext(rootfs="", cgroup="", user=user)
        process = exec_process(self.container, context, args=args, tty=tty, rows=24, columns=80)
        return await self.lab.runtime.exec(ExecRequest(container=self.id, process=process, stdin=stdin))

    async def output(self, *args: str, user: User | None = None) -> tuple[int, bytes, bytes]:
        """Run a further process to its end: status, output, error output."""
        process = await self.run(*args, user=user)
        try:
            streams = await gathered(process.receive)
            return await process.wait(), streams["stdout"], streams["stderr"]
        finally:
            process.close()


@dataclass(slots=True)
class Lab:
    """A runtime and what its containers need."""

    path: Path
    runtime: Runtime
    root: Path
    name: str
    boxes: list[str] = field(default_factory=list)

    async def create(
        self, *args: str, host: HostConfig | None = None, stdin: bool = False, stdin_once: bool = False,
        tty: bool = False, user: User | None = None, bundle: Path | None = None, log_size_max: int = 0,
        log: bool = True, pid_ns: str = "",
    ) -> Box:  # fmt: skip
        """A container up to the moment before its program runs."""
        identity = secrets.token_hex(32)
        container = Container(
            id=identity, name="t", created=0, image="", path=args[0], args=args[1:],
            config=Config(env=ENV, tty=tty, open_stdin=stdin), host=host or HostConfig(),
        )  # fmt: skip
        context = SpecContext(
            rootfs=str(self.root),
            cgroup=f"/{self.name}/{identity}",
            hostname=identity[:12],
            netns="/proc/self/ns/net",
            user=user or User(),
            pid_ns=pid_ns,
            cgroup_version=self.runtime.cgroups.version,
            capabilities=capabilities.from_mask(probe.capability_mask()),
            machine=seccomp.Machine(arch=probe.machine()[0], kernel=probe.machine()[1]),
        )
        spec = build(container, context)
        del spec["linux"]["sysctl"]  # this network namespace is the host's: not ours to tune
        place = bundle or self.path / identity
        self.boxes.append(identity)
        request = CreateRequest(
            id=identity, bundle=str(place), spec=spec, terminal=tty, log_path=str(self.path / f"{identity}.log") if log else "",
            stdin=stdin, stdin_once=stdin_once, log_size_max=log_size_max,
        )  # fmt: skip
        return Box(self, container, place, await self.runtime.create(request), context)

    async def start(self, *args: str, host: HostConfig | None = None) -> Box:
        """A running container."""
        box = await self.create(*args, host=host)
        await self.runtime.start(box.id)
        return box


async def gathered(receive: Callable[[], Awaitable[Chunk | None]]) -> dict[str, bytes]:
    """All output to the end, by stream."""
    found = {"stdout": b"", "stderr": b""}
    async with asyncio.timeout(30):
        while chunk := await receive():
            found[chunk.stream] += chunk.data
    return found


async def until(attachment: Attachment | ExecProcess, text: bytes) -> bytes:
    """Read until `text` was seen."""
    seen = b""
    async with asyncio.timeout(30):
        while text not in seen:
            chunk = await attachment.receive()
            assert chunk is not None, f"ended before {text!r}: {seen!r}"
            seen += chunk.data
    return seen


@asynccontextmanager
async def lab(path: Path, name: str, *, runtime: str = "crun") -> AsyncIterator[Lab]:
    """A runtime in `path`; everything it made is gone afterwards. `name` names its cgroup."""
    choice = await probe.choose_runtime(str(path / "run"), preferred=runtime)
    made = Lab(path, Runtime(choice, detect(), root=str(path / "run")), make_root(path / "root"), name)
    try:
        yield made
    finally:
        for identity in made.boxes:
            await made.runtime.delete(identity)
        detect().remove(f"/{name}")
        probe.release_runtime(choice.mounted)


def skip_without(*programs: str) -> None:
    """Skip where the machine lacks a program."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    for program in programs:
        if shutil.which(program, path=path) is None:
            pytest.skip(f"needs {program}")
