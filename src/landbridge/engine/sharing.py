"""Namespaces shared with other containers or the host, other than the network's: PID, IPC and /dev/shm with it.

A container named at create must exist then, and is known by its id from there on (Docker); it must run when the
container that shares with it starts.
"""

from dataclasses import replace

from landbridge.engine.effects import Files, Roots
from landbridge.engine.state import State
from landbridge.errors import Conflict, Internal, Invalid, LandbridgeError
from landbridge.model.config import HostConfig
from landbridge.model.container import Container, Phase


class Sharing:
    """Finds whose namespace it is. Words and kinds of errors are Docker's."""

    def __init__(self, state: State, files: Files, roots: Roots) -> None:
        self.state = state
        self.files = files
        self.roots = roots

    def resolved(self, host: HostConfig) -> HostConfig:
        """``container:NAME`` in the PID and IPC modes by id. Raises: Invalid when there is no such container."""
        return replace(host, pid_mode=self._by_id(host.pid_mode), ipc_mode=self._by_id(host.ipc_mode))

    def _by_id(self, mode: str) -> str:
        target = _target(mode)
        if not target:
            return mode
        try:
            return f"container:{self.state.container(target).id}"
        except LandbridgeError as error:
            # Not "not found": the docker command would go and pull the image.
            raise Invalid(error.message) from None

    def pid_namespace(self, host: HostConfig) -> str:
        """Empty for a new one, ``host``, or the path of another container's. Raises: Internal (not running)."""
        if not _target(host.pid_mode):
            return "host" if host.pid_mode == "host" else ""
        try:
            return f"/proc/{self._running(host.pid_mode).state.pid}/ns/pid"
        except LandbridgeError as error:
            raise Internal(f"failed to join PID namespace: {error.message}") from None

    def ipc_namespace(self, host: HostConfig) -> str:
        """As `pid_namespace`. Raises: Conflict (not running), Invalid (the other shares nothing)."""
        if not _target(host.ipc_mode):
            return "host" if host.ipc_mode == "host" else ""
        try:
            other = self._running(host.ipc_mode)
        except LandbridgeError as error:
            raise Conflict(f"failed to join IPC namespace: {error.message}") from None
        if not self._shares(other):
            raise Invalid(
                f"failed to join IPC namespace: container {other.id}: non-shareable IPC (hint: use"
                " IpcMode:shareable for the donor container)"
            )
        return f"/proc/{other.state.pid}/ns/ipc"

    def shm(self, container: Container) -> str:
        """The host directory that is the container's /dev/shm; empty when it has one of its own that nobody shares."""
        host = container.host
        if host.ipc_mode == "shareable":
            return self.roots.mount_shm(container.id, host.shm_size)
        if host.ipc_mode == "host":
            return "/dev/shm"
        other = self.state.containers.find(_target(host.ipc_mode))
        return self.shm(other) if other is not None else ""

    def _shares(self, container: Container) -> bool:
        mode = container.host.ipc_mode
        if target := _target(mode):
            other = self.state.containers.find(target)
            return other is not None and self._shares(other)
        return mode in ("shareable", "host")

    def _running(self, mode: str) -> Container:
        other = self.state.container(_target(mode))
        # A process that has just ended may not have been noticed yet: field 3 of proc(5) tells.
        stat = self.files.read(f"/proc/{other.state.pid}/stat").rpartition(")")[2].split()
        if other.state.phase is Phase.RESTARTING:
            raise Conflict(f"Container {other.id} is restarting, wait until the container is running")
        if not other.state.running or not stat or stat[0] in "ZX":
            raise Conflict(f"container {other.id} is not running")
        return other


def _target(mode: str) -> str:
    return mode.removeprefix("container:") if mode.startswith("container:") else ""
