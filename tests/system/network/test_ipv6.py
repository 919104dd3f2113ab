"""IPv6 from one end to the other: networks, addresses, names, published ports by DNAT, the way out by NAT66."""

import re
from ipaddress import ip_address, ip_network

import pytest
from clients import Client
from lab import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Lab
from talk import answer_of, ask, serving, serving_outside
from talk import client as talker


def field(client: Client, container: str, network: str, name: str) -> str:
    return client.ok("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").{name}}}}}', container)


def pid(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.State.Pid}}", name)


def up(client: Client, name: str, *flags: str) -> str:
    client.ok("run", "-d", f"--name={name}", *flags, "busybox", "sleep", "600")
    return pid(client, name)


def inside(lab: Lab, process: str, *argv: str) -> str:
    return lab.host("nsenter", "-t", process, "-n", *argv).text


@pytest.fixture
def both(client: Client) -> Client:
    client.ok("network", "create", "--ipv6", "both")
    return client


def test_a_unique_local_subnet_is_chosen_and_everything_is_shown(both: Client) -> None:
    subnets = both.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}", "both").split()
    six, gateway = (ip_network(subnets[2]), ip_address(subnets[3]))
    assert six.prefixlen == 64 and six.subnet_of(ip_network("fd00::/8")) and gateway in six
    assert both.ok("network", "inspect", "-f", "{{.EnableIPv6}}", "both") == "true"
    up(both, "aa", "--network=both")
    address = field(both, "aa", "both", "GlobalIPv6Address")
    assert ip_address(address) in six
    assert field(both, "aa", "both", "GlobalIPv6PrefixLen") == "64"
    assert field(both, "aa", "both", "IPv6Gateway") == str(gateway)
    listed = both.ok("network", "inspect", "-f", "{{range .Containers}}{{.IPv4Address}} {{.IPv6Address}}{{end}}", "both")
    assert listed == f"{field(both, 'aa', 'both', 'IPAddress')}/{subnets[0].split('/')[1]} {address}/64"
    shown = both.ok("exec", "aa", "ip", "-6", "addr")
    assert f"{address}/64" in shown
    assert f"default via {gateway}" in both.ok("exec", "aa", "ip", "-6", "route")
    assert f"{address}\t" in both.ok("exec", "aa", "cat", "/etc/hosts")


def test_containers_reach_each_other_by_name_and_back(both: Client) -> None:
    up(both, "aa", "--network=both")
    up(both, "bb", "--network=both")
    six = field(both, "bb", "both", "GlobalIPv6Address")
    assert "0% packet loss" in both.ok("exec", "aa", "ping", "-6", "-c", "1", "bb")
    answer = both.ok("exec", "aa", "nslookup", "-type=aaaa", "bb")
    assert six in answer
    reverse = ip_address(six).reverse_pointer
    assert "bb.both" in both.ok("exec", "aa", "nslookup", "-type=ptr", reverse)


def test_networks_do_not_reach_each_other(both: Client) -> None:
    both.ok("network", "create", "--ipv6", "other")
    up(both, "aa", "--network=both")
    up(both, "bb", "--network=other")
    both.fails("exec", "aa", "ping", "-6", "-c", "1", "-W", "1", field(both, "bb", "other", "GlobalIPv6Address"))


