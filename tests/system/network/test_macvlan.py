"""Networks of the macvlan driver: containers are machines of their own on the segment of a parent interface."""

import json
import signal
from collections.abc import Callable, Iterator

import pytest
from clients import Client
from lab import HOST4, OUTSIDE4, OUTSIDE6, Lab
from patience import until
from roads import inside, no_page, no_ping, page, pings

LAN = ("-d", "macvlan", "-o", "parent=up0", "--subnet=192.0.2.0/24", "--ip-range=192.0.2.128/25", f"--gateway={OUTSIDE4}")


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    command = ("sleep", "600") if image == "busybox" else ()
    client.ok("run", "-d", f"--name={name}", *flags, image, *command)


def networks_of(client: Client, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(client.ok("inspect", "-f", "{{json .NetworkSettings.Networks}}", name))
    return found


@pytest.fixture
def spare(lab: Lab) -> Iterator[str]:
    """One more interface of the host, with a carrier."""
    assert lab.host("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1").code == 0
    for end in ("spare0", "spare1"):
        lab.host("ip", "link", "set", end, "up")
    yield "spare0"
    lab.host("ip", "link", "del", "spare0")


def test_a_container_is_a_machine_on_the_lan(client: Client, lab: Lab) -> None:
    client.ok("network", "create", *LAN, "lan")
    up(client, "web", "--network=lan", "--ip=192.0.2.200", "--mac-address=02:42:c0:00:02:c8", image="httpd")
    up(client, "bb", "--network=lan")
    outside = lab.outside
    # The machine outside answers, and sees the container's own MAC and not the host's.
    assert pings(inside(client, "bb"), OUTSIDE4) and page(outside, "192.0.2.200")
    assert "02:42:c0:00:02:c8" in outside("ip", "neigh", "show", "192.0.2.200").out
    assert page(inside(client, "bb"), "web"), "names resolve, and neighbours are reached through the parent"
    assert client.address("bb", "lan") == "192.0.2.128"
    seen = networks_of(client, "web")["lan"]
    assert (seen["IPAddress"], seen["Gateway"], seen["MacAddress"]) == ("192.0.2.200", OUTSIDE4, "02:42:c0:00:02:c8")
    assert "default via 192.0.2.2 dev eth0" in client.ok("exec", "bb", "ip", "route")
    # A property of macvlan: parent and child do not talk.
    assert no_ping(inside(client, "bb"), HOST4)


def test_inspect_shows_what_was_asked_for(client: Client) -> None:
    client.ok("network", "create", *LAN, "-o", "macvlan_mode=bridge", "--aux-address=router=192.0.2.129", "lan")
    up(client, "bb", "--network=lan")
    [shown] = json.loads(client.ok("network", "inspect", "lan"))
    assert (shown["Driver"], shown["Scope"], shown["Internal"]) == ("macvlan", "local", False)
    assert shown["Options"] == {"parent": "up0", "macvlan_mode": "bridge"}
    assert shown["IPAM"]["Config"] == [{
        "Subnet": "192.0.2.0/24", "IPRange": "192.0.2.128/25", "Gateway": OUTSIDE4,
        "AuxiliaryAddresses": {"router": "192.0.2.129"},
    }]  # fmt: skip
    [member] = shown["Containers"].values()
    assert (member["Name"], member["IPv4Address"]) == ("bb", "192.0.2.128/24")
    assert client.ok("network", "ls", "-q", "--filter", "driver=macvlan") == shown["Id"][:12]


def test_ports_are_not_published(client: Client, lab: Lab) -> None:
    client.ok("network", "create", *LAN, "lan")
    up(client, "web", "--network=lan", "-p", "8080:80", image="httpd")
    assert client.ok("port", "web") == ""
    assert "->" not in client.ok("ps", "--format", "{{.Ports}}")
    assert json.loads(client.ok("inspect", "-f", "{{json .HostConfig.PortBindings}}", "web")) == {
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}]
    }
    assert no_page(lab.outside, HOST4, 8080) and page(lab.outside, client.address("web", "lan"))
    # On a bridge as well, they are: once that is where the default route leads.
    client.ok("network", "create", "n")
    client.ok("network", "connect", "n", "web")
    assert client.ok("port", "web") == ""
    client.ok("network", "disconnect", "lan", "web")
    assert client.port("web", "80") == "8080" and page(lab.outside, HOST4, 8080)


