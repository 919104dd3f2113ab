"""What each gateway mode lets in and out, per family, from outside, from the host and from other networks."""

import json
from collections.abc import Iterator

import pytest
from clients import Client
from lab import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Lab
from roads import address6, inside, no_page, no_ping, page, pings, routed, seen_by
from talk import serving_outside

MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
SUBNET, SUBNET6 = "10.201.0.0/24", "fd00:201::/64"
OTHER, OTHER6 = "10.202.0.0/24", "fd00:202::/64"


def network(client: Client, name: str, *options: str, subnet: str = SUBNET, subnet6: str = "") -> None:
    six = ("--ipv6", "--subnet", subnet6) if subnet6 else ()
    chosen = [word for option in options for word in ("-o", option)]
    client.ok("network", "create", "--subnet", subnet, *six, *chosen, name)


@pytest.fixture
def ways(lab: Lab) -> Iterator[None]:
    """The machine outside knows the way to both networks."""
    with routed(lab, SUBNET, HOST4), routed(lab, OTHER, HOST4), routed(lab, SUBNET6, HOST6), routed(lab, OTHER6, HOST6):
        yield


def test_nat_lets_nobody_in_but_through_the_hosts_ports(ours: Client, lab: Lab, ways: None) -> None:
    network(ours, "n", subnet6=SUBNET6)
    network(ours, "other", subnet=OTHER, subnet6=OTHER6)
    ours.ok("run", "-d", "--network=n", "-p", "8080:80", "--name=web", "httpd")
    ours.ok("run", "-d", "--network=other", "--name=bb", "busybox", "sleep", "600")
    four, six = ours.address("web", "n"), address6(ours, "web", "n")
    assert page(lab.host, four) and page(lab.host, six)
    assert page(lab.outside, HOST4, 8080) and page(lab.outside, HOST6, 8080)
    for stranger in (lab.outside, inside(ours, "bb")):
        assert no_page(stranger, four) and no_page(stranger, six)
        assert no_ping(stranger, four) and no_ping(stranger, six)


def test_nat_unprotected_lets_everybody_in(client: Client, lab: Lab, ways: None) -> None:
    network(client, "n", f"{MODE4}=nat-unprotected", f"{MODE6}=nat-unprotected", subnet6=SUBNET6)
    network(client, "other", subnet=OTHER, subnet6=OTHER6)
    client.ok("run", "-d", "--network=n", "--name=web", "httpd")
    client.ok("run", "-d", "--network=n", "-p", "8080:80", "--name=published", "httpd")
    client.ok("run", "-d", "--network=other", "--name=bb", "busybox", "sleep", "600")
    for address in (client.address("web", "n"), address6(client, "web", "n")):
        for anybody in (lab.outside, inside(client, "bb")):
            assert page(anybody, address), address
            assert pings(anybody, address), address
    assert page(lab.outside, HOST4, 8080)


def test_routed_opens_what_is_published_at_the_container_itself(client: Client, lab: Lab, ways: None) -> None:
    network(client, "n", f"{MODE4}=routed", f"{MODE6}=routed", subnet6=SUBNET6)
    network(client, "other", subnet=OTHER, subnet6=OTHER6)
    client.ok("run", "-d", "--network=n", "-p", "8080:80", "--name=web", "httpd")
    client.ok("run", "-d", "--network=n", "--name=closed", "httpd")
    client.ok("run", "-d", "--network=other", "--name=bb", "httpd")
    for anybody in (lab.outside, inside(client, "bb")):
        for address in (client.address("web", "n"), address6(client, "web", "n")):
            assert page(anybody, address), address
            assert pings(anybody, address), address
        assert no_page(anybody, client.address("closed", "n")) and pings(anybody, client.address("closed", "n"))
    assert no_page(lab.outside, HOST4, 8080), "the host has no part in it"
    assert ":8080" not in lab.host("ss", "-Hltn").out
    ports = json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))
    assert ports == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "::", "HostPort": ""}]}
    # The other way round: what is behind a network with NAT stays closed.
    assert no_page(inside(client, "web"), client.address("bb", "other"))
    # Once it is stopped, so is its address.
    client.ok("rm", "-f", "web")
    assert "opened" not in [line for line in lab.host("nft", "list", "ruleset").out.splitlines() if "elements" in line]


def test_routed_leaves_with_its_own_address(ours: Client, lab: Lab, ways: None) -> None:
    network(ours, "n", f"{MODE4}=routed", subnet6=SUBNET6)
    ours.ok("run", "-d", "--network=n", "--name=bb", "busybox", "sleep", "600")
    with serving_outside(lab, "tcp:7000"):
        assert seen_by(ours, "bb", OUTSIDE4, "7000") == ours.address("bb", "n")
        assert seen_by(ours, "bb", OUTSIDE6, "7000") == HOST6, "IPv6 is still hidden"


def test_one_family_routed_the_other_not(client: Client, lab: Lab, ways: None) -> None:
    network(client, "n", f"{MODE6}=routed", subnet6=SUBNET6)
    client.ok("run", "-d", "--network=n", "-p", "80", "--name=web", "httpd")
    ports = json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))["80/tcp"]
    assert [one["HostIp"] for one in ports] == ["0.0.0.0", "::"]
    assert ports[0]["HostPort"].isdigit() and ports[1]["HostPort"] == ""
    assert page(lab.outside, HOST4, int(ports[0]["HostPort"]))
    assert page(lab.outside, address6(client, "web", "n"))
    assert no_page(lab.outside, client.address("web", "n"))
    shown = client.ok("ps", "--format", "{{.Ports}}")
    assert f"0.0.0.0:{ports[0]['HostPort']}->80/tcp" in shown