def test_the_outside_sees_the_host(both: Client, lab: Lab) -> None:
    process = up(both, "aa", "--network=both")
    with serving_outside(lab, "tcp:7001", "udp:7001"):
        for door in ("tcp:7001", "udp:7001"):
            heard = answer_of(inside(lab, process, *talker(door, OUTSIDE6)))
            assert heard is not None and heard.seen == HOST6 and heard.source == OUTSIDE6


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_published_ports_keep_the_clients_address(both: Client, lab: Lab, proto: str) -> None:
    process = up(both, "aa", "--network=both", "-p", f"8080:80/{proto}")
    neighbour = up(both, "bb", "--network=both")
    both.ok("network", "create", "--ipv6", "other")
    stranger = up(both, "cc", "--network=other")
    assert both.ok("port", "aa").splitlines() == [f"80/{proto} -> 0.0.0.0:8080", f"80/{proto} -> [::]:8080"]
    with serving(lab, process, f"{proto}:80"):
        door = f"{proto}:8080"
        for address, client in ((HOST4, OUTSIDE4), (HOST6, OUTSIDE6)):
            heard = ask(lab, door, address)
            assert heard is not None and (heard.seen, heard.source) == (client, address)
        for address in ("::1", HOST6, "127.0.0.1", HOST4):
            heard = ask(lab, door, address, outside=False)
            assert heard is not None and heard.source == address, address
        for who in (process, neighbour, stranger):
            heard = answer_of(inside(lab, who, *talker(door, HOST6)))
            assert heard is not None and heard.source == HOST6, who
    assert f"{proto} . 8080 : " in lab.host("nft", "list", "ruleset").out


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_an_ipv6_client_of_an_ipv4_container_goes_through_the_proxy(client: Client, lab: Lab, proto: str) -> None:
    client.ok("network", "create", "four")
    process = up(client, "aa", "--network=four", "-p", f"[::1]:8080:80/{proto}", "-p", f"8081:80/{proto}")
    gateway = field(client, "aa", "four", "Gateway")
    lines = client.ok("port", "aa").splitlines()
    assert f"80/{proto} -> [::1]:8080" in lines and f"80/{proto} -> [::]:8081" in lines
    with serving(lab, process, f"{proto}:80"):
        heard = ask(lab, f"{proto}:8080", "::1", outside=False)
        assert heard is not None and (heard.seen, heard.source) == (gateway, "::1")
        assert ask(lab, f"{proto}:8080", HOST6) is None
        heard = ask(lab, f"{proto}:8081", HOST6)
        assert heard is not None and (heard.seen, heard.source) == (gateway, HOST6)


def test_a_network_with_ipv6_alone(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "--ipv4=false", "--ipv6", "--subnet", "2001:db8:9::/64", "six")
    assert client.ok("network", "inspect", "-f", "{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}", "six") == "false true 1"
    process = up(client, "aa", "--network=six", "-p", "8080:80")
    up(client, "bb", "--network=six")
    assert field(client, "aa", "six", "IPAddress") == ""
    assert field(client, "aa", "six", "Gateway") == ""
    assert field(client, "aa", "six", "GlobalIPv6Address") == "2001:db8:9::2"
    assert client.ok("exec", "aa", "ip", "-4", "-o", "addr", "show", "eth0") == ""
    assert "0% packet loss" in client.ok("exec", "bb", "ping", "-6", "-c", "1", "aa")
    assert client.ok("port", "aa").splitlines() == ["80/tcp -> [::]:8080"]
    with serving(lab, process, "tcp:80"):
        heard = ask(lab, "tcp:8080", HOST6)
        assert heard is not None and heard.seen == OUTSIDE6


def test_fixed_addresses_and_explicit_subnets(client: Client) -> None:
    client.ok("network", "create", "--ipv6", "--subnet", "10.71.0.0/24", "--subnet", "fd71::/64", "--gateway", "fd71::9",
              "--ip-range", "fd71::1:0/112", "fixed")  # fmt: skip
    up(client, "aa", "--network=fixed", "--ip", "10.71.0.7", "--ip6", "fd71::7")
    assert (field(client, "aa", "fixed", "IPAddress"), field(client, "aa", "fixed", "GlobalIPv6Address")) == ("10.71.0.7", "fd71::7")
    up(client, "bb", "--network=fixed")
    assert ip_address(field(client, "bb", "fixed", "GlobalIPv6Address")) in ip_network("fd71::1:0/112")
    assert field(client, "bb", "fixed", "IPv6Gateway") == "fd71::9"
    assert "0% packet loss" in client.ok("exec", "bb", "ping", "-6", "-c", "1", "fd71::7")
    said = client.fails("run", "-d", "--name=cc", "--network=fixed", "--ip6", "fd71::7", "busybox", "true")
    assert "Address already in use" in said
    said = client.fails("run", "-d", "--name=dd", "--network=fixed", "--ip6", "fd72::7", "busybox", "true")
    assert "fd72::7" in said


