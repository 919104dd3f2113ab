"""Packets of old conversations: UDP streams find a new server, answers leave from the address that was asked."""

import sys
from collections.abc import Iterator

import pytest
from clients import Client
from lab import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Lab
from talk import ask, serving

# A client that never stops sending, from one port: what keeps a stale conntrack entry alive for ever.
STREAM = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.bind(("", 5999))
sock.settimeout(0.02)
print("ready", flush=True)
while True:
    try:
        sock.sendto(b"?", (sys.argv[1], 9555))
        said, peer = sock.recvfrom(100)
        print(said.decode(), peer[0], flush=True)
    except OSError:
        pass
    time.sleep(0.02)
"""


def pid(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.State.Pid}}", name)


class Stream:
    """A UDP client outside that keeps sending to port 9555."""

    def __init__(self, lab: Lab, address: str) -> None:
        self.process = lab.background(sys.executable, "-I", "-S", "-c", STREAM, address, outside=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def hears(self) -> str:
        """The next answer: who the server saw, and where the answer came from."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=[HOST4, HOST6])
def stream(request: pytest.FixtureRequest, lab: Lab) -> Iterator[tuple[Stream, str]]:
    address = request.param
    made = Stream(lab, address)
    yield made, f"{OUTSIDE6 if ':' in address else OUTSIDE4} {address}"
    made.close()


@pytest.mark.timeout(60)
def test_a_stream_that_was_there_first_reaches_the_container(client: Client, lab: Lab, stream: tuple[Stream, str]) -> None:
    client.ok("network", "create", "--ipv6", "both")
    talking, heard = stream
    flags = ("-d", "--network=both", "--name=server", "-p", "9555:9000/udp", "busybox", "sleep", "600")
    client.ok("run", *flags)
    with serving(lab, pid(client, "server"), "udp:9000"):
        assert talking.hears() == heard
    client.ok("restart", "-t", "0", "server")
    with serving(lab, pid(client, "server"), "udp:9000"):
        assert talking.hears() == heard
    client.ok("stop", "-t", "0", "server")
    client.ok("rm", "server")
    client.ok("run", "-d", "--network=both", "--name=keeper", "busybox", "sleep", "600")  # takes the address
    client.ok("run", *flags)
    with serving(lab, pid(client, "server"), "udp:9000"):
        assert talking.hears() == heard


@pytest.mark.timeout(60)
def test_a_stream_finds_another_containers_port(client: Client, lab: Lab, stream: tuple[Stream, str]) -> None:
    client.ok("network", "create", "--ipv6", "both")
    talking, heard = stream
    for name in ("first", "second"):
        client.ok("run", "-d", "--network=both", f"--name={name}", "-p", "9555:9000/udp", "busybox", "sleep", "600")
        with serving(lab, pid(client, name), "udp:9000"):
            assert talking.hears() == heard
        client.ok("stop", "-t", "0", name)


@pytest.mark.timeout(60)
def test_a_stream_follows_the_gateway(client: Client, lab: Lab, stream: tuple[Stream, str]) -> None:
    for name in ("one", "two"):
        client.ok("network", "create", "--ipv6", name)
    talking, heard = stream
    client.ok("run", "-d", "--network=one", "--name=server", "-p", "9555:9000/udp", "busybox", "sleep", "600")
    with serving(lab, pid(client, "server"), "udp:9000"):
        assert talking.hears() == heard
        client.ok("network", "connect", "two", "server")
        client.ok("network", "disconnect", "one", "server")
        for _ in range(20):  # what was on its way
            talking.hears()
        assert talking.hears() == heard


def test_no_flow_is_left_of_a_removed_container(client: Client, lab: Lab) -> None:
    client.ok("run", "-d", "--name=server", "-p", "9556:9000/udp", "busybox", "sleep", "600")
    with serving(lab, pid(client, "server"), "udp:9000"):
        assert ask(lab, "udp:9556", HOST4) is not None
    assert flows(lab, 9556)
    client.ok("rm", "-f", "server")
    assert not flows(lab, 9556)


def flows(lab: Lab, port: int) -> list[str]:
    table = lab.host("cat", "/proc/net/nf_conntrack")
    assert table.code == 0, table.text
    return [line for line in table.out.splitlines() if f"dport={port} " in line]


@pytest.fixture
def second_addresses(lab: Lab) -> Iterator[tuple[str, str]]:
    """The host has one more address of each family, not the ones it would choose by itself."""
    extra = ("192.0.2.77/24", "2001:db8:78::77/64")
    for address in extra:
        lab.host("ip", "addr", "add", address, "dev", "up0", *(["nodad"] if ":" in address else []))
    yield extra[0].split("/")[0], extra[1].split("/")[0]
    for address in extra:
        lab.host("ip", "addr", "del", address, "dev", "up0")


@pytest.mark.parametrize("ipv6", [True, False], ids=["both families", "IPv6 through the proxy"])
def test_answers_leave_from_the_address_that_was_asked(
    client: Client, lab: Lab, second_addresses: tuple[str, str], ipv6: bool  # noqa: FBT001
) -> None:
    client.ok("network", "create", *(["--ipv6"] if ipv6 else []), "net")
    client.ok("run", "-d", "--network=net", "--name=server", "-p", "5353:53/udp", "busybox", "sleep", "600")
    with serving(lab, pid(client, "server"), "udp:53"):
        for address in (*second_addresses, HOST4, HOST6):
            heard = ask(lab, "udp:5353", address)
            assert heard is not None and heard.source == address
            heard = ask(lab, "udp:5353", address, outside=False)
            assert heard is not None and heard.source == address


def test_a_port_on_one_address_is_on_no_other(client: Client, lab: Lab, second_addresses: tuple[str, str]) -> None:
    four, six = second_addresses
    client.ok("network", "create", "--ipv6", "net")
    for name, v4, v6 in (("first", HOST4, HOST6), ("second", four, six)):
        client.ok("run", "-d", "--network=net", f"--name={name}", "-p", f"{v4}:4430:443", "-p", f"[{v6}]:4430:443",
                  "busybox", "sleep", "600")  # fmt: skip
    with serving(lab, pid(client, "first"), "tcp:443"):
        for address in (HOST4, HOST6):
            for outside in (True, False):
                assert ask(lab, "tcp:4430", address, outside=outside) is not None
        for address in (four, six):
            assert ask(lab, "tcp:4430", address) is None, "the other container does not listen"
    for address in ("127.0.0.1", "::1"):
        refused = lab.host("busybox", "nc", "-w", "2", address, "4430")
        assert refused.code != 0
        assert "refused" in refused.text
