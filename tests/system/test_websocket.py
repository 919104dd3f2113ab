"""Attaching through a WebSocket: output, input, the client's goodbye, and a client that opens none."""

import base64
import os
import socket
from collections.abc import Callable, Iterator

import pytest
from clients import Client
from lab import Lab

Dial = Callable[..., socket.socket]
KEY = base64.b64encode(bytes(16)).decode()


@pytest.fixture
def dial(lab: Lab) -> Iterator[Dial]:
    """`dial("/containers/x/attach/ws?…")` -> what follows the 101."""
    made: list[socket.socket] = []

    def start(target: str, status: bytes = b"101") -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.append(stream)
        stream.settimeout(60)
        stream.connect(str(lab.socket))
        head = f"GET {target} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        stream.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += stream.recv(1)
        assert answer.startswith(b"HTTP/1.1 " + status), answer
        return stream

    yield start
    for stream in made:
        stream.close()


def send(stream: socket.socket, opcode: int, payload: bytes) -> None:
    mask = os.urandom(4)
    stream.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(
        byte ^ mask[index % 4] for index, byte in enumerate(payload)
    ))  # fmt: skip


def receive(stream: socket.socket) -> tuple[int, bytes]:
    """The next short frame."""
    head = stream.recv(2, socket.MSG_WAITALL)
    assert len(head) == 2 and not head[1] & 0x80 and head[1] < 126
    return head[0] & 0x0F, stream.recv(head[1], socket.MSG_WAITALL) if head[1] else b""


def test_a_conversation(ours: Client, dial: Dial) -> None:
    ours.ok("run", "-di", "--name", "ws", "busybox", "sh", "-c", "while read x; do echo got $x; echo err >&2; done; echo end")
    stream = dial("/v1.51/containers/ws/attach/ws?stream=1&stdin=1&stdout=1")
    send(stream, 2, b"one\n")
    assert receive(stream) == (2, b"got one\n")
    send(stream, 9, b"ping")
    assert receive(stream) == (10, b"ping")
    send(stream, 1, b"two\n")
    assert receive(stream) == (2, b"got two\n")
    past = dial("/v1.51/containers/ws/attach/ws?logs=1&stdout=1&stderr=1")
    assert sorted(receive(past) for _ in range(4)) == [(2, b"err\n"), (2, b"err\n"), (2, b"got one\n"), (2, b"got two\n")]
    assert receive(past) == (8, (1000).to_bytes(2, "big"))
    send(stream, 8, (1000).to_bytes(2, "big"))
    assert receive(stream) == (8, (1000).to_bytes(2, "big"))
    assert stream.recv(1) == b""
    assert ours.ok("inspect", "-f", "{{.State.Running}}", "ws") == "true"


def test_the_end_of_the_program_is_the_servers_goodbye(ours: Client, dial: Dial) -> None:
    ours.ok("create", "--name", "ws", "busybox", "echo", "out")
    stream = dial("/v1.41/containers/ws/attach/ws?stream=1")
    ours.ok("start", "ws")
    assert receive(stream) == (2, b"out\n")
    assert receive(stream) == (8, (1000).to_bytes(2, "big"))


def test_who_may_not_write_is_not_heard(ours: Client, dial: Dial) -> None:
    ours.ok("run", "-di", "--name", "ws", "busybox", "sh", "-c", "read x; echo got $x")
    stream = dial("/v1.51/containers/ws/attach/ws?stream=1&stdout=1")
    send(stream, 2, b"unheard\n")
    other = dial("/v1.51/containers/ws/attach/ws?stream=1&stdin=1")
    send(other, 2, b"heard\n")
    assert receive(stream) == (2, b"got heard\n")


def test_refusals_come_before_the_upgrade(ours: Client, dial: Dial) -> None:
    dial("/v1.51/containers/nobody/attach/ws?stream=1", b"404")
    ours.ok("run", "-d", "--name", "ws", "busybox", "sleep", "1000")
    ours.ok("pause", "ws")
    dial("/v1.51/containers/ws/attach/ws?stream=1", b"409")
