"""Bound host sockets as doors: how they are kept, and how one learns that somebody knocks.

A `Single` is one socket with its own descriptor. A `Range` keeps many sockets with few descriptors: it opens up
to `SEGMENT` of them, registers each in an epoll of the segment, queues all of them as SCM_RIGHTS in a socket
pair and closes its own copies. A queued socket stays bound and listening, and epoll goes on reporting it (epoll
watches the open file, not the number, epoll(7)); MSG_PEEK hands out copies when one is needed. So 128 ports cost
two descriptors instead of 128, and no Python object. unix(7) bounds queued descriptors by RLIMIT_NOFILE only for
processes without CAP_SYS_RESOURCE and CAP_SYS_ADMIN. Nothing about relaying belongs here.
"""

import array
import contextlib
import errno
import select
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold
from landbridge.proxy.loop import Loop, close_fd
from landbridge.proxy.sockets import open_port

SEGMENT = 128
# From here on a range is cheaper in descriptors than single sockets.
RANGE_FROM = 4
# Sockets of ranges kept open between two knocks, over all ranges.
KEPT_OPEN = 64
_INT = array.array("i").itemsize


class Single:
    """One bound socket."""

    __slots__ = ("_index", "_socket")

    def __init__(self, hold: Hold, index: int) -> None:
        """Bind the `index`-th port of `hold`. Raises: HoldFailed."""
        self._index = index
        self._socket = open_port(hold, index)

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def knocks(self) -> Iterator[int]:
        """Indexes of the ports somebody knocked at: there is only one."""
        yield self._index

    def borrow(self, index: int) -> socket.socket:
        """The socket of port `index`, until `give_back`."""
        return self._socket

    def give_back(self, index: int) -> None:
        """End of `borrow`."""

    def close(self) -> None:
        """Give the port up."""
        self._socket.close()


class Spares:
    """Copies of range sockets that were in use a moment ago, oldest closed first."""

    def __init__(self, limit: int = KEPT_OPEN) -> None:
        self._limit = limit
        self._idle: OrderedDict[tuple[int, int], Segment] = OrderedDict()

    def keep(self, segment: "Segment", index: int) -> None:
        """`index` of `segment` is idle from now on."""
        self._idle[id(segment), index] = segment
        while len(self._idle) > self._limit:
            (_, oldest), owner = self._idle.popitem(last=False)
            owner.drop(oldest)

    def reuse(self, segment: "Segment", index: int) -> None:
        """`index` of `segment` is in use again, or gone."""
        self._idle.pop((id(segment), index), None)


class Segment:
    """Up to `SEGMENT` consecutive ports of one hold, parked."""

    __slots__ = ("_at", "_copies", "_epoll", "_first", "_numbers", "_park", "_spares", "_users")

    def __init__(self, hold: Hold, first: int, size: int, spares: Spares) -> None:
        """Bind ports `first` … `first` + `size` - 1 of `hold`. Raises: HoldFailed; nothing stays bound then."""
        self._first = first
        self._spares = spares
        self._copies: dict[int, socket.socket] = {}
        self._users: dict[int, int] = {}
        with contextlib.ExitStack() as undo:
            sockets = []
            for index in range(first, first + size):
                sockets.append(undo.enter_context(open_port(hold, index)))
            self._numbers = array.array("i", [sock.fileno() for sock in sockets])
            try:
                self._park, self._epoll = self._queue()
            except OSError as error:
                reason = errno.errorcode.get(error.errno or 0, "EIO")
                raise HoldFailed(f"cannot park sockets: {error}", reason=reason, key=hold.key) from error

    def _queue(self) -> tuple[socket.socket, select.epoll]:
        """Watch the open sockets and queue them to ourselves."""
        park, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with sender:
            try:
                watcher = select.epoll()
                try:
                    for number in self._numbers:
                        watcher.register(number, select.EPOLLIN)
                    sender.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, self._numbers)])
                except OSError:
                    watcher.close()
                    raise
            except OSError:
                park.close()
                raise
        return park, watcher

    def fileno(self) -> int:
        """The descriptor to watch: the epoll of the segment."""
        return self._epoll.fileno()

    def knocks(self) -> Iterator[int]:
        """Indexes, counted over the whole hold, of the ports somebody knocked at."""
        for number, _ in self._epoll.poll(0, SEGMENT):
            yield self._first + self._numbers.index(number)

    def borrow(self, index: int) -> socket.socket:
        """A copy of the socket of port `index`, until `give_back`; copies are kept for a while.

        Raises: OSError(EMFILE) when there is no room to take the parked sockets out for a moment.
        """
        copy = self._copies.get(index)
        if copy is None:
            copy = self._copies[index] = self._peek(index - self._first)
        else:
            self._spares.reuse(self, index)
        self._users[index] = self._users.get(index, 0) + 1
        return copy

    def give_back(self, index: int) -> None:
        """End of `borrow`."""
        self._users[index] -= 1
        if not self._users[index]:
            del self._users[index]
            self._spares.keep(self, index)

    def drop(self, index: int) -> None:
        """Close the idle copy of port `index`; the port stays bound."""
        self._copies.pop(index).close()

    def close(self) -> None:
        """Give all ports up."""
        for index, copy in self._copies.items():
            self._spares.reuse(self, index)
            copy.close()
        self._copies.clear()
        self._epoll.close()
        self._park.close()

    def _peek(self, place: int) -> socket.socket:
        numbers = array.array("i")
        space = socket.CMSG_SPACE(len(self._numbers) * _INT)
        _, control, _, _ = self._park.recvmsg(1, space, socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC)
        for _, _, data in control:
            numbers.frombytes(data[: len(data) - len(data) % _INT])
        try:
            # The kernel hands out as many as there is room for (MSG_CTRUNC).
            if len(numbers) <= place:
                raise OSError(errno.EMFILE, "no room to take a parked socket out")
            # Non-blocking already: that belongs to the open file, which is the same one.
            return socket.socket(fileno=numbers.pop(place))
        finally:
            for number in numbers:
                close_fd(number)


