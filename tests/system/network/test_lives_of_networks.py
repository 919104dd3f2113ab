"""Networks as records: templates, filters, pruning, names that come back; and what else the host knows of them."""

import time

from clients import Client, MakeLab
from lab import HOST4, Lab
from patience import until
from roads import inside, no_page, page, pings


def up(client: Client, name: str, *flags: str, image: str = "busybox") -> None:
    client.ok("run", "-d", f"--name={name}", *flags, image, *(("sleep", "600") if image == "busybox" else ()))


def listed(client: Client, *filters: str) -> set[str]:
    words = [word for one in filters for word in ("--filter", one)]
    return set(client.ok("network", "ls", *words, "--format", "{{.Name}}").split())


# Templates.


def test_networks_from_a_template(client: Client) -> None:
    client.ok(
        "network", "create", "--config-only", "--subnet", "10.241.0.0/24", "--gateway", "10.241.0.9",
        "-o", "com.docker.network.driver.mtu=1400", "--label", "a=b", "template",
    )  # fmt: skip
    shown = client.ok("network", "inspect", "-f", "{{.Driver}} {{.ConfigOnly}} {{.Containers}}", "template")
    assert shown == "null true map[]"
    said = client.fails("run", "--network=template", "busybox", "true")
    assert "cannot create endpoint on configuration-only network" in said
    client.ok("network", "create", "--config-from", "template", "n")
    shown = client.ok("network", "inspect", "-f", "{{.ConfigFrom.Network}} {{.Driver}} {{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}", "n")
    assert shown == "template bridge 10.241.0.0/24 b"
    up(client, "bb", "--network=n")
    assert client.ok("exec", "bb", "cat", "/sys/class/net/eth0/mtu") == "1400"
    assert client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.Gateway}}", "bb") == "10.241.0.9"
    said = client.fails("network", "rm", "template")
    assert 'configuration network "template" is in use' in said
    said = client.fails("network", "create", "--config-from", "template", "--subnet", "10.242.0.0/24", "m")
    assert "user specified configurations are not supported" in said
    said = client.fails("network", "create", "--config-from", "template", "-o", "a=b", "m")
    assert "network driver options are not supported" in said
    assert 'configuration network "nobody" does not exist' in client.fails("network", "create", "--config-from", "nobody", "m")
    said = client.fails("network", "create", "--config-only", "--config-from", "template", "m")
    assert "a configuration network cannot depend on another configuration network" in said
    client.ok("rm", "-f", "bb")
    client.ok("network", "rm", "n", "template")


# Lists and pruning.


def test_filters_of_the_list(client: Client) -> None:
    client.ok("network", "create", "--label", "color=red", "red_net")
    client.ok("network", "create", "--label", "color", "blue_net")
    up(client, "bb", "--network=red_net")
    identity = client.ok("network", "inspect", "-f", "{{.Id}}", "red_net")
    assert listed(client, "label=color") == {"red_net", "blue_net"}
    assert listed(client, "label=color=red") == {"red_net"}
    assert listed(client, "name=red") == {"red_net"}
    assert listed(client, f"id={identity[:12]}") == {"red_net"}
    assert listed(client, "type=builtin") == {"bridge", "host", "none"}
    assert listed(client, "type=custom") == {"red_net", "blue_net"}
    assert listed(client, "driver=null") == {"none"}
    assert listed(client, "dangling=true") == {"blue_net"}
    assert listed(client, "dangling=false") == {"bridge", "host", "none", "red_net"}
    assert listed(client, "scope=swarm") == set()
    assert listed(client, "name=red", "name=blue", "driver=bridge") == {"red_net", "blue_net"}
    assert "must be \"true\" (or \"1\"), or \"false\" (or \"0\")" in client.fails("network", "ls", "--filter", "dangling=x")
    assert "invalid filter" in client.fails("network", "ls", "--filter", "colour=red")


def test_pruning(client: Client) -> None:
    for name, label in (("used", "x=1"), ("one", "x=1"), ("two", "x=2"), ("kept", "keep=")):
        client.ok("network", "create", "--label", label, name)
    up(client, "bb", "--network=used")
    said = client.ok("network", "prune", "-f", "--filter", "label=x=1")
    assert "one" in said.split() and not {"used", "two"} & set(said.split())
    said = client.ok("network", "prune", "-f", "--filter", "until=24h")
    assert "two" not in said.split(), "too young"
    said = client.ok("network", "prune", "-f", "--filter", "label!=keep")
    assert "two" in said.split() and "kept" not in said.split()
    assert listed(client, "type=custom") == {"used", "kept"}
    assert "invalid filter" in client.fails("network", "prune", "-f", "--filter", "name=kept")


def test_the_predefined_ones(client: Client) -> None:
    for name in ("bridge", "host", "none"):
        assert f"operation is not permitted on predefined {name} network" in client.fails("network", "create", name)
        assert f"{name} is a pre-defined network and cannot be removed" in client.fails("network", "rm", name)
    assert 'only one instance of "host" network is allowed' in client.fails("network", "create", "-d", "host", "m")
    assert 'only one instance of "null" network is allowed' in client.fails("network", "create", "-d", "null", "m")


def test_a_network_made_again_under_its_name(client: Client) -> None:
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n")
    client.ok("stop", "-t", "0", "bb")
    client.ok("network", "rm", "n")
    assert "network n not found" in client.fails("start", "bb")
    client.ok("network", "create", "n")
    client.ok("start", "bb")
    identity = client.ok("network", "inspect", "-f", "{{.Id}}", "n")
    assert client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.NetworkID}}", "bb") == identity


# Owners of network stacks.


