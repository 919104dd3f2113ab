"""Relayed UDP, end to end: replies come from the address that was asked, flows end and are bounded."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from proxy_kit import (
    Proxy,
    connect,
    echo,
    eventually,
    network,
    proxy,
    serving,
    start_proxy,
    tcp_hold,
    udp_hold,
)

pytestmark = pytest.mark.kernel
__all__ = ["network", "proxy", "start_proxy"]  # fixtures


@contextlib.contextmanager
def datagrams(address: str, port: int = 0) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.bind((address, port))
        yield sock


def bounce(server: socket.socket) -> bytes:
    """Answer one datagram with itself."""
    data, client = server.recvfrom(65536)
    server.sendto(data, client)
    return data


@pytest.mark.parametrize(
    ("host_ip", "asked", "client_ip", "target_ip"),
    [
        ("0.0.0.0", "10.77.0.2", "10.77.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.3", "127.0.0.1", "127.0.0.1"),
        ("::", "fd77::2", "fd77::1", "127.0.0.1"),
        ("::", "fd77::2", "::1", "fd77::1"),
        ("10.77.0.2", "10.77.0.2", "10.77.0.1", "fd77::1"),
    ],
)
@pytest.mark.parametrize("count", [1, 200])
def test_the_reply_comes_from_the_address_that_was_asked(
    proxy: Proxy, host_ip: str, asked: str, client_ip: str, target_ip: str, count: int
) -> None:
    with datagrams(target_ip, 7000) as server, datagrams(client_ip) as client:
        proxy.control.must_hold(udp_hold(5300 - count + 1, 7000 - count + 1, host_ip, target_ip=target_ip, count=count))
        for _ in range(3):
            client.sendto(b"question", (asked, 5300))
            bounce(server)
            data, source = client.recvfrom(100)
            assert (data, source[:2]) == (b"question", (asked, 5300))


def test_flows_of_several_clients_and_addresses_do_not_mix(proxy: Proxy) -> None:
    with datagrams("127.0.0.1") as server, contextlib.ExitStack() as stack:
        proxy.control.must_hold(udp_hold(5300, server.getsockname()[1], "0.0.0.0"))
        clients = [stack.enter_context(datagrams("10.77.0.1")) for _ in range(3)]
        for asked in ("10.77.0.1", "10.77.0.2"):
            for number, client in enumerate(clients):
                client.sendto(b"%s %d" % (asked.encode(), number), (asked, 5300))
        for _ in range(6):
            bounce(server)
        for number, client in enumerate(clients):
            got = {client.recvfrom(100) for _ in range(2)}
            assert got == {
                (b"%s %d" % (asked.encode(), number), (asked, 5300)) for asked in ("10.77.0.1", "10.77.0.2")
            }
        assert proxy.stats()["flows"] == 6


def test_large_and_empty_datagrams(proxy: Proxy) -> None:
    with datagrams("127.0.0.1") as server, datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, server.getsockname()[1]))
        for data in (b"", b"x" * 60_000):
            client.sendto(data, ("::1", 5300))
            bounce(server)
            assert client.recv(65536) == data


def test_a_target_that_refuses_is_asked_again(proxy: Proxy) -> None:
    with datagrams("127.0.0.1") as placeholder:
        port = placeholder.getsockname()[1]
    with datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, port))
        for _ in range(5):
            client.sendto(b"early", ("::1", 5300))
        eventually(lambda: proxy.stats()["flows"] == 1)
        with datagrams("127.0.0.1", port) as server:
            client.sendto(b"late", ("::1", 5300))
            assert bounce(server) in (b"early", b"late")
            assert client.recv(100) in (b"early", b"late")
        assert proxy.stats()["flows"] == 1


def test_idle_flows_end(start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy("--udp-idle", "0.2")
    with datagrams("127.0.0.1") as server, datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, server.getsockname()[1]))
        for _ in range(2):
            client.sendto(b"x", ("::1", 5300))
            bounce(server)
            assert client.recv(10) == b"x"
            eventually(lambda: proxy.stats()["flows"] == 0)


def test_flows_are_bounded_and_the_newest_are_served(start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy("--max-files", "400")
    with datagrams("127.0.0.1") as server, contextlib.ExitStack() as stack:
        proxy.control.must_hold(udp_hold(5300, server.getsockname()[1], count=1))
        for number in range(120):
            client = stack.enter_context(datagrams("::1"))
            client.sendto(b"%d" % number, ("::1", 5300))
            bounce(server)
            assert client.recv(10) == b"%d" % number
        assert proxy.stats()["flows"] == 400 // 8


@pytest.mark.parametrize("count", [1, 200])
def test_held_without_relay_drops(proxy: Proxy, count: int) -> None:
    with datagrams("127.0.0.1", 7000) as server, datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, 7000, relay=False, count=count))
        client.sendto(b"dropped", ("::1", 5300))
        client.sendto(b"dropped", ("::1", 5300))
        # The answer to this request comes after the datagrams that were there before it were seen... or not:
        # either way nothing that came while relay was off may be passed on, so wait until they are read.
        eventually(lambda: receive_queue(5300) == 0)
        proxy.control.must_hold(udp_hold(5300, 7000, count=count))
        client.sendto(b"relayed", ("::1", 5300))
        assert bounce(server) == b"relayed"
        assert client.recv(100) == b"relayed"


def test_tcp_and_udp_asked_for_together(proxy: Proxy) -> None:
    """A request of many bindings is packed; what listens and what does not must not be mixed up."""
    with serving(echo, port=7000), datagrams("127.0.0.1", 7000) as server, datagrams("::1") as client:
        proxy.control.must_hold(
            *[hold(port, 7000) for port in range(5000, 5040) for hold in (tcp_hold, udp_hold)]
        )
        for port in (5000, 5039):
            with connect("::1", port) as connection:
                connection.sendall(b"stream")
                assert connection.recv(10) == b"stream"
            client.sendto(b"datagram", ("::1", port))
            bounce(server)
            assert client.recvfrom(10)[1][:2] == ("::1", port)
        assert proxy.stats()["descriptors"] == 4


def test_retarget_takes_the_flow_along(proxy: Proxy) -> None:
    with datagrams("127.0.0.1") as one, datagrams("10.77.0.1") as two, datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, one.getsockname()[1]))
        client.sendto(b"1", ("::1", 5300))
        assert bounce(one) == b"1"
        target = {"key": "dns/5300", "target_ip": "10.77.0.1", "target_port": two.getsockname()[1]}
        assert proxy.control.call("retarget", targets=[target])["ok"]
        client.sendto(b"2", ("::1", 5300))
        assert bounce(two) == b"2"
        assert [client.recv(10), client.recv(10)] == [b"1", b"2"]


def test_release_ends_the_flows(proxy: Proxy) -> None:
    with datagrams("127.0.0.1") as server, datagrams("::1") as client:
        proxy.control.must_hold(udp_hold(5300, server.getsockname()[1]))
        client.sendto(b"1", ("::1", 5300))
        bounce(server)
        client.recv(10)
        assert proxy.control.call("release", keys=["dns/5300"])["ok"]
        assert proxy.stats()["flows"] == 0
        with datagrams("::1", 5300):
            pass


def receive_queue(port: int) -> int:
    """Bytes waiting at the IPv6 UDP socket on `port`."""
    with open("/proc/thread-self/net/udp6") as lines:
        for line in lines:
            fields = line.split()
            if fields[1].endswith(f":{port:04X}"):
                return int(fields[4].split(":")[1], 16)
    raise AssertionError("no such socket")
