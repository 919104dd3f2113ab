"""Processes run inside a running container: the runtime's `exec` as our direct child, no monitor.

The runtime stays as parent of the new process and ends with its status. Streams are pipes or one
pseudo-terminal, non-blocking and read by the event loop, never ahead of the caller. The runtime writes its pid
file only once the program runs, which is how a start is told from a failure.
"""

import asyncio
import fcntl
import json
import os
import secrets
import signal
import socket
import stat
import struct
import termios
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from landbridge.errors import Internal, StartFailed
from landbridge.model.process import Chunk, ExecRequest
from landbridge.system import inotify, processes, runtime_errors
from landbridge.system.beneath import open_in_root
from landbridge.system.descriptors import Readiness
from landbridge.system.processes import Process, spawn

# The kernel hands a terminal's last output over from a work queue; a pipe has it at once.
_TERMINAL_GRACE = 0.5


class ExecProcess:
    """A process that runs, or ran. Take its output with `receive` until None, then `wait`; `close` in any case."""

    def __init__(self, pid: int, runner: Process, plumbing: "_Plumbing", *, unwanted: set[str]) -> None:
        self.pid = pid
        self._runner = runner
        self._plumbing = plumbing
        self._unwanted = unwanted
        outputs = {name: fd for name, fd in plumbing.ours.items() if name != "stdin"}
        self._chunks: asyncio.Queue[Chunk | None] = asyncio.Queue(maxsize=len(outputs) or 1)
        self._ready = Readiness()
        self._over = False
        self._closed = False
        self._open = len(outputs)
        self._tasks = [asyncio.create_task(self._pump(name, fd)) for name, fd in outputs.items()]
        self._tasks.append(asyncio.create_task(self._notice_end()))

    async def receive(self) -> Chunk | None:
        """The next output of either stream, or None after the last.

        Output that processes left behind by the program write after its end is not waited for.
        """
        while self._open or not self._chunks.empty():
            chunk = await self._chunks.get()
            if chunk:
                return chunk
        return None

    async def write(self, data: bytes) -> None:
        """Send input. Raises: BrokenPipeError when the process no longer reads, or has no input."""
        view = memoryview(data)
        while view:
            fd = self._plumbing.ours.get("stdin", -1)
            if fd < 0:
                raise BrokenPipeError("no input")
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                await self._ready.writable(fd)

    def end_input(self) -> None:
        """No more input: end of file on a pipe; a terminal stays open (its user types ^D). Twice is no error."""
        if not self._plumbing.terminal and "stdin" in self._plumbing.ours:
            fd = self._plumbing.ours.pop("stdin")
            self._ready.release(fd)
            os.close(fd)

    def resize(self, *, rows: int, columns: int) -> None:
        """Set the terminal's size; without a terminal nothing happens."""
        if self._plumbing.terminal and "stdout" in self._plumbing.ours:
            _set_size(self._plumbing.ours["stdout"], rows, columns)
            if self._plumbing.forwarded:
                self._runner.kill(signal.SIGWINCH)

    def kill(self, signum: int) -> None:
        """Send a signal to the process; nothing happens once it has ended."""
        if self._runner.alive:
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                pass  # ended a moment ago

    def destroy(self) -> None:
        """Kill the process and all it has started, as far as these are still its own; nothing once it has ended."""
        if self._runner.alive:
            for pid in (*processes.descendants(self.pid), self.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # ended a moment ago

    async def wait(self) -> int:
        """The exit status as a shell says it."""
        return await self._runner.wait()

    def close(self) -> None:
        """Close our ends of all streams; the process goes on, `receive` returns None. Twice is no error."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for fd in self._plumbing.ours.values():
            self._ready.release(fd)
        self._plumbing.close_ours()
        self._open = 0
        if self._chunks.empty():
            self._chunks.put_nowait(None)

    async def _pump(self, name: str, fd: int) -> None:
        while data := await self._next(fd):
            if name not in self._unwanted:
                await self._chunks.put(Chunk(stream=name, data=data))
        self._open -= 1
        await self._chunks.put(None)

    async def _next(self, fd: int) -> bytes:
        """The next output, empty at the stream's end or when the process has ended and nothing is left."""
        while True:
            over = self._over
            try:
                return os.read(fd, 65536)
            except BlockingIOError:
                if over:
                    return b""
            except OSError as problem:
                if self._plumbing.terminal:
                    return b""  # EIO: nobody has the terminal open any more
                raise Internal(f"reading from an exec: {problem.strerror}") from problem
            await self._ready.readable(fd)

    async def _notice_end(self) -> None:
        await self._runner.wait()
        if self._plumbing.terminal:
            await asyncio.sleep(_TERMINAL_GRACE)
        self._over = True
        self._ready.wake()


@dataclass(slots=True)
class _Plumbing:
    """Descriptors of one exec: `ours` by stream name, `theirs` by the argument of `spawn` they go to.

    A terminal is one descriptor under two names in `ours`. `forwarded`: the runtime copies between the program's
    terminal and ours, and must be told of a new size.
    """

    terminal: bool = False
    forwarded: bool = False
    ours: dict[str, int] = field(default_factory=dict)
    theirs: dict[str, int] = field(default_factory=dict)
    listener: socket.socket | None = None
    options: list[str] = field(default_factory=list)
    inherit: list[int] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    def expect_terminal(self) -> None:
        """Take the terminal as soon as the runtime sends it: its size must be set before the program looks."""
        if self.listener:
            asyncio.get_running_loop().add_reader(self.listener, self.take_terminal)

    def take_terminal(self) -> None:
        """The master the runtime sends before its program runs. Raises: Internal."""
        assert self.listener is not None
        asyncio.get_running_loop().remove_reader(self.listener)
        connection, _ = self.listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        if not descriptors:
            raise Internal("the runtime sent no terminal")
        os.set_blocking(descriptors[0], False)
        if any(self.size):
            _set_size(descriptors[0], *self.size)
        self.ours = {"stdout": descriptors[0], "stdin": descriptors[0]}

    def close_theirs(self) -> None:
        for fd in {*self.theirs.values(), *self.inherit}:
            os.close(fd)
        self.theirs.clear()
        self.inherit.clear()
        if self.listener:
            asyncio.get_running_loop().remove_reader(self.listener)
            self.listener.close()
            self.listener = None

    def close_ours(self) -> None:
        for fd in set(self.ours.values()):
            os.close(fd)
        self.ours.clear()


async def start_exec(
    runtime: Sequence[str], request: ExecRequest, *, init: int, directory: Path, console_socket: bool
) -> ExecProcess:
    """Run `request` with the command `runtime` (path and global options); `directory` takes the files it needs.

    `init` is the pid of the container's first process.

    `console_socket`: the runtime hands a terminal over by a socket (crun); otherwise it copies (runc refuses
    a socket unless it detaches, and then the exit status is lost).

    Raises: StartFailed with Docker's text and exit code when the program cannot be started.
    """
    name = f"exec-{secrets.token_hex(8)}"
    paths = {kind: directory / f"{name}.{kind}" for kind in ("json", "pid", "log", "sock")}
    paths["json"].write_text(json.dumps(request.process))
    size = request.process.get("consoleSize", {})
    plumbing = _Plumbing(
        terminal=bool(request.process.get("terminal")), size=(size.get("height", 0), size.get("width", 0))
    )
    try:
        _lay(plumbing, request, paths["sock"], init=init, console_socket=console_socket)
        argv = [*runtime, "--log", str(paths["log"]), "--log-format", "json", "exec", *plumbing.options]
        argv += ["--process", str(paths["json"]), "--pid-file", str(paths["pid"]), request.container]
        with inotify.Inotify() as watcher:
            watcher.add(str(directory), inotify.CLOSE_WRITE | inotify.MOVED_TO)
            runner = spawn(argv, streams=plumbing.theirs, inherit=plumbing.inherit)
            pid = await _outcome(runner, request, paths, watcher)
        if plumbing.listener and not plumbing.ours:
            plumbing.take_terminal()
    except BaseException:
        plumbing.close_ours()
        raise
    finally:
        plumbing.close_theirs()
        for path in paths.values():
            path.unlink(missing_ok=True)
    unwanted = {name for name in ("stdout", "stderr") if not getattr(request, name)}
    return ExecProcess(pid, runner, plumbing, unwanted=set() if plumbing.terminal and request.stdout else unwanted)


def _lay(plumbing: _Plumbing, request: ExecRequest, sock: Path, *, init: int, console_socket: bool) -> None:
    """Open what `request` needs into `plumbing`."""
    if plumbing.terminal and console_socket:
        # sun_path holds 107 bytes: both sides name the directory by a descriptor.
        place = os.open(sock.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        plumbing.inherit = [place]
        plumbing.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        plumbing.listener.bind(f"/proc/self/fd/{place}/{sock.name}")
        plumbing.listener.listen(1)
        plumbing.options = ["--console-socket", f"/proc/self/fd/{place}/{sock.name}"]
        plumbing.expect_terminal()
        return
    if plumbing.terminal:
        master, slave = os.openpty()
        _set_size(master, *plumbing.size)  # the runtime takes the inner one's from ours
        plumbing.ours = {"stdout": master, "stdin": master}
        plumbing.theirs = {"stdin": slave, "stdout": slave, "stderr": slave}
        plumbing.forwarded = True
        os.set_blocking(master, False)
        return
    # crun gives the standard streams to the process's user, whatever they are: never hand it the host's /dev/null.
    null = None if request.stdin and request.stdout and request.stderr else _null_of(init)
    for name, wanted in (("stdin", request.stdin), ("stdout", request.stdout), ("stderr", request.stderr)):
        if not wanted and null is not None:
            plumbing.theirs[name] = null
            continue
        ends = os.pipe2(os.O_CLOEXEC)
        mine, other = reversed(ends) if name == "stdin" else ends
        os.set_blocking(mine, False)
        plumbing.ours[name], plumbing.theirs[name] = mine, other
    if not request.stdin and "stdin" in plumbing.ours:
        os.close(plumbing.ours.pop("stdin"))


def _set_size(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _null_of(init: int) -> int | None:
    """The container's own /dev/null, opened; None when it has made something else of it."""
    try:
        root = os.open(f"/proc/{init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        node = open_in_root(root, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
        try:
            found = os.fstat(node)
            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
                return None
            return os.open(f"/proc/self/fd/{node}", os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(node)
    except OSError:
        return None
    finally:
        os.close(root)


async def _outcome(runner: Process, request: ExecRequest, paths: dict[str, Path], watcher: inotify.Inotify) -> int:
    """Wait until the program runs and return its pid. Raises: StartFailed."""
    ended = asyncio.ensure_future(runner.wait())
    try:
        while not (pid := _pid_in(paths["pid"])) and not ended.done():
            event = asyncio.ensure_future(watcher.events())
            try:
                await asyncio.wait((ended, event), return_when=asyncio.FIRST_COMPLETED)
            finally:
                event.cancel()
                await asyncio.gather(event, return_exceptions=True)
    except BaseException:
        runner.kill(signal.SIGKILL)  # nobody is left who would take this process
        raise
    finally:
        ended.cancel()
    if pid:
        return pid
    said = runtime_errors.last_error(paths["log"].read_text(errors="replace")) if paths["log"].exists() else ""
    failure: StartFailed = runtime_errors.exec_failed(said, str(request.process["args"][0]))
    raise failure


def _pid_in(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _receive_terminal(listener: socket.socket) -> int:
    """The master the runtime sent before its program ran."""
    connection, _ = listener.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
    if not descriptors:
        raise Internal("the runtime sent no terminal")
    os.set_blocking(descriptors[0], False)
    return descriptors[0]
