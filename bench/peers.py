"""Starts the engines: landbridge from this tree, Docker and Podman from the packages that `scripts/setup bench`
unpacked, or those that the environment names:

    LANDBRIDGE_PEER_DOCKER   the socket of a running Docker Engine (unix:///…); it is never restarted
    LANDBRIDGE_PEER_PODMAN   a command that runs its arguments where podman is ("podman" alone: here)
"""

import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lab import LANDBRIDGE, OUTSIDE4, ROOT, Lab, docker_cli

from bench import processes
from bench.engines import Docker, Engine, Landbridge, Podman, load_image, wait_until
from bench.machine import Machine, attach_machine, make_machine, prepare_outside, remove_machine, run

PEERS = ROOT / ".tools/peers/root"
AGENTS = Path(__file__).parent / "agents"
# Names are looked up outside in there too; the mount namespace is of its own.
GIVEN_PLACE = (
    f"mkdir -p /run && echo nameserver {OUTSIDE4} >/run/lbb-resolv.conf"
    " && mount --bind /run/lbb-resolv.conf $(readlink -f /etc/resolv.conf) && rm /run/lbb-resolv.conf"
    " && echo ready $$ && exec sleep 86400"
)


class Engines(ExitStack):
    """Engines as they are needed; leaving the context ends them, the last first."""

    def __init__(self, directory: Path, archive: Path) -> None:
        super().__init__()
        self._directory, self._archive = directory, archive
        self._tag = f"lbb{os.getpid()}"

    def start(self, name: str) -> Engine:
        """One engine with the image loaded, on a machine of its own."""
        make = {"landbridge": self._landbridge, "docker": self._docker, "podman": self._podman}[name]
        engine = make(f"{self._tag}{name[0]}")
        prepare_outside(engine.machine)
        load_image(engine, self._archive)
        return engine

    def _landbridge(self, tag: str) -> Engine:
        lab = Lab(tag, self._directory / "landbridge")
        lab.directory.mkdir()
        self.callback(lab.close)
        lab.start()
        machine = Machine(f"/run/netns/{lab.host_ns}", f"/run/netns/{lab.outside_ns}")
        ours = ["env", f"LANDBRIDGE_HOST=unix://{lab.socket}", str(LANDBRIDGE)]
        engine = Landbridge([docker_cli(), "-H", f"unix://{lab.socket}"], machine, ours)

        def restart() -> None:
            lab.stop_daemon()
            lab.start_daemon()

        engine.restart = restart
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
        )
        engine.version = (
            f"{engine.do('version', '--format', '{{.Server.Version}}')} ({commit.stdout.strip() or 'no git'})"
        )
        return engine

    def _docker(self, tag: str) -> Engine:
        given = os.environ.get("LANDBRIDGE_PEER_DOCKER", "")
        if given:
            machine = attach_machine(tag, _listener(given))
            self.callback(remove_machine, tag)
            # The wire in the peer's namespace goes with its other end.
            engine = Docker("docker", [docker_cli(), "-H", given], machine)
            self.callback(engine.sweep)
        else:
            engine = self._own_docker(tag)
        engine.version = (
            engine.do("version", "--format", "{{.Server.Version}}")
            + engine.do("info", "--format", "; storage {{.Driver}}, {{.DefaultRuntime}}")
            + ("" if given else ", live-restore")
        )
        return engine

    def _own_docker(self, tag: str) -> Docker:
        machine, holder = self._place(tag)
        data = self._directory / "docker"
        address = f"unix://{self._directory}/docker.sock"
        daemon: list[subprocess.Popen[bytes]] = []
        # live-restore: containers live on while the daemon is restarted, as ours do.
        words = ["dockerd", "-H", address, "--data-root", str(data), "--exec-root", "/run/docker-bench",
                 "--pidfile", "/run/docker-bench.pid", "--live-restore"]  # fmt: skip
        engine = Docker("docker", [docker_cli(), "-H", address], machine, [holder])

        def begin() -> None:
            with open(self._directory / "docker.log", "ab") as log:
                daemon.append(
                    subprocess.Popen(
                        [*_enter(holder), *words],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
            wait_until(lambda: engine.do("version"), 30)

        def restart() -> None:
            daemon[-1].terminate()
            daemon[-1].wait(60)
            begin()

        self.callback(lambda: daemon[-1].terminate() if daemon and daemon[-1].poll() is None else None)
        begin()
        self.callback(engine.sweep)
        engine.restart = restart
        return engine

    def _podman(self, tag: str) -> Engine:
        given = os.environ.get("LANDBRIDGE_PEER_PODMAN", "")
        machine, holder = self._place(tag, shlex.split(given) if given else None)
        engine = Podman([*_enter(holder), "podman"], machine, [holder])
        self.callback(engine.sweep)
        fields = ("Version.Version", "Host.NetworkBackend", "Host.OCIRuntime.Name", "Store.GraphDriverName")
        version, *with_ = (engine.do("info", "--format", "{{.%s}}" % field) for field in fields)  # noqa: UP031
        engine.version = f"{version} ({', '.join(with_)})"
        return engine

    def _place(self, tag: str, prefix: list[str] | None = None) -> tuple[Machine, int]:
        """A machine, and the process that holds the mount namespace in which a peer's files are."""
        machine = make_machine(tag)
        self.callback(remove_machine, tag)
        if prefix is None:
            if not (PEERS / "usr/sbin/dockerd").exists():
                raise RuntimeError(f"no peers in {PEERS}: scripts/setup bench unpacks them")
            holder = ["/usr/bin/python3", "-IS", str(AGENTS / "holder.py"), str(PEERS), str(self._directory), OUTSIDE4]
            words = ["unshare", "-m", *holder]
        else:
            leading = prefix[:-1] if prefix[-1:] == ["podman"] else prefix
            words = [*leading, "unshare", "-m", "sh", "-c", GIVEN_PLACE]
        process = subprocess.Popen(
            machine.on_host(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.callback(self._end_place, machine, process)
        assert process.stdout is not None
        said = process.stdout.readline().split()
        if said[:1] != ["ready"]:
            raise RuntimeError(f"the peer's files could not be laid out: {' '.join(words)}")
        return machine, int(said[1])

    @staticmethod
    def _end_place(machine: Machine, process: subprocess.Popen[str]) -> None:
        """End whatever still lives on a machine that is ours alone: monitors, proxies, DNS servers, the holder."""
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            left = processes.living_in(machine.host)
            for one in left:
                _signal(one, number)
            deadline = time.monotonic() + patience
            while processes.living_in(machine.host) and time.monotonic() < deadline:
                time.sleep(0.05)
        process.wait(5)


def work_directory() -> Path:
    """A folder of this run's own, short enough for sockets' names, on a disk rather than in memory."""
    place = Path(f"/var/tmp/lbb{os.getpid()}")
    place.mkdir(mode=0o700)
    return place


def remove_directory(place: Path) -> None:
    """Take it away, with mounts that an engine forgot below it."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        target = line.split()[1]
        if target.startswith(f"{place}/"):
            subprocess.run(["umount", "-l", target], capture_output=True, check=False)
    shutil.rmtree(place, ignore_errors=True)


def tool_versions() -> str:
    """The versions of what generates the load."""
    commands: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("iperf3 --version", lambda text: text.split("(")[0].strip()),
        ("wrk -v", lambda text: " ".join(text.split()[:2])),
        ("dnsperf -h", lambda text: next((line.split()[-1] for line in text.splitlines() if "Version" in line), "")),
    )
    found = []
    for words, pick in commands:
        done = subprocess.run(words.split(), capture_output=True, text=True, check=False)
        found.append(pick(done.stdout + done.stderr))
    return f"{found[0]}, {found[1]}, dnsperf {found[2]}; {run([docker_cli(), '--version'])}"


def _enter(holder: int) -> list[str]:
    return ["nsenter", "-t", str(holder), "-m", "-n"]


def _listener(address: str) -> int:
    """The process that listens on a unix socket (SO_PEERCRED names who called listen)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
        own.connect(address.removeprefix("unix://"))
        process, _, _ = struct.unpack("3i", own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(process)


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass  # it has gone by itself
