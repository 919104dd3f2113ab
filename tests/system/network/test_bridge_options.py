"""Options of bridge networks and of a container's place on them, as the docker command gives them."""

import re
import sys
from collections.abc import Iterator

import images
import pytest
from clients import Background, Client, MakeLab
from lab import HOST4, OUTSIDE4, Lab
from patience import until
from roads import inside, no_page, no_ping, page, pings

NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc=false"
MTU = "com.docker.network.driver.mtu"


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    command = ("sleep", "600") if image == "busybox" else ()
    client.ok("run", "-d", f"--name={name}", *flags, image, *command)


# Who may talk to whom.


def test_without_icc_neighbours_do_not_hear_each_other(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "-o", ICC, "--ipv6", "n")
    up(client, "web", "--network=n", "-p", "8080:80", image="httpd")
    up(client, "bb", "--network=n")
    address = client.address("web", "n")
    six = client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.GlobalIPv6Address}}", "web")
    neighbour = inside(client, "bb")
    assert no_ping(neighbour, address) and no_page(neighbour, address)
    assert no_ping(neighbour, six) and no_page(neighbour, six)
    assert client("exec", "bb", "nslookup", "web").code == 0, "the name is known, the way is closed"
    # What is published is open to everybody, and so is the world to them.
    assert page(neighbour, HOST4, 8080) and page(inside(client, "web"), HOST4, 8080)
    assert page(lab.host, address) and page(lab.outside, HOST4, 8080)
    assert pings(neighbour, client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.Gateway}}", "bb"))


def test_links_open_what_is_exposed(lab_with: MakeLab) -> None:
    made = lab_with("--icc=false")
    client = Client(made, "docker")
    up(client, "db", "--expose=80", image="httpd")
    up(client, "web", "--link=db:store")
    up(client, "other")
    address = client.address("db", "bridge")
    assert page(inside(client, "web"), "store") and page(inside(client, "web"), address)
    assert no_ping(inside(client, "web"), address), "the port, not the rest"
    assert no_page(inside(client, "other"), address)
    assert no_page(inside(client, "web"), address, 81)
    client.ok("rm", "--link", "web/store")
    assert no_page(inside(client, "web"), address)
    assert address not in made.host("nft", "list", "ruleset").out
    # The machine answers for addresses on this bridge; its neighbours outside must not notice.
    assert made.host("cat", "/proc/sys/net/ipv4/conf/up0/proxy_arp_pvlan").out.strip() == "0"


# Interfaces.


def test_a_bridge_gets_the_name_it_is_given_and_goes_with_its_network(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "-o", f"{NAME}=br-mine", "n")
    assert lab.host("ip", "link", "show", "br-mine").code == 0
    up(client, "aa", "--network=n")
    up(client, "bb", "--network=n")
    assert pings(inside(client, "aa"), "bb")
    assert "networks have same bridge name" in client.fails("network", "create", "-o", f"{NAME}=br-mine", "m")
    client.ok("rm", "-f", "aa", "bb")
    client.ok("network", "rm", "n")
    assert lab.host("ip", "link", "show", "br-mine").code != 0


def test_somebody_elses_bridge_is_used_and_stays(client: Client, lab: Lab) -> None:
    lab.host("ip", "link", "add", "br-theirs", "type", "bridge")
    lab.host("ip", "addr", "add", "10.231.0.1/24", "dev", "br-theirs")
    lab.host("ip", "link", "set", "br-theirs", "mtu", "1400", "up")
    try:
        client.ok("network", "create", "--subnet", "10.231.0.0/24", "-o", f"{NAME}=br-theirs", "n")
        up(client, "web", "--network=n", "-p", "8080:80", image="httpd")
        until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
        assert page(lab.host, client.address("web", "n"))
        client.ok("rm", "-f", "web")
        client.ok("network", "rm", "n")
        shown = lab.host("ip", "addr", "show", "br-theirs")
        assert shown.code == 0 and "10.231.0.1/24" in shown.out and "mtu 1400" in shown.out
        assert "br-theirs" not in lab.host("nft", "list", "ruleset").out
    finally:
        lab.host("ip", "link", "del", "br-theirs")


