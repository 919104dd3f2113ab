"""Who resolves what in /etc and in DNS, and the finer points of published ports."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_scenario import Connection
from clients import Client, MakeLab
from lab import HOST4, OUTSIDE4, Lab
from patience import until
from roads import inside, no_page, no_ping, page, pings


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    client.ok("run", "-d", f"--name={name}", *flags, image, *(("sleep", "600") if image == "busybox" else ()))


def resolves(client: Client, container: str, name: str) -> str:
    """The first IPv4 address a container hears for a name; empty: none."""
    said = client("exec", container, "nslookup", "-type=a", name).text
    found = re.findall(r"Address:\s+([\d.]+)\s*$", said, re.MULTILINE)
    return found[-1] if found else ""


@pytest.fixture
def world(lab: Lab, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A name server outside that knows world.example, and mail.corp.example."""
    server = lab.background(
        "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={OUTSIDE4}",
        "--local=/#/", "--address=/world.example/203.0.113.7", "--address=/mail.corp.example/203.0.113.8",
        f"--pid-file={tmp_path}/pid", "--user=root", outside=True,
    )  # fmt: skip
    until(lambda: f"{OUTSIDE4}:53" in lab.outside("ss", "-Hlun").out, wanted=True)
    yield server
    server.terminate()
    server.communicate()


# Files.


def test_the_text_of_resolv_conf(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "aa", "--network=n", "--dns=192.0.2.2", "--dns-search=corp.example", "--dns-opt=timeout:2")
    lines = client.ok("exec", "aa", "cat", "/etc/resolv.conf").splitlines()
    plain = [line for line in lines if line and not line.startswith("#")]
    assert plain == ["nameserver 127.0.0.11", "search corp.example", "options timeout:2 ndots:0"]
    assert "# ExtServers: [192.0.2.2]" in lines and "# Overrides: [nameservers search options]" in lines
    assert "# Option ndots from: internal" in lines
    up(client, "bb", "--dns=192.0.2.2")
    assert "nameserver 192.0.2.2" in client.ok("exec", "bb", "cat", "/etc/resolv.conf"), "the default bridge asks itself"


def test_the_text_of_hosts_follows_the_attachments(client: Client) -> None:
    client.ok("network", "create", "--ipv6", "n")
    up(client, "aa", "--network=n", "--hostname=aa.example.org", "--add-host=own:192.0.2.9")
    address = client.address("aa", "n")
    six = client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.GlobalIPv6Address}}", "aa")
    before = client.ok("exec", "aa", "cat", "/etc/hosts").splitlines()
    assert before == [
        "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix", "ff02::1\tip6-allnodes", "ff02::2\tip6-allrouters", "192.0.2.9\town",
        f"{address}\taa.example.org aa", f"{six}\taa.example.org aa",
    ]  # fmt: skip
    client.ok("network", "create", "m")
    client.ok("network", "connect", "m", "aa")
    assert client.ok("exec", "aa", "cat", "/etc/hosts").splitlines() == [*before, f"{client.address('aa', 'm')}\taa.example.org aa"]
    client.ok("network", "disconnect", "n", "aa")
    after = client.ok("exec", "aa", "cat", "/etc/hosts").splitlines()
    assert after == [*before[:-2], f"{client.address('aa', 'm')}\taa.example.org aa"]


def test_the_word_host_gateway(lab_with: MakeLab) -> None:
    made = lab_with("--ipv6")
    client = Client(made, "docker")
    gateways = client.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", "bridge").split()
    assert len(gateways) == 2
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n", "--add-host=gate:host-gateway")
    hosts = client.ok("exec", "bb", "cat", "/etc/hosts")
    assert all(f"{one}\tgate\n" in hosts for one in gateways)


# Names.


