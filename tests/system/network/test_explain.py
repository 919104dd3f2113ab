"""`landbridge explain`: what it says is what happens, from every side; what is dropped is dropped by the rule it names."""

import pytest
from clients import Client, MakeLab
from lab import HOST4, HOST6, OUTSIDE4, Lab
from patience import until
from roads import inside, no_page, no_ping, page, pings, routed


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    client.ok("run", "-d", f"--name={name}", *flags, image, *(("sleep", "600") if image == "busybox" else ()))


def explained(client: Client, target: str, sender: str = "", *, reached: bool, words: tuple[str, ...] = ()) -> str:
    """What is said of a way, which must say so and hold these words."""
    done = client("explain", *(["--from", sender] if sender else []), target)
    assert (done.code == 0) is reached, done.text
    for word in words:
        assert word in done.out, f"{word!r} is not in\n{done.text}"
    return done.out


@pytest.fixture
def town(ours: Client) -> Client:
    """Two networks, one internal; a server on the first, somebody on each, one who joined."""
    ours.ok("network", "create", "--subnet", "10.251.0.0/24", "one")
    ours.ok("network", "create", "--subnet", "10.252.0.0/24", "two")
    ours.ok("network", "create", "--internal", "in")
    up(ours, "web", "--network=one", "-p", "8080:80", image="httpd")
    up(ours, "friend", "--network=one")
    up(ours, "stranger", "--network=two")
    up(ours, "hermit", "--network=in")
    up(ours, "guest", "--network=container:friend")
    return ours


def test_between_containers_of_a_network(town: Client) -> None:
    address = town.address("web", "one")
    until(lambda: page(inside(town, "friend"), "web"), wanted=True)
    explained(town, "web:80", "friend", reached=True, words=(f"web is {address}, says the resolver", "sent directly", "a program listens"))
    explained(town, "web", "guest", reached=True, words=("guest has the network stack of friend", f"web eth0 {address}"))
    explained(town, "web:81", "friend", reached=False, words=("nobody listens on 81/tcp in web",))
    explained(town, "127.0.0.1:80", "guest", reached=False, words=("shared by", "nobody listens"))
    explained(town, "friend:80", "guest", reached=False, words=("in /etc/hosts",) if "friend" in town.ok("exec", "guest", "cat", "/etc/hosts") else ())


def test_between_networks(town: Client) -> None:
    address = town.address("web", "one")
    assert no_page(inside(town, "stranger"), address) and no_ping(inside(town, "stranger"), address)
    explained(town, f"{address}:80", "stranger", reached=False, words=("by default to 10.252.0.1 on eth0", "chain forward: counter drop"))
    explained(town, address, "stranger", reached=False, words=("chain forward: counter drop",))
    said = explained(town, "web:80", "stranger", reached=False, words=("no network of stranger knows web",))
    assert "Container web is on one; the two share no network that has names" in said
    until(lambda: page(inside(town, "stranger"), HOST4, 8080), wanted=True)
    explained(town, f"{HOST4}:8080", "stranger", reached=True, words=("chain prerouting → publish", "web answers on 80/tcp"))
    explained(town, f"{HOST4}:8080", "web", reached=True)
    explained(town, "10.252.0.1:9", "stranger", reached=True, words=("its input rules decide", "no container publishes it"))


def test_out_of_the_host_and_not(town: Client) -> None:
    assert pings(inside(town, "friend"), OUTSIDE4) and no_ping(inside(town, "hermit"), OUTSIDE4)
    explained(town, OUTSIDE4, "friend", reached=True, words=("oifname != @bridges accept", "masqueraded", "the host's routes lead on"))
    explained(town, OUTSIDE4, "hermit", reached=False, words=("none of its networks leads out",))
    explained(town, "world.example", "hermit", reached=False, words=("asks nobody",))
    explained(town, "world.example", "friend", reached=False, words=("asks the host's own servers, from the host",))
    up(town, "plain")
    explained(town, "web", "plain", reached=False, words=("only networks of one's own resolve names",))
    town.ok("stop", "-t", "0", "web")
    explained(town, "web:80", "friend", reached=False, words=("Container web does not run",))
    assert "is not running" in town.fails("explain", "--from", "web", "friend")
    assert "No such container" in town.fails("explain", "--from", "nobody", "friend")


