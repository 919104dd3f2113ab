"""Hears of routes that come to the main table, from the moment it is made. No policy: whose they are is for others."""

import errno
import logging
import socket

from landbridge.model.link import RouteFact
from landbridge.system import nlwire, rtnl

log = logging.getLogger(__name__)

_RTMGRP_IPV4_ROUTE, _RTMGRP_IPV6_ROUTE = 0x40, 0x400  # bits of groups 7 and 11 (rtnetlink.h)
_BUFFER = 1 << 16


class RouteWatch:
    """Satisfies `engine.effects.RouteWatch` for the calling thread's network namespace."""

    def __init__(self) -> None:
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_IPV4_ROUTE | _RTMGRP_IPV6_ROUTE))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no more; twice is fine."""
        self._socket.close()

    def drain(self) -> tuple[RouteFact, ...]:
        """The routes that came since the last call. Never blocks; what did not fit the queue is not told."""
        answers: list[bytes] = []
        while True:
            try:
                data = self._socket.recv(_BUFFER)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                log.warning("more routes came at once than could be looked at")
                continue
            answers += _added(data)
        names = {index: _name(index) for index in rtnl.route_devices(answers)}
        return rtnl.routes(answers, names)


def _added(data: bytes) -> list[bytes]:
    found, offset = [], 0
    while offset + nlwire.HEADER.size <= len(data):
        length, kind, _, _, _ = nlwire.HEADER.unpack_from(data, offset)
        if length < nlwire.HEADER.size:
            break
        if kind == rtnl.RTM_NEWROUTE:
            found.append(data[offset + nlwire.HEADER.size : offset + length])
        offset += (length + 3) & ~3
    return found


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""  # it has gone meanwhile
