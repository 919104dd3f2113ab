"""Beside other firewalls: what is ours comes back, what is theirs is left alone, what is the user's stays."""

import pytest
from clients import Client, MakeLab
from lab import HOST4, HOST6, OUTSIDE4, Lab
from patience import until
from roads import inside, no_page, page
from talk import ask, serving

PUBLISHED = ("run", "-d", "-p", "8080:80", "--name=web", "httpd")
HOST_FIREWALL = """
table inet host_filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 22 accept
  }
}
"""


def table(lab: Lab) -> str:
    [found] = [line.split()[2] for line in lab.host("nft", "list", "tables").out.splitlines() if "landbridge" in line]
    return found


@pytest.mark.parametrize("sweep", ["flush ruleset", "delete table inet {}", "flush table inet {}"])
def test_published_ports_survive_a_sweep(ours: Client, lab: Lab, sweep: str) -> None:
    ours.ok(*PUBLISHED)
    ours.ok("network", "create", "n")
    ours.ok("run", "-d", "--network=n", "--name=other", "httpd")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    for _ in range(3):
        assert lab.host("nft", sweep.format(table(lab))).code == 0
        until(lambda: "tcp . 8080" in lab.host("nft", "list", "ruleset").out, wanted=True)
        assert page(lab.outside, HOST4, 8080) and page(lab.host, "127.0.0.1", 8080)
        assert no_page(inside(ours, "web"), ours.address("other", "n"))
    # What comes after a sweep goes into the same table.
    ours.ok("run", "-d", "-p", "8081:80", "--name=later", "httpd")
    until(lambda: page(lab.outside, HOST4, 8081), wanted=True)


def test_operations_over_a_sweep(ours: Client, lab: Lab) -> None:
    """Started and removed at once after it, before anybody can have noticed."""
    lab.host("nft", "flush", "ruleset")
    ours.ok(*PUBLISHED)
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    lab.host("nft", "flush", "ruleset")
    ours.ok("rm", "-f", "web")
    until(lambda: "set bridges" in lab.host("nft", "list", "ruleset").out, wanted=True)
    assert "8080" not in lab.host("nft", "list", "ruleset").out


