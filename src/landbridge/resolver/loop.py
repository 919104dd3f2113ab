"""One epoll, one heap of timers: all the concurrency of the process.

Callbacks run to completion in the only thread; none may block. Timers cannot be cancelled: a callback whose
business is over finds that out and returns. A callback that fails is reported and forgotten: what one
sandbox sent must not end the service of all others.
"""

import heapq
import itertools
import select
import sys
import time
import traceback
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")

EPOLLIN = select.EPOLLIN
EPOLLOUT = select.EPOLLOUT


class Loop:
    """Calls back when a descriptor is ready or a time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running = True

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback` with the epoll events whenever the descriptor has some; level-triggered."""
        if fd in self._ready:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._ready[fd] = callback

    def forget(self, fd: int) -> None:
        """Stop watching; call before the descriptor is closed. Twice is no error."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call once, that many seconds from now."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), callback))

    def stop(self) -> None:
        """Make `run` return after the current callbacks."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        poll, ready = self._epoll.poll, self._ready
        while self._running:
            for fd, events in poll(self._wait()):
                # A callback earlier in this round may have closed the descriptor.
                callback = ready.get(fd)
                if callback is not None:
                    _guard(callback, events)
            if self._timers:
                self._fire()

    def _wait(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _guard(heapq.heappop(self._timers)[2])


def complain(text: str) -> None:
    """Say on stderr what is wrong; whoever listened there may be gone, which is no reason to follow."""
    try:
        print(f"resolver: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass  # a pipe to a daemon that died


def _guard(callback: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        callback(*args, **kwargs)
    except Exception:  # a bug, in whatever form: the loop is where it must stop
        complain(traceback.format_exc())
