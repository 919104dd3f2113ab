"""Whether a program listens on a port of a namespace, read from the kernel's socket tables (proc(5), /proc/net)."""

from collections.abc import Iterator

from landbridge.errors import LandbridgeError
from landbridge.system import netns

_LISTEN = "0A"  # TCP_LISTEN; UDP has no such state: a bound socket is 07


def listening(path: str, proto: str, port: int) -> bool | None:
    """True or False; None for a protocol without such a table or a namespace that is gone."""
    if proto not in ("tcp", "udp"):
        return None
    wanted = _LISTEN if proto == "tcp" else "07"
    try:
        return any(
            state == wanted and number == port
            for table in (proto, f"{proto}6")
            for number, state in netns.run_inside(path, lambda table=table: list(_sockets(table)))  # type: ignore[misc]
        )
    except (LandbridgeError, OSError):
        return None


def _sockets(table: str) -> Iterator[tuple[int, str]]:
    """(local port, state) of every socket. /proc/thread-self/net follows the calling thread's namespace."""
    try:
        with open(f"/proc/thread-self/net/{table}") as file:
            next(file, None)
            for line in file:
                fields = line.split()
                yield int(fields[1].rpartition(":")[2], 16), fields[3]
    except FileNotFoundError:
        return