def test_a_routed_network_is_open_although_another_is_the_gateway(ours: Client, lab: Lab, ways: None) -> None:
    network(ours, "nat", subnet=OTHER)
    network(ours, "n", f"{MODE4}=routed")
    ours.ok("run", "-d", "--network=nat", "-p", "8080:80", "--name=web", "httpd")
    assert page(lab.outside, HOST4, 8080)
    ours.ok("network", "connect", "n", "web")
    direct = ours.address("web", "n")
    # Answers leave by the default route of the other network; the host knows the connection all the same.
    assert page(lab.host, direct)
    assert f"tcp . {direct} . 80" in lab.host("nft", "list", "ruleset").out
    assert page(lab.outside, HOST4, 8080)
    ours.ok("network", "disconnect", "n", "web")
    assert direct not in lab.host("nft", "list", "ruleset").out


def test_a_routed_range_is_one_element(ours: Client, lab: Lab) -> None:
    network(ours, "n", f"{MODE4}=routed")
    ours.ok("run", "-d", "--network=n", "-p", "20000-29999:20000-29999/udp", "--name=many", "busybox", "sleep", "600")
    assert f"udp . {ours.address('many', 'n')} . 20000-29999" in lab.host("nft", "list", "ruleset").out


def test_trusted_interfaces_reach_what_is_published_directly(ours: Client, lab: Lab, ways: None) -> None:
    network(ours, "n", "com.docker.network.bridge.trusted_host_interfaces=up0:eth9")
    ours.ok("run", "-d", "--network=n", "-p", "8080:80", "--name=web", "httpd")
    ours.ok("run", "-d", "--network=n", "--name=closed", "httpd")
    assert page(lab.outside, ours.address("web", "n"))
    assert no_page(lab.outside, ours.address("closed", "n"))
    assert page(lab.outside, HOST4, 8080)
    network(ours, "distrust", "com.docker.network.bridge.trusted_host_interfaces=eth9", subnet=OTHER)
    ours.ok("run", "-d", "--network=distrust", "-p", "8081:80", "--name=other", "httpd")
    assert no_page(lab.outside, ours.address("other", "distrust"))


def test_isolated_has_no_address_on_the_host(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "--internal", "--subnet", "10.203.0.0/31", "-o", f"{MODE4}=isolated", "n")
    client.ok("run", "-d", "--network=n", "--name=one", "busybox", "sleep", "600")
    client.ok("run", "-d", "--network=n", "--name=two", "busybox", "sleep", "600")
    assert {client.address("one", "n"), client.address("two", "n")} == {"10.203.0.0", "10.203.0.1"}
    assert pings(inside(client, "one"), client.address("two", "n"))
    assert pings(inside(client, "two"), "one")
    assert "10.203.0" not in lab.host("ip", "-4", "addr").out
    assert "default" not in client.ok("exec", "one", "ip", "route")
    said = client.fails("network", "create", "-o", f"{MODE4}=isolated", "m")
    assert "can only be used for an internal network" in said


def test_an_internal_point_to_point_network(ours: Client, lab: Lab) -> None:
    ours.ok(
        "network", "create", "--internal", "--subnet", "10.204.0.0/31", "-o", "com.docker.network.bridge.inhibit_ipv4=true", "n"
    )
    ours.ok("run", "-d", "--network=n", "--name=one", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--network=n", "--name=two", "busybox", "sleep", "600")
    assert pings(inside(ours, "one"), ours.address("two", "n"))
    assert "10.204.0" not in lab.host("ip", "-4", "addr").out


def test_somebody_elses_gateway(ours: Client, lab: Lab) -> None:
    ours.ok(
        "network", "create", "--subnet", "10.205.0.0/24", "-o", "com.docker.network.bridge.inhibit_ipv4=true",
        "--aux-address", "DefaultGatewayIPv4=10.205.0.254", "n",
    )  # fmt: skip
    ours.ok("run", "-d", "--network=n", "--name=bb", "busybox", "sleep", "600")
    assert "default via 10.205.0.254" in ours.ok("exec", "bb", "ip", "route")
    assert ours.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.Gateway}}", "bb") == "10.205.0.254"
    assert "10.205.0" not in lab.host("ip", "-4", "addr").out


def test_an_internal_network_knows_its_gateway_and_nothing_beyond(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "--internal", "--subnet", "10.206.0.0/24", "n")
    ours.ok("run", "-d", "--network=n", "--name=bb", "busybox", "sleep", "600")
    assert pings(inside(ours, "bb"), "10.206.0.1")
    said = ours("exec", "bb", "ping", "-c1", "-W1", OUTSIDE4)
    assert said.code != 0 and "unreachable" in said.text.lower()


def test_a_network_leaves_with_the_address_it_was_given(client: Client, lab: Lab) -> None:
    assert lab.host("ip", "addr", "add", "192.0.2.77/24", "dev", "up0").code == 0
    try:
        network(client, "n", "com.docker.network.host_ipv4=192.0.2.77")
        network(client, "plain", subnet=OTHER)
        client.ok("run", "-d", "--network=n", "--name=bb", "busybox", "sleep", "600")
        client.ok("run", "-d", "--network=plain", "--name=cc", "busybox", "sleep", "600")
        with serving_outside(lab, "tcp:7002"):
            assert seen_by(client, "bb", OUTSIDE4, "7002") == "192.0.2.77"
            assert seen_by(client, "cc", OUTSIDE4, "7002") == HOST4
        client.ok("rm", "-f", "bb")
        client.ok("network", "rm", "n")
        assert "192.0.2.77" not in lab.host("nft", "list", "ruleset").out
    finally:
        lab.host("ip", "addr", "del", "192.0.2.77/24", "dev", "up0")

