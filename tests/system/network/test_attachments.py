"""A container's attachments over their lives: what inspect says, what connect and disconnect change, what stays."""

import json
import re
from typing import Any

import pytest
from api_scenario import Connection
from clients import Client
from lab import HOST4, HOST6, Lab
from patience import until
from roads import address6, inside, page, pings


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    client.ok("run", "-d", f"--name={name}", *flags, image, *(("sleep", "600") if image == "busybox" else ()))


def end(client: Client, container: str, network: str) -> dict[str, Any]:
    """An attachment as inspect shows it."""
    return dict(json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", container))[network])


def asked(lab: Lab, method: str, path: str, body: str = "", content: str = "application/json") -> tuple[int, Any]:
    """Status and JSON of an answer."""
    connection = Connection(str(lab.socket))
    try:
        connection.request(method, path, body or None, {"Content-Type": content})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or "null")
    finally:
        connection.close()


def default(client: Client, container: str, family: str = "-4") -> str:
    found = re.search(r"default via \S+ dev (\S+)", client.ok("exec", container, "ip", family, "route"))
    return found[1] if found else ""


# What is shown.


def test_what_inspect_says_of_an_attachment(ours: Client) -> None:
    ours.ok("network", "create", "--ipv6", "n")
    up(ours, "web", "--network=n", "--network-alias=a1", "--network-alias=a2", "--hostname=host1")
    shown, identity = end(ours, "web", "n"), ours.ok("inspect", "-f", "{{.Id}}", "web")
    assert shown["DNSNames"] == ["web", "a1", "a2", identity[:12], "host1"]
    assert re.fullmatch(r"[\d.]+", shown["Gateway"]) and "/" not in shown["IPv6Gateway"], "plain addresses"
    pools = json.loads(ours.ok("network", "inspect", "-f", "{{json .IPAM.Config}}", "n"))
    assert [pool["Gateway"] for pool in pools] == [shown["Gateway"], shown["IPv6Gateway"]]


def test_what_the_engine_says_of_its_firewall(client: Client, lab: Lab) -> None:
    assert asked(lab, "GET", "/v1.51/info")[1]["FirewallBackend"]["Driver"] == "nftables"
    assert "FirewallBackend" not in asked(lab, "GET", "/v1.48/info")[1]
    # What only a later version of the API has is not there.
    client.ok("network", "create", "n")
    assert "Status" not in asked(lab, "GET", "/v1.51/networks/n")[1]


def test_every_binding_is_listed(client: Client) -> None:
    """One network for each family, and a port that is only exposed."""
    client.ok("network", "create", "four")
    client.ok("network", "create", "--ipv4=false", "--ipv6", "six")
    client.ok("create", "--name=web", "--network=four", "-p", "80", "--expose=81", "httpd")
    client.ok("network", "connect", "six", "web")
    client.ok("start", "web")
    ports = json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))
    assert [one["HostIp"] for one in ports["80/tcp"]] == ["0.0.0.0", "::"] and ports["81/tcp"] is None
    assert len({one["HostPort"] for one in ports["80/tcp"]}) == 1
    assert "81/tcp" in client.ok("ps", "--format", "{{.Ports}}")


# Addresses and MACs.


def test_an_address_of_ones_own_in_a_subnet_nobody_chose(ours: Client) -> None:
    ours.ok("network", "create", "n")
    subnet = ours.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "n")
    wanted = subnet.rsplit(".", 1)[0] + ".77"
    up(ours, "bb", "--network=n", f"--ip={wanted}")
    assert ours.address("bb", "n") == wanted
    ours.ok("restart", "-t", "0", "bb")
    assert ours.address("bb", "n") == wanted
    assert "no configured subnet or ip-range contain the IP address 198.51.100.1" in ours.fails(
        "run", "--network=n", "--ip=198.51.100.1", "busybox", "true")  # fmt: skip
    assert "supported on user defined networks only" in ours.fails("run", "--ip=172.17.0.99", "busybox", "true")


