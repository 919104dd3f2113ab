"""Who publishes which host ports: disjoint runs of numbers by protocol and host address. Pure, kept in memory.

A run of ten thousand ports costs what one port costs. What keeps an address from being bound is the kernel's
rule: the same address, or one of the two is every address of the family.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from landbridge.model.ports import Binding

ANY4, ANY6 = "0.0.0.0", "::"

_Run = tuple[int, int, str]  # first and last port, owner


def overlap(one: str, other: str) -> bool:
    """True when two host addresses cannot both be bound at one port."""
    return (":" in one) == (":" in other) and (one == other or one in (ANY4, ANY6) or other in (ANY4, ANY6))


class PortLedger:
    """Runs of published ports and whose they are. Adding what overlaps is a mistake of the caller's."""

    def __init__(self) -> None:
        self._runs: dict[str, dict[str, list[_Run]]] = {}  # protocol → host address → runs in order

    def __iter__(self) -> Iterator[tuple[str, str, int, int, str]]:
        """(protocol, host address, first port, last port, owner) of every run."""
        for proto, by_address in self._runs.items():
            for address, runs in by_address.items():
                yield from ((proto, address, *run) for run in runs)

    def add(self, bindings: Iterable[Binding], owner: str) -> None:
        """`owner` publishes `bindings` from now on."""
        for one in filter(lambda one: one.host_port, bindings):
            runs = self._runs.setdefault(one.port.proto, {}).setdefault(one.host_ip, [])
            insort(runs, (one.host_port, one.last, owner))

    def remove(self, bindings: Iterable[Binding], owner: str) -> None:
        """`owner` publishes `bindings` no more; what is not there is no error."""
        for one in bindings:
            by_address = self._runs.get(one.port.proto, {})
            runs = by_address.get(one.host_ip, [])
            run = (one.host_port, one.last, owner)
            at = bisect_left(runs, run)
            if at < len(runs) and runs[at] == run:
                del runs[at]
                if not runs:
                    del by_address[one.host_ip]

    def clash(
        self, proto: str, host_ip: str, first: int, last: int, *, forgive: str = ""
    ) -> tuple[int, str] | None:
        """The lowest port from `first` to `last` that cannot be bound at `host_ip`, and who keeps it so.

        What `forgive` has is no obstacle.
        """
        found = [
            hit
            for address, runs in self._runs.get(proto, {}).items()
            if overlap(address, host_ip) and (hit := _lowest(runs, first, last, forgive)) is not None
        ]
        return min(found, default=None)


def _lowest(runs: list[_Run], first: int, last: int, forgive: str) -> tuple[int, str] | None:
    # Runs are disjoint: of those that begin before `first`, only the last can reach into it.
    at = max(0, bisect_right(runs, first, key=lambda run: run[0]) - 1)
    while at < len(runs) and runs[at][0] <= last:
        begin, end, owner = runs[at]
        if end >= first and owner != forgive:
            return max(begin, first), owner
        at += 1
    return None
