"""The host becomes an IPv6 router and keeps the default route it learned from its own router."""

import socket
import struct
import subprocess
import time

import pytest

from hosts import TwoHosts
from landbridge.system import forwarding, netns, sysctl

pytestmark = pytest.mark.kernel


@pytest.fixture
def advertised(two_hosts: TwoHosts) -> TwoHosts:
    """The host has a default route from a router advertisement, and no other."""
    subprocess.run(["ip", "-6", "route", "del", "default"], check=True)
    advertise(two_hosts)
    for _ in range(200):
        if default_routes():
            break
        time.sleep(0.01)
    assert "proto ra" in default_routes()
    return two_hosts


def advertise(hosts: TwoHosts) -> None:
    """One router advertisement (RFC 4861, 4.2) from outside: a router for half an hour."""
    with (
        netns.inside(hosts.outside),
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock,
    ):
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("wire"))
        sock.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0))


def default_routes() -> str:
    return subprocess.run(["ip", "-6", "route", "show", "default"], check=True, capture_output=True, text=True).stdout


def test_switching_it_on_by_itself_loses_the_route(advertised: TwoHosts) -> None:
    """What the other test would not notice if the kernel behaved otherwise."""
    sysctl.write("net/ipv6/conf/all/forwarding", "1")
    assert not default_routes()


def test_the_default_route_stays_and_goes_on_being_learned(advertised: TwoHosts) -> None:
    before = default_routes()
    forwarding.forward_ipv6()
    assert sysctl.read("net/ipv6/conf/all/forwarding") == "1"
    assert default_routes().split("expires")[0] == before.split("expires")[0]
    subprocess.run(["ip", "-6", "route", "del", "default"], check=True)
    advertise(advertised)
    for _ in range(200):
        if default_routes():
            break
        time.sleep(0.01)
    assert "proto ra" in default_routes()


def test_what_did_not_listen_before_does_not_now(throwaway_netns: str) -> None:
    subprocess.run(["ip", "link", "add", "deaf", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "add", "router", "type", "bridge"], check=True)
    sysctl.write("net/ipv6/conf/deaf/accept_ra", "0")
    sysctl.write("net/ipv6/conf/router/forwarding", "1")
    forwarding.forward_ipv6()
    assert sysctl.read("net/ipv6/conf/deaf/accept_ra") == "0"
    assert sysctl.read("net/ipv6/conf/router/accept_ra") == "1"
    assert sysctl.read("net/ipv6/conf/default/accept_ra") == "2"


def test_a_host_that_forwards_already_is_left_alone(throwaway_netns: str) -> None:
    sysctl.write("net/ipv6/conf/all/forwarding", "1")
    subprocess.run(["ip", "link", "add", "any0", "type", "bridge"], check=True)
    forwarding.forward_ipv6()
    assert sysctl.read("net/ipv6/conf/any0/accept_ra") == "1"
