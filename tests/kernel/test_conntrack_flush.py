"""Forgetting flows: exactly the asked ones, by either way the kernel offers; confirmed by conntrack(8)."""

import errno
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator

import pytest

from landbridge.errors import Invalid
from landbridge.model.link import Flow
from landbridge.system import netns
from landbridge.system.conntrack import Conntrack
from landbridge.system.netlink import NetlinkError
from landbridge.system.nft import Nft
from landbridge.system.nlsocket import Channel, Request

pytestmark = pytest.mark.kernel

TRACK = """table inet demo {
    chain track { type filter hook output priority 0; ct state new counter; }
    chain publish {
        type nat hook output priority -100;
        ip daddr 127.0.0.9 udp dport 9000 dnat ip to 127.0.0.7:7000;
    }
}
"""
SENT = (("127.0.0.1", 5000), ("127.0.0.2", 5000), ("127.0.0.2", 5001), ("::1", 5000), ("::1", 5002))
NETLINK_NETFILTER, CTA_FILTER = 12, 25


class OldKernel(Channel):
    """A channel to the real kernel that refuses deletion by filter, as kernels before 6.10 do."""

    def ask(self, *requests: Request) -> None:
        if any(struct.pack("=H", CTA_FILTER | 0x8000) in request.body for request in requests):
            raise NetlinkError("forget flows: Invalid argument", errno.EINVAL)
        super().ask(*requests)


def filtered() -> Conntrack:
    return Conntrack()


def reading() -> Conntrack:
    return Conntrack(OldKernel(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)))


@pytest.fixture(params=[filtered, reading])
def conntrack(request: pytest.FixtureRequest, throwaway_netns: str) -> Iterator[Conntrack]:
    with Nft() as nft:
        nft.apply(TRACK)
    with request.param() as made:
        yield made


@pytest.fixture
def send(throwaway_netns: str) -> Iterator[Callable[[str, int], None]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
    ):
        four.bind(("127.0.0.100", 0))  # not the default source: it must not look like a destination
        six.bind(("::1", 0))

        def to(address: str, port: int) -> None:
            for _ in range(2):
                try:
                    (six if ":" in address else four).sendto(b"x", (address, port))
                    return
                except ConnectionRefusedError:
                    pass  # the answer to an earlier datagram; the kernel dropped this one

        yield to


def tracked(protocol: str = "udp") -> set[tuple[str, int]]:
    """(original destination, port) of every flow, as conntrack(8) lists them."""
    found = set()
    for family in ("ipv4", "ipv6"):
        run = subprocess.run(
            ["conntrack", "-L", "-f", family, "-p", protocol], check=True, capture_output=True, text=True
        )
        for line in run.stdout.splitlines():
            match = re.search(r"dst=(\S+) sport=\d+ dport=(\d+)", line)
            assert match
            found.add((str(match[1]), int(match[2])))
    return found


def all_sent(send: Callable[[str, int], None]) -> set[tuple[str, int]]:
    for address, port in SENT:
        send(address, port)
    assert tracked() == set(SENT)
    return set(SENT)


def test_a_port_of_any_address_is_forgotten_in_both_families(conntrack: Conntrack, send: Callable[..., None]) -> None:
    sent = all_sent(send)
    conntrack.flush([Flow(proto="udp", port=5000)])
    assert tracked() == {flow for flow in sent if flow[1] != 5000}


def test_a_port_of_one_address_is_forgotten_and_no_other(conntrack: Conntrack, send: Callable[..., None]) -> None:
    sent = all_sent(send)
    conntrack.flush([Flow(proto="udp", port=5000, address="127.0.0.2"), Flow(proto="udp", port=5002, address="::1")])
    assert tracked() == sent - {("127.0.0.2", 5000), ("::1", 5002)}


def test_an_unspecified_address_is_any_of_its_family(conntrack: Conntrack, send: Callable[..., None]) -> None:
    sent = all_sent(send)
    conntrack.flush([Flow(proto="udp", port=5000, address="0.0.0.0")])
    assert tracked() == sent - {("127.0.0.1", 5000), ("127.0.0.2", 5000)}
    conntrack.flush([Flow(proto="udp", port=5000, address="::")])
    assert ("::1", 5000) not in tracked()


