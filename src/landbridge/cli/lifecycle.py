"""Commands that send one request per container and print its name: stop, kill, restart, rm, pause, wait and such.

Requests go out side by side (stopping three containers takes as long as the slowest), answers are reported in the
order of the arguments. One failure does not keep the others from being done.
"""

from __future__ import annotations

from landbridge.cli.client import quote
from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError, DaemonError, ExitWith
from landbridge.cli.tables import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.client import Query
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

SIDE_BY_SIDE = 50

SIGNAL = Flag("signal", "s", "string", "Signal to send")
TIMEOUT = Flag("timeout", "t", "int", "Seconds to wait before killing the container", alias="time")


def container_path(name: str, action: str = "") -> str:
    """`/containers/NAME/ACTION`, the name escaped."""
    return f"/containers/{quote(name, '/')}{action}"


def for_each(session: Session, names: list[str], method: str, action: str, query: Query | None = None) -> int:
    """One request per container, `SIDE_BY_SIDE` at a time; prints names of successes, then the errors."""
    errors: list[str] = []
    for start in range(0, len(names), SIDE_BY_SIDE):
        batch = names[start : start + SIDE_BY_SIDE]
        sent = [session.client.send(method, container_path(name, action), query) for name in batch]
        for name, connection in zip(batch, sent, strict=True):
            try:
                session.client.finish(connection, method, container_path(name, action)).read()
            except CommandError as error:
                errors.append(error.message)
            else:
                session.out(name)
    for message in errors:
        session.err(message)
    return 1 if errors else 0


def stop(session: Session, flags: Parsed) -> int:
    """Stop, or with `restart` in the path restart, each container."""
    return for_each(session, flags.args, "POST", "/stop", _grace(flags))


def restart(session: Session, flags: Parsed) -> int:
    return for_each(session, flags.args, "POST", "/restart", _grace(flags))


def _grace(flags: Parsed) -> Query:
    return {"signal": flags["signal"], "t": str(flags["timeout"]) if "timeout" in flags.given else ""}


def kill(session: Session, flags: Parsed) -> int:
    return for_each(session, flags.args, "POST", "/kill", {"signal": flags["signal"]})


def pause(session: Session, flags: Parsed) -> int:
    return for_each(session, flags.args, "POST", "/pause")


def unpause(session: Session, flags: Parsed) -> int:
    return for_each(session, flags.args, "POST", "/unpause")


def remove(session: Session, flags: Parsed) -> int:
    """Remove each container; with --force a container that does not exist is reported and forgiven."""
    failures: list[CommandError] = []
    query = {"force": flags["force"], "v": flags["volumes"], "link": flags["link"]}
    for start in range(0, len(flags.args), SIDE_BY_SIDE):
        names = [name.strip("/") for name in flags.args[start : start + SIDE_BY_SIDE]]
        if "" in names:
            raise CommandError("container name cannot be empty")
        sent = [session.client.send("DELETE", container_path(name), query) for name in names]
        for name, connection in zip(names, sent, strict=True):
            try:
                session.client.finish(connection, "DELETE", container_path(name)).read()
            except CommandError as error:
                failures.append(error)
            else:
                session.out(name)
    for failure in failures:
        session.err(failure.message)
    missing = [failure for failure in failures if isinstance(failure, DaemonError) and failure.code == 404]
    return int(len(failures) > (len(missing) if flags["force"] else 0))


def wait(session: Session, flags: Parsed) -> int:
    """Print each container's exit code when it ends."""
    errors: list[str] = []
    sent = [session.client.send("POST", container_path(name, "/wait")) for name in flags.args]
    for name, connection in zip(flags.args, sent, strict=True):
        try:
            answer = session.client.finish(connection, "POST", container_path(name, "/wait")).json()
            session.out(str(answer.get("StatusCode", 0)))
        except CommandError as error:
            errors.append(error.message)
    for message in errors:
        session.err(message)
    return 1 if errors else 0


def rename(session: Session, flags: Parsed) -> None:
    old, new = (name.strip() for name in flags.args)
    if not old or not new:
        raise CommandError("Error: Neither old nor new names may be empty")
    try:
        session.client.post(container_path(old, "/rename"), {"name": new})
    except DaemonError as error:
        raise ExitWith(1, f"{error.message}\nError: failed to rename container named {old}") from None


def top(session: Session, flags: Parsed) -> None:
    """The processes, in columns as `ps` gives them."""
    name, *options = flags.args
    answer = session.client.get(container_path(name, "/top"), {"ps_args": " ".join(options)})
    lines = [answer.get("Titles") or [], *(answer.get("Processes") or [])]
    for line in align(lines, min_width=20, padding=1) if lines[0] else [""]:
        session.out(line)


COMMANDS = {
    "container stop": ((SIGNAL, TIMEOUT), stop),
    "container restart": ((SIGNAL, TIMEOUT), restart),
    "container kill": ((SIGNAL,), kill),
    "container pause": ((), pause),
    "container unpause": ((), unpause),
    "container rm": (
        (
            Flag("force", "f", "bool", "Remove running containers too (they are killed)"),
            Flag("link", "l", "bool", "Remove the link of that name, not a container"),
            Flag("volumes", "v", "bool", "Remove the container's anonymous volumes with it"),
        ),
        remove,
    ),
    "container wait": ((), wait),
    "container rename": ((), rename),
    "container top": ((), top),
}
