"""Where one waits at all doors of a transport at once.

A porch is one epoll and one descriptor of the loop, so that waiting at 10,000 doors costs a dictionary entry each
and all of them can be left alone together. It knows whose a place is; what is done with who knocks is the relay's.
"""

import select
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence

from landbridge.proxy.doors import SEGMENT, Door
from landbridge.proxy.held import Span
from landbridge.proxy.loop import Loop

# A place nobody owns any more, whose socket could not be closed yet, must not keep us busy.
ORPHAN_PAUSE = 0.1


class Porch:
    """All doors of one transport."""

    def __init__(self, loop: Loop, serve: Callable[[Span, int], float]) -> None:
        """`serve(span, place)` is called while somebody waits at `place`; it returns how many seconds to leave
        everybody waiting (0: none)."""
        self._loop = loop
        self._serve = serve
        self._epoll = select.epoll()
        self._spans: dict[int, list[Span]] = {}
        self._open = True
        loop.watch(self._epoll.fileno(), select.EPOLLIN, self._on_knock)

    def add(self, door: Door, spans: Sequence[Span]) -> None:
        """Wait at `door`; its `spans` come in the order of places.

        Raises: OSError(ENOSPC) beyond fs.epoll.max_user_watches.
        """
        self._epoll.register(door.fileno(), select.EPOLLIN)
        self._spans[door.fileno()] = list(spans)

    def remove(self, door: Door, spans: Collection[Span]) -> bool:
        """Forget some spans of `door`. Returns whether others are left; if not, nobody waits at it any more."""
        number = door.fileno()
        left = [span for span in self._spans.get(number, ()) if span not in spans]
        if left:
            self._spans[number] = left
            return True
        if self._spans.pop(number, None) is not None:
            self._epoll.unregister(number)
        return False

    def pause(self, seconds: float) -> None:
        """Leave everybody waiting for a while: the kernel's queue keeps them."""
        if self._open:
            self._open = False
            self._loop.unwatch(self._epoll.fileno())
            self._loop.later(seconds, self._resume)

    def close(self) -> None:
        """Stop waiting at all; the doors belong to their owners."""
        self._loop.unwatch(self._epoll.fileno())
        self._epoll.close()

    def _resume(self) -> None:
        self._open = True
        self._loop.watch(self._epoll.fileno(), select.EPOLLIN, self._on_knock)

    def _on_knock(self, events: int) -> None:
        for number, _ in self._epoll.poll(0, SEGMENT):
            spans = self._spans.get(number)
            if spans is None:
                continue
            for place in spans[0].door.knocks():
                span = find(spans, place)
                pause = ORPHAN_PAUSE if span is None else self._serve(span, place)
                if pause:
                    self.pause(pause)
                    return


def find(spans: Sequence[Span], place: int) -> Span | None:
    """The span `place` belongs to; `spans` are ordered."""
    at = bisect_right(spans, place, key=lambda span: span.place) - 1
    if at >= 0 and place < spans[at].place + spans[at].count:
        return spans[at]
    return None