Door = Single | Segment

Owner = TypeVar("Owner")


class Porch(Generic[Owner]):
    """All doors of one transport in one epoll, itself one descriptor of the loop, so that waiting at 10,000 doors
    costs a dictionary entry each and all of them can be left alone for a while at once."""

    def __init__(self, loop: Loop, serve: Callable[[Owner, Door, int], float]) -> None:
        """`serve(owner, door, index)` is called while somebody waits at port `index` of `door`; it returns how
        many seconds to leave everybody waiting (0: none)."""
        self._loop = loop
        self._serve = serve
        self._epoll = select.epoll()
        self._doors: dict[int, tuple[Door, Owner]] = {}
        self._open = True
        loop.watch(self._epoll.fileno(), select.EPOLLIN, self._on_knock)

    def add(self, door: Door, owner: Owner) -> None:
        """Wait at `door` on behalf of `owner`. Raises: OSError(ENOSPC) beyond fs.epoll.max_user_watches."""
        number = door.fileno()
        self._epoll.register(number, select.EPOLLIN)
        self._doors[number] = (door, owner)

    def remove(self, door: Door) -> None:
        """Stop waiting at `door`, which is still open."""
        number = door.fileno()
        if self._doors.pop(number, None) is not None:
            self._epoll.unregister(number)

    def pause(self, seconds: float) -> None:
        """Leave everybody waiting for a while: the kernel's queue keeps them."""
        if self._open:
            self._open = False
            self._loop.unwatch(self._epoll.fileno())
            self._loop.later(seconds, self._resume)

    def close(self) -> None:
        """Stop waiting at all; the doors belong to their owners."""
        self._loop.unwatch(self._epoll.fileno())
        self._epoll.close()

    def _resume(self) -> None:
        self._open = True
        self._loop.watch(self._epoll.fileno(), select.EPOLLIN, self._on_knock)

    def _on_knock(self, events: int) -> None:
        for number, _ in self._epoll.poll(0, SEGMENT):
            entry = self._doors.get(number)
            if entry is None:
                continue
            door, owner = entry
            for index in door.knocks():
                if seconds := self._serve(owner, door, index):
                    self.pause(seconds)
                    return


def price(hold: Hold) -> int:
    """How many descriptors the doors of `hold` cost."""
    if hold.count < RANGE_FROM:
        return hold.count
    return 2 * -(-hold.count // SEGMENT)


def open_doors(hold: Hold, spares: Spares) -> tuple[Door, ...]:
    """Bind everything `hold` asks for, or nothing. Raises: HoldFailed."""
    doors: list[Door] = []
    try:
        if hold.count < RANGE_FROM:
            doors.extend(Single(hold, index) for index in range(hold.count))
        else:
            for first in range(0, hold.count, SEGMENT):
                doors.append(Segment(hold, first, min(SEGMENT, hold.count - first), spares))
    except HoldFailed:
        for door in doors:
            door.close()
        raise
    return tuple(doors)