@pytest.mark.parametrize("subnet", ["fd80::/64", "fd80::/48", "fd80::/16", "fd80::/80"])
def test_huge_ranges(client: Client, subnet: str) -> None:
    client.ok("network", "create", "--ipv6", "--subnet", subnet, "--ip-range", subnet, "huge")
    up(client, "aa", "--network=huge")
    assert ip_address(field(client, "aa", "huge", "GlobalIPv6Address")) in ip_network(subnet)


def test_link_local_addresses(both: Client) -> None:
    up(both, "aa", "--network=both", "--link-local-ip", "169.254.7.7", "--link-local-ip", "fe80::7:7")
    shown = both.ok("exec", "aa", "ip", "addr", "show", "eth0")
    assert "169.254.7.7/16" in shown and "fe80::7:7/64" in shown
    both.ok("restart", "-t", "0", "aa")
    assert "169.254.7.7/16" in both.ok("exec", "aa", "ip", "addr", "show", "eth0")


def test_ipv6_is_off_on_an_ipv4_network_but_loopback_keeps_its_address(client: Client) -> None:
    client.ok("network", "create", "four")
    up(client, "aa", "--network=four")
    assert "inet6" not in client.ok("exec", "aa", "ip", "addr", "show", "eth0")
    assert "::1/128" in client.ok("exec", "aa", "ip", "addr", "show", "lo")
    client.ok("network", "create", "--ipv6", "six")
    client.ok("network", "connect", "six", "aa")
    assert "inet6 fd" in client.ok("exec", "aa", "ip", "addr", "show", "eth1")
    assert "inet6" not in client.ok("exec", "aa", "ip", "addr", "show", "eth0")
    assert "default via fd" in client.ok("exec", "aa", "ip", "-6", "route")
    client.ok("network", "disconnect", "six", "aa")
    assert "default" not in client.ok("exec", "aa", "ip", "-6", "route")


def test_a_container_that_switches_ipv6_off_has_none(both: Client) -> None:
    up(both, "aa", "--network=both", "--sysctl", "net.ipv6.conf.all.disable_ipv6=1")
    up(both, "bb", "--network=both")
    assert "inet6" not in both.ok("exec", "aa", "ip", "addr")
    assert field(both, "aa", "both", "GlobalIPv6Address") == ""
    assert "ip6-localhost" not in both.ok("exec", "aa", "cat", "/etc/hosts")
    assert not re.search(r"Address.*fd", both("exec", "bb", "nslookup", "-type=aaaa", "aa").text)


def test_dns_servers_with_ipv6_addresses_are_asked(both: Client, lab: Lab) -> None:
    script = (
        "import socket\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
        f"s.bind(('{OUTSIDE6}',53))\nprint('ready',flush=True)\n"
        "while True:\n q,p=s.recvfrom(600)\n"
        " s.sendto(q[:2]+b'\\x81\\x80'+q[4:6]+b'\\0\\1\\0\\0\\0\\0'+q[12:q.index(b'\\0',12)+5]+"
        "b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\xc6\\x33\\x64\\x09',p)\n"
    )
    server = lab.background("python3", "-I", "-S", "-c", script, outside=True)
    try:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        up(both, "aa", "--network=both", "--dns", OUTSIDE6)
        assert "198.51.100.9" in both.ok("exec", "aa", "nslookup", "-type=a", "host.example.")
    finally:
        server.kill()
        server.communicate()