def test_an_owner_need_not_run_to_be_joined(client: Client) -> None:
    up(client, "web")
    client.ok("create", "--name=joiner", "--network=container:web", "busybox", "sleep", "600")
    client.ok("stop", "-t", "0", "web")
    client.ok("start", "joiner")
    assert "eth0" in client.ok("exec", "joiner", "ls", "/sys/class/net")


def test_an_owner_made_again_is_joined_again(client: Client) -> None:
    up(client, "web")
    client.ok("create", "--name=joiner", "--network=container:web", "busybox", "sleep", "600")
    client.ok("rm", "-f", "web")
    up(client, "web", image="httpd")
    client.ok("start", "joiner")
    until(lambda: page(inside(client, "joiner"), "127.0.0.1"), wanted=True)


# The host.


def test_a_stack_has_its_containers_name_on_the_host(client: Client, lab: Lab) -> None:
    up(client, "web")
    [name] = [line.split()[0] for line in lab.host("ip", "netns", "list").out.splitlines() if line.split()[0].endswith("-web")]
    assert name.startswith("landbridge_")
    assert client.address("web", "bridge") in lab.host("ip", "netns", "exec", name, "ip", "addr").out
    client.ok("rename", "web", "www")
    renamed = name.removesuffix("web") + "www"
    assert lab.host("ip", "netns", "exec", renamed, "true").code == 0
    client.ok("rm", "-f", "www")
    assert renamed.removesuffix("www") not in lab.host("ip", "netns", "list").out


def test_the_host_has_a_name(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "n")
    up(client, "bb", "--network=n")
    gateway = client.ok("inspect", "-f", "{{.NetworkSettings.Networks.n.Gateway}}", "bb")
    assert gateway in client.ok("exec", "bb", "nslookup", "-type=a", "host.docker.internal")
    assert pings(inside(client, "bb"), "host.docker.internal")
    server = lab.background("busybox", "nc", "-l", "-p", "7020")
    try:
        until(lambda: ":7020" in lab.host("ss", "-Hltn").out, wanted=True)
        assert client.ok("exec", "bb", "sh", "-c", "echo hi | nc -w 3 host.docker.internal 7020; echo done") == "done"
        assert server.communicate(timeout=10)[0] == b"hi\n"
    finally:
        server.kill()
        server.communicate()
    # A word of the user's own goes before.
    up(client, "own", "--network=n", "--add-host=host.docker.internal:192.0.2.2")
    assert "192.0.2.2" in client.ok("exec", "own", "ping", "-c1", "-W1", "host.docker.internal")


def test_names_on_the_default_bridge_where_the_engine_is_told_to(lab_with: MakeLab) -> None:
    made = lab_with("--default-bridge-names=true")
    client = Client(made, "docker")
    up(client, "web", image="httpd")
    up(client, "bb")
    assert page(inside(client, "bb"), "web")
    assert "nameserver 127.0.0.11" in client.ok("exec", "bb", "cat", "/etc/resolv.conf")
    made.stop_daemon()
    made.flags = ()
    made.start_daemon()
    client.ok("restart", "-t", "0", "bb")
    assert no_page(inside(client, "bb"), "web"), "and not otherwise"


def test_an_address_of_the_host_that_comes_late(own_lab: Lab) -> None:
    client = Client(own_lab, "docker")
    said = client.fails("run", "-d", "-p", "192.0.2.99:8080:80", "--name=typo", "httpd")
    assert "192.0.2.99:8080" in said and "cannot assign requested address" in said
    own_lab.host("ip", "addr", "add", "192.0.2.99/24", "dev", "up0")
    client.ok("run", "-d", "--restart=always", "-p", "192.0.2.99:8081:80", "--name=web", "httpd")
    until(lambda: page(own_lab.outside, "192.0.2.99", 8081), wanted=True)
    client.ok("rm", "typo")
    # After a boot the address is not there yet: containers come back as they were, and wait for it.
    client.ok("stop", "-t", "0", "web")
    own_lab.host("ip", "addr", "del", "192.0.2.99/24", "dev", "up0")
    client.ok("start", "web")
    assert no_page(own_lab.outside, HOST4, 8081)
    own_lab.host("ip", "addr", "add", "192.0.2.99/24", "dev", "up0")
    until(lambda: page(own_lab.outside, "192.0.2.99", 8081), wanted=True)


# Routes of the host.


def test_a_vpn_that_routes_everything(ours: Client, lab: Lab) -> None:
    """Networks are made all the same, and said to lie where something else was."""
    lab.host("ip", "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1")
    lab.host("ip", "link", "set", "vpn0", "up")
    lab.host("ip", "link", "set", "vpn1", "up")
    try:
        for route in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"):
            assert lab.host("ip", "route", "add", route, "dev", "vpn0").code == 0
        said = ours("network", "create", "over")
        assert said.code == 0 and "overlaps the host's route to 172.16.0.0/12 on vpn0" in said.text
        for route in ("10.0.0.0/8", "172.16.0.0/12"):
            lab.host("ip", "route", "del", route, "dev", "vpn0")
        said = ours("network", "create", "beside")
        assert said.code == 0 and "overlaps" not in said.text
        # What comes later takes nobody's addresses away unnoticed.
        subnet = ours.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "beside")
        wide = f"{subnet.rsplit('.', 2)[0]}.0.0/16"
        assert lab.host("ip", "route", "add", wide, "dev", "vpn0").code == 0
        until(lambda: f"overlaps the host's route to {wide} on vpn0" in lab.log(), wanted=True)
        told = ours.ok("events", "--since", "1m", "--until", str(int(time.time()) + 1), "--filter", "event=overlap", "--format", "{{.Actor.Attributes.name}}")
        assert "beside" in told.split()
    finally:
        lab.host("ip", "link", "del", "vpn0")
