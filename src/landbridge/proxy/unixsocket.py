"""Unix socket paths of any length, and a listening one that outlives no owner.

sun_path ends at 108 bytes (unix(7)) and run directories may be deep: beyond that the directory is opened and the
socket reached through /proc/self/fd. Used by the process and by its client; knows nothing of the protocol.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from landbridge.errors import Conflict

SUN_PATH = 107


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for `path` that fits into sun_path, valid inside the `with`. Raises: OSError."""
    text = str(path)
    if len(os.fsencode(text)) <= SUN_PATH:
        yield text
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path) -> tuple[socket.socket, int]:
    """Listen at `path`, mode 0600, in place of a dead owner's socket file.

    Returns the socket and a lock descriptor: whoever has the lock (``path.lock``) owns the file, so that of two
    starting at once exactly one wins. Raises: Conflict when a live process owns it, OSError.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_path(path) as name:
                listener.bind(name)
            # Before listen, so that there is no moment at which others could connect.
            path.chmod(0o600)
            listener.listen()
            listener.settimeout(0.0)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        os.close(lock)
        if error.errno == errno.EWOULDBLOCK:
            raise Conflict(f"another process serves {path}") from error
        raise
    return listener, lock