def test_names_are_of_a_network(client: Client) -> None:
    for name in ("net1", "net2"):
        client.ok("network", "create", name)
    up(client, "c1", "--network=net1", "--network-alias=shared", "--network-alias=only1")
    up(client, "c2", "--network=net1", "--network-alias=shared")
    client.ok("network", "connect", "--alias=only2", "net2", "c1")
    up(client, "seer1", "--network=net1")
    up(client, "seer2", "--network=net2")
    one, two = client.address("c1", "net1"), client.address("c1", "net2")
    assert resolves(client, "seer1", "only1") == one and resolves(client, "seer2", "only2") == two
    assert resolves(client, "seer1", "only2") == "" == resolves(client, "seer2", "only1")
    assert resolves(client, "seer1", "c1.net1") == one and resolves(client, "seer1", "c1.net2") == ""
    assert resolves(client, "seer2", client.ok("inspect", "-f", "{{.Id}}", "c1")[:12]) == two
    assert set(re.findall(r"Address:\s+([\d.]+)\s*$", client.ok("exec", "seer1", "nslookup", "-type=a", "shared"), re.MULTILINE)
               ) >= {one, client.address("c2", "net1")}  # fmt: skip
    # Nonsense sent to the server harms nobody.
    client.ok("exec", "seer1", "sh", "-c", "head -c 300 /dev/zero | nc -u -w 1 127.0.0.11 53; true")
    assert resolves(client, "seer1", "only1") == one


def test_a_container_without_a_name_of_its_own(client: Client) -> None:
    client.ok("network", "create", "n")
    identity = client.ok("run", "-d", "--network=n", "busybox", "sleep", "600")
    up(client, "seer", "--network=n")
    assert resolves(client, "seer", identity[:12]) == client.address(identity, "n")


def test_the_outside_is_asked_by_who_may_go_there(client: Client, world: object) -> None:
    client.ok("network", "create", "out")
    client.ok("network", "create", "--internal", "in")
    up(client, "bb", "--network=out", f"--dns={OUTSIDE4}")
    client.ok("network", "connect", "in", "bb")
    assert resolves(client, "bb", "world.example") == "203.0.113.7"
    client.ok("network", "disconnect", "out", "bb")
    assert "world" not in client("exec", "bb", "nslookup", "-type=a", "-timeout=1", "world.example").out.replace("world.example", "")
    assert resolves(client, "bb", "bb") == client.address("bb", "in"), "what is inside resolves"
    client.ok("network", "connect", "out", "bb")
    assert resolves(client, "bb", "world.example") == "203.0.113.7"


def test_a_server_on_an_internal_network(client: Client, lab: Lab, tmp_path: Path) -> None:
    """It is asked from the container, whom it is near."""
    client.ok("network", "create", "--internal", "--subnet", "10.248.0.0/24", "in")
    up(client, "server", "--network=in", "--ip=10.248.0.53")
    pid = client.ok("inspect", "-f", "{{.State.Pid}}", "server")
    server = lab.background(
        "nsenter", "-t", pid, "-n", "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces",
        "--listen-address=10.248.0.53", "--address=/inner.example/203.0.113.9", f"--pid-file={tmp_path}/pid", "--user=root",
    )  # fmt: skip
    try:
        up(client, "bb", "--network=in", "--dns=10.248.0.53")
        until(lambda: resolves(client, "bb", "inner.example"), wanted="203.0.113.9")
    finally:
        server.terminate()
        server.communicate()


def test_servers_that_are_dead_or_ourselves(client: Client, world: object) -> None:
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n", "--dns=192.0.2.250", f"--dns={OUTSIDE4}", "--dns-search=corp.example")
    assert resolves(client, "bb", "world.example") == "203.0.113.7", "the second one answers"
    assert "203.0.113.8" in client("exec", "bb", "ping", "-c1", "-W1", "mail").text, "by the list of domains"
    up(client, "loop", "--network=n", "--dns=127.0.0.11", f"--dns={OUTSIDE4}")
    assert resolves(client, "loop", "world.example") == "203.0.113.7"
    up(client, "alone", "--network=n", "--dns=127.0.0.11")
    assert "SERVFAIL" in client("exec", "alone", "nslookup", "-type=a", "world.example").text