def test_an_engine_that_is_killed_takes_up_bridges_of_any_name(own_lab: Lab) -> None:
    client = Client(own_lab, "landbridge")
    client.ok("network", "create", "-o", f"{NAME}=br-kept", "n")
    own_lab.stop_daemon()
    assert own_lab.host("ip", "link", "show", "br-kept").code != 0, "with nothing running, nothing stays"
    own_lab.start_daemon()
    assert "landbridge_" in own_lab.host("ip", "-d", "link", "show", "br-kept").out


def test_names_of_interfaces(client: Client) -> None:
    client.ok("network", "create", "one")
    client.ok("network", "create", "-o", "com.docker.network.container_iface_prefix=lan", "two")
    up(client, "bb", "--network=name=one,driver-opt=com.docker.network.endpoint.ifname=eth1")
    client.ok("network", "connect", "two", "bb")
    client.ok("network", "create", "three")
    client.ok("network", "connect", "three", "bb")
    client.ok("network", "create", "four")
    client.ok("network", "connect", "four", "bb")
    shown = client.ok("exec", "bb", "ls", "/sys/class/net").split()
    assert set(shown) == {"lo", "eth1", "lan0", "eth0", "eth2"}, "eth1 is left out when numbers are given"
    client.ok("network", "create", "five")
    said = client.fails("network", "connect", "--driver-opt", "com.docker.network.endpoint.ifname=eth1", "five", "bb")
    assert "error renaming interface" in said and "file exists" in said
    said = client.fails("run", "--network=name=one,driver-opt=com.docker.network.endpoint.ifname=a/b", "busybox", "true")
    assert "invalid interface name 'a/b'" in said
    client.ok("restart", "-t", "0", "bb")
    assert set(client.ok("exec", "bb", "ls", "/sys/class/net").split()) == set(shown)


def test_settings_of_one_interface(client: Client) -> None:
    setting = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    client.ok("network", "create", "one")
    client.ok("network", "create", "two")
    up(client, "bb", f"--network=name=one,driver-opt={setting}")
    client.ok("network", "connect", "two", "bb")
    read = {one: client.ok("exec", "bb", "cat", f"/proc/sys/net/ipv4/conf/{one}/log_martians") for one in ("eth0", "eth1")}
    assert read == {"eth0": "1", "eth1": "0"}
    said = client.fails("run", "--network=name=one,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.ip_forward=1", "busybox", "true")
    assert "unrecognised network interface sysctl 'net.ipv4.ip_forward=1'" in said


def test_link_local_addresses(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "aa", "--network=n", "--link-local-ip=169.254.7.7")
    up(client, "bb", "--network=n", "--link-local-ip=169.254.7.8")
    assert pings(inside(client, "bb"), "169.254.7.7")
    assert client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.IPAMConfig.LinkLocalIPs}}", "aa") == "[169.254.7.7]"


GROUP = """
import socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
    ear.bind(("", 7030))
    ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", socket.inet_aton("239.1.1.1"), bytes(4)))
    print("ready", flush=True)
    print(ear.recvfrom(100), flush=True)
"""
SPEAKER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
    for _ in range(3):
        mouth.sendto(b"to whom it may concern", ("239.1.1.1", 7030))
