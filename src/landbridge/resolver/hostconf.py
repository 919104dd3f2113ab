"""The host's upstream servers, following changes of its resolv.conf.

The file is looked at when a question has to go upstream, at most once a second: no wake-ups while idle, and unlike
a watch on an inode this survives whatever way the file is replaced (rename, symlink, bind mount).
"""

import os
import time

from landbridge.dns import resolvconf
from landbridge.resolver.loop import complain

CHECK_SECONDS = 1.0


class HostServers:
    """The servers of one resolv.conf file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity: tuple[int, ...] = ()
        self._next_check = 0.0
        self._servers: tuple[str, ...] = ()

    def current(self) -> tuple[str, ...]:
        """The servers to ask, best first; the last known ones while the file is missing or unreadable."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._refresh()
        return self._servers

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            identity = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if identity == self._identity:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except FileNotFoundError:
            return  # being replaced, or gone: the last known servers are the best guess
        except OSError as error:
            complain(f"{self._path}: {error}")
            return
        self._identity = identity
        self._servers = resolvconf.upstreams(resolvconf.parse(text).servers)
