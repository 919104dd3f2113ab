"""Clients that misbehave at a real engine: what they cost, and that nobody else notices. Counted, not timed."""

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from clients import Client
from lab import Lab
from patience import until

MEGABYTE = 1 << 20
PATIENCE = 60


def memory(lab: Lab) -> int:
    """Bytes the daemon has in memory."""
    assert lab.daemon is not None
    fields = Path(f"/proc/{lab.daemon.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(lab: Lab) -> int:
    assert lab.daemon is not None
    return len(os.listdir(f"/proc/{lab.daemon.pid}/fd"))


@contextlib.contextmanager
def dialled(lab: Lab) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(str(lab.socket))
        yield stream


def answer(stream: socket.socket) -> tuple[int, bytes]:
    """Status and the rest of what comes until the other side ends."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := stream.recv(65536):
            got += data
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def ask(lab: Lab, method: str, target: str, body: bytes = b"", *headers: str) -> tuple[int, bytes]:
    with dialled(lab) as stream:
        lines = [f"{method} {target} HTTP/1.1", "Host: d", "Connection: close", f"Content-Length: {len(body)}", *headers]
        stream.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return answer(stream)


JSON = "Content-Type: application/json"
ENDLESS = [
    b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Long: ",
    b"GET /",
    b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1;x=",
    b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n\"",
]


@pytest.mark.parametrize("begin", ENDLESS, ids=["header", "target", "extension", "trailer", "body"])
def test_a_gigabyte_of_it_is_cut_off_soon(lab: Lab, begin: bytes) -> None:
    before, sent = memory(lab), 0
    with dialled(lab) as stream:
        try:
            stream.sendall(begin)
            while sent < 1000 * MEGABYTE:
                sent += stream.send(b"a" * 65536)
        except OSError:
            pass  # the engine has had enough
        status, _ = answer(stream)
    assert sent < 40 * MEGABYTE
    assert status in (0, 400, 414, 431)
    assert memory(lab) - before < 80 * MEGABYTE
    assert ask(lab, "GET", "/_ping") == (200, b"OK")


WRONG = [
    ("POST", "/containers/create", b"", 400), ("POST", "/containers/create", b"nonsense", 400),
    ("POST", "/containers/create", b"[]", 400), ("POST", "/containers/create", b"{}", 400), ("POST", "/containers/create", b"null", 400),
    ("POST", "/containers/create", b'{"Image": "busybox", "Cmd": {"a": 1}}', 400),
    ("POST", "/containers/create", b'{"Image": "busybox", "HostConfig": {"Memory": "much"}}', 400),
    ("POST", "/containers/create", b'{"Image": "busybox"} {"Image": "busybox"}', 400),
    ("POST", "/containers/create", b'{"Image": "' + b"x" * 100_000 + b'"}', 400),
    ("POST", "/containers/create", b"[" * 100_000, 400), ("POST", "/containers/create", b'{"Image": "\xff\xfe"}', 400),
    ("POST", "/networks/create", b"{}", 400), ("POST", "/networks/create", b'{"Name": 5}', 400),
    ("POST", "/networks/create", b'{"Name": "x", "IPAM": []}', 400), ("POST", "/volumes/create", b'{"Name": []}', 400),
    ("POST", "/networks/bridge/connect", b"{}", 400), ("POST", "/containers/rude/exec", b"{}", 400),
    ("POST", "/containers/rude/exec", b'{"Cmd": "x"}', 400), ("POST", "/containers/rude/update", b'{"Memory": []}', 400),
    ("POST", "/auth", b"5", 400), ("POST", "/commit?container=rude", b"5", 400), ("POST", "/containers/rude/resize?h=x&w=1", b"", 400),
    ("POST", "/containers/rude/kill?signal=NOPE", b"", 400), ("GET", "/containers/json?filters=nonsense", b"", 400),
    ("GET", "/containers/json?limit=x", b"", 400), ("GET", "/events?since=x", b"", 400), ("GET", "/containers/rude/logs", b"", 400),
    ("GET", "/%zz", b"", 400), ("BREW", "/containers/json", b"", 404),
]  # fmt: skip


def test_what_is_wrong_in_a_request_is_an_error_for_it_alone(ours: Client) -> None:
    ours.ok("run", "-d", "--name", "rude", "busybox", "sleep", "1000")
    for method, target, body, wanted in WRONG:
        status, said = ask(ours.lab, method, target, body, *([JSON] if body else []))
        assert status == wanted, f"{method} {target} {body[:60]!r}: {status} {said!r}"
        assert json.loads(said)["message"]
    assert ask(ours.lab, "POST", "/containers/create", b'{"Image": "busybox"}', "Content-Type: text/plain")[0] in (400, 415)
    assert ours.ok("ps", "-a", "--format", "{{.Names}}") == "rude"
    assert ours.ok("volume", "ls", "-q") == ""
    assert set(ours.ok("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none"}


STREAMS = (
    "GET /containers/rude/logs?follow=1&stdout=1", "POST /containers/rude/attach?stream=1&stdout=1", "GET /events",
    "GET /containers/rude/stats", "GET /containers/rude/export", "POST /containers/rude/wait",
)  # fmt: skip
OUTPUT = 12_000_000


def test_readers_that_stall_cost_little_and_hold_nobody(ours: Client) -> None:
    lab = ours.lab
    ours.ok("create", "--name", "rude", "busybox", "sh", "-c", f"yes 0123456789 | head -c {OUTPUT}; sleep 1000 & wait")
    fds, before = descriptors(lab), memory(lab)
    with contextlib.ExitStack() as all_of_them:
        for line in STREAMS * 4:
            stream = all_of_them.enter_context(dialled(lab))
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(f"{line} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
        ours.ok("start", "rude")
        until(lambda: len(ours.ok("top", "rude").splitlines()) == 3, lambda only_sleep_is_left: only_sleep_is_left)
        for _ in range(60):  # two events each
            assert ask(lab, "POST", "/volumes/create", b'{"Name": "vx"}', JSON)[0] == 201
            assert ask(lab, "DELETE", "/volumes/vx")[0] == 204
        assert memory(lab) - before < 40 * MEGABYTE
        assert ours.ok("logs", "--tail", "1", "rude") == "0123456789"[: OUTPUT % 11 or 11]
    until(lambda: descriptors(lab), lambda count: count <= fds + 2)  # conmon's and the container's own


PARTS = [
    b"", b"GET", b"GET /_ping HTTP/1.1\r\n", b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n", b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n",
    b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{",
    b"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    b"PUT /containers/rude/archive?path=/tmp HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\nabc",
    b"GET /containers/rude/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n",
    b"GET /containers/rude/stats HTTP/1.1\r\nHost: d\r\n\r\n",
    b"POST /containers/rude/attach?stream=1&stdout=1&stdin=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello",
    b"POST /containers/rude/wait HTTP/1.1\r\nHost: d\r\n\r\n", b"GET /containers/rude/export HTTP/1.1\r\nHost: d\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("how", ["close", "reset", "read a little"])
def test_clients_that_vanish_leave_nothing(ours: Client, how: str) -> None:
    lab = ours.lab
    ours.ok("run", "-di", "--name", "rude", "busybox", "sh", "-c", "while sleep 0.02; do echo x; done")
    fds = descriptors(lab)
    for part in PARTS * 3:
        with dialled(lab) as stream:
            stream.sendall(part)
            if how == "read a little" and part.endswith(b"\r\n\r\n"):
                stream.recv(10)
            if how == "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: descriptors(lab), lambda count: count <= fds)
    assert ours.ok("inspect", "-f", "{{.State.Running}}", "rude") == "true"
    assert ours.ok("volume", "ls", "-q") == ""


def test_requests_one_behind_the_other(lab: Lab) -> None:
    """A chunked body, one announced with Expect, HTTP/1.0 at the end: pipelined on one connection."""
    one = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    chunked = b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b'8\r\n{"Name":\r\n5\r\n "vx"\r\n1\r\n}\r\n0\r\n\r\n'
    expect = b"POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with dialled(lab) as stream:
        stream.sendall(one * 50 + chunked + expect + b"Content-Length: 2\r\n\r\n")
        got = b""
        while b"100 Continue" not in got and not got.endswith(b"HTTP/1.1 100 \r\n\r\n"):
            got += stream.recv(65536)
        stream.sendall(b"{}" + b"DELETE /volumes/vx HTTP/1.1\r\nHost: d\r\n\r\n" + b"GET /_ping HTTP/1.0\r\n\r\n")
        while data := stream.recv(65536):
            got += data
    assert got.count(b"HTTP/1.1 200 ") == 51
    assert got.count(b"HTTP/1.1 201 ") == 2
    assert got.count(b"HTTP/1.1 204 ") == 1
    assert b'"Name":"vx"' in got


def test_a_connection_is_kept_for_as_many_requests_as_there_are(lab: Lab) -> None:
    fds = descriptors(lab)
    with dialled(lab) as stream:
        for _ in range(2000):
            stream.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            got = b""
            while not got.endswith(b"\r\n\r\nOK"):
                got += stream.recv(65536)
        assert descriptors(lab) <= fds + 1
