"""What dockerd's flags about networks do: the default bridge, who may come directly, what carries published ports."""

import subprocess
from pathlib import Path

import images
import pytest
from clients import Client, MakeLab
from lab import HOST4, HOST6, LANDBRIDGE, Lab
from patience import until
from roads import inside, no_page, page, pings, routed
from talk import answer_of, serving
from talk import client as talker


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    client.ok("run", "-d", f"--name={name}", *flags, image, *(("sleep", "600") if image == "busybox" else ()))


def config(client: Client, network: str = "bridge") -> str:
    return client.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}", network).strip()


# Who may come directly.


def test_direct_routing_and_marked_packets(lab_with: MakeLab) -> None:
    made = lab_with("--allow-direct-routing", "--bridge-accept-fwmark", "0x7/0xff")
    client = Client(made, "docker")
    client.ok("network", "create", "--subnet", "10.201.0.0/24", "n")
    up(client, "web", "--network=n", "-p", "8080:80", image="httpd")
    up(client, "closed", "--network=n", image="httpd")
    with routed(made, "10.201.0.0/24", HOST4):
        assert page(made.outside, client.address("web", "n")), "published ports, at the container's own address"
        assert page(made.outside, HOST4, 8080)
        closed = client.address("closed", "n")
        assert no_page(made.outside, closed), "what is not published is not"
        # A mark that somebody's own rules set opens everything to who bears it; other bits do not matter.
        marks = "table inet theirs {{\n chain p {{ type filter hook prerouting priority -200; meta mark set {}; }}\n}}\n"
        assert made.host("nft", "-f", "-", input=marks.format("0x107")).code == 0
        assert page(made.outside, closed)
        assert made.host("nft", "-f", "-", input="delete table inet theirs\n" + marks.format("0x6")).code == 0
        assert no_page(made.outside, closed)
    # Without the flags it is closed again.
    made.stop_daemon()
    made.flags = ()
    made.start_daemon()
    client.ok("restart", "-t", "0", "web")
    with routed(made, "10.201.0.0/24", HOST4):
        assert no_page(made.outside, client.address("web", "n")) and page(made.outside, HOST4, 8080)


def test_a_mark_that_is_none_is_refused(lab_with: MakeLab) -> None:
    made = lab_with("--bridge-accept-fwmark", "0x1/0x2/0x3", start=False)
    made.start_machines()
    with pytest.raises(RuntimeError, match="invalid firewall mark '0x1/0x2/0x3'"):
        made.start_daemon()