def test_the_other_protocol_is_left_alone(conntrack: Conntrack, send: Callable[..., None]) -> None:
    sent = all_sent(send)
    conntrack.flush([Flow(proto="tcp", port=5000)])
    assert tracked() == sent
    with socket.create_server(("127.0.0.1", 5000)) as server, socket.create_connection(server.getsockname()):
        assert ("127.0.0.1", 5000) in tracked("tcp")
        conntrack.flush([Flow(proto="udp", port=5000, address="127.0.0.1")])
        assert ("127.0.0.1", 5000) in tracked("tcp")
        conntrack.flush([Flow(proto="tcp", port=5000, address="127.0.0.1")])
        assert ("127.0.0.1", 5000) not in tracked("tcp")


def test_many_flows_go_at_once(conntrack: Conntrack, send: Callable[..., None]) -> None:
    all_sent(send)
    before = conntrack.entries()
    conntrack.flush([Flow(proto="udp", port=port) for port in range(5001, 5300)])
    assert tracked() == {flow for flow in SENT if flow[1] == 5000}
    assert conntrack.entries() < before


def test_sctp_is_told_by_port_too(conntrack: Conntrack) -> None:
    for port in (6000, 6001):
        command = f"conntrack -I -p sctp -s 127.0.0.1 -d 127.0.0.2 --sport 1 --dport {port} --state ESTABLISHED -t 30"
        subprocess.run([*command.split(), "--orig-vtag", "1", "--reply-vtag", "2"], check=True, capture_output=True)
    conntrack.flush([Flow(proto="sctp", port=6000)])
    assert tracked("sctp") == {("127.0.0.2", 6001)}


def test_a_translated_flow_is_found_by_what_the_client_asked_for(
    conntrack: Conntrack, send: Callable[..., None]
) -> None:
    send("127.0.0.9", 9000)
    conntrack.flush([Flow(proto="udp", port=7000)])
    assert ("127.0.0.9", 9000) in tracked()
    conntrack.flush([Flow(proto="udp", port=9000)])
    assert tracked() == set()


@pytest.mark.parametrize("address", ["127.0.0.100", "127.0.0.7"], ids=["who opened it", "who answers behind NAT"])
def test_an_endpoints_flows_are_forgotten_by_its_address(
    conntrack: Conntrack, send: Callable[..., None], address: str
) -> None:
    send("127.0.0.9", 9000)
    send("::1", 5000)
    conntrack.flush_addresses(["127.0.0.50"])
    assert tracked() == {("127.0.0.9", 9000), ("::1", 5000)}
    conntrack.flush_addresses([address])
    assert tracked() == {("::1", 5000)}
    conntrack.flush_addresses(["::1"])
    assert tracked() == set()


def test_nothing_to_forget_is_fine_and_costs_at_most_a_question(conntrack: Conntrack) -> None:
    assert conntrack.entries() == 0
    conntrack.flush([])
    conntrack.flush([Flow(proto="udp", port=5000)])
    conntrack.flush_addresses(["127.0.0.1"])


def test_malformed_flows_are_refused(conntrack: Conntrack) -> None:
    for flow in (Flow(proto="icmp", port=1), Flow(proto="udp", port=1, address="localhost")):
        with pytest.raises(Invalid):
            conntrack.flush([flow])
    with pytest.raises(Invalid):
        conntrack.flush_addresses(["web1"])


def test_another_namespace_is_left_alone(
    conntrack: Conntrack, send: Callable[..., None], make_netns: Callable[[str], str]
) -> None:
    sent = all_sent(send)
    path = make_netns("box")
    with Conntrack.inside(path) as inside:
        assert inside.entries() == 0
        inside.flush([Flow(proto="udp", port=5000)])
    assert tracked() == sent
    assert netns.current() != netns.inode(path)
