"""The parts of the UDP relay that are thinking: where a reply is sent from; and the flow table's bound."""

import contextlib
import select
import socket
import struct
from collections.abc import Iterator

import pytest

from landbridge.model.hold import Hold
from landbridge.proxy.doors import Single
from landbridge.proxy.held import Held, Span
from landbridge.proxy.loop import Loop
from landbridge.proxy.porch import Porch
from landbridge.proxy.sockets import IP_PKTINFO, open_port
from landbridge.proxy.udp import UdpRelay, reply_source


def test_an_ipv4_reply_leaves_from_the_local_address_whatever_the_interface() -> None:
    local, destination = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.255")
    came = [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 7, local, destination))]
    assert reply_source(came) == [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, local, bytes(4)))]


@pytest.mark.parametrize(("address", "kept"), [("fd00::1", 0), ("fe80::1", 7), ("febf::1", 7), ("fec0::1", 0)])
def test_an_ipv6_reply_keeps_the_interface_only_where_the_address_needs_one(address: str, kept: int) -> None:
    packed = socket.inet_pton(socket.AF_INET6, address)
    came = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16si", packed, 7))]
    assert reply_source(came) == [
        (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16si", packed, kept))
    ]


def test_without_packet_information_routing_decides() -> None:
    assert reply_source([]) == []
    assert reply_source([(socket.SOL_SOCKET, 1, b"")]) == []


class World:
    """A relay with one door on loopback and a server behind it, driven turn by turn."""

    def __init__(self, max_flows: int) -> None:
        self.loop = Loop()
        self.relay = UdpRelay(self.loop, 90, max_flows)
        self.porch = Porch(self.loop, self.relay.serve)
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.settimeout(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        hold = Hold(
            key="k",
            proto="udp",
            host_ip="127.0.0.1",
            host_port=self.port,
            target_ip="127.0.0.1",
            target_port=self.server.getsockname()[1],
        )
        self.held = Held(hold)
        self.door = Single(open_port(hold))
        self.porch.add(self.door, [Span(self.held, self.door, place=0, count=1, index=0)])

    def ask(self, client: socket.socket, question: bytes) -> tuple[str, int]:
        """Send a question through the relay, return the address the server saw."""
        client.sendto(question, ("127.0.0.1", self.port))
        self.loop.turn()
        data, upstream = self.server.recvfrom(100)
        assert data == question
        return upstream

    def close(self) -> None:
        self.held.cut()
        self.porch.close()
        self.door.close()
        self.loop.close()
        self.server.close()


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]


def test_the_flow_idle_for_longest_makes_room(clients: list[socket.socket]) -> None:
    world = World(max_flows=2)
    try:
        first, second, third = clients
        first_seen = world.ask(first, b"1")
        second_seen = world.ask(second, b"2")
        assert world.ask(first, b"1 again") == first_seen
        world.ask(third, b"3")
        assert world.relay.live == 2
        assert world.ask(first, b"still here") == first_seen
        world.server.sendto(b"to nobody", second_seen)
        assert not select.select([second], [], [], 0)[0]
        world.ask(second, b"a new flow")
        assert world.relay.live == 2
    finally:
        world.close()
    assert world.relay.live == 0


def test_a_refusal_of_an_earlier_datagram_does_not_cost_the_next(clients: list[socket.socket]) -> None:
    world = World(max_flows=2)
    address = world.server.getsockname()
    try:
        world.ask(clients[0], b"1")
        (flow,) = world.relay._flows.values()
        world.server.close()
        flow.send(memoryview(b"2"))  # refused; on loopback the ICMP error is there at once
        world.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        world.server.bind(address)
        world.server.settimeout(10)
        flow.send(memoryview(b"3"))
        assert world.server.recv(10) == b"3"
    finally:
        world.close()
