"""What the process has for one hold: the bound doors and the live links that came in through them.

A value with a little life: no sockets are opened here and nothing is decided. Kept small on purpose, since there
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
    """One hold, its doors and its links."""

    __slots__ = ("_links", "doors", "hold")

    def __init__(self, hold: Hold, doors: tuple[Door, ...]) -> None:
        self.hold = hold
        self.doors = doors
        self._links: set[Link] | None = None

    def target(self, index: int) -> tuple[str, int]:
        """Where port `index` of the hold leads: ``(ip, port)``."""
        return (self.hold.target_ip, self.hold.target_port + index)

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