def test_the_users_chain_comes_first_and_stays(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok(*PUBLISHED)
    until(lambda: page(own_lab.outside, HOST4, 8080), wanted=True)
    name = table(own_lab)
    assert own_lab.host("nft", f"add rule inet {name} user tcp dport 80 drop").code == 0
    assert no_page(own_lab.outside, HOST4, 8080)
    # A restart of the engine, a sweep, and a restart with nothing running, which takes the table away.
    own_lab.stop_daemon()
    own_lab.start_daemon()
    assert no_page(own_lab.outside, HOST4, 8080)
    own_lab.host("nft", "flush", "ruleset")
    until(lambda: "tcp dport 80 drop" in own_lab.host("nft", "list", "ruleset").out, wanted=True)
    assert no_page(own_lab.outside, HOST4, 8080)
    ours.ok("rm", "-f", "web")
    own_lab.stop_daemon()
    assert "landbridge" not in own_lab.host("nft", "list", "tables").out
    own_lab.start_daemon()
    ours.ok(*PUBLISHED)
    assert no_page(own_lab.outside, HOST4, 8080)
    assert own_lab.host("nft", "list", "ruleset").out.count("tcp dport 80 drop") == 1
    # Who empties it has emptied it.
    own_lab.host("nft", f"flush chain inet {name} user")
    until(lambda: page(own_lab.outside, HOST4, 8080), wanted=True)
    kept = own_lab.exec_root / "user.nft"
    until(lambda: kept.read_text() == "", wanted=True)
    own_lab.host("nft", "flush", "ruleset")
    until(lambda: "tcp . 8080" in own_lab.host("nft", "list", "ruleset").out, wanted=True)
    assert page(own_lab.outside, HOST4, 8080)


def test_the_users_chain_may_let_in_what_nobody_else_would(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "--subnet", "10.211.0.0/24", "n")
    ours.ok("run", "-d", "--network=n", "--name=web", "httpd")
    address = ours.address("web", "n")
    lab.outside("ip", "route", "add", f"{address}/32", "via", HOST4)
    try:
        assert no_page(lab.outside, address)
        lab.host("nft", f"add rule inet {table(lab)} user ip saddr 192.0.2.2 ip daddr {address} tcp dport 80 accept")
        assert page(lab.outside, address)
    finally:
        lab.host("nft", f"flush chain inet {table(lab)} user")
        lab.outside("ip", "route", "del", f"{address}/32")


def test_docker_user_decides_where_it_exists(ours: Client, lab: Lab) -> None:
    ours.ok(*PUBLISHED)
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    theirs = "table ip filter {\n chain DOCKER-USER { tcp dport 80 drop; }\n}\n"
    assert lab.host("nft", "-f", "-", input=theirs).code == 0
    try:
        # Nothing led there: as in Docker, the engine does.
        until(lambda: "jump DOCKER-USER" in lab.host("nft", "list", "ruleset").out, wanted=True)
        assert no_page(lab.outside, HOST4, 8080)
        lab.host("nft", "flush", "chain", "ip", "filter", "FORWARD")
        until(lambda: "jump DOCKER-USER" in lab.host("nft", "list", "ruleset").out, wanted=True)
    finally:
        lab.host("nft", "delete", "table", "ip", "filter")
    assert page(lab.outside, HOST4, 8080)


def test_other_peoples_rules_and_settings_are_as_they_were(lab_with: MakeLab) -> None:
    """A machine that routes between two networks of its own, as one with virtual machines does."""
    made = lab_with(start=False)
    theirs = "table ip filter {\n chain FORWARD { type filter hook forward priority 0; policy accept; }\n" \
             " chain INPUT { type filter hook input priority 0; policy accept; }\n}\n"
    made.start_machines()
    assert made.host("nft", "-f", "-", input=theirs).code == 0
    before, settings = made.host("nft", "list", "ruleset").out, bridge_settings(made)
    assert made.host("ip", "link", "add", "vm0", "type", "bridge").code == 0
    assert made.host("ip", "addr", "add", "10.222.0.1/24", "dev", "vm0").code == 0
    assert made.host("ip", "link", "set", "vm0", "up").code == 0
    made.start_daemon()
    ours = Client(made, "landbridge")
    ours.ok("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "closed")
    ours.ok("network", "create", "open")
    after = made.host("nft", "list", "ruleset").out
    assert after.startswith(before) and "table inet landbridge" in after.removeprefix(before)
    assert "policy drop" not in after
    assert bridge_settings(made) == settings
    made.host("ip", "link", "del", "vm0")
    made.stop_daemon()
    assert made.host("nft", "list", "ruleset").out == before


def bridge_settings(lab: Lab) -> str:
    """Whether br_netfilter is there and what it does; the module is the whole machine's."""
    loaded = "br_netfilter" in lab.host("cat", "/proc/modules").out
    return f"{loaded} {lab.host('sh', '-c', 'cat /proc/sys/net/bridge/* 2>&1').out}"


def test_traffic_between_other_networks_goes_on(ours: Client, lab: Lab) -> None:
    """Two machines of somebody else's, routed through this host, which the engine has nothing to do with."""
    names = [f"{lab.name}vm{number}" for number in (1, 2)]
    try:
        for number, name in enumerate(names, 1):
            lab.host("ip", "netns", "add", name)
            lab.host("ip", "link", "add", f"tap{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            lab.host("ip", "addr", "add", f"10.223.{number}.1/24", "dev", f"tap{number}")
            lab.host("ip", "link", "set", f"tap{number}", "up")
            for words in (f"addr add 10.223.{number}.2/24 dev eth0", "link set eth0 up", f"route add default via 10.223.{number}.1"):
                assert lab.host("ip", "-n", name, *words.split()).code == 0
        ours.ok(*PUBLISHED)
        reached = lab.host("ip", "netns", "exec", names[0], "busybox", "ping", "-c1", "-W3", "10.223.2.2")
        assert reached.code == 0, reached.text
    finally:
        for number, name in enumerate(names, 1):
            lab.host("ip", "link", "del", f"tap{number}")
            lab.host("ip", "netns", "del", name)


def test_a_drop_in_the_hosts_forward_chain_is_the_hosts_word(ours: Client, lab: Lab) -> None:
    ours.ok("network", "create", "n")
    ours.ok("run", "-d", "--network=n", "-p", "8080:80", "--name=web", "httpd")
    ours.ok("run", "-d", "--network=n", "--name=bb", "busybox", "sleep", "600")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    theirs = "table ip their_filter {\n chain f { type filter hook forward priority 10; policy drop; }\n}\n"
    assert lab.host("nft", "-f", "-", input=theirs).code == 0
    try:
        # Where br_netfilter is loaded and switched on (by somebody else), bridged packets meet their chain too.
        switch = lab.host("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables").out.strip()
        assert page(inside(ours, "bb"), "web") is (switch != "1")
        assert page(lab.host, "127.0.0.1", 8080)
        assert no_page(lab.outside, HOST4, 8080)
    finally:
        lab.host("nft", "delete", "table", "ip", "their_filter")


# Who reaches published ports.


def test_under_host_firewall_the_hosts_own_rules_decide(lab_with: MakeLab) -> None:
    made = lab_with("--publish-policy", "host-firewall")
    ours, name = Client(made, "landbridge"), table(made)
    assert made.host("nft", HOST_FIREWALL).code == 0
    ours.ok("run", "-d", "-p", "8080:80", "-p", "8081:80", "--name=web", "httpd")
    ours.ok("network", "create", "elsewhere")
    ours.ok("run", "-d", "--network=elsewhere", "--name=bb", "busybox", "sleep", "600")
    until(lambda: page(made.host, "127.0.0.1", 8080), wanted=True)
    for address in (HOST4, HOST6):
        assert page(made.host, address, 8080), "this host itself"
        assert no_page(made.outside, address, 8080), "closed until allowed"
    assert page(inside(ours, "bb"), HOST4, 8080), "containers are inside"
    # Allowed by the host's firewall, the port is one like any other program's, address by address, rule by rule.
    made.host("nft", "add rule inet host_filter input ip saddr 192.0.2.2 tcp dport 8080 accept")
    assert page(made.outside, HOST4, 8080) and no_page(made.outside, HOST6, 8080)
    assert no_page(made.outside, HOST4, 8081)
    # Allowed in our table, it takes the kernel's path, which keeps the client's address.
    assert "192.0.2.2" not in ours("logs", "web").text
    made.host("nft", f"add element inet {name} allowed {{ tcp . 8081 }}")
    assert page(made.outside, HOST4, 8081)
    assert "192.0.2.2" in ours("logs", "web").text
    # That is the user's too: it survives a sweep (the host's firewall does not).
    made.host("nft", "flush", "ruleset")
    until(lambda: "tcp . 8081" in made.host("nft", "list", "set", "inet", name, "allowed").out, wanted=True)
    made.host("nft", HOST_FIREWALL)
    assert page(made.outside, HOST4, 8081) and no_page(made.outside, HOST4, 8080)


def test_under_local_ports_are_this_hosts_alone_unless_said(lab_with: MakeLab) -> None:
    made = lab_with("--publish-policy", "local")
    ours = Client(made, "docker")
    ours.ok("run", "-d", "-p", "8080:80", "-p", "0.0.0.0:8081:80", "--name=web", "httpd")
    until(lambda: page(made.host, "127.0.0.1", 8080), wanted=True)
    assert page(made.host, "::1", 8080)
    assert no_page(made.outside, HOST4, 8080) and no_page(made.outside, HOST6, 8080)
    assert page(made.outside, HOST4, 8081)
    assert set(ours.ok("port", "web").splitlines()) == {
        "80/tcp -> 127.0.0.1:8080", "80/tcp -> [::1]:8080", "80/tcp -> 0.0.0.0:8081"}  # fmt: skip
    # A network may have a word of its own.
    ours.ok("network", "create", "-o", f"com.docker.network.bridge.host_binding_ipv4={HOST4}", "wide")
    ours.ok("run", "-d", "--network=wide", "-p", "8082:80", "--name=there", "httpd")
    until(lambda: page(made.outside, HOST4, 8082), wanted=True)


# From outside straight to what is not published.


def test_loopback_ports_cannot_be_reached_from_outside(ours: Client, lab: Lab) -> None:
    ours.ok("run", "-d", "-p", "127.0.0.2:8080:80", "-p", "127.0.0.2:5000:5000/udp", "--name=web", "httpd")
    until(lambda: page(lab.host, "127.0.0.2", 8080), wanted=True)
    # The machine outside is willing to send it: its own rules about loopback addresses are off.
    lab.outside("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    lab.outside("ip", "route", "add", "127.0.0.2/32", "via", HOST4, "src", OUTSIDE4)
    for key in ("all", "wire0"):
        lab.outside("sh", "-c", f"echo 1 >/proc/sys/net/ipv4/conf/{key}/route_localnet")
    try:
        with serving(lab, ours.ok("inspect", "-f", "{{.State.Pid}}", "web"), "udp:5000"):
            assert ask(lab, "udp:5000", "127.0.0.2") is None
            assert no_page(lab.outside, "127.0.0.2", 8080)
            assert ask(lab, "udp:5000", "127.0.0.2", outside=False) is not None
        counted = lab.host("nft", "list", "chain", "inet", table(lab), "guard").out
        assert "counter packets" in counted and "counter packets 0 " not in counted, "they came, and ended here"
    finally:
        lab.outside("ip", "route", "del", "127.0.0.2/32")
        lab.outside("ip", "addr", "add", "127.0.0.1/8", "dev", "lo")
