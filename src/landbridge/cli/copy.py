"""`cp`: files in and out of containers, as tar archives over the API."""

from __future__ import annotations

import os

from landbridge.cli.files import BLOCK, reason_of
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

DIRECTORY_BIT = 1 << 31  # Go's os.ModeDir
SYMLINK_BIT = 1 << 27


def split_argument(text: str) -> tuple[str, str]:
    """(container, path); no container for a path on this side, which begins with / or . or has no colon."""
    if os.path.isabs(text):
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon and not container.startswith(".") else ("", text)


def stat_in_container(session: Session, container: str, path: str) -> dict[str, Any]:
    """Name, mode and link target of a path. Raises: DaemonError."""
    import binascii  # only for this header

    try:
        response = session.client.call("HEAD", container_path(container, "/archive"), {"path": path})
    except DaemonError as error:
        if error.code == 404:  # HEAD answers carry no text
            session.client.get(container_path(container, "/json"))
            message = f"Could not find the file {path} in container {container}"
            raise DaemonError(404, message) from None
        raise
    response.read()
    facts = decode(binascii.a2b_base64(response.headers["x-docker-container-path-stat"]).decode())
    return dict(facts)


class _StreamFile:
    """A response body as the file `tarfile` reads from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks, self.pending = chunks, b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self.pending) < size:
            data = next(self.chunks, b"")
            if not data:
                break
            self.pending += data
        cut = len(self.pending) if size < 0 else size
        found, self.pending = self.pending[:cut], self.pending[cut:]
        return found


class _Pieces:
    """A file `tarfile` writes to; what was written can be taken out piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data


def from_container(session: Session, flags: Parsed, container: str, source: str, target: str) -> None:
    """Copy out: to a file or directory here, or as tar to stdout."""
    if flags["follow-link"]:
        facts = stat_in_container(session, container, source)
        if facts["mode"] & SYMLINK_BIT and facts.get("linkTarget"):
            source = os.path.join(os.path.dirname(source), facts["linkTarget"])
    response = session.client.call("GET", container_path(container, "/archive"), {"path": source})
    if target == "-":
        for data in response.chunks():
            session.stdout.write(data)
        session.stdout.flush()
        return
    import tarfile  # 15 ms; only cp needs it

    is_directory = os.path.isdir(target)
    parent = target if is_directory else os.path.dirname(target.rstrip("/")) or "."
    if not os.path.isdir(parent):
        raise CommandError(f'invalid output path: directory "{os.path.abspath(parent)}" does not exist')
    only_content = source.endswith("/.")
    new_name = None if is_directory else os.path.basename(target.rstrip("/"))
    with tarfile.open(fileobj=_StreamFile(response.chunks()), mode="r|") as archive:  # type: ignore[arg-type]
        for member in archive:
            top, _, rest = member.name.partition("/")
            if member.isdir() and not rest and new_name is None and only_content:
                continue
            if only_content and new_name is None:
                member.name = rest or member.name
            elif new_name is not None:
                if target.endswith("/") and not member.isdir() and not rest:
                    raise CommandError(f'destination directory "{target}" does not exist')
                member.name = new_name + (f"/{rest}" if rest else "")
                if member.islnk():
                    member.linkname = new_name + member.linkname[len(top) :]
            _extract(archive, member, parent, keep_owner=flags["archive"])
    if not flags["quiet"] and session.is_terminal(session.stderr):
        session.err(f"Successfully copied {source} to {os.path.abspath(target)}")


def _extract(archive: Any, member: Any, parent: str, *, keep_owner: bool) -> None:
    if not keep_owner:
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    try:
        # The container's files may hold anything; nothing of it may land outside `parent`.
        filtered = "tar" if hasattr(archive, "extraction_filter") else None
        archive.extract(member, parent, numeric_owner=True, **({"filter": filtered} if filtered else {}))
    except OSError as error:
        raise CommandError(f"{member.name}: {reason_of(error)}") from None


def _archive_of(source: str, name: str, *, follow: bool) -> Iterator[bytes]:
    """Tar of a file or directory under the name `name`, in pieces."""
    import tarfile  # 15 ms; only cp needs it

    pieces = _Pieces()
    with tarfile.open(fileobj=pieces, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[arg-type]
        for path, inner in _walk(os.path.realpath(source) if follow else source, name):
            member = archive.gettarinfo(path, inner)
            if member is None:  # a socket: not for archives
                continue
            if member.isreg():
                with open(path, "rb") as file:
                    archive.addfile(member, file)
            else:
                archive.addfile(member)
            yield pieces.take()
    yield pieces.take()


def _walk(path: str, name: str) -> Iterator[tuple[str, str]]:
    yield path, name
    if os.path.isdir(path) and not os.path.islink(path):
        for entry in sorted(os.listdir(path)):
            yield from _walk(os.path.join(path, entry), f"{name}/{entry}")


def to_container(session: Session, flags: Parsed, source: str, container: str, target: str) -> None:
    """Copy in: a file or directory, or a tar archive from stdin."""
    if not target:
        raise CommandError("destination path cannot be empty")
    target_is_directory, exists = _target_kind(session, container, target)
    query: dict[str, Any] = {"noOverwriteDirNonDir": True, "copyUIDGID": flags["archive"]}
    headers = {"Content-Type": "application/x-tar"}
    if source == "-":
        if not target_is_directory:
            raise CommandError(f"destination \"{container}:{target}\" must be a directory")
        chunks: Iterator[bytes] = iter(lambda: session.stdin.read(BLOCK), b"")
        directory = target
    else:
        if not os.path.lexists(source):
            raise CommandError(f"lstat {os.path.abspath(source)}: no such file or directory")
        content_only = source.endswith("/.") or source == "."
        base = os.path.basename(os.path.abspath(source))
        if target_is_directory:
            directory, name = target, "." if content_only else base
        else:
            if target.endswith("/") and not os.path.isdir(source):
                raise CommandError(f'destination directory "{container}:{target}" does not exist')
            if exists and os.path.isdir(source):
                raise CommandError("cannot copy directory")
            directory, name = os.path.dirname(target.rstrip("/")) or "/", os.path.basename(target.rstrip("/"))
        chunks = _archive_of(source.rstrip("/") or "/", name, follow=flags["follow-link"])
    path = container_path(container, "/archive")
    session.client.call("PUT", path, {"path": directory, **query}, stream=chunks, headers=headers).read()
    if not flags["quiet"] and session.is_terminal(session.stderr):
        session.err(f"Successfully copied {source} to {container}:{target}")


def _target_kind(session: Session, container: str, target: str) -> tuple[bool, bool]:
    """Whether the target is a directory, and whether it exists."""
    try:
        facts = stat_in_container(session, container, target)
        if facts["mode"] & SYMLINK_BIT and facts.get("linkTarget"):
            facts = stat_in_container(session, container, os.path.join(os.path.dirname(target), facts["linkTarget"]))
    except DaemonError as error:
        if error.code == 404 and error.answer.startswith("Could not find"):
            return False, False
        raise
    return bool(facts["mode"] & DIRECTORY_BIT), True


def copy(session: Session, flags: Parsed) -> None:
    """Copy one way or the other."""
    source, target = flags.args
    from_name, from_path = split_argument(source)
    to_name, to_path = split_argument(target)
    if not source:
        raise CommandError("source can not be empty")
    if not target:
        raise CommandError("destination can not be empty")
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
