"""Questions that are not ours, to the servers that should know.

The client's own message goes out (flags, EDNS, letter case) and the reply comes back as it is, both but for the id.
Equal messages in flight share one answer. Servers are asked in order, the next one when the one before fails or is
slow, while the slow one may still answer. The first reply with data wins; "no such name" from a later
server waits for the earlier ones, since lists often name an inner server that knows more before an outer one.

Bounded: attempts have deadlines, flights a limit, and when that is reached the oldest flight of whoever has most
gives way.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from landbridge.dns import wire
from landbridge.resolver.answer import failure
from landbridge.resolver.attempt import Attempt, TcpAttempt, UdpAttempt, family
from landbridge.resolver.loop import Loop
from landbridge.resolver.netns import Namespaces
from landbridge.resolver.replies import Replies

SERVERS = 3  # libc and Docker look at no more
ATTEMPT_SECONDS = 4.0
# A server that has not answered for this long gets company.
STEP_SECONDS = 1.0
# For this long a server that let an attempt run out is asked after the others.
SILENT_SECONDS = 10.0
WAITERS = 256  # equal messages on one flight; more are dropped, the clients will repeat them

Deliver = Callable[[bytes], None]
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Servers and where they are asked from: a namespace descriptor, or None for the host's.

    `scope` names the place for the cache and for sharing: what one place answers says nothing about another.
    """

    scope: str
    servers: tuple[str, ...]
    namespace: int | None = None


class Forwarder:
    """All flights of the process."""

    def __init__(self, loop: Loop, namespaces: Namespaces, limit: int) -> None:
        self.loop = loop
        self._namespaces = namespaces
        self._limit = limit
        self._flights: dict[Key, Flight] = {}
        self._by_owner: dict[str, dict[Key, Flight]] = {}
        self._silent: dict[tuple[str, str], float] = {}
        self.replies = Replies()
        self.hits = self.sent = 0

    def ask(
        self, owner: str, upstreams: Upstreams, query: wire.Query, message: bytes, *, stream: bool, deliver: Deliver
    ) -> bytes | None:
        """Answer at once from the cache, or return None and call `deliver` later with the reply.

        `owner` is who is charged for the flight; `stream` is whether the client came over TCP, as we shall then.
        """
        key: Key = (stream, upstreams.scope, upstreams.servers, message[2:])
        kept = self.replies.get(key)
        if kept is not None:
            self.hits += 1
            return message[:2] + kept[2:]
        flight = self._flights.get(key)
        if flight is not None:
            flight.join(message[:2], deliver)
            return None
        if len(self._flights) >= self._limit:
            self._make_room()
        flight = Flight(self, owner, upstreams, key, query, message, self._plan(upstreams, stream=stream))
        flight.join(message[:2], deliver)
        self._flights[key] = flight
        self._by_owner.setdefault(owner, {})[key] = flight
        self.sent += 1
        flight.start()
        return None

    def cancel(self, namespace: int) -> None:
        """End every flight from within that namespace, with no answer to anybody."""
        for flight in [f for f in self._flights.values() if f.upstreams.namespace == namespace]:
            flight.end()

    def __len__(self) -> int:
        return len(self._flights)

    def _plan(self, upstreams: Upstreams, *, stream: bool) -> "list[tuple[str, type[UdpAttempt] | type[TcpAttempt]]]":
        now = time.monotonic()
        servers = sorted(
            upstreams.servers[:SERVERS], key=lambda server: self._silent.get((upstreams.scope, server), 0.0) > now
        )
        if stream:
            # Some servers speak no TCP; a datagram's answer, if whole, is still an answer.
            return [(server, kind) for kind in (TcpAttempt, UdpAttempt) for server in servers]
        return [(server, UdpAttempt) for server in servers]

    def _make_room(self) -> None:
        owner = max(self._by_owner, key=lambda name: len(self._by_owner[name]))
        next(iter(self._by_owner[owner].values())).give_up()

    def attempt(self, flight: "Flight", server: str, kind: type[UdpAttempt] | type[TcpAttempt]) -> Attempt:
        """Begin one. Raises: OSError."""
        way = socket.SOCK_DGRAM if kind is UdpAttempt else socket.SOCK_STREAM
        flags = way | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        sock = self._namespaces.call(flight.upstreams.namespace, lambda: socket.socket(family(server), flags))
        try:
            return kind(self.loop, flight, sock, server, flight.message, flight.query.question)
        except (OSError, OverflowError):
            sock.close()
            raise

    def remember_silent(self, scope: str, server: str) -> None:
        """That server kept somebody waiting for nothing."""
        if len(self._silent) > 1024:
            self._silent.clear()
        self._silent[scope, server] = time.monotonic() + SILENT_SECONDS

    def remember_alive(self, scope: str, server: str) -> None:
        """That server answers."""
        self._silent.pop((scope, server), None)

    def forget(self, flight: "Flight") -> None:
        """The flight is over."""
        self._flights.pop(flight.key, None)
        owned = self._by_owner.get(flight.owner, {})
        owned.pop(flight.key, None)
        if not owned:
            self._by_owner.pop(flight.owner, None)


