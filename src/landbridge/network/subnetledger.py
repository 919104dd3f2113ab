"""Which address space is taken: subnets as runs of numbers, adjoining ones as one. Pure, kept in memory.

Asking whether a subnet is free, and for the first free one, costs the same with one network and with thousands.
"""

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable

from landbridge.model.network import Subnet

_Run = tuple[int, int]  # first and last address, both included


class SubnetLedger:
    """A bag of subnets of both families: what was added twice is to be removed twice."""

    def __init__(self, subnets: Iterable[Subnet] = ()) -> None:
        self._subnets: dict[int, Counter[_Run]] = {4: Counter(), 6: Counter()}
        self._runs: dict[int, list[_Run]] = {4: [], 6: []}  # disjoint, in order, no two adjoin
        self._nested = {4: 0, 6: 0}  # subnets that were added over others: such cannot be cut out of a run
        for subnet in subnets:
            self.add(subnet)

    def __len__(self) -> int:
        return sum(counter.total() for counter in self._subnets.values())

    def add(self, subnet: Subnet) -> None:
        """The subnet is taken from now on."""
        block = _block(subnet)
        if self.beyond(subnet.version, *block) is not None:
            self._nested[subnet.version] += 1
        self._subnets[subnet.version][block] += 1
        self._join(subnet.version, block)

    def remove(self, subnet: Subnet) -> None:
        """The subnet is free, as far as no other covers it; one that was never added is no error."""
        version, block = subnet.version, _block(subnet)
        if not self._subnets[version][block]:
            return
        self._subnets[version] -= Counter([block])
        if self._nested[version]:
            self._again(version)
        else:
            self._cut(version, block)

    def overlaps(self, subnet: Subnet) -> bool:
        """True when an address of the subnet is taken."""
        return self.beyond(subnet.version, *_block(subnet)) is not None

    def beyond(self, version: int, first: int, last: int) -> int | None:
        """The first address after what is in the way of `first`…`last`; None: nothing is."""
        runs = self._runs[version]
        at = bisect_right(runs, (first, 1 << 129))
        for run in runs[max(0, at - 1) : at + 1]:
            if run[0] <= last and run[1] >= first:
                return run[1] + 1
        return None

    def _join(self, version: int, block: _Run) -> None:
        runs, (first, last) = self._runs[version], block
        low = bisect_right(runs, (first, 1 << 129))
        if low and runs[low - 1][1] >= first - 1:
            low -= 1
        high = low
        while high < len(runs) and runs[high][0] <= last + 1:
            first, last = min(first, runs[high][0]), max(last, runs[high][1])
            high += 1
        runs[low:high] = [(first, last)]

    def _cut(self, version: int, block: _Run) -> None:
        runs = self._runs[version]
        first, last = runs.pop(bisect_right(runs, (block[0], 1 << 129)) - 1)
        for run in ((first, block[0] - 1), (block[1] + 1, last)):
            if run[0] <= run[1]:
                insort(runs, run)

    def _again(self, version: int) -> None:
        blocks = self._subnets[version]
        self._runs[version], self._nested[version], self._subnets[version] = [], 0, Counter()
        for (first, last), count in sorted(blocks.items()):
            if self.beyond(version, first, last) is not None or count > 1:
                self._nested[version] += 1
            self._subnets[version][first, last] = count
            self._join(version, (first, last))


def _block(subnet: Subnet) -> _Run:
    return int(subnet.network_address), int(subnet.broadcast_address)