"""


def test_multicast_reaches_who_joined(ours: Client, lab: Lab, background: Background) -> None:
    ours.ok("network", "create", "n")
    up(ours, "ear", "--network=n")
    up(ours, "mouth", "--network=n")
    pids = {name: ours.ok("inspect", "-f", "{{.State.Pid}}", name) for name in ("ear", "mouth")}
    ear = background(lab, "nsenter", "-t", pids["ear"], "-n", sys.executable, "-I", "-S", "-c", GROUP)
    assert ear.stdout is not None
    assert ear.stdout.readline() == b"ready\n"
    assert lab.host("nsenter", "-t", pids["mouth"], "-n", sys.executable, "-I", "-S", "-c", SPEAKER).code == 0
    assert ours.address("mouth", "n").encode() in ear.stdout.readline()


# Sizes of packets.


def test_the_mtu_is_that_of_the_way_out(lab_with: MakeLab) -> None:
    made = lab_with(start=False)
    made.start_machines()
    assert made.host("ip", "link", "set", "up0", "mtu", "1450").code == 0
    made.start_daemon()
    client = Client(made, "landbridge")
    import_busybox(made, client)
    client.ok("network", "create", "n")
    client.ok("network", "create", "-o", f"{MTU}=1300", "small")
    up(client, "bb")
    client.ok("network", "connect", "n", "bb")
    client.ok("network", "connect", "small", "bb")
    assert [client.ok("exec", "bb", "cat", f"/sys/class/net/eth{n}/mtu") for n in range(3)] == ["1450", "1450", "1300"]


def import_busybox(lab: Lab, client: Client) -> None:
    """One image, made on the spot."""
    path = lab.directory / "busybox.tar"
    images.build("busybox", path)
    client.ok("load", "-q", "-i", str(path))


@pytest.fixture
def narrow(lab: Lab) -> Iterator[None]:
    """The way out is narrower than anybody knows: no ICMP tells of it."""
    lab.host("ip", "link", "set", "up0", "mtu", "1300")
    silence = "table inet silence {\n chain o { type filter hook output priority 0; meta l4proto icmp drop; }\n}\n"
    assert lab.host("nft", "-f", "-", input=silence).code == 0
    yield
    lab.host("nft", "delete", "table", "inet", "silence")
    lab.host("ip", "link", "set", "up0", "mtu", "1500")


@pytest.mark.usefixtures("narrow")
def test_what_a_container_sends_is_cut_to_fit_the_way_out(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "-o", f"{MTU}=1500", "n")
    up(ours, "web", "--network=n", "-p", "8080:80", image="httpd")
    ours.ok("exec", "web", "sh", "-c", "head -c 1000000 /dev/zero >/var/www/big")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    shown = lab.outside("timeout", "10", "sh", "-c", f"busybox wget -qO- http://{HOST4}:8080/big | wc -c")
    assert shown.out.strip() == "1000000"


SEGMENTS = """
import socket
with socket.create_server(("", 7010)) as door:
    print("ready", flush=True)
    peer, _ = door.accept()
    with peer:
        print(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), flush=True)
"""


@pytest.mark.usefixtures("narrow")
def test_what_a_container_asks_for_is_cut_to_fit_the_way_in(ours: Client, lab: Lab, background: Background) -> None:
    """Between two namespaces large segments pass in one piece whatever the MTU, so the server's opinion is asked."""
    server = background(lab, sys.executable, "-I", "-S", "-c", SEGMENTS, outside=True)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    ours.ok("network", "create", "-o", f"{MTU}=1500", "n")
    up(ours, "bb", "--network=n")
    ours("exec", "bb", "timeout", "5", "nc", OUTSIDE4, "7010")
    assert 1000 < int(server.stdout.readline()) <= 1300 - 40


# Which network is which to a container.


def default_route(client: Client, container: str) -> str:
    found = re.search(r"default via \S+ dev (\S+)", client.ok("exec", container, "ip", "route"))
    return found[1] if found else ""


def test_the_highest_priority_has_the_default_route(client: Client, lab: Lab) -> None:
    for name in ("aaa", "zzz", "mmm"):
        client.ok("network", "create", name)
    up(client, "web", "--network=name=aaa", "--network=name=zzz,gw-priority=5", "-p", "8080:80", image="httpd")
    assert default_route(client, "web") == "eth1"
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    client.ok("network", "connect", "--gw-priority", "9", "mmm", "web")
    assert default_route(client, "web") == "eth2"
    assert page(lab.outside, HOST4, 8080)
    client.ok("network", "disconnect", "mmm", "web")
    assert default_route(client, "web") == "eth1"
    client.ok("network", "disconnect", "zzz", "web")
    assert default_route(client, "web") == "eth0"
    assert page(lab.outside, HOST4, 8080)


def test_interfaces_stand_in_the_order_of_the_request(ours: Client) -> None:
    order = ["zeta", "alpha", "omega", "beta", "mid"]
    for number, name in enumerate(order):
        ours.ok("network", "create", "--subnet", f"10.23{number}.9.0/24", name)
    up(ours, "bb", *(f"--network={name}" for name in order))
    for _ in range(5):
        shown = re.findall(r"inet 10\.23(\d)\.9\.\d+/24 .*eth(\d)", ours.ok("exec", "bb", "ip", "-o", "-4", "addr"))
        assert shown == [(str(number), str(number)) for number in range(5)]
        ours.ok("restart", "-t", "0", "bb")


