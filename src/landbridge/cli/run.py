"""`run` and `create`: make a container, fetch its image if needed, start it, be its terminal until it ends."""

from __future__ import annotations

import os

from landbridge.cli.createbody import checks, create_body
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError, ExitWith, OptionError
from landbridge.cli.reference import parse_reference
from landbridge.cli.runflags import CREATE_FLAGS, RUN_FLAGS
from landbridge.cli.terminal import window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
NOT_ALLOWED = ("permission denied", "is a directory", "not a directory")


class StartFailed(CommandError):
    """The container could not be started: 126 and 127 as a shell would say, 125 for everything else."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        lowered = message.lower()
        self.status = 125
        if any(words in lowered for words in NOT_FOUND):
            self.status = 127
        if any(words in lowered for words in NOT_ALLOWED):
            self.status = 126


def _warn_about_dns(session: Session, servers: list[str]) -> None:
    for server in servers:
        if server.startswith("127.") or server == "::1":
            session.err(f"WARNING: Localhost DNS ({server}) may fail in containers.")
            return


def _check_platform(text: str) -> None:
    if text.count("/") > 2:
        raise ExitWith(
            1, f'error parsing specified platform: "{text}": cannot parse platform specifier: invalid argument'
        )


def _fetch(session: Session, flags: Parsed, image: str) -> None:
    """Pull the image; progress goes to stderr. Raises: CommandError."""
    from landbridge.cli.registry import fetch  # only when the image is not there

    fetch(session, parse_reference(image).with_default_tag(), platform=flags["platform"], quiet=flags["quiet"])


def create_container(session: Session, flags: Parsed) -> str:
    """Create the container the flags describe and give its id. Raises: CommandError."""
    if flags["pull"] not in ("always", "missing", "never"):
        raise OptionError(f'invalid pull option: \'{flags["pull"]}\': must be one of "always", "missing" or "never"')
    try:
        body = create_body(flags, session.env)
    except CommandError as error:
        raise OptionError(error.message) from None
    body["HostConfig"]["ConsoleSize"] = list(window_size(session.fileno(session.stdout)))
    _warn_about_dns(session, flags["dns"])
    _check_platform(flags["platform"])
    image = flags.args[0]
    looks_like_id = len(image) == 64 or image.startswith("sha256:")
    try:
        name = str(parse_reference(image).with_default_tag())
    except ValueError as error:
        if not looks_like_id:
            raise CommandError(str(error)) from None
        name = image
    cidfile = flags["cidfile"]
    if cidfile and os.path.exists(cidfile):
        raise CommandError(f"container ID file found, make sure the other container isn't running or delete {cidfile}")
    if flags["pull"] == "always":
        _fetch(session, flags, image)
    answer = _create(session, flags, body, name)
    for warning in answer.get("Warnings") or []:
        session.err(f"WARNING: {warning}")
    if cidfile:
        with open(cidfile, "w", encoding="ascii") as file:
            file.write(answer["Id"])
    return str(answer["Id"])


def _create(session: Session, flags: Parsed, body: dict[str, Any], image: str) -> Any:
    query = {"name": flags["name"], "platform": flags["platform"]}
    try:
        return session.client.post("/containers/create", query, body)
    except DaemonError as error:
        if error.code != 404 or flags["pull"] != "missing":
            raise
    if not flags["quiet"]:
        session.err(f"Unable to find image '{image}' locally")
    _fetch(session, flags, image)
    return session.client.post("/containers/create", query, body)


def create(session: Session, flags: Parsed) -> None:
    session.out(create_container(session, flags))


def _start(session: Session, identifier: str) -> None:
    try:
        session.client.post(container_path(identifier, "/start"))
    except DaemonError as error:
        raise StartFailed(error.message) from None


def run(session: Session, flags: Parsed) -> int:
    """Create and start; in the foreground give the container's exit code."""
    if flags["detach"]:
        if flags["attach"]:
            raise ExitWith(1, "conflicting options: cannot specify both --attach and --detach")
        identifier = create_container(session, flags)
        _start(session, identifier)
        session.out(identifier)
        return 0
    return _run_attached(session, flags)


def _run_attached(session: Session, flags: Parsed) -> int:
    from landbridge.cli.attach import (  # `run -d` needs neither terminal nor signals
        Attached,
        begin_wait,
        check_terminal,
        detach_keys,
        end_wait,
        open_stream,
    )  # fmt: skip

    chosen = flags["attach"]
    streams = {
        "stdin": "stdin" in chosen or flags["interactive"],
        "stdout": not chosen or "stdout" in chosen,
        "stderr": not chosen or "stderr" in chosen,
    }
    check_terminal(session, stdin=streams["stdin"], tty=flags["tty"])
    identifier = create_container(session, flags)
    if not streams["stdout"] and not streams["stderr"]:
        session.out(identifier)
    keys = detach_keys(session, flags["detach-keys"])
    attached = Attached(
        session, tty=flags["tty"], stdin=streams["stdin"], keys=keys, resize_path=container_path(identifier, "/resize"),
        kill_path=container_path(identifier, "/kill") if flags["sig-proxy"] else "",
    )  # fmt: skip
    stream = open_stream(session, identifier, streams, keys)
    waiting = begin_wait(session, identifier, "removed" if flags["rm"] else "next-exit")
    try:
        ended = attached.run(stream, lambda: _start(session, identifier))
    except StartFailed:
        if flags["rm"]:
            end_wait(waiting)
        raise
    finally:
        stream.close()
    return end_wait(waiting) if ended else 0


COMMANDS = {
    "container create": (CREATE_FLAGS, create, checks),
    "container run": (RUN_FLAGS, run, checks),
}
