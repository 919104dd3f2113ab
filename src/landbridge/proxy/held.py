"""What the process has for one hold: where its sockets are, and the live links that came in through them.

Values with a little life: no sockets are opened here and nothing is decided. Kept small on purpose, since there
may be tens of thousands; the set of links exists only while there are any.
"""

from typing import Protocol

from landbridge.model.hold import Hold
from landbridge.proxy.doors import Door


class Link(Protocol):
    """A relayed connection or flow."""

    def cut(self) -> None:
        """End it now."""


class Held:
    """One hold, the spans of its sockets in the order of its ports, and its links."""

    __slots__ = ("_links", "hold", "spans")

    def __init__(self, hold: Hold) -> None:
        self.hold = hold
        self.spans: tuple[Span, ...] = ()
        self._links: set[Link] | None = None

    def attach(self, link: Link) -> None:
        """Remember `link`, to cut it with the hold."""
        if self._links is None:
            self._links = set()
        self._links.add(link)

    def detach(self, link: Link) -> None:
        """`link` has ended."""
        if self._links is not None:
            self._links.discard(link)
            if not self._links:
                self._links = None

    def cut(self) -> None:
        """End every link, as the death of a port's own proxy process would."""
        for link in tuple(self._links or ()):
            link.cut()


class Span:
    """`count` places of one door, from `place` on, that are ports `index` … of one hold."""

    __slots__ = ("count", "door", "held", "index", "place")

    def __init__(self, held: Held, door: Door, *, place: int, count: int, index: int) -> None:
        self.held = held
        self.door = door
        self.place = place
        self.count = count
        self.index = index

    def target(self, place: int) -> tuple[str, int]:
        """Where `place` leads: ``(ip, port)``."""
        hold = self.held.hold
        return (hold.target_ip, hold.target_port + self.index + place - self.place)

    def places(self) -> range:
        """All places of the span."""
        return range(self.place, self.place + self.count)
