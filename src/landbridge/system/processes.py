"""Starting processes and learning of their end.

Every process is watched through a pidfd in the event loop: no SIGCHLD handler, no thread, no polling. A child
is reaped the moment it ends, whoever waits. A process that is not our child (started before the daemon was
restarted) can be watched as well, but its status is its parent's to know.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence

from landbridge.errors import Internal

_RESET = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them; a child must not inherit that


class Process:
    """A process known by its pidfd. Make it with `spawn` or `adopt`, inside a running loop."""

    def __init__(self, pid: int, pidfd: int, *, child: bool) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._child = child
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        loop.add_reader(pidfd, self._on_end)

    @property
    def alive(self) -> bool:
        """False once the end was noticed."""
        return not self._ended.done()

    async def wait(self) -> int:
        """The exit status as a shell says it: code, or 128 + signal; -1 for a process that is not our child.

        Any number of tasks may wait, before or after the end; cancelling one disturbs no other.
        """
        return await asyncio.shield(self._ended)

    async def gone(self) -> None:
        """Return once the process has ended."""
        await self.wait()

    def kill(self, signum: int) -> None:
        """Send a signal to this process and no other; nothing happens once it has ended."""
        if not self.alive:
            return
        try:
            signal.pidfd_send_signal(self._pidfd, signum)
        except ProcessLookupError:
            pass  # ended a moment ago, which is what a signal may find at any time

    def forget(self) -> None:
        """Stop watching, for a shutdown that leaves the process running. `wait` is cancelled."""
        if self.alive:
            self._release()
            self._ended.cancel()

    def _on_end(self) -> None:
        status = -1
        if self._child:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            if result is None:
                return
            status = result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
        self._release()
        if not self._ended.done():
            self._ended.set_result(status)

    def _release(self) -> None:
        self._ended.get_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)


def spawn(
    argv: Sequence[str],
    *,
    streams: Mapping[str, int] | None = None,
    inherit: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    session: bool = False,
) -> Process:
    """Start `argv` (its first member is the program's path) and watch it. Must run inside an event loop.

    `streams` maps stdin, stdout, stderr to descriptors; one left out is /dev/null. `inherit` are further
    descriptors kept open under their own numbers; all others close. `session` puts the child in a session of
    its own, so that it outlives us.

    Raises: Internal when the program cannot be started.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        source = (streams or {}).get(name)
        if source is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, mode, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, source, number))
    # Duplicating onto itself clears close-on-exec (glibc 2.29).
    actions += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherit]
    try:
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            dict(os.environ if env is None else env),
            file_actions=actions,
            setsid=session,
            setsigmask=(),
            setsigdef=_RESET,
        )
    except OSError as problem:
        raise Internal(f"cannot start {argv[0]}: {problem.strerror}") from problem
    # Ours and not yet reaped: the pid cannot be another's.
    return Process(pid, os.pidfd_open(pid), child=True)


def adopt(pid: int, *, start_time: int) -> Process | None:
    """Watch a running process that is not our child, or None when it has ended or its pid is another's now."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError, OSError):
        return None
    # Checked after the pidfd was taken: from here on it cannot change hands.
    if started(pid) != start_time:
        os.close(pidfd)
        return None
    return Process(pid, pidfd, child=False)


def command_line(pid: int) -> str:
    """The arguments `pid` was started with, NUL between them; empty when it is gone."""
    return _proc(pid, "cmdline")


def cgroup_of(pid: int) -> str:
    """/proc/PID/cgroup as it is; empty when the process is gone."""
    return _proc(pid, "cgroup")


def started(pid: int) -> int:
    """Start time of `pid` in clock ticks since boot (proc(5), field 22), 0 when there is no live process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def descendants(pid: int) -> list[int]:
    """Every process `pid` is a parent, grandparent… of right now, itself not included, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _proc(int(name), "stat").rpartition(")")[2].split()):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = list(children.get(pid, ()))
    for one in found:  # grows while it is walked
        found += children.get(one, ())
    return found


def _proc(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