def test_a_network_of_ipv6_alone_asks_too(ours: Client, world: object) -> None:
    """Its containers have no way to an IPv4 server; the host's own are asked from the host."""
    ours.ok("network", "create", "--ipv4=false", "--ipv6", "six")
    up(ours, "aa", "--network=six")
    up(ours, "bb", "--network=six")
    assert pings(inside(ours, "aa"), "bb")
    assert "nameserver 127.0.0.11" in ours.ok("exec", "aa", "cat", "/etc/resolv.conf")


# Ways between networks.


@pytest.mark.parametrize("kind", ["default", "user", "internal", "ipv6", "ipv6 alone"])
def test_neighbours_talk_on_every_kind_of_network(ours: Client, kind: str) -> None:
    flags = {"user": (), "internal": ("--internal",), "ipv6": ("--ipv6",), "ipv6 alone": ("--ipv4=false", "--ipv6")}
    network = "bridge"
    if kind in flags:
        ours.ok("network", "create", *flags[kind], "n")
        network = "n"
    up(ours, "aa", f"--network={network}")
    up(ours, "bb", f"--network={network}")
    fields = ("IPAddress", "GlobalIPv6Address")
    addresses = [ours.ok("inspect", "-f", f"{{{{.NetworkSettings.Networks.{network}.{one}}}}}", "bb") for one in fields]
    for address in filter(None, addresses):
        assert pings(inside(ours, "aa"), address), address
    assert bool(addresses[0]) is (kind != "ipv6 alone") and bool(addresses[1]) is kind.startswith("ipv6")
    assert pings(inside(ours, "aa"), "bb") is (kind != "default")


def test_from_one_network_to_a_port_published_by_another(ours: Client) -> None:
    """By the host's address, and by the address of the other network's gateway."""
    for name in ("one", "two"):
        ours.ok("network", "create", name)
    up(ours, "web", "--network=one", "-p", "8080:80", image="httpd")
    up(ours, "bb", "--network=two")
    gateways = [ours.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", one) for one in ("one", "two")]
    until(lambda: page(inside(ours, "bb"), HOST4, 8080), wanted=True)
    for gateway in gateways:
        assert page(inside(ours, "bb"), gateway, 8080), gateway
    assert no_page(inside(ours, "bb"), ours.address("web", "one")) and no_ping(inside(ours, "bb"), ours.address("web", "one"))


def test_icc_off_where_bridges_meet_the_host_s_rules_and_where_they_do_not(ours: Client, lab: Lab) -> None:
    """br_netfilter is a setting of each network namespace once the module is loaded (by somebody else)."""
    key = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    before = lab.host("cat", key).out.strip()
    if not before:
        pytest.skip("this kernel has no br_netfilter loaded; landbridge does not load it")
    ours.ok("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n")
    up(ours, "web", "--network=n", "-p", "8080:80", image="httpd")
    up(ours, "bb", "--network=n")
    address = ours.address("web", "n")
    try:
        for setting in ("0", "1"):
            lab.host("sh", "-c", f"echo {setting} >{key}")
            until(lambda: page(lab.host, address), wanted=True)
            assert no_page(inside(ours, "bb"), address) and no_ping(inside(ours, "bb"), address), setting
            assert page(inside(ours, "bb"), HOST4, 8080), setting
    finally:
        lab.host("sh", "-c", f"echo {before} >{key}")


# Published ports.


def test_everything_exposed_at_once(client: Client, lab: Lab) -> None:
    client.ok("run", "-d", "-P", "--expose=81", "--name=web", "httpd")
    ports = json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Ports}}", "web"))
    assert set(ports) == {"80/tcp", "81/tcp"} and all(one[0]["HostPort"].isdigit() for one in ports.values())
    until(lambda: page(lab.outside, HOST4, int(ports["80/tcp"][0]["HostPort"])), wanted=True)
    bindings = json.loads(client.ok("inspect", "-f", "{{json .HostConfig.PortBindings}}", "web"))
    assert not bindings


