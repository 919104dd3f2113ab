"""Where the host's routes lead besides our own bridges, without reading the table for every question.

Each network adds a route of its own, so the table is as long as there are networks. It is read once; from then on the
kernel tells of changes, and what it tells of our bridges is skipped. One gap: the kernel does not tell of IPv4 routes
that go because their interface went down. Until the next change they count as there, which keeps a subnet from being
chosen and breaks nothing.
"""

import errno
import socket
import threading
from collections.abc import Callable

from landbridge.model.link import RouteFact
from landbridge.system import nlwire, rtnl
from landbridge.system.netlink import Netlink

_GROUPS = 1 << 6 | 1 << 10  # RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE
_BUFFER = 1 << 16
_MOST_NAMES = 4096


class RouteTable:
    """Routes of the network namespace it was made in. Any thread may call."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._news = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._news.bind((0, _GROUPS))
        self._known: tuple[RouteFact, ...] | None = None
        self._names: dict[int, str] = {}
        self._lock = threading.Lock()
        self.reads = 0  # how often the table was read: a cost that tests hold constant

    def close(self) -> None:
        """Twice is fine."""
        self._news.close()

    def elsewhere(self, own: Callable[[str], bool]) -> tuple[RouteFact, ...]:
        """The unicast routes of the main table that lead to no link `own` says yes to. Raises: NetlinkError."""
        with self._lock:
            if self._changed(own) or self._known is None:
                self.reads += 1
                self._known = tuple(route for route in self._netlink.routes() if not own(route.device))
            return tuple(route for route in self._known if not own(route.device))

    def _changed(self, own: Callable[[str], bool]) -> bool:
        changed = False
        while True:
            try:
                data = self._news.recv(_BUFFER)
            except BlockingIOError:
                return changed
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                changed = True  # more happened than the kernel kept for us
                continue
            bodies = [body for kind, body in nlwire.messages(data) if kind in (rtnl.RTM_NEWROUTE, rtnl.RTM_DELROUTE)]
            changed = changed or any(not own(self._name(index)) for index in rtnl.route_devices(bodies))

    def _name(self, index: int) -> str:
        if index not in self._names:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[index] = self._netlink.name_of(index)
        return self._names[index]