def test_an_address_and_a_mac_follow_their_configuration(client: Client) -> None:
    client.ok("network", "create", "--subnet", "10.245.0.0/24", "n")
    up(client, "bb", "--network=n", "--ip=10.245.0.9", "--mac-address=02:00:00:00:00:09")
    client.ok("stop", "-t", "0", "bb")
    up(client, "other", "--network=n")
    client.ok("start", "bb")
    assert (end(client, "bb", "n")["IPAddress"], end(client, "bb", "n")["MacAddress"]) == ("10.245.0.9", "02:00:00:00:00:09")
    client.ok("network", "disconnect", "n", "bb")
    client.ok("network", "connect", "--ip=10.245.0.10", "n", "bb")
    assert client.address("bb", "n") == "10.245.0.10"
    client.ok("restart", "-t", "0", "bb")
    assert client.address("bb", "n") == "10.245.0.10"
    assert "Address already in use" in client.fails("run", "--network=n", "--ip=10.245.0.10", "busybox", "true")
    assert "invalid IPv4 address: nonsense" in client.fails("network", "connect", "--ip=nonsense", "n", "other")


def test_a_mac_nobody_chose_is_nobody_elses(ours: Client) -> None:
    ours.ok("network", "create", "n")
    up(ours, "one", "--network=n")
    before = end(ours, "one", "n")["MacAddress"]
    ours.ok("stop", "-t", "0", "one")
    up(ours, "two", "--network=n")
    ours.ok("start", "one")
    assert end(ours, "one", "n")["MacAddress"] == before != end(ours, "two", "n")["MacAddress"]
    # Made again from what inspect says, as update tools do: what was not chosen is not chosen now.
    config = json.loads(ours.ok("inspect", "-f", "{{json .Config}}", "one"))
    assert config.get("MacAddress", "") == ""


def test_connecting_with_a_mac(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "n")
    up(ours, "bb")
    body = {"Container": "bb", "EndpointConfig": {"MacAddress": "02:00:00:00:00:07"}}
    assert asked(lab, "POST", "/v1.51/networks/n/connect", json.dumps(body))[0] == 200
    assert "02:00:00:00:00:07" in ours.ok("exec", "bb", "ip", "link", "show", "eth1")


def test_announcements_of_addresses(ours: Client) -> None:
    """The kernel makes one when the interface comes; none where the network says so."""
    option = "com.docker.network.advertise_addr_nmsgs"
    ours.ok("network", "create", "--ipv6", "n")
    ours.ok("network", "create", "--ipv6", "-o", f"{option}=0", "silent")
    up(ours, "bb", "--network=n")
    ours.ok("network", "connect", "silent", "bb")
    for name, wanted in (("eth0", "1"), ("eth1", "0")):
        for key in (f"ipv4/conf/{name}/arp_notify", f"ipv6/conf/{name}/ndisc_notify"):
            assert ours.ok("exec", "bb", "cat", f"/proc/sys/net/{key}") == wanted
    assert "must be in the range 0 to 3" in ours.fails("network", "create", "-o", f"{option}=4", "m")
    assert "range 100 to 2000" in ours.fails("network", "create", "-o", "com.docker.network.advertise_addr_ms=99", "m")


# Connect and disconnect.


def test_by_id_by_name_and_by_the_beginning_of_an_id(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "bb")
    identity, network = client.ok("inspect", "-f", "{{.Id}}", "bb"), client.ok("network", "inspect", "-f", "{{.Id}}", "n")
    for container, name in (("bb", "n"), (identity, network), (identity[:12], network[:12])):
        client.ok("network", "connect", name, container)
        assert "already exists in network n" in client.fails("network", "connect", name, container)
        client.ok("network", "disconnect", name, container)
    assert "is not connected to network n" in client.fails("network", "disconnect", "n", "bb")
    # An id goes before a name that reads the same.
    client.ok("network", "create", network[:12])
    assert client.ok("network", "inspect", "-f", "{{.Name}}", network) == "n"
    assert client.ok("network", "inspect", "-f", "{{.Name}}", network[:12]) == network[:12], "a whole name before a beginning"


