"""Relayed UDP: one flow per client and local address, each with its own connected socket to the target.

The reply leaves through the door the question came in by, with the address that was asked as its source
(IP_PKTINFO, ip(7)). Flows end when idle or when newer ones need their place; a target that refuses (ICMP) ends
nothing, since it may be starting. Which port leads where is `held`'s business.
"""

import select
import socket
import struct
import time
from collections import OrderedDict

from landbridge.proxy.held import Span
from landbridge.proxy.loop import Loop
from landbridge.proxy.sockets import IP_PKTINFO, family_of

# Docker's own number.
IDLE_TIMEOUT = 90.0
MAX_FLOWS = 4096
# Datagrams from one socket before the others get their turn.
DATAGRAMS = 64
LARGEST = 65536
# A parked socket cannot be taken out: no descriptors are left.
BACK_OFF = 0.1

_IN_PKTINFO = struct.Struct("=i4s4s")
_IN6_PKTINFO = struct.Struct("=16si")
_CONTROL = socket.CMSG_SPACE(max(_IN_PKTINFO.size, _IN6_PKTINFO.size))

Ancillary = list[tuple[int, int, bytes]]
# Door and place asked, client address, and the local address asked, as reply_source packs it.
FlowKey = tuple[int, int, tuple[object, ...], bytes]


class Flow:
    """One client talking to one local address and port."""

    __slots__ = ("_client", "_control", "_door", "_door_socket", "_held", "_place", "_relay", "key", "last", "upstream")

    def __init__(
        self,
        relay: "UdpRelay",
        key: FlowKey,
        span: Span,
        upstream: socket.socket,
        control: Ancillary,
    ) -> None:
        """`upstream` is connected and non-blocking, and the flow's from here on."""
        self.key = key
        self.last = time.monotonic()
        self.upstream = upstream
        self._relay = relay
        self._held = span.held
        self._door = span.door
        self._place = key[1]
        self._client = key[2]
        self._control = control
        self._door_socket = span.door.borrow(key[1])
        span.held.attach(self)
        relay.loop.watch(upstream.fileno(), select.EPOLLIN, self._on_reply)

    def send(self, data: memoryview) -> None:
        """Pass one datagram on. What cannot be sent is lost, as datagrams may be."""
        for _ in range(2):
            try:
                self.upstream.send(data)
            except ConnectionRefusedError:
                continue  # the answer to an earlier datagram; this one has not been tried yet
            except OSError:
                return
            return

    def cut(self) -> None:
        """End the flow. Twice is fine."""
        if self._relay.forget(self):
            self._held.detach(self)
            self._door.give_back(self._place)
            self._relay.loop.discard(self.upstream)

    def _on_reply(self, events: int) -> None:
        scratch = self._relay.scratch
        for _ in range(DATAGRAMS):
            try:
                size = self.upstream.recv_into(scratch)
            except BlockingIOError:
                break
            except OSError:
                continue  # an ICMP error, reported once: nothing to pass on
            try:
                self._door_socket.sendmsg([scratch[:size]], self._control, 0, self._client)
            except OSError:
                continue  # the client's side is full or unreachable
        self._relay.touch(self)


class UdpRelay:
    """Receives at the doors it is told of and keeps the flows."""

    def __init__(self, loop: Loop, idle_timeout: float = IDLE_TIMEOUT, max_flows: int = MAX_FLOWS) -> None:
        self.loop = loop
        self.scratch = memoryview(bytearray(LARGEST))
        self._idle_timeout = idle_timeout
        self._max_flows = max_flows
        # Least recently used first.
        self._flows: OrderedDict[FlowKey, Flow] = OrderedDict()
        self._watching = False

    @property
    def live(self) -> int:
        """Number of flows."""
        return len(self._flows)

    def serve(self, span: Span, place: int) -> float:
        """Pass on what waits at `place`. Returns how many seconds to leave everybody waiting."""
        try:
            sock = span.door.borrow(place)
        except OSError:
            return BACK_OFF
        try:
            for _ in range(DATAGRAMS):
                try:
                    size, control, _, client = sock.recvmsg_into([self.scratch], _CONTROL)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error for an earlier reply, reported once
                if span.held.hold.relay:
                    self._pass_on(span, place, client, control, self.scratch[:size])
        finally:
            span.door.give_back(place)
        return 0.0

    def forget(self, flow: Flow) -> bool:
        """Take `flow` off the list. Returns whether it was on it."""
        return self._flows.pop(flow.key, None) is not None

    def touch(self, flow: Flow) -> None:
        """`flow` was used just now."""
        if flow.key in self._flows:
            flow.last = time.monotonic()
            self._flows.move_to_end(flow.key)

    def _pass_on(
        self, span: Span, place: int, client: tuple[object, ...], control: Ancillary, data: memoryview
    ) -> None:
        source = reply_source(control)
        key = (id(span.door), place, client, source[0][2] if source else b"")
        flow = self._flows.get(key)
        if flow is None:
            flow = self._open(key, span, source)
            if flow is None:
                return
        else:
            self.touch(flow)
        flow.send(data)

    def _open(self, key: FlowKey, span: Span, source: Ancillary) -> Flow | None:
        """A new flow, at the cost of the one idle for longest when there are too many."""
        if len(self._flows) >= self._max_flows:
            next(iter(self._flows.values())).cut()
        target = span.target(key[1])
        try:
            upstream = socket.socket(family_of(target[0]), socket.SOCK_DGRAM)
        except OSError:
            return None  # no descriptors left: this datagram is lost
        try:
            upstream.settimeout(0.0)
            upstream.connect(target)
            flow = Flow(self, key, span, upstream, source)
        except OSError:
            upstream.close()
            return None  # no route to the target: lost likewise
        self._flows[key] = flow
        if not self._watching:
            self._watching = True
            self.loop.later(self._idle_timeout, self._expire)
        return flow

    def _expire(self) -> None:
        horizon = time.monotonic() - self._idle_timeout
        self._watching = False
        while self._flows:
            oldest = next(iter(self._flows.values()))
            if oldest.last > horizon:
                self._watching = True
                self.loop.later(oldest.last - horizon, self._expire)
                return
            oldest.cut()


def reply_source(control: Ancillary) -> Ancillary:
    """Turn the control messages of a received datagram into those that answer from the address it was sent to.

    The interface index is left to routing, except for link-local addresses, which mean nothing without one.
    """
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            _, local, _ = _IN_PKTINFO.unpack(data[: _IN_PKTINFO.size])
            return [(level, kind, _IN_PKTINFO.pack(0, local, b"\0" * 4))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            address, interface = _IN6_PKTINFO.unpack(data[: _IN6_PKTINFO.size])
            link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
            return [(level, kind, _IN6_PKTINFO.pack(address, interface if link_local else 0))]
    return []
