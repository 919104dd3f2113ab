"""From holds to doors: opens the sockets of one request and keeps them with as few descriptors as it can.

A request for a handful of ports gets a descriptor each; a larger one is packed into segments, whether the ports
come as a range or one by one (a client that publishes 10,000 ports writes 10,000 bindings). A hold smaller than
`PACK_FROM` never straddles two segments and a larger one shares none, so a hold that fails is undone by closing.
"""

import socket
from itertools import groupby

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold
from landbridge.proxy.doors import SEGMENT, Door, Segment, Single, Spares
from landbridge.proxy.held import Held, Span
from landbridge.proxy.sockets import open_port

# From here on a segment is worth it: few descriptors, but a detour when somebody knocks. Where room is scarce,
# it is worth it earlier.
PACK_FROM = 16

Opened = tuple[socket.socket, Held, int]
Packed = tuple[Door, list[Span]]


class Packer:
    """Opens what one request asks for. End with `finish` or `undo`."""

    def __init__(self, room: int, spares: Spares) -> None:
        """Doors may take `room` descriptors; while opening, up to `SEGMENT` more are in use for a moment."""
        self._room = room
        self._spares = spares
        # By transport: UDP sockets and listening ones wait in different places.
        self._small: dict[bool, list[Opened]] = {False: [], True: []}
        self._packed: list[Packed] = []
        self._used = 0

    def open(self, hold: Hold) -> Held:
        """Bind all ports of `hold`. Raises: HoldFailed; nothing of this hold is bound then."""
        held = Held(hold)
        large = hold.count >= PACK_FROM
        self._make_room(SEGMENT if large else hold.count)
        if large:
            self._open_large(held)
        else:
            self._open_ports(held, 0, hold.count, self._small[hold.proto == "udp"])
        return held

    def finish(self) -> list[Packed]:
        """Everything that was opened, by door."""
        for small in self._small.values():
            self._pack(small)
        return self._packed

    def undo(self) -> None:
        """Close everything."""
        for small in self._small.values():
            _close(small, 0)
        self._close_doors(0)

    def _make_room(self, count: int) -> None:
        """Never have many more than `SEGMENT` sockets open at once."""
        if count + sum(len(small) for small in self._small.values()) > SEGMENT:
            for small in self._small.values():
                if len(small) >= PACK_FROM:
                    self._pack(small)

    def _open_large(self, held: Held) -> None:
        before = len(self._packed)
        count = held.hold.count
        try:
            for first in range(0, count, SEGMENT):
                opened: list[Opened] = []
                self._open_ports(held, first, min(first + SEGMENT, count), opened)
                self._pack(opened)
        except HoldFailed:
            self._close_doors(before)
            raise

    def _open_ports(self, held: Held, first: int, end: int, opened: list[Opened]) -> None:
        """Bind ports `first` … `end` - 1 of one hold and append them to `opened`; all or none."""
        before = len(opened)
        try:
            for index in range(first, end):
                if self._used + min(len(opened), Segment.descriptors) >= self._room:
                    raise HoldFailed("out of descriptors", reason="EMFILE", key=held.hold.key)
                opened.append((open_port(held.hold, index), held, index))
        except HoldFailed:
            _close(opened, before)
            raise

    def _pack(self, opened: list[Opened]) -> None:
        """Turn open sockets into doors, and empty the list of them."""
        if len(opened) >= PACK_FROM or (opened and self._used + len(opened) > self._room):
            try:
                self._keep(Segment([sock for sock, _, _ in opened], self._spares), opened)
                opened.clear()
            except OSError:
                pass  # not allowed to queue that many (ETOOMANYREFS): one by one, then
        for entry in opened:
            self._keep(Single(entry[0]), [entry])
        opened.clear()

    def _keep(self, door: Door, opened: list[Opened]) -> None:
        spans = []
        place = 0
        for _, group in groupby(opened, key=lambda entry: id(entry[1])):
            run = list(group)
            _, held, index = run[0]
            span = Span(held, door, place=place, count=len(run), index=index)
            held.spans += (span,)
            spans.append(span)
            place += len(run)
        self._packed.append((door, spans))
        self._used += door.descriptors

    def _close_doors(self, first: int) -> None:
        for door, _ in self._packed[first:]:
            door.close()
            self._used -= door.descriptors
        del self._packed[first:]


def _close(opened: list[Opened], first: int) -> None:
    for sock, _, _ in opened[first:]:
        sock.close()
    del opened[first:]
