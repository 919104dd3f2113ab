"""The DNS server of one sandbox: its sockets, and the hot path over UDP.

A repeated message costs one dictionary look-up and two stores: its replies were encoded the first time and wait
in a cycle of rotations. The cache is dropped on any change of the zone and when memory is up, never within a
batch: until that is sent, replies are referred to by address.
"""

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from landbridge.dns import wire
from landbridge.model.names import Asker
from landbridge.resolver import redirect
from landbridge.resolver.answer import Local
from landbridge.resolver.loop import EPOLLIN, Loop
from landbridge.resolver.mmsg import SIZE, SLOT, Batch, body_address
from landbridge.resolver.tcp import TcpServer

ADDRESS = "127.0.0.11"
# Above the range the kernel gives out (32768-60999), and not well known: a container rarely wants these.
PORTS = tuple(range(61053, 61069))
ROUNDS = 4  # batches before the other sandboxes get their turn
RECEIVE_BUFFER = 1 << 20
IP_FREEBIND = 15  # the daemon may bring lo up after us

# What a cached message is answered with: address and length of the reply after its id, and its owner.
Body = tuple[int, int, bytes]
Decide = Callable[["Sandbox", bytes, int | None, Callable[[bytes], None]], Local | None]


@dataclass(slots=True)
class Budget:
    """The memory all caches of hot replies share, and who has a share."""

    limit: int
    used: int = 0
    holders: set["Sandbox"] = field(default_factory=set)

    def is_spent(self) -> bool:
        """Whether everything should be dropped before more is kept."""
        return self.used > self.limit

    def reset(self) -> None:
        """Drop every cache."""
        for holder in list(self.holders):
            holder.drop_cache()


@dataclass(frozen=True, slots=True)
class Sockets:
    """What was opened inside a namespace, and the netlink socket to be closed where waiting is allowed."""

    udp: socket.socket
    tcp: socket.socket
    lingering: socket.socket


def open_sockets() -> Sockets:
    """Open UDP and TCP at 127.0.0.11 on one port and lead port 53 there, in the calling thread's namespace.

    Raises: OSError.
    """
    udp, tcp = _bind()
    try:
        lingering = redirect.install(udp.getsockname()[1])
    except OSError:
        udp.close()
        tcp.close()
        raise
    return Sockets(udp, tcp, lingering)


def _bind() -> tuple[socket.socket, socket.socket]:
    for port in (*PORTS, 0):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            for sock in (udp, tcp):
                sock.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            udp.bind((ADDRESS, port))
            tcp.bind((ADDRESS, udp.getsockname()[1]))
            tcp.listen(128)
        except OSError:
            udp.close()
            tcp.close()
            if port == 0:
                raise
        else:
            return udp, tcp
    raise AssertionError("unreachable")


class Sandbox:
    """One asker's sockets, cache and counters."""

    def __init__(
        self,
        asker: Asker,
        namespace: int,
        sockets: Sockets,
        *,
        loop: Loop,
        batch: Batch,
        budget: Budget,
        decide: Decide,
    ) -> None:
        """Takes over the namespace descriptor and the sockets."""
        self.asker = asker
        self.namespace = namespace
        self.identity = identity(namespace)
        self.queries = 0
        self._udp = sockets.udp
        self._loop, self._batch, self._budget, self._decide = loop, batch, budget, decide
        self._cache: dict[bytes, Iterator[Body]] = {}
        self._cost = 0
        self._tcp = TcpServer(loop, sockets.tcp, self._decide_stream)
        loop.watch(sockets.udp.fileno(), EPOLLIN, self._ready)

    def close(self) -> None:
        """Close everything of this sandbox, clients' connections too. Twice is no error."""
        if self.namespace < 0:
            return
        self._loop.forget(self._udp.fileno())
        self._udp.close()
        self._tcp.close()
        self.drop_cache()
        os.close(self.namespace)
        self.namespace = -1

    def drop_cache(self) -> None:
        """Forget all encoded replies."""
        self._cache.clear()
        self._budget.holders.discard(self)
        self._budget.used -= self._cost
        self._cost = 0

    def _ready(self, events: int) -> None:
        batch, fd, cached = self._batch, self._udp.fileno(), self._cache.get
        memory, lengths, bodies = batch.queries, batch.lengths, batch.bodies
        for _ in range(ROUNDS):
            count = batch.receive(fd)
            self.queries += count
            kept: list[Iterator[Body]] = []
            start = 0
            for slot in range(count):
                at = slot * SLOT
                key = memory[at + 2 : at + lengths[slot * 16 + 14]].tobytes()
                turns = cached(key)
                if turns is None:
                    turns = self._miss(slot, key)
                    if turns is None:
                        if start < slot:
                            batch.send(fd, start, slot)
                        start = slot + 1
                        continue
                    kept.append(turns)
                bodies[4 * slot + 2], bodies[4 * slot + 3], _ = next(turns)
            if start < count:
                batch.send(fd, start, count)
            if self._budget.is_spent():
                self._budget.reset()
            if count < SIZE:
                return

    def _miss(self, slot: int, key: bytes) -> Iterator[Body] | None:
        """The replies to a message not in the cache; None when there is none now."""
        if len(key) + 2 >= SLOT:
            return None  # cut by the kernel: nobody asks that much
        at = slot * SLOT
        message = self._batch.queries[at : at + 2].tobytes() + key
        client = self._batch.sender(slot)
        local = self._decide(self, message, None, lambda reply: self._send(reply, client))
        if local is None:
            return None
        # Lazily: cycle takes from the generator the first time round, and from its own copy ever after.
        turns = itertools.cycle((body_address(reply), len(reply) - 2, reply) for reply in local.replies)
        if local.lasting:
            # Some 600 bytes go to the key, the cycle, tuples and integers besides the replies.
            cost = len(key) + 600 + 2 * local.size
            self._cache[key] = turns
            self._cost += cost
            self._budget.used += cost
            self._budget.holders.add(self)
        return turns

    def _send(self, reply: bytes, client: tuple[str, int]) -> None:
        if self.namespace < 0:
            return
        try:
            self._udp.sendto(reply, client)
        except OSError:
            pass  # lost, as a datagram may be: a full buffer, a filter inside the container

    def _decide_stream(self, message: bytes, deliver: Callable[[bytes], None]) -> bytes | None:
        self.queries += 1
        local = self._decide(self, message, wire.TCP_SIZE, deliver)
        return None if local is None else next(iter(local.replies))


def identity(namespace: int) -> tuple[int, int]:
    """What tells two namespaces apart, whatever the path they are found under."""
    status = os.fstat(namespace)
    return status.st_dev, status.st_ino
