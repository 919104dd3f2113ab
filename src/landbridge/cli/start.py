"""`start`: start stopped containers, with -a or -i as their terminal."""

from __future__ import annotations

from landbridge.cli.flags import Flag, refused
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError, ExitWith
from landbridge.cli.runflags import DETACH_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


_NO_CHECKPOINTS = "is not offered: landbridge has no checkpoints"


def start(session: Session, flags: Parsed) -> int:
    """Start each container and print its name; or start one and be its terminal."""
    if flags["attach"] or flags["interactive"]:
        if len(flags.args) > 1:
            raise CommandError("you cannot start and attach multiple containers at once")
        return _start_attached(session, flags)
    failed = []
    for name in flags.args:
        try:
            session.client.post(container_path(name, "/start"))
        except DaemonError as error:
            session.err(error.message)
            failed.append(name)
        else:
            session.out(name)
    if failed:
        raise ExitWith(1, f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_attached(session: Session, flags: Parsed) -> int:
    from landbridge.cli.attach import (  # a plain start needs neither terminal nor signals
        Attached,
        begin_wait,
        check_terminal,
        detach_keys,
        end_wait,
        open_stream,
    )  # fmt: skip

    name = flags.args[0]
    facts = session.client.get(container_path(name, "/json"))
    tty, removed = facts["Config"]["Tty"], facts["HostConfig"].get("AutoRemove")
    stdin = flags["interactive"] and facts["Config"].get("OpenStdin", False)
    check_terminal(session, stdin=stdin, tty=tty)
    keys = detach_keys(session, flags["detach-keys"])
    attached = Attached(
        session, tty=tty, stdin=stdin, keys=keys, resize_path=container_path(name, "/resize"),
        kill_path="" if tty else container_path(name, "/kill"),
    )  # fmt: skip
    stream = open_stream(session, name, {"stdin": stdin, "stdout": True, "stderr": True}, keys)
    waiting = begin_wait(session, name, "removed" if removed else "next-exit")

    def begin() -> None:
        session.client.post(container_path(name, "/start"))

    try:
        ended = attached.run(stream, begin)
    finally:
        stream.close()
    return end_wait(waiting) if ended else 0


COMMANDS = {
    "container start": (
        (
            Flag("attach", "a", "bool", "Attach to the container's output"),
            DETACH_KEYS,
            Flag("interactive", "i", "bool", "Attach to the container's input"),
            refused("checkpoint", "string", _NO_CHECKPOINTS),
            refused("checkpoint-dir", "string", _NO_CHECKPOINTS),
        ),
        start,
    ),
}
