"""Files copied into and out of a container's root as the container would see them (``docker cp``).

`root` is any directory that is ``/`` to the container: its mounted root file system, or ``/proc/PID/root``, which
shows volumes too. The kernel resolves every path inside it (`beneath`), so no symlink leads out. Blocking.
"""

import os
import posixpath
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress

from landbridge.errors import Internal, Invalid, NotFound
from landbridge.model.path import PathStat, base_name
from landbridge.system.beneath import open_in_root
from landbridge.system.inflate import STEP
from landbridge.system.pack import pack_entry
from landbridge.system.tarextract import Extraction, Owner

_PATH = os.O_PATH | os.O_DIRECTORY


class HostCopying:
    """Satisfies `engine.effects_copy.Copying`."""

    def stat(self, root: str, path: str) -> PathStat:
        """What is at `path`; a symlink at its end is shown itself unless a slash or dot follows. Raises: NotFound."""
        with _located(root, path) as (root_fd, at, name):
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
            target = _target(root, root_fd, path) if (found.st_mode & 0o170000) == 0o120000 else ""
            return PathStat(
                name=base_name(path), size=found.st_size, mode=found.st_mode, mtime=found.st_mtime_ns,
                link_target=target,
            )

    def get(self, root: str, path: str, name: str) -> Generator[bytes, None, None]:
        """The archive of what is at `path`, its top entry named `name`.

        Everything needed is open when this returns. Raises: NotFound.
        """
        chunks = _packed(root, path, name)
        next(chunks)
        return chunks

    def put(self, root: str, path: str, chunks: Iterable[bytes], *, owner: Owner | None, keep_kinds: bool) -> None:
        """Unpack an archive below the directory `path`.

        `owner` instead of the archive's; `keep_kinds`: no directory may replace a file nor a file a directory.
        Raises: NotFound, Internal (no directory, damaged archive, a file that cannot be made).
        """
        root_fd = os.open(root, _PATH | os.O_CLOEXEC)
        try:
            try:
                os.close(open_in_root(root_fd, path, _PATH))
            except NotADirectoryError:
                raise Internal("extraction point is not a directory") from None
            except OSError:
                raise NotFound(path) from None
            Extraction(root_fd, path, owner=owner, keep_kinds=keep_kinds).run(chunks)
        finally:
            os.close(root_fd)


    def keep(self, chunks: Iterable[bytes], directory: str) -> Generator[bytes, None, None]:
        """Everything of a stream in a nameless file on `directory`'s file system, to be read once.

        Whoever does not read it to its end closes it. Raises: OSError, and what `chunks` raises.
        """
        fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        kept = _kept(fd)
        next(kept)
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(fd, view) :]
        except BaseException:
            kept.close()
            raise
        return kept


def _kept(fd: int) -> Generator[bytes, None, None]:
    try:
        yield b""
        os.lseek(fd, 0, os.SEEK_SET)
        while piece := os.read(fd, STEP):
            yield piece
    finally:
        os.close(fd)


@contextmanager
def _located(root: str, path: str) -> Iterator[tuple[int, int, str]]:
    """(fd of the root, fd of a directory, name in it). Raises: NotFound with `path` as its text, Invalid."""
    follows = path.endswith(("/", "/.", "/..")) or path in ("", ".", "..")
    parent, name = ("", ".") if follows else posixpath.split("/" + path.strip("/"))
    root_fd = os.open(root, _PATH | os.O_CLOEXEC)
    at = -1
    try:
        try:
            at = open_in_root(root_fd, path if follows else parent, _PATH)
            os.stat(name, dir_fd=at, follow_symlinks=False)
        except NotADirectoryError:
            raise Invalid(f"lstat {path}: not a directory") from None
        except OSError:
            raise NotFound(path) from None
        yield root_fd, at, name
    finally:
        os.close(root_fd)
        if at >= 0:
            os.close(at)


def _target(root: str, root_fd: int, path: str) -> str:
    """Where a symlink leads in the end, as a path in the container; its own text when that does not exist."""
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except OSError:
        with _located(root, path) as (_, at, name):
            text = os.readlink(name, dir_fd=at)
        return posixpath.normpath(posixpath.join("/", posixpath.dirname(path), text))
    try:
        found = os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    real = os.path.realpath(root)
    return found.removeprefix(real) if real != "/" else found


def _packed(root: str, path: str, shown: str) -> Generator[bytes, None, None]:
    with _located(root, path) as (_, at, name):
        yield b""
        with suppress(FileNotFoundError):  # removed meanwhile: an empty archive
            yield from pack_entry(at, name, shown)