def test_connected_while_stopped(client: Client) -> None:
    client.ok("network", "create", "n")
    client.ok("create", "--name=bb", "busybox", "sleep", "600")
    client.ok("network", "connect", "--alias=other", "n", "bb")
    client.ok("start", "bb")
    assert set(json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", "bb"))) == {"bridge", "n"}
    before = end(client, "bb", "n")
    client.ok("restart", "-t", "0", "bb")
    assert end(client, "bb", "n")["Aliases"] == before["Aliases"] and client.address("bb", "n") == before["IPAddress"]
    client.ok("stop", "-t", "0", "bb")
    client.ok("network", "disconnect", "n", "bb")
    client.ok("start", "bb")
    assert client.ok("exec", "bb", "ls", "/sys/class/net").split() == ["eth0", "lo"]


def test_what_cannot_be_connected(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "bb")
    up(client, "guest", "--network=container:bb")
    up(client, "alone", "--network=none")
    up(client, "hosted", "--network=host")
    fixed = "container cannot be disconnected from host network or connected to host network"
    shared = "container sharing network namespace with another container or host cannot be connected to any other network"
    assert fixed in client.fails("network", "connect", "host", "bb")
    assert fixed in client.fails("network", "disconnect", "host", "hosted")
    assert shared in client.fails("network", "connect", "n", "guest")
    client.fails("network", "connect", "n", "hosted")
    assert "private (none) mode" in client.fails("network", "connect", "n", "alone")
    assert "private (none) mode" in client.fails("network", "connect", "none", "bb")
    # Somebody who is gone.
    client.fails("network", "disconnect", "n", "nobody")
    assert "No such container" in client.fails("network", "connect", "n", "nobody")
    assert "network nothing not found" in client.fails("network", "connect", "nothing", "bb")


def test_modes_that_exclude_each_other(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "web")
    for flags, words in (
        (("--network=host", "--link=web:w"), "host type networking can't be used with links"),
        (("--network=container:web", "--link=web:w"), "container type network can't be used with links"),
        (("--network=container:web", "--expose=80"), "port exposing and the container type network mode"),
        (("--network=container:web", "-P"), "port publishing and the container type network mode"),
        (("--network=none", "--network=n"), "cannot attach both user-defined and non-user-defined network-modes"),
        (("--network=host", "--network=n"), "cannot attach both user-defined and non-user-defined network-modes"),
        (("--network=container:",), "invalid container format container:<name|id>"),
    ):
        said = client.fails("run", "--rm", *flags, "busybox", "true")
        # docker before 23 refuses these itself, in words of its own.
        assert words in said or "links are only supported for user-defined networks" in said, flags
    assert client.ok("ps", "-aq").count("\n") == 0, "nothing was made"


def test_a_connect_that_fails_leaves_nothing(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "--subnet", "10.246.0.0/24", "n")
    up(ours, "bb")
    before = lab.host("ip", "-o", "link").out.count("lbv"), ours.ok("exec", "bb", "ip", "-o", "addr")
    said = ours.fails("network", "connect", "--driver-opt", "com.docker.network.endpoint.ifname=eth0", "n", "bb")
    assert "file exists" in said
    said = ours.fails("network", "connect", "--driver-opt", "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nonsense=1", "n", "bb")
    assert "nonsense" in said
    assert (lab.host("ip", "-o", "link").out.count("lbv"), ours.ok("exec", "bb", "ip", "-o", "addr")) == before
    assert ours.ok("network", "inspect", "-f", "{{len .Containers}}", "n") == "0"
    ours.ok("network", "connect", "n", "bb")


# The way out.


def test_each_family_has_its_own_gateway_and_ports_follow_it(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "four")
    ours.ok("network", "create", "--ipv4=false", "--ipv6", "six")
    ours.ok("network", "create", "--ipv6", "both")
    up(ours, "web", "--network=four", "-p", "8080:80", image="httpd")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    ours.ok("network", "connect", "six", "web")
    assert (default(ours, "web"), default(ours, "web", "-6")) == ("eth0", "eth1")
    assert page(lab.outside, HOST4, 8080) and page(lab.outside, HOST6, 8080)
    assert f"{address6(ours, 'web', 'six')} . 80" in lab.host("nft", "list", "ruleset").out
    ours.ok("network", "connect", "both", "web")
    assert (default(ours, "web"), default(ours, "web", "-6")) == ("eth2", "eth2"), "one with both families goes before"
    assert page(lab.outside, HOST4, 8080) and page(lab.outside, HOST6, 8080)
    ours.ok("network", "disconnect", "both", "web")
    assert (default(ours, "web"), default(ours, "web", "-6")) == ("eth0", "eth1")
    assert page(lab.outside, HOST4, 8080) and page(lab.outside, HOST6, 8080)


def test_the_next_gateway_may_be_out_of_order(ours: Client) -> None:
    """Its interface is down: the first network is left all the same, and everything works after a restart."""
    ours.ok("network", "create", "one")
    ours.ok("network", "create", "two")
    up(ours, "bb", "--network=one", "--cap-add=NET_ADMIN")
    ours.ok("network", "connect", "two", "bb")
    ours.ok("exec", "bb", "ip", "link", "set", "eth1", "down")
    ours.ok("network", "disconnect", "one", "bb")
    ours.ok("network", "connect", "one", "bb")
    ours.ok("restart", "-t", "0", "bb")
    assert default(ours, "bb") in ("eth0", "eth1") and pings(inside(ours, "bb"), "192.0.2.2")


def test_ipv6_switched_off_on_one_interface(ours: Client) -> None:
    off = "com.docker.network.endpoint.sysctls=net.ipv6.conf.IFNAME.disable_ipv6=1"
    ours.ok("network", "create", "--ipv6", "n")
    ours.ok("network", "create", "--ipv6", "other")
    up(ours, "aa", f"--network=name=n,driver-opt={off}")
    up(ours, "bb", "--network=n")
    ours.ok("network", "connect", "other", "aa")
    assert "inet6" not in ours.ok("exec", "aa", "ip", "addr", "show", "eth0")
    assert "inet6 fd" in ours.ok("exec", "aa", "ip", "addr", "show", "eth1")
    assert end(ours, "aa", "n")["GlobalIPv6Address"] == "", "an address it cannot have is not promised"
    assert not re.search(r"Address.*fd", ours("exec", "bb", "nslookup", "-type=aaaa", "aa").text)
    assert pings(inside(ours, "bb"), "aa")


# Networks by themselves.


def test_names_and_subnets_are_taken_once(client: Client) -> None:
    client.ok("network", "create", "--subnet", "10.247.0.0/24", "n")
    assert "network with name n already exists" in client.fails("network", "create", "n")
    assert "Pool overlaps with other one on this address space" in client.fails("network", "create", "--subnet", "10.247.0.128/25", "m")


def test_removing_several_and_looking_at_nobody(client: Client) -> None:
    for name in ("one", "used", "two"):
        client.ok("network", "create", name)
    up(client, "bb", "--network=used")
    said = client.fails("network", "rm", "one", "used", "two", code=1)
    assert "has active endpoints" in said
    assert client.ok("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}") == "used"
    done = client("network", "inspect", "one")
    assert done.code == 1 and done.out.strip() == "[]" and re.search("network one not found|No such network: one", done.err)


@pytest.mark.parametrize(("content", "body"), [
    ("text/plain", "{}"), ("application/json", ""), ("application/json", "{"), ("application/json", "{}{}"),
])  # fmt: skip
def test_requests_that_are_no_json(lab: Lab, content: str, body: str) -> None:
    status, answer = asked(lab, "POST", "/v1.45/networks/create", body, content)
    assert status == 400 and answer["message"]