def test_from_outside(town: Client, lab: Lab) -> None:
    address = town.address("web", "one")
    with routed(lab, "10.251.0.0/24", HOST4):
        assert no_page(lab.outside, address)
        explained(town, f"{address}:80", "outside", reached=False, words=("chain forward: counter drop",))
        town.ok("network", "create", "--subnet", "10.253.0.0/24", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "r")
        up(town, "open", "--network=r", "-p", "80", image="httpd")
        with routed(lab, "10.253.0.0/24", HOST4):
            open_ = town.address("open", "r")
            until(lambda: page(lab.outside, open_), wanted=True)
            explained(town, f"{open_}:80", "outside", reached=True, words=("@routed jump routed_network", f"tcp . {open_} . 80"))
            explained(town, f"{open_}:81", "outside", reached=False, words=("counter drop",))
    explained(town, "127.0.0.1:8080", "outside", reached=False, words=("ip daddr 127.0.0.0/8 counter drop",))
    explained(town, f"{HOST4}:8080", "outside", reached=True, words=("chain prerouting → publish",))


def test_where_neighbours_may_not_talk(ours: Client) -> None:
    ours.ok("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n")
    up(ours, "web", "--network=n", "-p", "8080:80", image="httpd")
    up(ours, "bb", "--network=n")
    until(lambda: page(inside(ours, "bb"), HOST4, 8080), wanted=True)
    assert no_page(inside(ours, "bb"), "web")
    explained(ours, "web:80", "bb", reached=False, words=("isolated from each other (enable_icc=false)",))
    explained(ours, f"{HOST4}:8080", "bb", reached=True, words=("neighbours may not talk directly",))


def test_it_knows_the_users_rules(ours: Client, lab: Lab) -> None:
    up(ours, "web", "-p", "8080:80", image="httpd")
    [table] = [line.split()[2] for line in lab.host("nft", "list", "tables").out.splitlines() if "landbridge" in line]
    assert "user rules" not in explained(ours, f"{HOST4}:8080", reached=True)
    lab.host("nft", f"add rule inet {table} user tcp dport 9 drop")
    try:
        explained(ours, f"{HOST4}:8080", reached=True, words=("chain user has 1 of yours",))
    finally:
        lab.host("nft", f"flush chain inet {table} user")


def test_it_knows_the_policy(lab_with: MakeLab) -> None:
    made = lab_with("--publish-policy", "host-firewall")
    ours = Client(made, "landbridge")
    up(ours, "web", "-p", "8080:80", image="httpd")
    until(lambda: page(made.outside, HOST4, 8080), wanted=True)
    for address in (HOST4, f"[{HOST6}]"):
        explained(ours, f"{address}:8080", "outside", reached=True, words=("publish policy", "host's firewall lets it in", "relays to"))
    explained(ours, "127.0.0.1:8080", reached=True, words=("DNAT",))
    [table] = [line.split()[2] for line in made.host("nft", "list", "tables").out.splitlines() if "landbridge" in line]
    made.host("nft", f"add element inet {table} allowed {{ tcp . 8080 }}")
    said = explained(ours, f"{HOST4}:8080", "outside", reached=True, words=("DNAT",))
    assert "publish policy" not in said
    # Local: this host's alone.
    made.stop_daemon()
    made.flags = ("--publish-policy", "local")
    made.start_daemon()
    up(ours, "local", "-p", "8081:80", image="httpd")
    until(lambda: page(made.host, "127.0.0.1", 8081), wanted=True)
    assert no_page(made.outside, HOST4, 8081)
    explained(ours, f"{HOST4}:8081", "outside", reached=False, words=("only at 127.0.0.1 by local",))
