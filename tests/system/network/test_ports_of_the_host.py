"""Published and masqueraded ports beside the host's own: its dynamic range, its sockets, its TIME_WAITs."""

import sys
from collections.abc import Iterator

import pytest
from clients import Client
from lab import HOST4, OUTSIDE4, Lab
from talk import ask, serving

PYTHON = (sys.executable, "-I", "-S", "-c")
RANGE = "net/ipv4/ip_local_port_range"


def pid(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.State.Pid}}", name)


@pytest.fixture
def narrow(own_lab: Lab) -> Iterator[Client]:
    """An engine on a host whose dynamic ports are these ten."""
    own_lab.stop_daemon()
    assert own_lab.host("sh", "-c", f"echo 40000 40009 >/proc/sys/{RANGE}").code == 0
    own_lab.start_daemon()
    yield Client(own_lab, "docker")


CONNECT = """
import socket, sys, time
kept, wanted = [], int(sys.argv[2])
for _ in range(wanted):
    own = ("", int(sys.argv[3])) if len(sys.argv) > 3 else None
    sock = socket.create_connection((sys.argv[1], 7001), source_address=own)
    kept.append(sock)
    print(sock.getsockname()[1], flush=True)
print("done", flush=True)
time.sleep(60)
"""


PEERS = """
import socket
server = socket.create_server(("", 7001))
print("ready", flush=True)
kept = []
while True:
    sock, peer = server.accept()
    kept.append(sock)
    print(peer[1], flush=True)
"""


def test_masqueraded_connections_keep_to_the_hosts_range(narrow: Client) -> None:
    """Also when two containers chose the same port, and not at the expense of ports outside it."""
    lab = narrow.lab
    for name in ("one", "two"):
        narrow.ok("run", "-d", f"--name={name}", "busybox", "sleep", "600")
    seen: list[str] = []
    server = lab.background(*PYTHON, PEERS, outside=True)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    talking = []
    try:
        for name in ("one", "two"):
            process = lab.background("nsenter", "-t", pid(narrow, name), "-n", *PYTHON, CONNECT, OUTSIDE4, "4")
            talking.append(process)
            assert process.stdout is not None
            own = [process.stdout.readline().decode().strip() for _ in range(5)]
            assert own[-1] == "done", own
            assert all(40000 <= int(port) <= 40009 for port in own[:-1])
        seen = [server.stdout.readline().decode().strip() for _ in range(8)]
        assert all(40000 <= int(port) <= 40009 for port in seen), seen
        assert len(set(seen)) == 8
        command = ("nsenter", "-t", pid(narrow, "one"), "-n", *PYTHON, CONNECT, OUTSIDE4, "1", "5060")
        talking.append(lab.background(*command))
        assert server.stdout.readline().decode().strip() == "5060"
    finally:
        for process in (*talking, server):
            process.kill()
            process.communicate()


def test_a_container_that_sets_its_own_range_keeps_it(narrow: Client) -> None:
    assert narrow.ok("run", "--rm", "busybox", "cat", f"/proc/sys/{RANGE}").split() == ["40000", "40009"]
    own = ("--sysctl", "net.ipv4.ip_local_port_range=50000 50001")
    assert narrow.ok("run", "--rm", *own, "busybox", "cat", f"/proc/sys/{RANGE}").split() == ["50000", "50001"]


def test_dynamic_ports_go_round_the_hosts_own_sockets(narrow: Client) -> None:
    """Half of the range is used by the host's own connections, which nobody knows of before trying."""
    lab = narrow.lab
    server = lab.background(*PYTHON, PEERS, outside=True)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    host = lab.background(*PYTHON, CONNECT, OUTSIDE4, "5")
    assert host.stdout is not None
    used = {int(host.stdout.readline()) for _ in range(5)}
    got = set()
    try:
        for number in range(5):
            narrow.ok("run", "-d", "-p", "80", f"--name=web{number}", "busybox", "sleep", "600")
            got.add(int(narrow.port(f"web{number}", "80")))
        assert got == set(range(40000, 40010)) - used
        said = narrow.fails("run", "-d", "-p", "80", "--name=late", "busybox", "sleep", "600", code=125)
        assert "all ports are allocated" in said
    finally:
        for process in (host, server):
            process.kill()
            process.communicate()
    # And the other way round: what is published is no other socket's.
    refused = lab.host(*PYTHON, f"import socket; s=socket.socket(); s.bind(('', {min(got)}))")
    assert "Address already in use" in refused.text


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", HOST4])
def test_a_restart_rebinds_at_once_over_connections_of_the_last_holder(client: Client, lab: Lab, address: str) -> None:
    """Through the proxy the server's side closes first, which leaves TIME_WAITs on the published port."""
    client.ok("run", "-d", "--name=web", "-p", "8080:80", "busybox", "sleep", "600")
    for _ in range(3):
        with serving(lab, pid(client, "web"), "tcp:80"):
            for _ in range(5):
                assert ask(lab, "tcp:8080", address, outside=False) is not None
        client.ok("restart", "-t", "0", "web")
        client.ok("stop", "-t", "0", "web")
        client.ok("start", "web")
    assert client.port("web", "80") == "8080"


def test_a_dynamic_port_stays_over_restart_connect_and_disconnect(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "aaa")
    client.ok("run", "-d", "-p", "80", "-p", "53/udp", "--name=web", "busybox", "sleep", "600")
    port, udp = client.port("web", "80"), client.port("web", "53/udp")

    def same() -> None:
        assert (client.port("web", "80"), client.port("web", "53/udp")) == (port, udp)
        with serving(lab, pid(client, "web"), "tcp:80", "udp:53"):
            for address in (HOST4, "127.0.0.1"):
                assert ask(lab, f"tcp:{port}", address, outside=address == HOST4) is not None
                assert ask(lab, f"udp:{udp}", address, outside=address == HOST4) is not None

    client.ok("restart", "-t", "0", "web")
    same()
    client.ok("network", "connect", "--gw-priority", "9", "aaa", "web")
    same()
    client.ok("network", "disconnect", "bridge", "web")
    same()
    client.ok("network", "disconnect", "aaa", "web")
    assert client.ok("port", "web") == ""
    client.ok("network", "connect", "bridge", "web")
    same()
    client.ok("stop", "-t", "0", "web")
    client.ok("start", "web")
    same()
