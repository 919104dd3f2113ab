"""Waiting at doors: who owns a place, being left alone for a while, and what happens when descriptors run out."""

import errno
import os
import select
import socket
from collections.abc import Iterator

import pytest

from landbridge.model.hold import Hold
from landbridge.proxy.doors import Segment, Single, Spares
from landbridge.proxy.held import Held, Span
from landbridge.proxy.loop import Loop
from landbridge.proxy.porch import Porch, find
from landbridge.proxy.tcp import BACK_OFF, TcpRelay

HOLD = Hold(key="k", proto="tcp", host_ip="127.0.0.1", host_port=1000, target_ip="10.0.0.2", target_port=2000, count=9)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.settimeout(0)
    return sock


def test_a_place_belongs_to_the_span_around_it_and_leads_to_its_own_target() -> None:
    held = Held(HOLD)
    door = Single(socket.socket())
    spans = [Span(held, door, place=2, count=3, index=4), Span(held, door, place=7, count=1, index=0)]
    assert [find(spans, place) for place in range(9)] == [None, None, *[spans[0]] * 3, None, None, spans[1], None]
    targets = [spans[0].target(place) for place in spans[0].places()]
    assert targets == [("10.0.0.2", 2004), ("10.0.0.2", 2005), ("10.0.0.2", 2006)]
    door.close()


def test_a_paused_porch_lets_wait_and_goes_on(loop: Loop) -> None:
    served: list[int] = []
    door = Single(listening())
    port = door.borrow(0).getsockname()[1]

    def serve(span: Span, place: int) -> float:
        served.append(place)
        door.borrow(0).accept()[0].close()
        return 0.0

    porch = Porch(loop, serve)
    porch.add(door, [Span(Held(HOLD), door, place=0, count=1, index=0)])
    porch.pause(0.05)
    with socket.create_connection(("127.0.0.1", port)):
        assert select.select([door.borrow(0)], [], [], 10)[0]
        while not served:
            loop.turn()
        assert served == [0]
    porch.close()
    door.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_out_of_descriptors_is_a_reason_to_wait(loop: Loop, code: int) -> None:
    class Exhausted(Single):
        """A door whose socket cannot be accepted from; the real thing takes filling the system's tables."""

        def borrow(self, place: int) -> socket.socket:
            class Listener(socket.socket):
                def accept(self) -> tuple[socket.socket, object]:
                    raise OSError(code, os.strerror(code))

            self.listener = Listener()
            return self.listener

    door = Exhausted(socket.socket())
    relay = TcpRelay(loop)
    assert relay.serve(Span(Held(HOLD), door, place=0, count=1, index=0), 0) == BACK_OFF
    door.listener.close()
    door.close()


def test_a_mistake_in_one_callback_is_told_and_the_others_go_on(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def fail(events: int) -> None:
        called.append(0)
        raise KeyError("a mistake")

    loop.watch(pipes[0][0], select.EPOLLIN | select.EPOLLET, fail)
    loop.watch(pipes[1][0], select.EPOLLIN | select.EPOLLET, lambda _: called.append(1))
    for _, writer in pipes:
        os.write(writer, b"x")
    loop.turn()
    assert sorted(called) == [0, 1]
    assert "a mistake" in capsys.readouterr().err
    for pipe in pipes:
        loop.unwatch(pipe[0])
        for end in pipe:
            os.close(end)


def test_parked_sockets_stay_bound_report_knocks_and_can_be_dropped_one_by_one() -> None:
    sockets = [listening() for _ in range(20)]
    ports = [sock.getsockname()[1] for sock in sockets]
    segment = Segment(sockets, Spares())
    assert all(sock.fileno() == -1 for sock in sockets)
    clients = [socket.create_connection(("127.0.0.1", ports[place])) for place in (3, 17)]
    assert sorted(segment.knocks()) == [3, 17]
    listener = segment.borrow(17)
    assert listener.getsockname()[1] == ports[17]
    listener.accept()[0].close()
    segment.give_back(17)
    assert list(segment.knocks()) == [3]
    segment.drop({3, 17, 0})
    assert list(segment.knocks()) == []
    for place, port in enumerate(ports):
        if place in (0, 3, 17):
            socket.create_server(("127.0.0.1", port)).close()
        else:
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))
    assert segment.borrow(18).getsockname()[1] == ports[18]
    segment.give_back(18)
    segment.close()
    socket.create_server(("127.0.0.1", ports[18])).close()
    for client in clients:
        client.close()
