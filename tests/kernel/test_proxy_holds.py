"""Held ports: nobody else can have them, all or nothing, no gap, and whoever controls the proxy may come and go."""

import contextlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from proxy_kit import (
    Control,
    Proxy,
    connect,
    control_of,
    echo,
    eventually,
    network,
    proxy,
    serving,
    start_proxy,
    tcp_hold,
    udp_hold,
)

from landbridge.model.hold import Hold

pytestmark = pytest.mark.kernel
__all__ = ["network", "proxy", "start_proxy"]  # fixtures

TAKER = """
import socket, sys
kind = getattr(socket, sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, kind)
s.bind((sys.argv[1], int(sys.argv[2])))
if kind is socket.SOCK_STREAM:
    s.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def taken(address: str, port: int, kind: str = "SOCK_STREAM") -> Iterator[int]:
    """Another process has the port; yields its pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, address, str(port), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate()


def can_take(proto: str, address: str, port: int, *options: int) -> bool:
    """Whether another program could have the port, and in the end listen there, with these socket options."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            sock.bind((address, port))
            if proto == "tcp":
                sock.listen()
        except OSError:
            return False
        return True


def inodes(proto: str = "tcp") -> dict[int, str]:
    """Inode of each bound IPv4 port."""
    found = {}
    for line in Path(f"/proc/thread-self/net/{proto}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] in ("0A", "07"):
            found[int(fields[1].split(":")[1], 16)] = fields[9]
    return found


@pytest.mark.parametrize(
    "options", [(), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)]
)
@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize(("host_ip", "other"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::", "::1")])
@pytest.mark.parametrize("relay", [True, False])
def test_nobody_else_can_have_a_held_port(
    proxy: Proxy, host_ip: str, other: str, proto: str, options: tuple[int, ...], *, relay: bool
) -> None:
    assert can_take(proto, host_ip, 8080, *options)
    proxy.control.must_hold(
        tcp_hold(8080, 80, host_ip, proto=proto, key="one", relay=relay),
        tcp_hold(9000, 80, host_ip, proto=proto, key="many", count=300, relay=relay),
    )
    for port in (8080, 9000, 9127, 9128, 9299):
        for address in (host_ip, other):
            assert not can_take(proto, address, port, *options)
    assert can_take(proto, host_ip, 9300, *options)
    assert proxy.control.call("release", keys=["one", "many"])["ok"]
    for port in (8080, 9000, 9127, 9128, 9299):
        assert can_take(proto, host_ip, port, *options)


def test_families_are_held_apart(proxy: Proxy) -> None:
    proxy.control.must_hold(tcp_hold(8080, 80, "::"))
    assert can_take("tcp", "0.0.0.0", 8080)


@pytest.mark.parametrize(
    ("proto", "kind", "where"),
    [
        ("tcp", "SOCK_STREAM", "0.0.0.0"),
        ("udp", "SOCK_DGRAM", "0.0.0.0"),
        ("tcp", "SOCK_STREAM", "127.0.0.1"),
        ("udp", "SOCK_DGRAM", "127.0.0.1"),
        ("tcp", "SOCK_STREAM", "::"),
    ],
)
@pytest.mark.parametrize("count", [1, 300])
def test_a_taken_port_names_its_holder_and_nothing_is_held(
    proxy: Proxy, proto: str, kind: str, where: str, count: int
) -> None:
    with taken(where, 8200, kind) as pid:
        holds = [
            Hold(key="free", proto=proto, host_ip="0.0.0.0", host_port=7000, target_ip="10.0.0.2", target_port=80),
            tcp_hold(8201 - count, 1, "0.0.0.0", proto=proto, key="taken", count=count),
        ]
        answer = proxy.control.hold(*holds)
        assert not answer["ok"]
        error = answer["error"]
        assert (error["reason"], error["key"], error["port"]) == ("EADDRINUSE", "taken", 8200)
        assert error["holder"].startswith(f"pid {pid} (python")
        assert can_take(proto, "0.0.0.0", 7000)
        stats = proxy.stats()
        assert (stats["holds"], stats["ports"], stats["descriptors"]) == (0, 0, 0)
    assert proxy.control.hold(*holds)["ok"]


@pytest.mark.parametrize("count", [1, 300])
def test_a_port_held_by_another_key_names_it(proxy: Proxy, count: int) -> None:
    proxy.control.must_hold(tcp_hold(8000, 80, "0.0.0.0", key="first", count=count))
    error = proxy.control.hold(tcp_hold(8000, 80, "127.0.0.1", key="second"))["error"]
    assert (error["reason"], error["holder"]) == ("EADDRINUSE", "landbridge (first)")


def test_other_reasons(proxy: Proxy) -> None:
    def reason(hold: Hold) -> str:
        return proxy.control.hold(hold)["error"]["reason"]

    assert reason(tcp_hold(8080, 80, "192.0.2.1")) == "EADDRNOTAVAIL"
    assert reason(tcp_hold(8080, 80, "localhost")) == "EINVAL"
    assert reason(tcp_hold(8080, 80, "2001:db8::99")) == "EADDRNOTAVAIL"
    proxy.control.must_hold(tcp_hold(8080, 80, key="k"))
    assert reason(tcp_hold(8081, 80, key="k")) == "EEXIST"
    answer = proxy.control.hold(tcp_hold(8082, 80, proto="sctp", key="sctp"))
    if not answer["ok"]:
        assert answer["error"]["reason"] == "EPROTONOSUPPORT"
        assert "SCTP" in answer["error"]["message"]


def test_holding_twice_changes_nothing(proxy: Proxy) -> None:
    holds = [tcp_hold(8080, 80, "0.0.0.0"), tcp_hold(9000, 80, "0.0.0.0", count=10, key="many")]
    proxy.control.must_hold(*holds)
    before = inodes()
    proxy.control.must_hold(*holds)
    proxy.control.must_hold(tcp_hold(8080, 81, "0.0.0.0"))
    assert inodes() == before


def test_replace_keeps_what_stays_opens_what_is_new_and_reports_what_fails(proxy: Proxy) -> None:
    proxy.control.must_hold(
        tcp_hold(8001, 80, "0.0.0.0", key="stays"),
        tcp_hold(8002, 80, "0.0.0.0", key="renamed"),
        tcp_hold(9000, 80, "0.0.0.0", key="range", count=300),
        tcp_hold(8003, 80, "0.0.0.0", key="goes"),
        tcp_hold(8004, 80, "127.0.0.1", key="widens"),
    )
    before = inodes()
    with serving(echo) as port, taken("0.0.0.0", 8005) as pid:
        answer = proxy.control.replace(
            tcp_hold(8001, port, "0.0.0.0", key="stays"),
            tcp_hold(8002, 80, "0.0.0.0", key="new name"),
            tcp_hold(9000, 80, "0.0.0.0", key="range", count=300),
            tcp_hold(8004, 80, "0.0.0.0", key="widens"),
            tcp_hold(8005, 80, "0.0.0.0", key="taken"),
            tcp_hold(8006, 80, "0.0.0.0", key="new"),
        )
        assert answer["ok"]
        (failure,) = answer["failures"]
        assert (failure["key"], failure["reason"]) == ("taken", "EADDRINUSE")
        assert f"pid {pid} " in failure["holder"]
        with connect("127.0.0.1", 8001) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
    after = inodes()
    stays = {8001, 8002, *range(9000, 9300)}
    assert {port: before[port] for port in stays} == {port: after[port] for port in stays}
    assert after.keys() - stays == {8004, 8006}
    assert proxy.stats()["ports"] == 304
    proxy.control.call("release", keys=["new name"])
    assert 8002 not in inodes()


def test_ports_in_time_wait_can_be_held_again_at_once(start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy()
    hold = tcp_hold(8080, 7000, "0.0.0.0")
    with serving(lambda connection: connection.sendall(b"bye"), port=7000):
        proxy.control.must_hold(hold)
        # The server ends first, so the proxy's side of the client connection is what stays in TIME_WAIT.
        with connect("127.0.0.1", 8080) as client:
            assert client.recv(10) == b"bye"
            assert client.recv(10) == b""
        eventually(lambda: proxy.stats()["connections"] == 0)
    waiting = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    assert any(fields[1].endswith(":1F90") and fields[3] == "06" for fields in waiting), "no TIME_WAIT: proves nothing"
    assert proxy.end() == (0, "")
    start_proxy().control.must_hold(hold)


def test_ten_thousand_ports_one_by_one_and_as_a_range(start_proxy: Callable[..., Proxy]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12_000:
        pytest.skip("the hard limit of descriptors is too low for 10,000 single holds")
    proxy = start_proxy("--max-files", "20000")
    singles = [tcp_hold(port, 5000, "0.0.0.0", key=f"0123456789abcdef/{port}/tcp") for port in range(10_000, 20_000)]
    before = proxy.rss()
    proxy.control.must_hold(*singles)
    assert (proxy.rss() - before) / len(singles) < 1536
    with serving(echo, port=5000), connect("10.77.0.1", 19_999) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    held = inodes()
    assert not proxy.control.replace(*singles)["failures"]
    assert inodes() == held
    # Both families of a range of 10,000: more sockets than the process may have descriptors.
    both = [
        udp_hold(20_000, 20_000, "0.0.0.0", count=10_000, key="4"),
        udp_hold(20_000, 20_000, "::", count=10_000, key="6"),
    ]
    proxy.control.must_hold(*both)
    stats = proxy.stats()
    assert (stats["ports"], stats["descriptors"]) == (30_000, 158 + 316)
    assert not can_take("udp", "::", 29_999)
    proxy.control.replace()
    assert can_take("udp", "::", 29_999)
    assert not inodes()


def test_too_few_descriptors_is_a_clear_error_and_nothing_is_held(start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy("--max-files", "400")
    for port in range(9000, 9200):
        proxy.control.must_hold(tcp_hold(port, 80, "0.0.0.0"))
    # What comes in one request takes few descriptors, one by one or as a range.
    proxy.control.must_hold(
        *[tcp_hold(port, 80, "0.0.0.0") for port in range(10_000, 10_100)], tcp_hold(20_000, 80, "0.0.0.0", count=128)
    )
    proxy.control.must_hold(*[tcp_hold(port, 80, "0.0.0.0") for port in range(11_000, 11_009)])
    assert proxy.stats()["descriptors"] == 206
    proxy.control.must_hold(*[tcp_hold(port, 80, "0.0.0.0") for port in (12_000, 12_001)])
    # Full: not even one more. What was refused left nothing behind.
    error = proxy.control.hold(tcp_hold(13_000, 80, "0.0.0.0"))["error"]
    assert error["reason"] == "EMFILE"
    assert "descriptors" in error["message"]
    answer = proxy.control.hold(tcp_hold(13_000, 80, "0.0.0.0", count=300))
    assert answer["error"]["reason"] == "EMFILE"
    assert proxy.stats()["descriptors"] == 208
    assert can_take("tcp", "0.0.0.0", 13_000)


def test_without_the_right_to_park_sockets_every_port_takes_a_descriptor(network: None, tmp_path: Path) -> None:
    """The kernel lets nobody but the privileged queue more descriptors than RLIMIT_NOFILE."""
    path = tmp_path / "proxy.sock"
    rights = ["setpriv", "--bounding-set", "-sys_admin,-sys_resource"]
    process = subprocess.Popen(
        [*rights, sys.executable, "-m", "landbridge.proxy", "--socket", str(path), "--max-files", "600"],
        stderr=subprocess.PIPE,
        text=True,
    )
    control = control_of(process, path)
    failed = None
    for first in range(12_000, 14_000, 128):
        answer = control.hold(tcp_hold(first, 80, "0.0.0.0", count=128, key=str(first)))
        if not answer["ok"]:
            failed = answer["error"]
            break
    assert failed is not None
    assert failed["reason"] == "EMFILE"
    stats = control.call("stats")
    assert stats["descriptors"] > 128, "everything could be parked: this test proved nothing"
    assert inodes().keys() == set(range(12_000, first))
    assert control.call("release", keys=[str(port) for port in range(12_000, 14_000)])["ok"]
    assert not inodes()
    assert control.call("stats")["descriptors"] == 0
    control.call("quit")
    control.close()
    assert process.communicate(timeout=30)[1] == ""


def test_ports_asked_for_together_can_be_given_up_one_by_one(proxy: Proxy) -> None:
    """They share segments: letting one go must not disturb its neighbours, not even for a moment."""
    with serving(echo, port=5000):
        proxy.control.must_hold(*[tcp_hold(port, 5000, "0.0.0.0", key=str(port)) for port in range(9000, 9300)])
        before = inodes()
        with connect("127.0.0.1", 9001) as neighbour, connect("127.0.0.1", 9002) as victim:
            for client in (neighbour, victim):
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            gone = {9000, 9002, 9127, 9128, 9299}
            proxy.control.call("release", keys=["9002"])
            proxy.control.call("release", keys=["9000", "9127", "9128", "9299"])
            with pytest.raises(ConnectionResetError):
                victim.recv(1)
            neighbour.sendall(b"y")
            assert neighbour.recv(1) == b"y"
        assert inodes() == {port: inode for port, inode in before.items() if port not in gone | {5000}} | {
            5000: before[5000]
        }
        for port in (9001, 9003, 9126, 9129, 9255, 9256, 9298):
            with connect("127.0.0.1", port) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
        for port in gone:
            assert can_take("tcp", "0.0.0.0", port)
        proxy.control.must_hold(tcp_hold(9000, 5000, "0.0.0.0", key="9000"))
        proxy.control.call("release", keys=[str(port) for port in range(9000, 9300)])
        stats = proxy.stats()
        assert (stats["holds"], stats["ports"], stats["descriptors"]) == (0, 0, 0)
        assert inodes().keys() == {5000}


def test_a_flood_of_clients_neither_locks_the_daemon_out_nor_keeps_a_port(start_proxy: Callable[..., Proxy]) -> None:
    proxy = start_proxy("--max-files", "400")
    with serving(echo, port=5000), contextlib.ExitStack() as stack:
        proxy.control.must_hold(*[tcp_hold(port, 5000, "0.0.0.0", key=str(port)) for port in range(9000, 9100)])
        for _ in range(200):
            stack.enter_context(connect("127.0.0.1", 9000))
        eventually(lambda: proxy.stats()["connections"] > 100)
        with contextlib.closing(Control(proxy.path)) as successor:
            assert successor.call("hello")["connections"] < 200, "it was no flood: this test proved nothing"
            successor.must_hold(tcp_hold(9100, 5000, "0.0.0.0"))
            assert successor.call("release", keys=["9050"])["ok"]
            assert can_take("tcp", "0.0.0.0", 9050)
            assert not can_take("tcp", "0.0.0.0", 9051)


def test_losing_the_controller_changes_nothing(proxy: Proxy) -> None:
    script = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from proxy_kit import Control, tcp_hold
Control(Path(sys.argv[1])).must_hold(tcp_hold(8080, int(sys.argv[3]), "0.0.0.0"))
print("held", flush=True)
time.sleep(600)
"""
    with serving(echo) as port:
        controller = subprocess.Popen(
            [sys.executable, "-c", script, str(proxy.path), str(Path(__file__).parent), str(port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with controller, connect_when_held(controller, 8080) as client:
            controller.kill()
            controller.wait()
            for sock in (client, connect("127.0.0.1", 8080)):
                with sock:
                    sock.sendall(b"x")
                    assert sock.recv(1) == b"x"
    assert proxy.stats()["holds"] == 1


def connect_when_held(controller: subprocess.Popen[str], port: int) -> socket.socket:
    assert controller.stdout is not None
    assert controller.stdout.readline() == "held\n"
    return connect("127.0.0.1", port)


def test_the_next_controller_takes_over_and_onlookers_do_not(proxy: Proxy) -> None:
    proxy.control.must_hold(tcp_hold(8080, 80))
    with contextlib.closing(Control(proxy.path)) as onlooker:
        assert onlooker.call("stats")["holds"] == 1
        assert proxy.stats()["holds"] == 1
        with contextlib.closing(Control(proxy.path)) as successor:
            assert successor.call("hello")["pid"] == proxy.process.pid
            with pytest.raises(ConnectionError):
                proxy.stats()
            assert successor.call("stats")["holds"] == 1
        assert onlooker.call("stats")["holds"] == 1


def test_what_is_not_the_protocol_is_refused(proxy: Proxy) -> None:
    good = proxy.control
    assert good.call("sing")["error"]["reason"] == "EPROTO"
    assert good.call("hold", holds=[{"key": "k"}])["error"]["reason"] == "EPROTO"
    assert good.call("stats", v=2)["error"]["reason"] == "EPROTO"
    assert good.call("stats")["ok"]


def test_a_dead_owner_s_socket_is_replaced_and_a_live_one_s_is_not(start_proxy: Callable[..., Proxy]) -> None:
    first = start_proxy()
    assert stat.S_IMODE(os.stat(first.path).st_mode) == 0o600
    second = subprocess.run(
        [sys.executable, "-m", "landbridge.proxy", "--socket", str(first.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "another process serves" in second.stderr
    assert first.stats()["ok"]
    assert first.end(signal.SIGKILL) == (-signal.SIGKILL, "")
    assert first.path.exists()
    assert start_proxy().stats()["holds"] == 0


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "quit"])
def test_a_clean_end(start_proxy: Callable[..., Proxy], how: str) -> None:
    proxy = start_proxy()
    with serving(echo) as port:
        proxy.control.must_hold(tcp_hold(8080, port))
        with connect("::1", 8080) as client:
            client.sendall(b"x")
            client.recv(1)
            if how == "quit":
                assert proxy.control.call("quit")["ok"]
                proxy.process.wait(30)
                assert proxy.end() == (0, "")
            else:
                assert proxy.end(getattr(signal, how)) == (0, "")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    assert not proxy.path.exists()
    assert can_take("tcp", "::", 8080)


def test_a_socket_path_beyond_108_bytes(network: None, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "landbridge.proxy", "--socket", str(deep / "proxy.sock")], stderr=subprocess.PIPE
    )
    script = """
import asyncio, sys
from pathlib import Path
from landbridge.proxy.client import ProxyClient

async def main():
    client = await ProxyClient.connect(Path(sys.argv[1]), patience=30)
    print((await client.stats())["holds"])
    await client.quit()
    await client.close()

asyncio.run(main())
"""
    out = subprocess.run(
        [sys.executable, "-c", script, str(deep / "proxy.sock")], check=True, capture_output=True, text=True
    )
    assert out.stdout == "0\n"
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("address", ["192.0.2.99", "2001:db8::99"])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_port_of_an_address_that_is_still_to_come(proxy: Proxy, address: str, proto: str) -> None:
    proxy.control.must_hold(tcp_hold(8080, 80, address, proto=proto, key="soon", early=True))
    error = proxy.control.hold(tcp_hold(8080, 80, address, proto=proto, key="other", early=True))["error"]
    assert (error["reason"], error["holder"]) == ("EADDRINUSE", "landbridge (soon)")