# Published ports.


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1"])
def test_a_networks_own_host_address(client: Client, lab: Lab, address: str) -> None:
    client.ok("network", "create", "-o", f"com.docker.network.bridge.host_binding_ipv4={address}", "n")
    up(client, "web", "--network=n", "-p", "8080:80", "-p", "127.0.0.1:8081:80", image="httpd")
    assert f"{address}:8080->80/tcp" in client.ok("ps", "--format", "{{.Ports}}")
    until(lambda: page(lab.host, address, 8080), wanted=True)
    assert page(lab.outside, HOST4, 8080) is (address == HOST4)
    assert no_page(lab.outside, HOST4, 8081)


def test_an_internal_network_may_publish_to_this_host(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "--internal", "plain")
    client.ok("network", "create", "--internal", "-o", "landbridge.publish_internal=true", "n")
    up(client, "silent", "--network=plain", "-p", "8081:80", image="httpd")
    assert client.ok("port", "silent") == ""
    up(client, "web", "--network=n", "-p", "8080:80", image="httpd")
    until(lambda: page(lab.host, "127.0.0.1", 8080), wanted=True)
    assert page(lab.host, "::1", 8080)
    assert set(client.ok("port", "web").splitlines()) <= {"80/tcp -> 127.0.0.1:8080", "80/tcp -> [::1]:8080", "80/tcp -> ::1:8080"}
    assert no_page(lab.outside, HOST4, 8080)
    assert "unreachable" in client("exec", "web", "ping", "-c1", "-W1", "192.0.2.2").text.lower()
    up(client, "wide", "--network=n", "-p", "0.0.0.0:8082:80", image="httpd")
    until(lambda: page(lab.host, "127.0.0.1", 8082), wanted=True)
    assert no_page(lab.outside, HOST4, 8082), "whatever the address, from outside nobody gets in"


# How much.

COUNT = """
import socket, sys, time
with socket.create_server(("", 7040)) as door:
    print("ready", flush=True)
    peer, _ = door.accept()
    with peer:
        first, total = time.monotonic(), 0
        while data := peer.recv(1 << 20):
            total += len(data)
        print(int(total * 8 / (time.monotonic() - first)), flush=True)
"""
SEND = "import socket\nwith socket.create_connection(({!r}, 7040)) as there:\n there.sendall(bytes(1_000_000))\n there.shutdown(1)\n there.recv(1)"


def test_a_container_gets_and_sends_no_more_than_it_may(ours: Client, lab: Lab, background: Background) -> None:
    """A million bytes at 10 Mbit take most of a second, whichever way they go; without a limit no time at all."""
    ours.ok("network", "create", "-o", "landbridge.rate_out=10mbit", "n")
    up(ours, "slow", "--network=name=n,driver-opt=landbridge.rate_in=10mbit")
    up(ours, "free")
    pids = {name: ours.ok("inspect", "-f", "{{.State.Pid}}", name) for name in ("slow", "free")}

    def bits(server: str, client: str, address: str) -> int:
        ear = background(lab, "nsenter", "-t", pids[server], "-n", sys.executable, "-I", "-S", "-c", COUNT)
        assert ear.stdout is not None
        assert ear.stdout.readline() == b"ready\n"
        sender = ("nsenter", "-t", pids[client], "-n") if client else ()
        assert lab.host(*sender, sys.executable, "-I", "-S", "-c", SEND.format(address)).code == 0
        return int(ear.stdout.readline())

    inwards = bits("slow", "", ours.address("slow", "n"))
    assert inwards < 13_000_000, "the first burst comes on top of ten million"
    ours.ok("network", "connect", "n", "free")
    outwards = bits("free", "slow", ours.address("free", "n"))
    assert outwards < 13_000_000
    assert bits("free", "", ours.address("free", "bridge")) > 20_000_000
    assert "rate 10Mbit" in lab.host("nsenter", "-t", pids["slow"], "-n", "tc", "qdisc", "show", "dev", "eth0").out
    assert "invalid rate: 'fast'" in ours.fails("network", "create", "-o", "landbridge.rate_in=fast", "m")
    said = ours.fails("run", "--network=name=n,driver-opt=landbridge.rate_in=1kbit", "busybox", "true")
    assert "invalid rate: '1kbit'" in said
