"""The table of holds, and the only place that changes it: all or nothing, and never a gap where none is needed.

Order is what lives here: new sockets are opened before the table knows them, released ones leave the table before
they close. A hold with the binding of an existing one takes over its sockets, bound as they are. Nothing here
reads or writes messages, and nothing moves traffic.
"""

import errno
from collections.abc import Iterable, Sequence
from dataclasses import replace as with_changes

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold
from landbridge.proxy.doors import Porch, Spares, open_doors, price
from landbridge.proxy.held import Held
from landbridge.proxy.holders import Holders, overlaps
from landbridge.proxy.protocol import Retarget


class HoldTable:
    """What is held, by key."""

    def __init__(self, *, streams: Porch[Held], datagrams: Porch[Held], max_descriptors: int) -> None:
        """`streams` and `datagrams` wait at the doors; holds together use up to `max_descriptors`."""
        self._streams = streams
        self._datagrams = datagrams
        self._max_descriptors = max_descriptors
        self._spares = Spares()
        self._held: dict[str, Held] = {}
        self.descriptors = 0
        self.ports = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, holds: Sequence[Hold]) -> None:
        """Hold all of `holds`, or none. What is held already, key and binding, only learns its new target.

        Raises: HoldFailed, reason EEXIST for a key that holds something else, EMFILE when descriptors would run
        out, else the errno of the socket call, with the holder for EADDRINUSE.
        """
        new = []
        known = []
        holders = Holders()
        try:
            for hold in holds:
                held = self._held.get(hold.key)
                if held is None:
                    self._held[hold.key] = self._open(hold, holders)
                    new.append(hold.key)
                elif held.hold.binding == hold.binding:
                    known.append((held, hold))
                else:
                    raise HoldFailed("this key holds another port", reason="EEXIST", key=hold.key)
        except HoldFailed:
            self.release(new)
            raise
        for held, hold in known:
            self._lead(held, hold)

    def release(self, keys: Iterable[str]) -> None:
        """Give up the ports of `keys` and cut what came in through them. Unknown keys are no error."""
        for key in keys:
            held = self._held.pop(key, None)
            if held is not None:
                self._close(held)

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
        self._held = kept
        for held in spare.values():
            self._close(held)
        failures = []
        holders = Holders()
        for key, hold in wanted.items():
            if key in kept:
                self._lead(kept[key], hold)
                continue
            try:
                self._held[key] = self._open(hold, holders)
            except HoldFailed as failure:
                failures.append(failure)
        return failures

    def clear(self) -> None:
        """Release everything."""
        self.release(tuple(self._held))

    def _open(self, hold: Hold, holders: Holders) -> Held:
        cost = price(hold)
        if self.descriptors + cost > self._max_descriptors:
            text = f"{self.descriptors} of {self._max_descriptors} descriptors are in use, {cost} more are needed"
            raise HoldFailed(text, reason="EMFILE", key=hold.key)
        try:
            doors = open_doors(hold, self._spares)
        except HoldFailed as failure:
            if failure.reason == "EADDRINUSE":
                failure.holder = self._own(hold, failure.port) or holders.find(
                    hold.proto, hold.host_ip, failure.port
                )
            raise
        held = Held(hold, doors)
        self.descriptors += cost
        self.ports += hold.count
        try:
            for door in doors:
                self._porch(hold).add(door, held)
        except OSError as error:
            self._close(held)
            reason = errno.errorcode.get(error.errno or 0, "EIO")
            raise HoldFailed(f"cannot watch: {error}", reason=reason, key=hold.key) from error
        return held

    def _own(self, hold: Hold, port: int) -> str:
        """The hold of ours that has `port`, if the address allows: parked sockets belong to no process to find."""
        for key, held in self._held.items():
            other = held.hold
            if (
                other.proto == hold.proto
                and other.host_port <= port < other.host_port + other.count
                and (":" in other.host_ip) == (":" in hold.host_ip)
                and overlaps(other.host_ip, hold.host_ip)
            ):
                return f"landbridge ({key})"
        return ""

    def _lead(self, held: Held, hold: Hold) -> None:
        """`held` serves `hold` from now on; both have one binding."""
        moved = held.hold.target != hold.target
        held.hold = hold
        if moved:
            held.cut()

    def _close(self, held: Held) -> None:
        held.cut()
        for door in held.doors:
            self._porch(held.hold).remove(door)
            door.close()
        self.descriptors -= price(held.hold)
        self.ports -= held.hold.count

    def _porch(self, hold: Hold) -> Porch[Held]:
        return self._datagrams if hold.proto == "udp" else self._streams
