"""Why a connection arrives or not, told hop by hop."""

import pytest

from landbridge.errors import Invalid
from landbridge.model.network import IpamPool, Sandbox
from landbridge.model.ports import Binding, Port
from landbridge.network import options as opt
from landbridge.network.explain import Explanation, Target, explain, parse_target
from worlds import container, endpoint, network, sandbox, world

NET, WEB = network("net", "10.1.0.0/24", "10.1.0.1"), container("web")
HERE = endpoint(WEB, NET, "10.1.0.2/24")
BOTH = tuple(Binding(port=Port(80), host_ip=ip, host_port=8080) for ip in ("0.0.0.0", "::"))
WORLD = world(NET, WEB, HERE, sandbox(WEB, *BOTH))


def yes(box: Sandbox, port: Port) -> bool | None:
    return True


def no(box: Sandbox, port: Port) -> bool | None:
    return False


def unknown(box: Sandbox, port: Port) -> bool | None:
    return None


def said(found: Explanation) -> str:
    return "\n".join(f"{hop.what}: {hop.detail}" for hop in found.hops)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", Target("127.0.0.1", 8080)), (":53/udp", Target("127.0.0.1", 53, "udp")),
        ("localhost:80", Target("127.0.0.1", 80)), ("[::1]:80", Target("::1", 80)),
        ("192.0.2.1:443/tcp", Target("192.0.2.1", 443)), ("[2001:db8:0::1]:1", Target("2001:db8::1", 1)),
    ],
)  # fmt: skip
def test_ways_to_name_a_target(text: str, expected: Target) -> None:
    assert parse_target(text) == expected
    assert parse_target(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "web:80", "80/icmp", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:http"])
def test_no_target(text: str) -> None:
    with pytest.raises(Invalid):
        parse_target(text)


def test_from_this_host_through_the_kernel() -> None:
    found = explain(WORLD, Target("127.0.0.1", 8080), yes)
    assert found.reachable
    assert found.summary == "web answers on 80/tcp"
    assert [hop.what for hop in found.hops] == [
        "client", "host port", "DNAT", "masquerade", "bridge", "container", "program",
    ]  # fmt: skip
    assert "chain output → publish, map publish_any: tcp . 8080 : 10.1.0.2 . 80" in said(found)
    assert NET.bridge in said(found)


def test_from_outside_through_prerouting() -> None:
    found = explain(WORLD, Target("192.0.2.7", 8080), yes)
    assert "chain prerouting → publish" in said(found)
    assert "masquerade" not in [hop.what for hop in found.hops]


def test_ipv6_to_a_container_without_it_goes_through_the_proxy() -> None:
    found = explain(WORLD, Target("2001:db8::1", 8080), yes)
    assert found.reachable
    assert "relays to 10.1.0.2:80 (the container has no such address)" in said(found)


def test_the_ipv6_loopback_goes_through_the_proxy_too() -> None:
    pools = (*NET.pools, IpamPool(subnet="fd00::/64", gateway="fd00::1"))
    dual = network("net", pools=pools, enable_ipv6=True)
    here = endpoint(WEB, dual, "10.1.0.2/24", ipv6="fd00::2/64", gateway6="fd00::1")
    found = explain(world(dual, WEB, here, sandbox(WEB, *BOTH)), Target("::1", 8080), yes)
    assert "relays to fd00::2:80 (::1 is not routed off the host)" in said(found)
    other = explain(world(dual, WEB, here, sandbox(WEB, *BOTH)), Target("2001:db8::1", 8080), yes)
    assert "map publish6_any: tcp . 8080 : fd00::2 . 80" in said(other)
    assert "eth0 fd00::2" in said(other)


def test_nobody_listens_or_nobody_knows() -> None:
    closed = explain(WORLD, Target("127.0.0.1", 8080), no)
    assert not closed.reachable
    assert closed.summary == "the path is open, web does not listen"
    assert "whether a program listens is not known" in said(explain(WORLD, Target("127.0.0.1", 8080), unknown))


def test_nobody_publishes() -> None:
    for target in (Target("127.0.0.1", 9), Target("127.0.0.1", 8080, "udp")):
        found = explain(WORLD, target, yes)
        assert not found.reachable
        assert "no container publishes it" in said(found)


def test_an_exact_address_comes_before_every_address() -> None:
    other, there = container("other"), sandbox(container("other"), Binding(port=Port(81), host_ip="127.0.0.9", host_port=8080))
    beside = endpoint(other, NET, "10.1.0.3/24")
    full = world(NET, WEB, HERE, sandbox(WEB, *BOTH), other, beside, there)
    assert explain(full, Target("127.0.0.9", 8080), yes).summary == "other answers on 81/tcp"
    assert explain(full, Target("127.0.0.1", 8080), yes).summary == "web answers on 80/tcp"


def test_a_containers_own_address() -> None:
    found = explain(WORLD, Target("10.1.0.2", 443), no)
    assert "10.1.0.2 is in 10.1.0.0/24" in said(found)
    assert "port 443/tcp" in said(found)
    assert not found.reachable


def test_within_a_range() -> None:
    run = Binding(port=Port(20000), host_ip="0.0.0.0", host_port=20000, count=100)
    found = explain(world(NET, WEB, HERE, sandbox(WEB, run)), Target("127.0.0.1", 20042), yes)
    assert found.summary == "web answers on 20042/tcp"


@pytest.mark.parametrize(
    ("given", "port", "said"),
    [
        ({}, 80, "this host, or a container on network net; others are dropped in chain forward"),
        ({opt.ICC: "false"}, 80, "this host; others are dropped in chain forward"),
        ({opt.GATEWAY_MODE_4: "nat-unprotected"}, 81, "anybody with a route: chain forward, set unprotected"),
        ({opt.GATEWAY_MODE_4: "routed"}, 80, "anybody with a route: chain opened, element tcp . 172.18.0.2 . 80"),
        ({opt.GATEWAY_MODE_4: "routed"}, 7010, "anybody with a route: chain opened, element tcp . 172.18.0.2 . 7010"),
        ({opt.GATEWAY_MODE_4: "routed"}, 81, "others are dropped in chain forward"),
        ({opt.TRUSTED: "eth1:wg0"}, 80, "whoever comes by eth1, wg0: chain opened, element tcp . 172.18.0.2 . 80"),
    ],
)
def test_who_comes_to_a_containers_own_address(given: dict[str, str], port: int, said: str) -> None:
    net = network("net", options=given)
    runs = (Binding(port=Port(80), host_ip="0.0.0.0", host_port=0), Binding(port=Port(7000), host_ip="::", host_port=0, count=40))
    there = world(net, WEB, endpoint(WEB, net, "172.18.0.2/20"), sandbox(WEB, *runs))
    found = explain(there, Target("172.18.0.2", port), yes)
    assert said in found.hops[0].detail
