"""Relayed TCP, end to end: what a client sees through the proxy is what it would see without."""

import fcntl
import hashlib
import os
import socket
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest
from proxy_kit import (
    RESET_ON_CLOSE,
    Proxy,
    connect,
    echo,
    eventually,
    is_readable,
    network,
    proxy,
    read_all,
    serving,
    start_proxy,
    tcp_hold,
)

pytestmark = pytest.mark.kernel
__all__ = ["network", "proxy", "start_proxy"]  # fixtures


@pytest.mark.parametrize(
    ("host_ip", "target_ip"),
    [("::1", "127.0.0.1"), ("127.0.0.1", "10.77.0.1"), ("::1", "fd77::1"), ("127.0.0.1", "fd77::1")],
)
def test_echo(proxy: Proxy, host_ip: str, target_ip: str) -> None:
    with serving(echo, target_ip) as port:
        proxy.control.must_hold(tcp_hold(8080, port, host_ip, target_ip=target_ip))
        with connect(host_ip, 8080) as client:
            for word in (b"one", b"two"):
                client.sendall(word)
                assert client.recv(10) == word


def test_any_addresses_of_both_families_share_a_number(proxy: Proxy) -> None:
    with serving(echo) as port:
        proxy.control.must_hold(
            tcp_hold(8080, port, "0.0.0.0", key="4"), tcp_hold(8080, port, "::", key="6")
        )
        for address in ("127.0.0.1", "10.77.0.2", "::1", "fd77::2"):
            with connect(address, 8080) as client:
                client.sendall(b"x")
                assert client.recv(10) == b"x"


def test_half_close_by_the_client(proxy: Proxy) -> None:
    def count_then_answer(connection: socket.socket) -> None:
        connection.sendall(str(len(read_all(connection))).encode())

    with serving(count_then_answer) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            client.sendall(b"x" * 300_000)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"300000"
    eventually(lambda: proxy.stats()["connections"] == 0)


def test_half_close_by_the_server(proxy: Proxy) -> None:
    got: list[bytes] = []

    def speak_first(connection: socket.socket) -> None:
        connection.sendall(b"banner")
        connection.shutdown(socket.SHUT_WR)
        got.append(read_all(connection))

    with serving(speak_first) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            assert read_all(client) == b"banner"
            client.sendall(b"still " * 100_000)
            client.sendall(b"here")
    assert got == [b"still " * 100_000 + b"here"]


def test_100_megabytes_arrive_unchanged_while_as_many_come_back(proxy: Proxy) -> None:
    block = os.urandom(1 << 20)
    sent = hashlib.sha256()
    returned = hashlib.sha256()
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:

            def send() -> None:
                for number in range(100):
                    data = number.to_bytes(8, "big") + block
                    sent.update(data)
                    client.sendall(data)
                client.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            while data := client.recv(1 << 20):
                returned.update(data)
            sender.join()
    assert sent.digest() == returned.digest()


def test_refused_target_resets_the_client(proxy: Proxy) -> None:
    proxy.control.must_hold(tcp_hold(8080, 9))
    assert is_reset(8080)


def test_unreachable_target_resets_the_client(proxy: Proxy) -> None:
    proxy.control.must_hold(tcp_hold(8080, 9, target_ip="192.0.2.1"))
    assert is_reset(8080)


@pytest.mark.parametrize("count", [1, 200])
def test_held_without_relay_refuses(proxy: Proxy, count: int) -> None:
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port, relay=False, count=count))
        assert is_reset(8080)
        proxy.control.must_hold(tcp_hold(8080, port, count=count))
        with connect("::1", 8080) as client:
            client.sendall(b"now")
            assert client.recv(10) == b"now"


def test_a_reset_by_the_server_arrives_as_a_reset(proxy: Proxy) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    with serving(reset) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            client.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_reset_by_the_client_arrives_as_a_reset(proxy: Proxy) -> None:
    seen: list[type] = []

    def watch(connection: socket.socket) -> None:
        connection.sendall(b"ready")
        try:
            connection.recv(1)
        except OSError as error:
            seen.append(type(error))

    with serving(watch) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        client = connect("::1", 8080)
        assert client.recv(10) == b"ready"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        client.close()
    assert seen == [ConnectionResetError]
    assert proxy.stats()["connections"] == 0


def test_a_reset_after_a_half_close_is_noticed_while_the_server_is_silent(proxy: Proxy) -> None:
    ended, release = threading.Event(), threading.Event()

    def silent(connection: socket.socket) -> None:
        read_all(connection)
        ended.set()
        release.wait()

    with serving(silent) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        client = connect("::1", 8080)
        client.shutdown(socket.SHUT_WR)
        ended.wait()
        try:
            assert proxy.stats()["connections"] == 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.close()
            eventually(lambda: proxy.stats()["connections"] == 0)
        finally:
            release.set()


