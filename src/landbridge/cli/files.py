"""Files on this side that are sent to the daemon or come from it."""

from __future__ import annotations

import os
import stat

from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO

    from landbridge.cli.client import Response
    from landbridge.cli.session import Session

BLOCK = 262144


class _Borrowed:
    """A stream that is not ours to close."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def __enter__(self) -> BinaryIO:
        return self.stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def reason_of(error: OSError) -> str:
    """The operating system's words, in Go's lower case."""
    return (error.strerror or str(error)).lower()


def open_input(session: Session, path: str) -> BinaryIO | _Borrowed:
    """The file, or stdin for `-`, to be used with `with`. Raises: CommandError."""
    if path == "-":
        return _Borrowed(session.stdin)
    try:
        return open(path, "rb")
    except OSError as error:
        raise CommandError(f"open {path}: {reason_of(error)}") from None


def file_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The file in pieces."""
    while data := file.read(BLOCK):
        yield data


def check_output(path: str, doing: str) -> None:
    """Refuse what cannot be a new file. Raises: CommandError, beginning with `doing`."""
    if not path:
        return
    directory = os.path.dirname(path)
    if directory and not os.path.isdir(directory):
        raise CommandError(f'{doing}: invalid output path: directory "{directory}" does not exist')
    try:
        mode = os.stat(path).st_mode
    except OSError:  # not there yet: as it should be
        return
    if stat.S_ISDIR(mode):
        raise CommandError(f"{doing}: cannot write to a directory")
    if stat.S_ISCHR(mode):
        raise CommandError(f"{doing}: cannot write to a character device file")
    if stat.S_ISBLK(mode):
        raise CommandError(f"{doing}: cannot write to a block device file")


def save_stream(session: Session, response: Response, path: str) -> None:
    """The body to stdout, or to `path`, which appears only when it is whole."""
    if not path:
        for data in response.chunks():
            session.stdout.write(data)
        session.stdout.flush()
        return
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            for data in response.chunks():
                file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise CommandError(f"open {path}: {reason_of(error)}") from None
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:  # renamed to its place
            pass
