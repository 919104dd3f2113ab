"""Servers inside containers and clients anywhere, which tell who they think they talk to.

Started as programs of their own in the network namespace in question; only the standard library is used, so that
nothing of landbridge is between a socket and what it says. A server answers every message with the address it came
from; a client prints that, and the address the answer came from.
"""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE = 4.0


@dataclass(frozen=True)
class Answer:
    """`seen` is the client as the server saw it, `source` where the answer came from; both without port."""

    seen: str
    source: str


@contextmanager
def serving(lab: Any, pid: str, *doors: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Servers in the namespace of a process at `doors` (``udp:9000``), on every address, while the block runs."""
    with _started(lab.background("nsenter", "-t", pid, "-n", *_program("serve", *doors))) as process:
        yield process


@contextmanager
def serving_outside(lab: Any, *doors: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Servers on the machine outside."""
    with _started(lab.background(*_program("serve", *doors), outside=True)) as process:
        yield process


def _program(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", __file__, *words)


@contextmanager
def _started(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n", process.stdout.read()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(lab: Any, door: str, address: str, *, outside: bool = True, source: str = "", port: int = 0) -> Answer | None:
    """What a client outside (or on the host) hears from `door` at `address`; None: nothing. `port` is its own."""
    run = lab.outside if outside else lab.host
    return answer_of(run(*client(door, address, source=source, port=port)).out)


def client(door: str, address: str, *, source: str = "", port: int = 0) -> tuple[str, ...]:
    """The command of a client, for whoever runs it elsewhere."""
    return _program("ask", door, address, source or "-", str(port))


def answer_of(text: str) -> Answer | None:
    words = text.split()
    return Answer(*words) if len(words) == 2 else None


# ---- the programs


def serve(*doors: str) -> None:
    sockets = []
    for door in doors:
        proto, _, port = door.partition(":")
        for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM)
            except OSError:
                continue  # a kernel without IPv6
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((everywhere, int(port)))
            if proto == "tcp":
                sock.listen(64)
            sockets.append(sock)
    print("ready", flush=True)
    while True:
        for sock in select.select(sockets, [], [])[0]:
            if sock.type == socket.SOCK_DGRAM:
                _, peer = sock.recvfrom(100)
                try:
                    sock.sendto(peer[0].encode(), peer)
                except OSError as error:
                    print(f"cannot answer {peer[0]}: {error}", flush=True)
            else:
                connection, peer = sock.accept()
                with connection:
                    connection.sendall(peer[0].encode())


def request(door: str, address: str, source: str, port: str) -> None:
    proto, _, number = door.partition(":")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket(family, socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM) as sock:
            sock.settimeout(0.5)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("" if source == "-" else source, int(port)))
            try:
                if proto == "udp":
                    sock.sendto(b"?", (address, int(number)))
                    said, peer = sock.recvfrom(100)
                else:
                    sock.connect((address, int(number)))
                    said, peer = sock.recv(100), sock.getpeername()
            except OSError:
                time.sleep(0.1)
                continue
        if said:
            print(said.decode(), peer[0])
            return
        time.sleep(0.1)  # a proxy took the connection and had nowhere to go


if __name__ == "__main__":
    {"serve": serve, "ask": request}[sys.argv[1]](*sys.argv[2:])