class Flight:
    """One message on its way to one or several servers, and who waits for it."""

    __slots__ = (
        "_attempts",
        "_done",
        "_forwarder",
        "_held",
        "_plan",
        "_rank",
        "_waiters",
        "key",
        "message",
        "owner",
        "query",
        "upstreams",
    )

    def __init__(
        self,
        forwarder: Forwarder,
        owner: str,
        upstreams: Upstreams,
        key: Key,
        query: wire.Query,
        message: bytes,
        plan: list[tuple[str, type[UdpAttempt] | type[TcpAttempt]]],
    ) -> None:
        self._forwarder = forwarder
        self.owner = owner
        self.upstreams = upstreams
        self.key = key
        self.query = query
        self.message = message
        self._plan = plan
        self._attempts: list[Attempt] = []
        self._waiters: list[tuple[bytes, Deliver]] = []
        self._rank = 0
        self._held: bytes | None = None
        self._done = False

    def join(self, ident: bytes, deliver: Deliver) -> None:
        """One more wants the answer."""
        if len(self._waiters) < WAITERS:
            self._waiters.append((ident, deliver))

    def start(self) -> None:
        """Ask the first server and set the clock."""
        self._next()
        if not self._done:
            self._forwarder.loop.later(STEP_SECONDS, self._step)

    def _next(self) -> None:
        while self._plan:
            server, kind = self._plan.pop(0)
            try:
                attempt = self._forwarder.attempt(self, server, kind)
            except (OSError, OverflowError):
                continue  # no route, no such zone: the next one then
            attempt.deadline = time.monotonic() + ATTEMPT_SECONDS
            attempt.rank = self._rank = self._rank + 1
            self._attempts.append(attempt)
            return
        if not self._attempts:
            if self._held is not None:
                self._finish(self._held)
            else:
                self.give_up()

    def _step(self) -> None:
        if self._done:
            return
        now = time.monotonic()
        for attempt in list(self._attempts):
            if attempt.deadline <= now:
                self._forwarder.remember_silent(self.upstreams.scope, attempt.server)
                self._drop(attempt)
            else:
                attempt.repeat()
        self._next()
        if not self._done:
            self._forwarder.loop.later(STEP_SECONDS, self._step)

    def answered(self, attempt: Attempt, reply: bytes, response: wire.Response) -> None:
        """Take the reply, unless the server could not or would not."""
        self._forwarder.remember_alive(self.upstreams.scope, attempt.server)
        stream_needs_more = response.truncated and bool(self.key[0])
        if response.rcode in (wire.SERVFAIL, wire.REFUSED) or stream_needs_more:
            self.failed(attempt)
            return
        earlier = [other for other in self._attempts if other.rank < attempt.rank]
        if response.negative and earlier:
            # Only those can say better: nobody after this one is asked or waited for.
            self._held = reply
            self._plan = []
            for other in [other for other in self._attempts if other not in earlier]:
                self._drop(other)
            return
        self._forwarder.replies.put(self.key, reply, response)
        self._finish(reply)

    def failed(self, attempt: Attempt) -> None:
        """This server is done; the next one, if there is one."""
        self._drop(attempt)
        self._next()

    def _drop(self, attempt: Attempt) -> None:
        attempt.close()
        if attempt in self._attempts:
            self._attempts.remove(attempt)

    def give_up(self) -> None:
        """Nobody could answer."""
        self._finish(failure(self.query))

    def _finish(self, reply: bytes) -> None:
        waiters = self._waiters
        self.end()
        for ident, deliver in waiters:
            deliver(ident + reply[2:])

    def end(self) -> None:
        """Stop without a word. Twice is no error."""
        self._done = True
        for attempt in self._attempts:
            attempt.close()
        self._attempts = []
        self._waiters = []
        self._forwarder.forget(self)