def test_without_raw_rules_loopback_is_not_guarded(lab_with: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_INSECURE_NO_IPTABLES_RAW", "1")
    made = lab_with()
    client = Client(made, "landbridge")
    up(client, "web", "-p", "8080:80", image="httpd")
    rules = made.host("nft", "list", "ruleset").out
    assert "127.0.0.0/8 counter" not in rules
    with routed(made, f"{client.address('web', 'bridge')}/32", HOST4):
        assert page(made.outside, client.address("web", "bridge"))


# What carries published ports.


def test_without_the_proxy_the_kernel_carries_what_it_can(lab_with: MakeLab) -> None:
    made = lab_with("--userland-proxy=false")
    client = Client(made, "docker")
    client.ok("network", "create", "--ipv6", "both")
    up(client, "web", "--network=both", "-p", "8080:80", image="httpd")
    up(client, "neighbour", "--network=both")
    client.ok("network", "create", "other")
    up(client, "stranger", "--network=other")
    up(client, "four", "--network=other", "-p", "8081:80", image="httpd")
    until(lambda: page(made.host, "127.0.0.1", 8080), wanted=True)
    for address in (HOST4, HOST6):
        assert page(made.outside, address, 8080) and page(made.host, address, 8080), address
    for who in ("web", "neighbour", "stranger"):
        assert page(inside(client, who), HOST4, 8080), who
    assert page(made.host, HOST4, 8081)
    for address in ("::1", HOST6):
        assert no_page(made.host, address, 8081), "that would take the proxy, as in Docker"
    assert "in use" in made.host("busybox", "nc", "-l", "-p", "8080").text, "the port is held all the same"
    # Changed at a restart, for containers that run as well.
    made.stop_daemon()
    made.flags = ()
    made.start_daemon()
    assert page(made.host, HOST6, 8081)


def test_without_rules_for_ipv6_the_proxy_carries(lab_with: MakeLab) -> None:
    made = lab_with("--ip6tables=false")
    client = Client(made, "landbridge")
    client.ok("network", "create", "--ipv6", "both")
    up(client, "web", "--network=both", "-p", "8080:80", image="httpd")
    up(client, "bb", "--network=both")
    until(lambda: page(made.outside, HOST4, 8080), wanted=True)
    assert page(made.outside, HOST6, 8080)
    assert "2001:db8:78::2" not in client("logs", "web").text, "nothing is translated"
    assert pings(inside(client, "bb"), "web")
    six = client.ok("inspect", "-f", "{{.NetworkSettings.Networks.both.GlobalIPv6Address}}", "web")
    with routed(made, f"{six}/128", HOST6):
        assert page(made.outside, six), "and nothing is closed"


def test_without_rules_the_proxy_carries_all(lab_with: MakeLab) -> None:
    made = lab_with("--iptables=false", "--ip6tables=false")
    client = Client(made, "landbridge")
    up(client, "web", "-p", "8080:80", image="httpd")
    until(lambda: page(made.outside, HOST4, 8080), wanted=True)
    assert page(made.host, "127.0.0.1", 8080)
    assert "192.0.2.2" not in client("logs", "web").text
    with serving(made, client.ok("inspect", "-f", "{{.State.Pid}}", "web"), "udp:53"):
        up(client, "dns", "--network=container:web")
        client.ok("network", "create", "n")
        up(client, "udp", "--network=n", "-p", "9000:53/udp")
        with serving(made, client.ok("inspect", "-f", "{{.State.Pid}}", "udp"), "udp:53"):
            heard = answer_of(made.outside(*talker("udp:9000", HOST4)).out)
            assert heard is not None and heard.source == HOST4


# The default bridge.


def bridge(lab: Lab, name: str, *addresses: str) -> None:
    assert lab.host("ip", "link", "add", name, "type", "bridge").code == 0
    for address in addresses:
        assert lab.host("ip", "addr", "add", address, "dev", name).code == 0
    lab.host("ip", "link", "set", name, "up")


def test_somebody_elses_bridge_is_the_default_one(lab_with: MakeLab) -> None:
    made = lab_with("-b", "br-own", "--fixed-cidr", "10.232.0.128/25", start=False)
    made.start_machines()
    with pytest.raises(RuntimeError, match="bridge device with non default name br-own must be created manually"):
        made.start_daemon()
    bridge(made, "br-own", "10.232.0.9/24")
    made.start_daemon()
    client = Client(made, "docker")
    import_image(made, client)
    assert config(client) == "10.232.0.0/24 10.232.0.9"
    assert "br-own" in client.ok("network", "inspect", "-f", "{{json .Options}}", "bridge")
    up(client, "bb", "-p", "8080:80")
    assert client.address("bb", "bridge") == "10.232.0.128"
    assert "default via 10.232.0.9" in client.ok("exec", "bb", "ip", "route")
    assert pings(inside(client, "bb"), "192.0.2.2")
    client.ok("rm", "-f", "bb")
    made.stop_daemon()
    assert "10.232.0.9/24" in made.host("ip", "-o", "addr", "show", "br-own").out, "it was there before us"
    # Without the flag the engine has one of its own again.
    made.flags = ()
    made.start_daemon()
    assert "10.232" not in config(client) and "br-own" not in client.ok("network", "inspect", "bridge")
    assert "lb" in client.ok("network", "inspect", "-f", "{{json .Options}}", "bridge")


def import_image(lab: Lab, client: Client) -> None:
    """One image, made on the spot."""
    path = lab.directory / "busybox.tar"
    images.build("busybox", path)
    client.ok("load", "-q", "-i", str(path))


def test_no_default_bridge(lab_with: MakeLab) -> None:
    made = lab_with("--bridge=none")
    client = Client(made, "docker")
    assert set(client.ok("network", "ls", "--format", "{{.Name}}").split()) == {"host", "none"}
    said = client.fails("run", "--name=lost", "busybox", "true")
    assert "network bridge not found" in said
    assert "bridge" not in made.host("ip", "-o", "-d", "link", "show", "type", "bridge").out
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n")
    assert pings(inside(client, "bb"), "192.0.2.2")


def test_addresses_of_the_default_bridge_follow_the_flags(lab_with: MakeLab) -> None:
    made = lab_with("--bip", "10.236.0.7/16", "--fixed-cidr", "10.236.4.0/24", "--ipv6", "--fixed-cidr-v6", "fd36::/64")
    client = Client(made, "docker")
    assert config(client) == "10.236.0.0/16 10.236.0.7 fd36::/64 fd36::1"
    up(client, "bb")
    up(client, "cc")
    shown = client.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}}", "bb").split()
    assert shown[0].startswith("10.236.4.") and shown[1].startswith("fd36::")
    assert pings(inside(client, "cc"), shown[0]) and pings(inside(client, "cc"), shown[1])
    assert client("exec", "cc", "ping", "-c1", "-W1", "bb").code != 0, "names are for networks of one's own"
    client.ok("stop", "-t", "0", "bb", "cc")
    # Other flags: other addresses, at the next start of each.
    made.stop_daemon()
    made.flags = ("--ipv6", "--bip", "10.237.0.1/24")
    made.start_daemon()
    client.ok("start", "bb")
    shown = client.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.GlobalIPv6Address}}", "bb").split()
    assert shown[0].startswith("10.237.0.") and shown[1].startswith("fd36::")
    # Under a container that runs nothing moves.
    made.stop_daemon()
    made.flags = ("--bip", "10.238.0.1/24")
    made.start_daemon()
    assert client.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "bb") == shown[0]
    assert "keeps its addresses" in made.log()


