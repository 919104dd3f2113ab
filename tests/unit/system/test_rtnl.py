"""rtnetlink bodies: the cases the kernel tests cannot stage easily."""

import socket
import struct

from landbridge.model.link import RouteFact
from landbridge.system import nlwire, rtnl

NAMES = {2: "eth0", 3: "eth1"}


def route(*attributes: bytes, family: int = socket.AF_INET, length: int = 0, table: int = 254, kind: int = 1) -> bytes:
    return struct.pack("=BBBBBBBBI", family, length, 0, 0, table, 3, 0, kind, 0) + b"".join(attributes)


def hop(index: int, gateway: str) -> bytes:
    via = nlwire.attribute(5, socket.inet_pton(socket.AF_INET, gateway))
    return struct.pack("=HBBi", 8 + len(via), 0, 0, index) + via


def test_a_route_over_two_hops_is_two_facts() -> None:
    body = route(nlwire.nested(9, hop(2, "192.0.2.1"), hop(3, "198.51.100.1")))
    assert rtnl.routes([body], NAMES) == (
        RouteFact(destination="0.0.0.0/0", device="eth0", gateway="192.0.2.1"),
        RouteFact(destination="0.0.0.0/0", device="eth1", gateway="198.51.100.1"),
    )


def test_an_ipv6_gateway_of_an_ipv4_route_is_read() -> None:
    via = struct.pack("=H", socket.AF_INET6) + socket.inet_pton(socket.AF_INET6, "fe80::1")
    body = route(nlwire.attribute(1, bytes([10, 0, 0, 0])), nlwire.attribute(18, via), nlwire.u32(4, 2), length=8)
    assert rtnl.routes([body], NAMES) == (RouteFact(destination="10.0.0.0/8", device="eth0", gateway="fe80::1"),)


def test_routes_of_other_tables_and_kinds_are_not_ours_to_report() -> None:
    blackhole, local = 6, 255
    assert rtnl.routes([route(kind=blackhole), route(table=local)], NAMES) == ()


def test_a_point_to_point_address_has_no_broadcast() -> None:
    broadcast = 4
    assert broadcast in nlwire.attributes(rtnl.address(1, "10.0.0.1/30"), 8)
    assert broadcast not in nlwire.attributes(rtnl.address(1, "10.0.0.1/31"), 8)
    assert broadcast not in nlwire.attributes(rtnl.address(1, "10.0.0.1/32"), 8)
