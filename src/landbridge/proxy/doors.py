"""Bound host sockets as doors: how they are kept, and how one learns that somebody knocks.

A `Single` is one socket with its own descriptor. A `Segment` keeps many sockets with two descriptors: it
registers each in an epoll of its own, queues all of them as SCM_RIGHTS in a socket pair and closes its copies. A
queued socket stays bound and listening, and epoll goes on reporting it (epoll watches the open file, not the
number, epoll(7)); MSG_PEEK hands out copies when one is needed. So 128 ports cost two descriptors instead of 128,
and no Python object. unix(7) bounds queued descriptors by RLIMIT_NOFILE only for processes without
CAP_SYS_RESOURCE and CAP_SYS_ADMIN. A *place* is a socket's number within its door. Nothing here knows whose a
place is.
"""

import array
import errno
import select
import socket
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

from landbridge.proxy.loop import close_fd

# Linux passes up to 253 descriptors at once (SCM_MAX_FD); taking them out costs about half a microsecond each.
SEGMENT = 128
# Sockets of segments kept open between two knocks, over all segments.
KEPT_OPEN = 64
_INT = array.array("i").itemsize


class Single:
    """One bound socket; its place is 0."""

    __slots__ = ("_socket",)

    descriptors = 1

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is the door's from here on."""
        self._socket = sock

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def knocks(self) -> Iterator[int]:
        """Places somebody knocked at: there is only one."""
        yield 0

    def borrow(self, place: int) -> socket.socket:
        """The socket, until `give_back`."""
        return self._socket

    def give_back(self, place: int) -> None:
        """End of `borrow`."""

    def drop(self, places: Collection[int]) -> None:
        """Give up some places but not all: with one there is no such case."""

    def close(self) -> None:
        """Give the port up."""
        self._socket.close()


class Spares:
    """Copies of parked sockets that were in use a moment ago, oldest closed first."""

    def __init__(self, limit: int = KEPT_OPEN) -> None:
        self._limit = limit
        self._idle: OrderedDict[tuple[int, int], Segment] = OrderedDict()

    def keep(self, segment: "Segment", place: int) -> None:
        """The copy of `place` is idle from now on."""
        self._idle[id(segment), place] = segment
        while len(self._idle) > self._limit:
            (_, oldest), owner = self._idle.popitem(last=False)
            owner.close_copy(oldest)

    def reuse(self, segment: "Segment", place: int) -> None:
        """The copy of `place` is in use again, or gone."""
        self._idle.pop((id(segment), place), None)


class Segment:
    """Up to `SEGMENT` sockets, parked."""

    __slots__ = ("_copies", "_epoll", "_numbers", "_park", "_parked", "_spares", "_users")

    descriptors = 2

    def __init__(self, sockets: Sequence[socket.socket], spares: Spares) -> None:
        """Take over `sockets`; their places are their order here.

        Raises: OSError (ETOOMANYREFS, EMFILE, ENOSPC); the sockets are still the caller's then.
        """
        self._spares = spares
        self._copies: dict[int, socket.socket] = {}
        self._users: dict[int, int] = {}
        # What epoll reports is the number a socket had while it was registered.
        self._numbers = array.array("i", [sock.fileno() for sock in sockets])
        self._parked = bytes(range(len(sockets)))
        self._park = park(self._numbers)
        try:
            self._epoll = select.epoll()
            try:
                for number in self._numbers:
                    self._epoll.register(number, select.EPOLLIN)
            except OSError:
                self._epoll.close()
                raise
        except OSError:
            self._park.close()
            raise
        for sock in sockets:
            sock.close()

    def fileno(self) -> int:
        """The descriptor to watch: the epoll of the segment."""
        return self._epoll.fileno()

    def knocks(self) -> Iterator[int]:
        """Places somebody knocked at."""
        for number, _ in self._epoll.poll(0, SEGMENT):
            yield self._numbers.index(number)

    def borrow(self, place: int) -> socket.socket:
        """A copy of the socket of `place`, until `give_back`; copies are kept for a while.

        Raises: OSError(EMFILE) when there is no room to take the parked sockets out for a moment.
        """
        copy = self._copies.get(place)
        if copy is None:
            numbers = self._peek()
            # Non-blocking already: that belongs to the open file, which is the same one.
            copy = self._copies[place] = socket.socket(fileno=numbers.pop(self._parked.index(place)))
            _close_all(numbers)
        else:
            self._spares.reuse(self, place)
        self._users[place] = self._users.get(place, 0) + 1
        return copy

    def give_back(self, place: int) -> None:
        """End of `borrow`."""
        self._users[place] -= 1
        if not self._users[place]:
            del self._users[place]
            self._spares.keep(self, place)

    def close_copy(self, place: int) -> None:
        """Close the idle copy of `place`; the port stays bound."""
        self._copies.pop(place).close()

    def drop(self, places: Collection[int]) -> None:
        """Give up some places, none of them borrowed; the others are parked anew, bound without a gap.

        Raises: OSError(EMFILE) when there is no room to do so; everything is still bound then.
        """
        gone = [place for place in self._parked if place in places]
        numbers = self._peek()
        try:
            left = [(place, number) for place, number in zip(self._parked, numbers, strict=True) if place not in places]
            parked = park(array.array("i", [number for _, number in left]))
        finally:
            _close_all(numbers)
        self._park.close()
        self._park = parked
        self._parked = bytes(place for place, _ in left)
        for place in gone:
            if place in self._copies:
                self._spares.reuse(self, place)
                self.close_copy(place)

    def close(self) -> None:
        """Give all places up, none of them borrowed."""
        for place in tuple(self._copies):
            self._spares.reuse(self, place)
            self.close_copy(place)
        self._epoll.close()
        self._park.close()

    def _peek(self) -> "array.array[int]":
        """Open descriptors of all parked sockets, in order. Raises: OSError(EMFILE)."""
        numbers = array.array("i")
        space = socket.CMSG_SPACE(len(self._parked) * _INT)
        _, control, _, _ = self._park.recvmsg(1, space, socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC)
        for _, _, data in control:
            numbers.frombytes(data[: len(data) - len(data) % _INT])
        # The kernel hands out as many as there is room for (MSG_CTRUNC).
        if len(numbers) < len(self._parked):
            _close_all(numbers)
            raise OSError(errno.EMFILE, "no room to take parked sockets out")
        return numbers


Door = Single | Segment


def park(numbers: "array.array[int]") -> socket.socket:
    """Queue descriptors to ourselves. Returns the socket they wait in. Raises: OSError."""
    waiting, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with sender:
        try:
            sender.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
        except OSError:
            waiting.close()
            raise
    return waiting


def _close_all(numbers: "array.array[int]") -> None:
    for number in numbers:
        close_fd(number)
