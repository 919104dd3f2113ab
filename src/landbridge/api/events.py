"""Handler of ``/events``: what happened and what happens, filtered, a line each."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from landbridge.api import streams
from landbridge.api.clock import SECOND
from landbridge.api.container_streams import parse_time
from landbridge.api.request import Request
from landbridge.api.response import Response, Stream
from landbridge.api.router import Route
from landbridge.api.streaming import started
from landbridge.engine.engine import Engine
from landbridge.engine.events import Event, Subscription
from landbridge.engine.listing import labelled
from landbridge.errors import Invalid
from landbridge.model.filters import Filters

_OBJECTS = ("container", "image", "network", "volume", "daemon", "plugin", "service", "node", "secret", "config")


def event_view(event: Event) -> dict[str, Any]:
    """One event; containers and images keep the fields of the oldest clients."""
    shown: dict[str, Any] = {}
    if event.type in ("container", "image"):
        shown |= {"status": event.action, "id": event.id}
        if image := event.attributes.get("image"):
            shown["from"] = image
    return shown | {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": event.scope,
        "time": event.time // SECOND,
        "timeNano": event.time,
    }


def accepts(event: Event, filters: Filters) -> bool:
    """Docker's rule: values of a filter are alternatives, filters must all hold; labels must all be there."""
    if (types := filters.get("type")) and event.type not in types:
        return False
    # ``exec_create: sh`` is asked for as ``exec_create``, ``health_status: healthy`` by its beginning or in full.
    if (actions := filters.get("event")) and not ({event.action, event.action.partition(":")[0]} & set(actions)):
        return False
    if (scopes := filters.get("scope")) and event.scope not in scopes:
        return False
    if not all(labelled(event.attributes, wanted) for wanted in filters.get("label", ())):
        return False
    return all(_about(event, kind, filters[kind]) for kind in _OBJECTS if filters.get(kind))


def _about(event: Event, kind: str, wanted: Sequence[str]) -> bool:
    """Whether the event is about one of the things named: by id or name, or (but for images) a beginning of them."""
    if event.type != kind:
        # The image of a container's event counts as well.
        return kind == "image" and any(text == event.attributes.get("image") for text in wanted)
    name = event.attributes.get("name", "")
    if kind == "image":
        return any(text in (event.id, name, name.partition(":")[0]) for text in wanted)
    return any(event.id.startswith(text) or name.startswith(text) for text in wanted)


class EventHandlers:
    def __init__(self, engine: Engine) -> None:
        self._events = engine.events

    def routes(self) -> list[Route]:
        return [Route("GET", "/events", self.events)]

    async def events(self, request: Request) -> Response:
        # The epoch is a moment, too: only nothing at all means from now on.
        since = parse_time(request.query_str("since"), "since") if request.query_str("since") else None
        until = parse_time(request.query_str("until"), "until")
        if since and until and until < since:
            given = (request.query_str("since"), request.query_str("until"))
            raise Invalid("`since` time ({}) cannot be after `until` time ({})".format(*given))
        filters = request.filters()
        return Stream(await started(self._lines(since, until, filters)))

    async def _lines(self, since: int | None, until: int, filters: Filters) -> AsyncGenerator[bytes, None]:
        with self._events.subscribed() as subscription:
            past = list(self._events.past(since, until or time.time_ns())) if since is not None else []
            yield b""
            for event in past:
                if accepts(event, filters):
                    yield streams.event_line(event_view(event))
            async for event in _until(subscription, until):
                if accepts(event, filters):
                    yield streams.event_line(event_view(event))


async def _until(subscription: Subscription, until: int) -> AsyncIterator[Event]:
    """Events up to a moment (0: for ever)."""
    events = aiter(subscription)
    while True:
        left = (until - time.time_ns()) / SECOND if until else None
        if left is not None and left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                event = await anext(events, None)
        except TimeoutError:
            return
        if event is None:
            return
        yield event