def test_a_reset_by_the_server_after_its_half_close_ends_a_silent_client(proxy: Proxy) -> None:
    read_to_the_end = threading.Event()

    def leave(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        read_to_the_end.wait(30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    with serving(leave) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            assert client.recv(1) == b""
            assert proxy.stats()["connections"] == 1
            read_to_the_end.set()
            eventually(lambda: proxy.stats()["connections"] == 0)


def test_an_early_answer_survives_an_unfinished_upload(proxy: Proxy) -> None:
    """The server answers and closes with input unread, which resets: the answer must get through all the same."""
    answer = b"too large " * 20_000
    stuck = threading.Event()

    def refuse(connection: socket.socket) -> None:
        stuck.wait()
        connection.sendall(answer)
        # Closing with input unread destroys what is not acknowledged yet, relay or not.
        eventually(lambda: not unacknowledged(connection))

    with serving(refuse) as port, socket.socket(socket.AF_INET6) as client:
        proxy.control.must_hold(tcp_hold(8080, port))
        # The answer must not fit into the client, so that it is the proxy who has it when the server is gone.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(1)
        client.connect(("::1", 8080))
        with pytest.raises(TimeoutError):
            while True:
                client.send(b"x" * 65536)
        stuck.set()
        eventually(lambda: proxy.stats()["connections"] == 0)
        client.settimeout(30)
        assert read_all(client) == answer


def test_a_reader_that_stalls_stalls_the_sender_and_costs_bounded_memory(proxy: Proxy) -> None:
    sent: list[int] = []
    block = b"x" * (1 << 20)
    limit = 512 << 20

    def flood(connection: socket.socket) -> None:
        connection.settimeout(1)
        total = 0
        try:
            while total < limit:
                total += connection.send(block)
        except TimeoutError:
            sent.append(total)

    with serving(flood) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        before = proxy.rss()
        clients = [connect("::1", 8080) for _ in range(4)]
        eventually(lambda: len(sent) == 4)
        # Socket buffers of both connections, autotuned, and one pipe: far from what it would have sent.
        assert max(sent) < 64 << 20
        assert proxy.rss() - before < 4 << 20
        received = 0
        for client in clients:
            with client:
                received += len(read_all(client))
        assert received == sum(sent)


def test_release_cuts_what_came_in(proxy: Proxy) -> None:
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            client.sendall(b"x")
            client.recv(1)
            assert proxy.control.call("release", keys=["web/8080", "unknown"])["ok"]
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect("::1", 8080)


def test_retarget_leads_the_same_socket_elsewhere(proxy: Proxy) -> None:
    with serving(echo) as port, serving(lambda c: c.sendall(b"other"), "10.77.0.1") as other:
        proxy.control.must_hold(tcp_hold(8080, port))
        inode = listening_inode(8080)
        with connect("::1", 8080) as client:
            client.sendall(b"x")
            client.recv(1)
            target = {"key": "web/8080", "target_ip": "10.77.0.1", "target_port": other}
            assert proxy.control.call("retarget", targets=[target])["ok"]
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect("::1", 8080) as client:
            assert read_all(client) == b"other"
        assert listening_inode(8080) == inode


def test_each_port_of_a_range_leads_to_its_own_target(proxy: Proxy) -> None:
    def name(own: int) -> bytes:
        return f"port {own}".encode()

    places = [0, 1, 127, 128, 299]
    proxy.control.must_hold(tcp_hold(20000, 30000, count=300))
    for place in places:
        with (
            serving(lambda c, place=place: c.sendall(name(30000 + place)), port=30000 + place),
            connect("::1", 20000 + place) as client,
        ):
            assert read_all(client) == name(30000 + place)
    stats = proxy.stats()
    assert (stats["ports"], stats["descriptors"]) == (300, 6)


def test_more_ports_of_a_range_in_use_than_copies_are_kept(proxy: Proxy) -> None:
    with serving(echo, port=30000):
        proxy.control.must_hold(tcp_hold(20000, 30000, count=300))
        for _ in range(2):
            for place in range(300):
                if place:
                    assert is_reset(20000 + place)
                    continue
                with connect("::1", 20000) as client:
                    client.sendall(b"x")
                    assert client.recv(1) == b"x"
    open_files = len(list(Path(f"/proc/{proxy.process.pid}/fd").iterdir()))
    assert open_files < 100


def test_a_burst_of_clients_is_served(proxy: Proxy) -> None:
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        clients = [connect("::1", 8080) for _ in range(300)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        for number, client in enumerate(clients):
            with client:
                assert client.recv(10) == b"%d" % number
        eventually(lambda: proxy.stats()["connections"] == 0)


def test_source_ports_in_time_wait_are_used_again(proxy: Proxy) -> None:
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
    Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("0")
    with serving(echo, port=7000):
        proxy.control.must_hold(tcp_hold(8080, 7000))
        for number in range(20):
            with socket.socket(socket.AF_INET6) as client:
                client.bind(("::1", 50000 + number))
                client.settimeout(60)
                client.connect(("::1", 8080))
                client.sendall(b"x")
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == b"x"
    states = [line.split()[3] for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    assert "06" in states, "nothing was in TIME_WAIT: this test proved nothing"


def test_out_of_descriptors_leaves_clients_waiting_until_some_are_free(start_proxy) -> None:
    proxy = start_proxy("--max-files", "300")
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        clients = [connect("::1", 8080) for _ in range(160)]
        for client in clients:
            client.sendall(b"x")
        assert clients[0].recv(1) == b"x"
        assert not is_readable(clients[-1], 0.5)
        for client in clients[:130]:
            client.close()
        assert clients[-1].recv(1) == b"x"
        for client in clients[130:]:
            client.close()


def is_reset(port: int) -> bool:
    """Whether a client of `port` is accepted, and reset before it gets a byte or an end."""
    try:
        with connect("::1", port) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


def unacknowledged(connection: socket.socket) -> int:
    return struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]


def listening_inode(port: int) -> str:
    lines = subprocess.run(
        ["ss", "-Hltne", f"sport = :{port}"], check=True, capture_output=True, text=True
    ).stdout.split()
    return next(word for word in lines if word.startswith("ino:"))