def test_defaults_of_networks_of_ones_own(lab_with: MakeLab) -> None:
    made = lab_with(
        "--default-network-opt", "bridge=com.docker.network.driver.mtu=1334",
        "--default-network-opt", "bridge=com.docker.network.enable_ipv6=true",
        "--default-address-pool", "base=10.240.0.0/16,size=24", "--default-address-pool", "base=fd40::/48,size=64",
    )  # fmt: skip
    client = Client(made, "landbridge")  # docker 20.10 always says whether IPv6 is on
    client.ok("network", "create", "n")
    assert config(client, "n") == "10.240.1.0/24 10.240.1.1 fd40::/64 fd40::1"
    up(client, "bb", "--network=n")
    assert client.ok("exec", "bb", "cat", "/sys/class/net/eth0/mtu") == "1334"
    client.ok("network", "create", "-o", "com.docker.network.driver.mtu=1300", "--ipv6=false", "own")
    assert config(client, "own") == "10.240.2.0/24 10.240.2.1", "a word of one's own goes before"
    up(client, "cc", "--network=own")
    assert client.ok("exec", "cc", "cat", "/sys/class/net/eth0/mtu") == "1300"
    # The pools may change; networks that are there stay as they are.
    made.stop_daemon()
    made.flags = ("--default-address-pool", "base=10.239.0.0/16,size=24")
    made.start_daemon()
    assert config(client, "n") == "10.240.1.0/24 10.240.1.1 fd40::/64 fd40::1"
    client.ok("network", "create", "later")
    assert config(client, "later").startswith("10.239.")


def test_the_engine_forwards_only_when_it_may(lab_with: MakeLab) -> None:
    made = lab_with("--ip-forward=false", start=False)
    made.start_machines()
    made.host("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
    made.start_daemon()
    assert made.host("cat", "/proc/sys/net/ipv4/ip_forward").out.strip() == "0"
    made.stop_daemon()
    made.flags = ()
    made.start_daemon()
    assert made.host("cat", "/proc/sys/net/ipv4/ip_forward").out.strip() == "1"
    assert "policy drop" not in made.host("nft", "list", "ruleset").out, "whoever else is forwarded stays so"


def test_flags_that_cannot_be(tmp_path: Path) -> None:
    for flags, words in ((("--iptables=perhaps",), "must be true or false"), (("--bip", "nonsense"), "invalid CIDR address")):
        command = [str(LANDBRIDGE), "daemon", "--data-root", str(tmp_path / "data"), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode != 0 and words in done.stderr, done.stderr
        assert not (tmp_path / "data").exists()


def test_a_small_mtu_is_for_ipv4_alone(ours: Client) -> None:
    ours.ok("network", "create", "-o", "com.docker.network.driver.mtu=900", "n")
    up(ours, "bb", "--network=n")
    assert ours.ok("exec", "bb", "cat", "/sys/class/net/eth0/mtu") == "900"
    said = ours.fails("network", "create", "--ipv6", "-o", "com.docker.network.driver.mtu=900", "m")
    assert "IPv6 takes at least 1280" in said
