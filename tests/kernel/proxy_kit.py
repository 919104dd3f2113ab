"""What the proxy's kernel tests share: a network of their own, a running proxy, a plain control client, servers.

Everything cleans up after itself. Tests run inside a fresh network namespace (entered by the test's own thread,
inherited by what it starts), so that every port number is free and nobody else is disturbed.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from landbridge.model.hold import Hold
from landbridge.proxy.protocol import Lines, decode, holds_to_json, request

CLONE_NEWNET = 0x40000000
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@pytest.fixture
def network() -> Iterator[None]:
    """A network namespace with loopback and some more local addresses, for the length of one test."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc.unshare(CLONE_NEWNET))
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for address in ("10.77.0.1/32", "10.77.0.2/32", "fd77::1/128", "fd77::2/128"):
            subprocess.run(["ip", "address", "add", address, "dev", "lo", *_flags(address)], check=True)
        yield
    finally:
        _check(_libc.setns(before, CLONE_NEWNET))
        os.close(before)


def _flags(address: str) -> list[str]:
    # Without nodad an IPv6 address is tentative at first and cannot be bound.
    return ["nodad"] if ":" in address else []


class Control:
    """A blocking control connection."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        try:
            self.sock.connect(str(path))
        except OSError:
            self.sock.close()
            raise
        self._lines = Lines()
        self._seq = 0

    def call(self, op: str, **rest: object) -> dict:
        """One request, one answer."""
        self._seq += 1
        self.sock.sendall(request(self._seq, op, **rest))
        while data := self.sock.recv(1 << 20):
            for line in self._lines.feed(data):
                answer = decode(line)
                assert answer["seq"] == self._seq
                return answer
        raise ConnectionError("the proxy hung up")

    def hold(self, *holds: Hold) -> dict:
        return self.call("hold", holds=holds_to_json(holds))

    def replace(self, *holds: Hold) -> dict:
        return self.call("replace", holds=holds_to_json(holds))

    def must_hold(self, *holds: Hold) -> None:
        answer = self.hold(*holds)
        assert answer["ok"], answer

    def close(self) -> None:
        self.sock.close()


def control_of(process: subprocess.Popen[str], path: Path) -> Control:
    """A connection to a proxy that is just starting."""
    for _ in range(1000):
        try:
            return Control(path)
        except OSError:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
    raise AssertionError("the proxy did not start")


class Proxy:
    """A running proxy and one control connection to it."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-m", "landbridge.proxy", "--socket", str(path), *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.control = control_of(self.process, path)

    def rss(self) -> int:
        """Resident memory in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def stats(self) -> dict:
        return self.control.call("stats")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit status and everything it said on stderr."""
        self.control.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def start_proxy(network: None, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies inside the network; each must end cleanly and without a word."""
    started: list[Proxy] = []

    def start(*arguments: str) -> Proxy:
        proxy = Proxy(tmp_path / "proxy.sock", *arguments)
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        if proxy.process.returncode is None:
            assert proxy.end() == (0, "")


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy with default settings."""
    return start_proxy()


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], None], address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A TCP server that runs `handle(connection)` in a thread each; yields its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=1024)
    with listener:
        listener.settimeout(0.1)
        stopped = threading.Event()
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(60)
                try:
                    handle(connection)
                except OSError:
                    pass  # the client side of the test decides what may fail

        def accept() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=one, args=(connection,)))
                threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopped.set()
            acceptor.join()
            for thread in threads:
                thread.join()


def echo(connection: socket.socket) -> None:
    """Send everything back, then the end."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the end."""
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def connect(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=60)


def tcp_hold(port: int, target_port: int, host_ip: str = "::1", **rest: object) -> Hold:
    values: dict = {"key": f"web/{port}", "proto": "tcp", "target_ip": "127.0.0.1"} | rest
    return Hold(host_ip=host_ip, host_port=port, target_port=target_port, **values)


def udp_hold(port: int, target_port: int, host_ip: str = "::1", **rest: object) -> Hold:
    return tcp_hold(port, target_port, host_ip, **({"proto": "udp", "key": f"dns/{port}"} | rest))


def eventually(condition: Callable[[], object]) -> None:
    """Wait for `condition`; a test that never gets there fails by pytest's own timeout."""
    while not condition():
        time.sleep(0.01)


def is_readable(sock: socket.socket, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(seconds))
