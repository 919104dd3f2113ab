"""What happened, told to whoever listens: the source of ``GET /events``."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

KEPT = 1000  # how many past events can be asked for with `since` (Docker keeps 256)
BACKLOG = 10_000  # a listener that falls this far behind is cut off: memory stays bounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`type` is ``container``, ``network``, ``image``, ``volume`` or ``daemon``; `time` in nanoseconds."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    time: int
    scope: str = "local"


class Subscription:
    """One listener's queue."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def offer(self, event: Event) -> bool:
        """False when the listener is too far behind and has been cut off."""
        if self._queue.qsize() >= BACKLOG:
            self._queue.put_nowait(None)
            return False
        self._queue.put_nowait(event)
        return True

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._queue.get()) is not None:
            yield event


class Events:
    """Publish and subscribe, in the event loop's thread."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[Subscription] = set()
        self._last = 0

    def emit(self, type: str, action: str, id: str, attributes: Mapping[str, str]) -> None:
        """Record an event and hand it to every listener. Times never repeat, so that order is total."""
        self._last = max(time.time_ns(), self._last + 1)
        event = Event(type=type, action=action, id=id, attributes=attributes, time=self._last)
        self._past.append(event)
        for listener in tuple(self._listeners):
            if not listener.offer(event):
                self._listeners.discard(listener)

    def past(self, since: int, until: int) -> Iterator[Event]:
        """Kept events with since <= time <= until (nanoseconds)."""
        return (event for event in tuple(self._past) if since <= event.time <= until)

    @contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """Listen from now on; iterate the subscription."""
        listener = Subscription()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
