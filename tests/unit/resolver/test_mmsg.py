"""Batches of datagrams over real loopback sockets."""

import socket
from collections.abc import Iterator

import pytest

from landbridge.resolver.mmsg import SIZE, SLOT, Batch, body_address


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as server, socket.socket(*kind) as client:
        server.bind(("127.0.0.1", 0))
        client.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.settimeout(5)
        yield server, client


def test_what_was_sent_is_received_slot_by_slot(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    batch = Batch()
    assert batch.receive(server.fileno()) == 0
    sent = [bytes([i]) * (i + 1) for i in range(SIZE + 6)]
    for datagram in sent:
        client.send(datagram)
    received = []
    for expected in (SIZE, 6):
        assert batch.receive(server.fileno()) == expected
        for slot in range(expected):
            assert batch.sender(slot) == client.getsockname()
            length = batch.lengths[slot * 16 + 14]
            received.append(bytes(batch.queries[slot * SLOT : slot * SLOT + length]))
    assert received == sent


def test_replies_take_the_id_of_the_query_in_their_slot(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    batch = Batch()
    for i in range(6):
        client.send(bytes([i, i]) + b"question")
    assert batch.receive(server.fileno()) == 6
    replies = [b"__reply %d" % i for i in range(6)]
    for slot, reply in enumerate(replies):
        batch.bodies[4 * slot + 2], batch.bodies[4 * slot + 3] = body_address(reply), len(reply) - 2
    batch.send(server.fileno(), 1, 3)
    batch.send(server.fileno(), 5, 6)
    assert [client.recv(99) for _ in range(3)] == [bytes([i, i]) + b"reply %d" % i for i in (1, 2, 5)]


def test_a_datagram_the_kernel_refuses_does_not_stop_the_others(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    batch = Batch()
    for _ in range(3):
        client.send(b"id")
    assert batch.receive(server.fileno()) == 3
    too_long = b"x" * 70000
    for slot, reply in enumerate((b"__a", too_long, b"__c")):
        batch.bodies[4 * slot + 2], batch.bodies[4 * slot + 3] = body_address(reply), len(reply) - 2
    batch.send(server.fileno(), 0, 3)
    assert [client.recv(99), client.recv(99)] == [b"ida", b"idc"]


def test_an_overlong_datagram_is_cut_to_its_slot(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    batch = Batch()
    client.send(b"x" * (SLOT + 1000))
    assert batch.receive(server.fileno()) == 1
    assert batch.lengths[14] == SLOT
