"""`cp`: files in and out of containers, as tar archives over the API."""

from __future__ import annotations

import binascii
import os

from landbridge.cli import humanize
from landbridge.cli.files import BLOCK
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError
from landbridge.cli.tarfiles import pack, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

# Bits of Go's file mode.
DIRECTORY = 1 << 31
SYMLINK = 1 << 27
TAR = {"Content-Type": "application/x-tar"}


class NoSuchFile(CommandError):
    """The container has no such file."""


def split_argument(text: str) -> tuple[str, str]:
    """(container, path); no container for a path on this side: absolute, beginning with a dot, or without a colon."""
    container, colon, path = text.partition(":")
    here = text.startswith(("/", ".")) or not colon or "/" in container
    return ("", text) if here else (container, path)


def stat_in_container(session: Session, container: str, path: str) -> dict[str, Any]:
    """Name, mode and link target of a path. Raises: NoSuchFile, DaemonError."""
    try:
        response = session.client.call("HEAD", container_path(container, "/archive"), {"path": path})
    except DaemonError as error:
        if error.code != 404:
            raise
        session.client.get(container_path(container, "/json"))  # HEAD has no text: is it the container that is missing?
        message = f"Error response from daemon: Could not find the file {path} in container {container}"
        raise NoSuchFile(message) from None
    response.read()
    return dict(decode(binascii.a2b_base64(response.headers["x-docker-container-path-stat"]).decode()))


def follow(session: Session, container: str, path: str) -> tuple[str, dict[str, Any]]:
    """The path behind a symbolic link, and its facts. Raises: NoSuchFile, DaemonError."""
    facts = stat_in_container(session, container, path)
    if facts["mode"] & SYMLINK and facts.get("linkTarget"):
        path = os.path.join(os.path.dirname(path.rstrip("/")), facts["linkTarget"])
        facts = stat_in_container(session, container, path)
    return path, facts


def renamer(source: str, target: str) -> Any:
    """How names in an archive of `source` change so that it lands at `target`, and the directory to unpack in.

    Raises: CommandError when there is no place for it.
    """
    content = source.endswith("/.") or source == "."
    if os.path.isdir(target):
        if not content:
            return target, lambda name: name
        return target, lambda name: name.partition("/")[2]
    parent, base = os.path.dirname(target.rstrip("/")) or ".", os.path.basename(target.rstrip("/"))
    if not os.path.isdir(parent):
        raise CommandError(f'invalid output path: directory "{os.path.abspath(parent)}" does not exist')

    def rename(name: str) -> str:
        _, slash, rest = name.partition("/")
        return base + slash + rest

    return parent, rename


def from_container(session: Session, flags: Parsed, container: str, source: str, target: str) -> None:
    """Copy out: to a file or directory here, or as a tar archive to stdout."""
    if flags["follow-link"]:
        source, facts = follow(session, container, source)
    else:
        facts = stat_in_container(session, container, source)
    directory = bool(facts["mode"] & DIRECTORY)
    if target != "-" and not directory and target.endswith("/") and not os.path.isdir(target):
        raise CommandError("no such directory")
    if directory and os.path.isfile(target):
        raise CommandError("cannot copy directory")
    response = session.client.call("GET", container_path(container, "/archive"), {"path": source})
    if target == "-":
        for data in response.chunks():
            session.stdout.write(data)
        session.stdout.flush()
        return
    parent, rename = renamer(source, target)
    size = unpack(response.chunks(), parent, rename, keep_owner=flags["archive"])
    _tell(session, flags, size, os.path.abspath(target))


def to_container(session: Session, flags: Parsed, source: str, container: str, target: str) -> None:
    """Copy in: a file or directory, or a tar archive from stdin."""
    if not target:
        raise CommandError("no such directory")
    try:
        target, facts = follow(session, container, target)
        exists, into = True, bool(facts["mode"] & DIRECTORY)
    except NoSuchFile:
        exists = into = False
    size = 0
    if source == "-":
        if not into:
            raise CommandError(f'destination "{container}:{target}" must be a directory')
        chunks: Iterator[bytes] = iter(lambda: session.stdin.read(BLOCK), b"")
        directory = target
    else:
        place = os.path.realpath(source) if flags["follow-link"] else source.rstrip("/") or "/"
        if not os.path.lexists(place):
            raise CommandError(f"lstat {os.path.abspath(source)}: no such file or directory")
        is_directory = os.path.isdir(place) and not os.path.islink(place)
        base = os.path.basename(os.path.abspath(source))
        if into:
            directory, name = target, "." if source.endswith("/.") or source == "." else base
        elif target.endswith("/") and not is_directory:
            raise CommandError("no such directory")
        elif exists and is_directory:
            raise CommandError("cannot copy directory")
        else:
            directory, name = os.path.dirname(target.rstrip("/")) or "/", os.path.basename(target.rstrip("/"))
        size = os.lstat(place).st_size
        chunks = pack(place, name)
    query = {"path": directory, "noOverwriteDirNonDir": True, "copyUIDGID": flags["archive"]}
    session.client.call("PUT", container_path(container, "/archive"), query, stream=chunks, headers=TAR).read()
    _tell(session, flags, size, f"{container}:{target}")


def _tell(session: Session, flags: Parsed, size: int, where: str) -> None:
    if not flags["quiet"] and session.is_terminal(session.stderr):
        session.err(f"Successfully copied {humanize.size(size, 3)} to {where}")


def copy(session: Session, flags: Parsed) -> None:
    """Copy one way or the other."""
    source, target = flags.args
    if not source or not target:
        raise CommandError("source can not be empty" if not source else "destination can not be empty")
    from_name, from_path = split_argument(source)
    to_name, to_path = split_argument(target)
    if from_name and to_name:
        raise CommandError("copying between containers is not supported")
    if from_name:
        from_container(session, flags, from_name, from_path, to_path)
    elif to_name:
        to_container(session, flags, from_path, to_name, to_path)
    else:
        raise CommandError("must specify at least one container source")


COMMANDS = {
    "container cp": (
        (
            Flag("archive", "a", "bool", "Keep owners and groups"),
            Flag("follow-link", "L", "bool", "Follow a symbolic link in the source"),
            Flag("quiet", "q", "bool", "Do not say what was copied"),
        ),
        copy,
    ),
}
