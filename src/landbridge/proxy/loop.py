"""A small event loop over epoll: file descriptors, timers, and work that asked for another turn.

Not asyncio: a relayed connection is two descriptors and one callback here, registered once, edge-triggered,
and holding a port costs no object at all (see doors). Nothing about ports or protocols belongs here.
The one rule: descriptors are closed by `discard`, at the end of a turn, so that a number cannot come to mean
something else while events of the same turn still name it.
"""

import heapq
import itertools
import os
import select
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Protocol

BATCH = 512


class Closable(Protocol):
    """What `discard` takes: sockets and epoll objects."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Loop:
    """Runs callbacks in one thread until `stop`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._doomed: list[Closable] = []
        self._ready: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running = True

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler(events)` when one of `events` happens on `fd`; errors and hang-ups always count."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched `fd`."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; no error when it was not watched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def discard(self, thing: Closable) -> None:
        """Forget it now, close it when this turn's events are through."""
        self.unwatch(thing.fileno())
        self._doomed.append(thing)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn, after whatever else is ready had its chance."""
        self._ready.append(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, `seconds` from now."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), callback))

    def stop(self) -> None:
        """End `run` after this turn."""
        self._running = False

    def run(self) -> None:
        """Turn until `stop`."""
        while self._running:
            self.turn()

    def turn(self) -> None:
        """Wait for something to do and do it."""
        for fd, events in self._epoll.poll(self._patience(), BATCH):
            handler = self._handlers.get(fd)
            if handler is None:
                continue
            try:
                handler(events)
            except Exception:
                # A mistake in one connection must not cost all others their ports; it is told, not hidden.
                traceback.print_exc()
        # Only what is queued now: work that asks for yet another turn must not starve the descriptors.
        for _ in range(len(self._ready)):
            self._ready.popleft()()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        while self._doomed:
            self._doomed.pop().close()

    def close(self) -> None:
        """Close what is doomed and the epoll itself; watched descriptors belong to their owners."""
        while self._doomed:
            self._doomed.pop().close()
        self._epoll.close()

    def _patience(self) -> float | None:
        if self._ready or self._doomed:
            return 0
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())


def close_fd(fd: int) -> None:
    """Close a bare descriptor; there is nothing to do about a close that fails."""
    try:
        os.close(fd)
    except OSError:
        pass  # the descriptor is gone either way (close(2))
