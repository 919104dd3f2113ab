"""conmon: how it is started and what it reports. One per container, started by `runtime`.

It runs in a session of its own and outlives this daemon. Its report arrives on a pipe as one line of JSON, the
container's pid or what went wrong.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from landbridge.errors import Internal
from landbridge.model.process import CreateRequest, RuntimeChoice
from landbridge.system import runtime_errors
from landbridge.system.descriptors import read
from landbridge.system.processes import Process, spawn

# What conmon and the runtime leave in a bundle; a stale socket or FIFO would stop the next start.
_LEFTOVERS = ("attach", "ctl", "winsz", "pid", "oci-log", "oom", "config.json", "resources.json", "log.json")


class Refused(Exception):
    """The runtime would not make the container; the argument is its own sentence."""


def arguments(
    request: CreateRequest, *, conmon: str, choice: RuntimeChoice, state: str, exits: str
) -> list[str]:
    """conmon's command line. `state` is the runtime's directory, `exits` where exit files go."""
    bundle = request.bundle
    log = f"k8s-file:{request.log_path}" if request.log_path else "none"
    argv = [
        conmon, "--api-version", "1", "--cid", request.id, "--cuuid", request.id, "--name", request.id,
        "--runtime", choice.path, "--bundle", bundle, "--container-pidfile", f"{bundle}/pid",
        "--exit-dir", exits, "--log-path", log, "--log-level", "error",
        # Not to fork twice: the daemon stays conmon's parent, and conmon outlives it all the same.
        "--sync", "--full-attach", "--no-sync-log",
        "--runtime-arg=--root", f"--runtime-arg={state}",
        "--runtime-arg=--log", f"--runtime-arg={bundle}/oci-log",
    ]  # fmt: skip
    if choice.name != "crun":
        # crun would use that form in the container's log as well, when the kernel refuses the program.
        argv.append("--runtime-arg=--log-format=json")
    if request.log_size_max:
        argv += ["--log-size-max", str(request.log_size_max)]
    if request.terminal:
        argv.append("--terminal")
    if request.stdin:
        argv.append("--stdin")
        if not request.stdin_once:
            argv.append("--leave-stdin-open")
    return argv


async def start(argv: Sequence[str], *, bundle: Path) -> tuple[Process, int]:
    """Start conmon and wait for its report: itself and the pid of the container's first process.

    Raises: Refused by the runtime, Internal when conmon ended without a word.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        environment = {"PATH": os.environ.get("PATH", ""), "_OCI_SYNCPIPE": str(writing)}
        conmon = spawn(argv, inherit=(writing,), env=environment, session=True)
        os.close(writing)
        writing = -1
        answer = b""
        while not answer.endswith(b"\n") and (piece := await read(reading)):
            answer += piece
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    try:
        report = json.loads(answer)
        pid = int(report["data"])
    except (ValueError, KeyError, TypeError):
        await conmon.gone()
        raise Internal(f"conmon ended without a report: {answer!r}") from None
    if pid > 0:
        return conmon, pid
    await conmon.gone()
    raise Refused(_last_words(bundle) or str(report.get("message", "")))


def sweep(bundle: Path) -> None:
    """Remove what a container's life left in `bundle`. Twice is no error."""
    for name in _LEFTOVERS:
        (bundle / name).unlink(missing_ok=True)
    # Out of memory is noted in conmon's working directory too, which is ours.
    Path("oom").unlink(missing_ok=True)


def _last_words(bundle: Path) -> str:
    try:
        return runtime_errors.last_error((bundle / "oci-log").read_text(errors="replace"))
    except OSError:
        return ""  # it did not get so far