def test_any_address_and_certain_ones_for_one_port(client: Client, lab: Lab) -> None:
    client.ok("run", "-d", "--name=web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", f"{HOST4}:8082:80", "-p", "[::1]:8083:80", "httpd")
    until(lambda: page(lab.host, "127.0.0.1", 8080), wanted=True)
    assert page(lab.host, "127.0.0.1", 8081) and page(lab.host, HOST4, 8082) and page(lab.host, "::1", 8083)
    assert page(lab.outside, HOST4, 8080) and page(lab.outside, HOST4, 8082) and no_page(lab.outside, HOST4, 8081)
    assert no_page(lab.host, "127.0.0.1", 8082) and no_page(lab.host, "127.0.0.1", 8083)
    # Each loopback address is one of its own.
    for number in (2, 3):
        client.ok("run", "-d", f"--name=web{number}", "-p", f"127.0.0.{number}:8085:80", "httpd")
        client.ok("exec", f"web{number}", "sh", "-c", f"echo It works! number {number} >/var/www/index.html")
    for number in (2, 3):
        url = f"http://127.0.0.{number}:8085/"
        until(lambda url=url: lab.host("timeout", "3", "busybox", "wget", "-qO-", url).out.strip(), wanted=f"It works! number {number}")  # type: ignore[misc]


def test_ranges_fill_in_order(client: Client) -> None:
    for number in range(3):
        client.ok("run", "-d", f"--name=c{number}", "-p", "9090-9092:80", "busybox", "sleep", "600")
        assert client.port(f"c{number}", "80") == str(9090 + number)
    assert "port is already allocated" in client.fails("run", "-d", "--name=c3", "-p", "9090-9092:80", "busybox", "true")
    client.ok("rm", "-f", "c1")
    client.ok("start", "c3")
    client.ok("run", "-d", "--name=pairs", "-p", "9800-9803:80-83", "busybox", "sleep", "600")
    assert [client.port("pairs", str(80 + one)) for one in range(4)] == ["9800", "9801", "9802", "9803"]
    assert "invalid ranges" in client.fails("run", "-p", "9800-9803:80-82", "busybox", "true").lower()


def test_a_taken_port_is_no_reason_to_try_again(client: Client) -> None:
    up(client, "first", "-p", "8080:80")
    said = client.fails("run", "-d", "--restart=always", "--name=second", "-p", "8080:80", "busybox", "sleep", "600")
    assert "failed to set up container networking" in said
    assert client.ok("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "second") == "created 0"


def test_an_internal_network_publishes_nothing_until_another_is_joined(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "--internal", "in")
    client.ok("run", "-d", "--network=in", "--name=web", "-p", "8080:80", "httpd")
    assert client.ok("port", "web") == "" and no_page(lab.host, "127.0.0.1", 8080)
    client.ok("network", "connect", "bridge", "web")
    assert "80/tcp -> 0.0.0.0:8080" in client.ok("port", "web")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)


def test_dynamic_ports_are_told_right_when_the_gateway_changes(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "one")
    client.ok("network", "create", "two")
    client.ok("run", "-d", "--network=one", "--name=web", "-p", "80", "-p", "8080:80", "httpd")

    def answers() -> bool:
        ports = {line.rpartition(":")[2] for line in client.ok("port", "web").splitlines()}
        return "8080" in ports and len(ports) == 2 and all(page(lab.outside, HOST4, int(port)) for port in ports)

    until(answers, wanted=True)
    client.ok("network", "connect", "--gw-priority=1", "two", "web")
    assert answers()
    client.ok("network", "disconnect", "two", "web")
    assert answers()


def test_an_empty_list_of_bindings(lab: Lab, ours: Client) -> None:
    """As old clients send it for "any port"."""
    connection = Connection(str(lab.socket))
    body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"PortBindings": {"80/tcp": []}}, "ExposedPorts": {"80/tcp": {}}}
    connection.request("POST", "/v1.45/containers/create?name=bb", json.dumps(body), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()
    ours.ok("start", "bb")
    assert ours.port("bb", "80").isdigit()
