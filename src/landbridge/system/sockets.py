"""Sockets the daemon is given and limits it lives under."""

import os
import resource
import socket

_FIRST = 3  # systemd: descriptors from 3 on are the activated sockets (sd_listen_fds(3))


def activated() -> list[socket.socket]:
    """Listening sockets passed by socket activation; none when we were not started that way."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(_FIRST, _FIRST + count)]


def raise_descriptor_limit() -> int:
    """As many open files as this process may have; the new soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
