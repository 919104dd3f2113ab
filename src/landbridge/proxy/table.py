"""The table of holds, and the only place that changes it: all or nothing, and never a gap where none is needed.

Order is what lives here: new sockets are opened before the table knows them, released ones leave the table before
they close. A hold with the binding of an existing one takes over its sockets, bound as they are. Nothing here
reads or writes messages, and nothing moves traffic.
"""

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as with_changes

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold
from landbridge.proxy.doors import Door, Spares
from landbridge.proxy.held import Held, Span
from landbridge.proxy.holders import Holders, overlaps
from landbridge.proxy.packer import Packer
from landbridge.proxy.porch import Porch
from landbridge.proxy.protocol import Retarget

SETTLE_AGAIN = 0.2


class HoldTable:
    """What is held, by key."""

    def __init__(
        self,
        *,
        streams: Porch,
        datagrams: Porch,
        max_descriptors: int,
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        """`streams` and `datagrams` wait at the doors; holds together use up to `max_descriptors`; `later(seconds,
        callback)` is the loop's."""
        self._streams = streams
        self._datagrams = datagrams
        self._max_descriptors = max_descriptors
        self._later = later
        self._spares = Spares()
        self._held: dict[str, Held] = {}
        # Places of doors that could not be closed for want of descriptors.
        self._owed: dict[Door, set[int]] = {}
        self._settling = False
        self.descriptors = 0
        self.ports = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, holds: Sequence[Hold]) -> None:
        """Hold all of `holds`, or none. What is held already, key and binding, only learns its new target.

        Raises: HoldFailed, reason EEXIST for a key that holds something else, EMFILE when descriptors would run
        out, else the errno of the socket call, with the holder for EADDRINUSE.
        """
        known = []
        fresh: dict[str, Hold] = {}
        for hold in holds:
            held = self._held.get(hold.key)
            if (held.hold if held else fresh.setdefault(hold.key, hold)).binding != hold.binding:
                raise HoldFailed("this key holds another port", reason="EEXIST", key=hold.key)
            if held is not None:
                known.append((held, hold))
        failures = self._open(fresh, all_or_none=True)
        if failures:
            raise failures[0]
        for held, hold in known:
            self._lead(held, hold)

    def release(self, keys: Iterable[str]) -> None:
        """Give up the ports of `keys` and cut what came in through them. Unknown keys are no error."""
        self._close([held for key in keys if (held := self._held.pop(key, None)) is not None])

    def retarget(self, targets: Sequence[Retarget]) -> None:
        """Lead all of `targets` elsewhere, or none; sockets stay, what was connected to the old target is cut.

        Raises: HoldFailed, reason ENOENT for an unknown key, EINVAL for ports beyond 65535.
        """
        changes = []
        for target in targets:
            held = self._held.get(target.key)
            if held is None:
                raise HoldFailed("nothing is held under this key", reason="ENOENT", key=target.key)
            if target.target_port + held.hold.count > 65536:
                raise HoldFailed("target ports beyond 65535", reason="EINVAL", key=target.key)
            changes.append((held, target))
        for held, target in changes:
            changed = with_changes(held.hold, target_ip=target.target_ip, target_port=target.target_port)
            self._lead(held, changed)

    def replace(self, holds: Sequence[Hold]) -> list[HoldFailed]:
        """Make `holds` the whole table. Returns what could not be held; the rest is held.

        Sockets of a binding that stays are kept, whatever its key was; those that go are closed before new ones
        are opened, since the new may overlap the old (127.0.0.1 and 0.0.0.0 of one port).
        """
        spare = {held.hold.binding: held for held in self._held.values()}
        wanted = {hold.key: hold for hold in holds}
        kept = {key: held for key, hold in wanted.items() if (held := spare.pop(hold.binding, None)) is not None}
        self._held = kept.copy()
        self._close(tuple(spare.values()))
        for key, held in kept.items():
            self._lead(held, wanted.pop(key))
        return self._open(wanted, all_or_none=False)

    def clear(self) -> None:
        """Release everything."""
        self.release(tuple(self._held))

    def _open(self, holds: Mapping[str, Hold], *, all_or_none: bool) -> list[HoldFailed]:
        """Bind `holds`, by key, and take them into the table. Returns what failed; with `all_or_none` the first
        failure is the only one and nothing is bound."""
        self._settle()
        packer = Packer(self._max_descriptors - self.descriptors, self._spares)
        holders = Holders()
        failures = []
        opened: dict[str, Held] = {}
        for key, hold in holds.items():
            try:
                opened[key] = packer.open(hold)
            except HoldFailed as failure:
                if failure.reason == "EADDRINUSE":
                    failure.holder = self._holder(hold, failure.port, opened, holders)
                failures.append(failure)
                if all_or_none:
                    packer.undo()
                    return failures
        packed = packer.finish()
        try:
            for door, spans in packed:
                self._porch(spans[0].held.hold).add(door, spans)
        except OSError as error:
            for door, spans in packed:
                self._porch(spans[0].held.hold).remove(door, set(spans))
            packer.undo()
            reason = errno.errorcode.get(error.errno or 0, "EIO")
            return [HoldFailed(f"cannot watch: {error}", reason=reason, key=key) for key in opened]
        self.descriptors += sum(door.descriptors for door, _ in packed)
        self.ports += sum(held.hold.count for held in opened.values())
        self._held |= opened
        return failures

    def _holder(self, hold: Hold, port: int, opened: Mapping[str, Held], holders: Holders) -> str:
        """Who has `port`: a hold of ours, whose parked socket belongs to no process to be found, or a process."""
        for held in (*self._held.values(), *opened.values()):
            other = held.hold
            if (
                other.proto == hold.proto
                and other.host_port <= port < other.host_port + other.count
                and (":" in other.host_ip) == (":" in hold.host_ip)
                and overlaps(other.host_ip, hold.host_ip)
            ):
                return f"landbridge ({other.key})"
        return holders.find(hold.proto, hold.host_ip, port)

    def _lead(self, held: Held, hold: Hold) -> None:
        """`held` serves `hold` from now on; both have one binding."""
        moved = held.hold.target != hold.target
        held.hold = hold
        if moved:
            held.cut()

    def _close(self, gone: Sequence[Held]) -> None:
        """Cut and close what has left the table, door by door."""
        by_door: dict[Door, list[Span]] = {}
        for held in gone:
            held.cut()
            self.ports -= held.hold.count
            for span in held.spans:
                by_door.setdefault(span.door, []).append(span)
        for door, spans in by_door.items():
            if self._porch(spans[0].held.hold).remove(door, set(spans)):
                places = {place for span in spans for place in span.places()}
                self._owed[door] = self._owed.get(door, set()) | places
            else:
                self._owed.pop(door, None)
                door.close()
                self.descriptors -= door.descriptors
        self._settle()

    def _settle(self) -> None:
        """Close the released places of doors that stay. What fails for want of descriptors is tried again later."""
        for door, places in tuple(self._owed.items()):
            try:
                door.drop(places)
            except OSError:
                if not self._settling:
                    self._settling = True
                    self._later(SETTLE_AGAIN, self._settle_again)
                return
            del self._owed[door]

    def _settle_again(self) -> None:
        self._settling = False
        self._settle()

    def _porch(self, hold: Hold) -> Porch:
        return self._datagrams if hold.proto == "udp" else self._streams
