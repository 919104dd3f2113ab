"""Who has a port: from /proc/net to a process, for the error message of a taken port.

Read only after a bind failed, since it walks every process. What cannot be read (a process of another user, one
that just ended) is left out: a name is a courtesy, the error stands without it.
"""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"


class Holders:
    """One look at the machine, shared by all failures of one request."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._owners: dict[str, int] | None = None

    def find(self, proto: str, host_ip: str, port: int) -> str:
        """The process whose socket keeps `host_ip`:`port` from being bound, as ``pid 123 (nginx)``; else ``""``.

        The address only ranks: a listener on the same address is named before one on another, and a listener
        before a connection that merely uses the port.
        """
        inode = self._inode(proto, host_ip, port)
        if not inode:
            return ""
        pid = self._owner(inode)
        if not pid:
            return ""
        return f"pid {pid} ({self._name(pid)})"

    def _inode(self, proto: str, host_ip: str, port: int) -> str:
        candidates = []
        for table in (proto, f"{proto}6"):
            for address, local_port, state, inode in self._sockets(table):
                if local_port == port and inode != "0":
                    same = overlaps(address, host_ip)
                    candidates.append((same, state == _LISTEN, inode))
        return max(candidates)[2] if candidates else ""

    def _sockets(self, table: str) -> Iterator[tuple[str, int, str, str]]:
        """Lines of /proc/net/`table` as ``(address, port, state, inode)``."""
        try:
            with (self._proc / "self" / "net" / table).open() as lines:
                next(lines, None)
                for line in lines:
                    fields = line.split()
                    address, port = fields[1].split(":")
                    yield read_address(address), int(port, 16), fields[3], fields[9]
        except OSError:
            return  # no such protocol in this kernel (tcp6 with IPv6 off)

    def _owner(self, inode: str) -> int:
        if self._owners is None:
            self._owners = dict(self._all_sockets())
        return self._owners.get(inode, 0)

    def _all_sockets(self) -> Iterator[tuple[str, int]]:
        for entry in os.listdir(self._proc):
            if not entry.isdigit():
                continue
            directory = f"{self._proc}/{entry}/fd"
            try:
                numbers = os.listdir(directory)
            except OSError:
                continue  # ended meanwhile, or not ours to look into
            for number in numbers:
                try:
                    link = os.readlink(f"{directory}/{number}")
                except OSError:
                    continue  # closed meanwhile
                if link.startswith("socket:["):
                    yield link[8:-1], int(entry)

    def _name(self, pid: int) -> str:
        try:
            return (self._proc / str(pid) / "comm").read_text().strip()
        except OSError:
            return "?"


def read_address(text: str) -> str:
    """An address of /proc/net/{tcp,udp}{,6}, 32-bit words in host byte order, in its usual spelling."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def overlaps(address: str, host_ip: str) -> bool:
    """Whether a socket on `address` can be in the way of one on `host_ip`: same, or one of them any."""
    address = address.removeprefix("::ffff:")
    return address == host_ip or address in ("0.0.0.0", "::") or host_ip in ("0.0.0.0", "::")
