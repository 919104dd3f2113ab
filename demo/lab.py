"""A small laboratory: a "host" with an engine of its own and a machine "outside", as two network namespaces.

Used by the demo and by the system tests. Nothing of it meets the real host's network: the engine runs on its
own data root, socket and namespace, and `close` takes everything away again. Only iproute2 and the standard
library are needed.
"""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LANDBRIDGE = ROOT / "bin" / "landbridge"

HOST4, OUTSIDE4 = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8:78::1", "2001:db8:78::2"


def docker_cli() -> str:
    """The unmodified docker command: the machine's own, or the one `scripts/setup test` unpacked; empty: none."""
    own = ROOT / ".tools/docker/usr/bin/docker"
    return shutil.which("docker") or (str(own) if own.exists() else "")


@dataclass(frozen=True)
class Result:
    """A finished command."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Lab:
    """Make it, `start`, use it, `close` it (or use it as a context manager)."""

    def __init__(self, name: str, directory: Path | None = None, flags: Sequence[str] = ()) -> None:
        self.name = name
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.flags = tuple(flags)
        self.host_ns, self.outside_ns = f"{name}-host", f"{name}-out"
        self.data_root, self.exec_root = self.directory / "data", self.directory / "run"
        self.socket = self.directory / "landbridge.sock"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "daemon.log"

    def __enter__(self) -> "Lab":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The machine.

    def start(self) -> None:
        """Namespaces, the wire between them, and the engine."""
        self.start_machines()
        self.start_daemon()

    def start_machines(self) -> None:
        """The two namespaces and the wire between them."""
        for namespace in (self.host_ns, self.outside_ns):
            _ip(f"netns add {namespace}")
            _ip(f"-n {namespace} link set lo up")
        _ip(f"link add up0 netns {self.host_ns} type veth peer name wire0 netns {self.outside_ns}")
        sides = ((self.host_ns, "up0", HOST4, HOST6), (self.outside_ns, "wire0", OUTSIDE4, OUTSIDE6))
        for namespace, link, four, six in sides:
            _ip(f"-n {namespace} addr add {four}/24 dev {link}")
            _ip(f"-n {namespace} -6 addr add {six}/64 dev {link} nodad")
            _ip(f"-n {namespace} link set {link} up")
        _ip(f"-n {self.host_ns} route add default via {OUTSIDE4}")
        _ip(f"-n {self.host_ns} -6 route add default via {OUTSIDE6}")

    def start_daemon(self) -> None:
        """Start the engine and wait until it accepts requests."""
        with open(self._log, "ab") as log:
            self.daemon = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.host_ns}", str(LANDBRIDGE), "daemon", "-H", f"unix://{self.socket}",
                 "--data-root", str(self.data_root), "--exec-root", str(self.exec_root), *self.flags],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # Ctrl-C is for who drives it, who then closes the lab
            )  # fmt: skip
        assert self.daemon.stdout is not None
        line = self.daemon.stdout.readline().decode()
        if not line.startswith("ready:"):
            self.daemon.wait()
            self.daemon.stdout.close()
            self.daemon = None
            raise RuntimeError(f"the daemon did not start:\n{self.log()}")

    def stop_daemon(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the engine and wait for its end; its exit status."""
        if self.daemon is None:
            return 0
        self.daemon.send_signal(number)
        assert self.daemon.stdout is not None
        self.daemon.stdout.close()
        code = self.daemon.wait(timeout=30)
        self.daemon = None
        return code

    def log(self) -> str:
        """What the engine wrote to its log."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """Remove every container, stop the engine, take the namespaces away. Twice is fine."""
        if self.daemon is not None and self.daemon.poll() is None:
            ids = self.landbridge("ps", "-aq").out.split()
            if ids:
                self.landbridge("rm", "-f", "-v", *ids)
            self.stop_daemon()
        for namespace in (self.host_ns, self.outside_ns):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Commands.

    def landbridge(self, *words: str, **options: object) -> Result:
        """Our own command line."""
        return self.host(str(LANDBRIDGE), *words, **options)

    def docker(self, *words: str, **options: object) -> Result:
        """The real docker command against our socket."""
        return self.host(docker_cli(), "-H", f"unix://{self.socket}", *words, **options)

    def host(self, *argv: str, **options: object) -> Result:
        """Run a command on the host; `tty=True` gives it a terminal, `input=` text to read, `timeout=` seconds."""
        return self._run(("nsenter", f"--net=/run/netns/{self.host_ns}", *argv), argv, **options)

    def outside(self, *argv: str, **options: object) -> Result:
        """Run a command on the machine outside."""
        return self._run(("nsenter", f"--net=/run/netns/{self.outside_ns}", *argv), argv, **options)

    def background(self, *argv: str, outside: bool = False) -> subprocess.Popen[bytes]:
        """Start a command on the host or outside; the caller ends it."""
        namespace = self.outside_ns if outside else self.host_ns
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=self._environment(),
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LANDBRIDGE_HOST": f"unix://{self.socket}", "NO_COLOR": "1"}

    def _run(
        self, full: tuple[str, ...], shown: tuple[str, ...], *, tty: bool = False, input: str = "", timeout: float = 60
    ) -> Result:
        if tty:
            code, out = run_on_terminal(full, input, self._environment(), timeout)
            return Result(shown, code, out, "")
        done = subprocess.run(
            full, input=input.encode(), capture_output=True, env=self._environment(), timeout=timeout, check=False
        )
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        return Result(shown, done.returncode, out, err)


def run_on_terminal(argv: Sequence[str], text: str, environment: dict[str, str], timeout: float) -> tuple[int, str]:
    """Run `argv` on a terminal of its own, type `text`; (exit status, what the screen showed, \\r removed)."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        list(argv), stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    seen = b""
    deadline = time.monotonic() + timeout
    pending = text.encode()
    try:
        while time.monotonic() < deadline:
            readable, _, _ = select.select([leader], [], [], 0.1)
            if readable:
                try:
                    piece = os.read(leader, 65536)
                except OSError:
                    break  # EIO: the last user of the terminal has gone
                if not piece:
                    break
                seen += piece
                # Type only once there is somebody to read: the first prompt.
                if pending and b"#" in seen:
                    os.write(leader, pending)
                    pending = b""
            elif process.poll() is not None:
                break
        else:
            process.kill()
        return process.wait(timeout=10), seen.decode(errors="replace").replace("\r", "")
    finally:
        os.close(leader)


def _ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {words}: {done.stderr.strip()}")


if __name__ == "__main__":
    print(__doc__, file=sys.stderr)
