"""Links on their way out. Deleting one waits in the kernel, for a grace period of RCU and more; the caller does not.

Of a deletion the kernel does at once what anybody can see: the link leaves its bridge and its name and addresses are
free. Then it waits, 10-40 ms, holding nothing. So a thread asks for the deletion, and the caller goes on as soon as the
link is out of sight. A bridge is worse, its deletion waits *with* the lock every change of the network needs: it is
taken out of service by the caller (`Netlink.retire_bridge`) and deleted when nobody has work for the kernel.

No policy here: who calls knows what may go.
"""

import errno
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from landbridge.system import rtnl
from landbridge.system.nlsocket import NetlinkError, Request, open_channel

log = logging.getLogger(__name__)

QUIET = 0.1  # seconds without work for the kernel before a bridge goes
LATEST = 2.0  # seconds after which it goes all the same
CLOSING = 5.0  # seconds to finish in at the end; what is left is out of service and goes at the next start

_THREADS = 8  # deletions waiting at once; the waiting is shared, so more would gain nothing
_GONE = (errno.ENODEV,)


class Sweeper:
    """Deletes links of the network namespace it was made in. Any thread may call."""

    def __init__(self, *, quiet: float = QUIET, latest: float = LATEST) -> None:
        self._quiet, self._latest = quiet, latest
        self._look = open_channel()
        self._pool = ThreadPoolExecutor(_THREADS, "landbridge-links")
        self._waiting: deque[tuple[float, int]] = deque()  # when it came, index
        self._changed = threading.Condition()
        self._busy = 0.0  # when somebody last had work for the kernel
        self._closing = 0.0  # when to give up
        self._threads: list[threading.Thread] = []

    def remove(self, index: int) -> None:
        """Delete a link; out of sight on return, for good a little later. Twice is fine. Raises: NetlinkError."""
        deletion = self._pool.submit(delete, index)
        pause = 0.0002
        while not deletion.done() and self._there(index):
            time.sleep(pause)
            pause = min(2 * pause, 0.005)
        if deletion.done():
            deletion.result()
        else:
            deletion.add_done_callback(_report)

    def later(self, index: int) -> None:
        """Delete a link that is out of service when there is nothing better to do."""
        self.stir()
        with self._changed:
            self._waiting.append((self._busy, index))
            if not self._threads:
                self._start()
            self._changed.notify_all()

    def stir(self) -> None:
        """Somebody has work for the kernel: not now."""
        self._busy = time.monotonic()

    def close(self) -> None:
        """Finish, within limits. Twice is fine."""
        with self._changed:
            self._closing = self._closing or time.monotonic() + CLOSING
            if self._waiting:
                self._start()  # one waits while the other has the kernel's lock
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if self._waiting:
            log.warning("%d bridges out of service are left; they go at the next start", len(self._waiting))
        self._pool.shutdown()
        self._look.close()

    def _there(self, index: int) -> bool:
        return self._look.get(Request("look", rtnl.RTM_GETLINK, rtnl.link_by_index(index), forgive=_GONE)) is not None

    def _start(self) -> None:
        thread = threading.Thread(target=self._sweep, name="landbridge-sweeper", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _sweep(self) -> None:
        while (index := self._due()) is not None:
            try:
                delete(index)
            except NetlinkError as error:
                log.warning("%s", error)

    def _due(self) -> int | None:
        """The next link whose time has come, waited for; None: it is time to end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._closing and (not self._waiting or now > self._closing):
                    return None
                if not self._waiting:
                    self._changed.wait()
                    continue
                wait = min(self._busy + self._quiet, self._waiting[0][0] + self._latest) - now
                if self._closing or wait <= 0:
                    return self._waiting.popleft()[1]
                self._changed.wait(wait)


def delete(index: int) -> None:
    """Delete a link by its index and wait for the end of it. Twice is fine. Raises: NetlinkError."""
    with open_channel() as channel:
        channel.ask(Request(f"remove link {index}", rtnl.RTM_DELLINK, rtnl.link_by_index(index), forgive=_GONE))


def _report(deletion: "Future[None]") -> None:
    error = deletion.exception()
    if error is not None:
        log.warning("%s", error)