def test_both_families(client: Client) -> None:
    six = ("--ipv6", "--subnet=2001:db8:78::/64", "--ip-range=2001:db8:78::8000/113", f"--gateway={OUTSIDE6}")
    client.ok("network", "create", *LAN, *six, "lan")
    up(client, "one", "--network=lan")
    up(client, "two", "--network=lan", "--ip6=2001:db8:78::c0de")
    assert pings(inside(client, "one"), OUTSIDE6) and pings(inside(client, "one"), "2001:db8:78::c0de")
    assert client.ok("exec", "one", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "0"
    client.ok("network", "disconnect", "lan", "two")
    client.ok("network", "create", "-d", "macvlan", "four")
    client.ok("network", "connect", "four", "two")
    assert client.ok("exec", "two", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1"


def test_connected_and_disconnected_while_it_runs(client: Client) -> None:
    client.ok("network", "create", *LAN, "lan")
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n")
    before = client.ok("exec", "bb", "ip", "route")
    client.ok("network", "connect", "--ip=192.0.2.201", "--alias=machine", "lan", "bb")
    assert networks_of(client, "bb")["lan"]["IPAddress"] == "192.0.2.201"
    assert pings(inside(client, "bb"), OUTSIDE4)
    routes = client.ok("exec", "bb", "ip", "route")
    assert "192.0.2.0/24 dev eth1" in routes and before.splitlines()[0] in routes, "the default route stays"
    client.ok("rename", "bb", "other")
    up(client, "asks", "--network=lan")
    assert pings(inside(client, "asks"), "machine") and pings(inside(client, "asks"), "other")
    client.ok("network", "disconnect", "lan", "other")
    assert client.ok("exec", "other", "ip", "route") == before
    assert "eth1" not in client.ok("exec", "other", "ip", "link")
    assert no_ping(inside(client, "asks"), "192.0.2.201")


def test_the_default_route_goes_by_priority(client: Client) -> None:
    client.ok("network", "create", *LAN, "lan")
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n", "--network=name=lan,gw-priority=1")
    assert f"default via {OUTSIDE4} dev eth1" in client.ok("exec", "bb", "ip", "route")
    client.ok("restart", "-t0", "bb")
    assert f"default via {OUTSIDE4} dev eth1" in client.ok("exec", "bb", "ip", "route")


def test_an_internal_network_has_no_way_out(client: Client, lab: Lab) -> None:
    client.ok("network", "create", *LAN, "--internal", "lan")
    up(client, "one", "--network=lan")
    up(client, "two", "--network=lan")
    assert "default" not in client.ok("exec", "one", "ip", "route")
    assert pings(inside(client, "one"), "two") and networks_of(client, "one")["lan"]["Gateway"] == ""


def test_without_a_parent_containers_have_each_other(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "-d", "macvlan", "island")
    [shown] = json.loads(client.ok("network", "inspect", "island"))
    parent = f"dm-{shown['Id'][:12]}"
    assert parent in lab.host("ip", "link").out
    up(client, "one", "--network=island")
    up(client, "two", "--network=island")
    assert pings(inside(client, "one"), "two")
    assert "default" not in client.ok("exec", "one", "ip", "route")
    client.ok("rm", "-f", "one", "two")
    client.ok("network", "rm", "island")
    assert parent not in lab.host("ip", "link").out


@pytest.mark.parametrize(("mode", "reached"), [("private", no_ping), ("vepa", no_ping), ("bridge", pings)])
def test_modes(ours: Client, mode: str, reached: Callable[..., bool]) -> None:
    ours.ok("network", "create", *LAN, "-o", f"macvlan_mode={mode}", "lan")
    up(ours, "one", "--network=lan")
    up(ours, "two", "--network=lan")
    assert pings(inside(ours, "one"), OUTSIDE4)
    assert reached(inside(ours, "one"), ours.address("two", "lan"))


def test_passthru_is_for_one(client: Client, spare: str, lab: Lab) -> None:
    client.ok("network", "create", "-d", "macvlan", "-o", f"parent={spare}", "-o", "macvlan_mode=passthru", "p")
    mac = json.loads(lab.host("ip", "-j", "link", "show", spare).out)[0]["address"]
    up(client, "one", "--network=p")
    assert client.ok("exec", "one", "cat", "/sys/class/net/eth0/address") == mac, "it has the parent's address"
    said = client.fails("run", "-d", "--name=two", "--network=p", "busybox", "sleep", "600", code=125)
    assert "failed to create the macvlan port: invalid argument" in said
    client.ok("rm", "-f", "one")
    client.ok("start", "two")


def test_what_is_refused(client: Client, spare: str) -> None:
    def refused(*flags: str) -> str:
        return client.fails("network", "create", "-d", "macvlan", *flags, "x", code=1)

    client.ok("network", "create", "-d", "macvlan", "-o", f"parent={spare}", "first")
    identity = client.ok("network", "inspect", "-f", "{{.Id}}", "first")
    assert f"network dm-{identity[:12]} is already using parent interface {spare}" in refused("-o", f"parent={spare}")
    assert "loopback interface is not a valid macvlan parent link" in refused("-o", "parent=lo")
    assert "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default" in refused(
        "-o", "macvlan_mode=x"
    )
    assert "invalid subinterface vlan name nosuch, example formatting is eth0.10" in refused("-o", "parent=nosuch")
    assert "-o parent interface was not found on the host: nosuch" in refused("-o", "parent=nosuch.20")
    assert "vlan id must be between 1-4094, received: 4095" in refused("-o", f"parent={spare}.4095")
    assert "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)" in refused("-o", f"parent={spare}.x")
    said = refused("-o", f"parent={spare}.1.2")
    assert "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received" in said
    assert client.ok("network", "ls", "-q", "--filter", "name=x") == ""


def test_a_parent_that_is_down_comes_up(ours: Client, spare: str, lab: Lab) -> None:
    lab.host("ip", "link", "set", spare, "down")
    ours.ok("network", "create", "-d", "macvlan", "-o", f"parent={spare}", "p")
    up(ours, "one", "--network=p")
    up(ours, "two", "--network=p")
    assert pings(inside(ours, "one"), "two")


def test_a_vlan_comes_and_goes_with_its_network(ours: Client, spare: str, lab: Lab) -> None:
    done = ours("network", "create", "-d", "macvlan", "-o", f"parent={spare}.20", "tagged")
    if done.code and "not supported" in done.text:
        pytest.skip("this kernel has no VLANs (8021q)")
    assert done.code == 0, done.text
    assert f"{spare}.20" in lab.host("ip", "link").out
    up(ours, "one", "--network=tagged")
    ours.ok("rm", "-f", "one")
    ours.ok("network", "rm", "tagged")
    assert f"{spare}.20" not in lab.host("ip", "link").out


def test_containers_stay_when_the_daemon_restarts(own_lab: Lab) -> None:
    client = Client(own_lab, "landbridge")
    client.ok("network", "create", *LAN, "lan")
    client.ok("network", "create", "-d", "macvlan", "island")
    up(client, "bb", "--network=lan", "--network=island")
    before = networks_of(client, "bb")
    own_lab.stop_daemon()
    assert pings(own_lab.outside, str(before["lan"]["IPAddress"])), "nobody needs the daemon for this"
    own_lab.start_daemon()
    assert networks_of(client, "bb") == before
    # What somebody took away meanwhile is back.
    pid = client.ok("inspect", "-f", "{{.State.Pid}}", "bb")
    own_lab.host("nsenter", "-t", pid, "-n", "ip", "link", "del", "eth0")
    own_lab.stop_daemon()
    own_lab.start_daemon()
    assert pings(inside(client, "bb"), OUTSIDE4)
    assert f"default via {OUTSIDE4} dev eth0" in client.ok("exec", "bb", "ip", "route")


def test_nothing_stays_of_an_engine_that_ends(own_lab: Lab) -> None:
    client = Client(own_lab, "landbridge")
    client.ok("network", "create", "-d", "macvlan", "island")
    own_lab.stop_daemon()
    assert "dm-" not in own_lab.host("ip", "link").out
    own_lab.start_daemon()
    up(client, "one", "--network=island")
    assert "dm-" in own_lab.host("ip", "link").out


def test_the_host_takes_part_where_it_is_told_to(own_lab: Lab) -> None:
    """It has an interface of its own beside the containers', and reaches their range through it; its parent stays."""
    client = Client(own_lab, "docker")
    shim = ("-o", "landbridge.host_shim=true")
    client.ok("network", "create", *LAN, *shim, "--aux-address=host=192.0.2.129", "lan")
    up(client, "web", "--network=lan", image="httpd")
    address = client.address("web", "lan")
    until(lambda: page(own_lab.host, address), wanted=True)
    assert pings(inside(client, "web"), "192.0.2.129") and pings(own_lab.outside, address)
    assert "dev up0" in own_lab.host("ip", "route", "get", OUTSIDE4).out, "the rest of the segment is reached as before"
    # After a crash that took it, it is back; with its network it goes.
    [name] = [line.split(":")[1].split("@")[0].strip() for line in own_lab.host("ip", "-o", "link").out.splitlines() if " lbh-" in line]
    own_lab.stop_daemon(signal.SIGKILL)
    own_lab.host("ip", "link", "del", name)
    own_lab.start_daemon()
    assert page(own_lab.host, address)
    client.ok("rm", "-f", "web")
    client.ok("network", "rm", "lan")
    assert own_lab.host("ip", "link", "show", name).code != 0
    assert "--aux-address host=IP" in client.fails("network", "create", *LAN, *shim, "m")
    assert "in bridge mode with a parent" in client.fails("network", "create", *LAN, *shim, "-o", "macvlan_mode=vepa", "m")
