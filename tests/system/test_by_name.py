"""Line 2: the embedded DNS server, on user-defined networks and not on the default bridge."""

import pytest
from clients import Client
from lab import OUTSIDE4, Lab


@pytest.fixture
def pair(client: Client) -> Client:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--network-alias", "db", "--name=bbox1", "busybox", "sleep", "600")
    client.ok("run", "-d", "--network=my_net2", "--name=bbox2", "busybox", "sleep", "600")
    return client


def test_every_name_of_a_container_resolves(pair: Client) -> None:
    identity = pair.ok("inspect", "-f", "{{.Id}}", "bbox1")
    for name in ("bbox1", "bbox1.my_net2", "db", identity[:12], "BBOX1"):
        assert "0% packet loss" in pair.ok("exec", "bbox2", "ping", "-c", "1", name), name
    assert "bad address" in pair.fails("exec", "bbox2", "ping", "-c", "1", identity)


def test_the_resolver_is_at_127_0_0_11(pair: Client) -> None:
    assert "nameserver 127.0.0.11\n" in pair.ok("exec", "bbox2", "cat", "/etc/resolv.conf")
    assert "127.0.0.11" in pair.ok("exec", "bbox2", "nslookup", "bbox1")


def test_a_stopped_container_is_not_found_and_a_renamed_one_is(pair: Client) -> None:
    pair.ok("rename", "bbox1", "other")
    assert "0% packet loss" in pair.ok("exec", "bbox2", "ping", "-c", "1", "other")
    pair.fails("exec", "bbox2", "ping", "-c", "1", "bbox1")
    pair.ok("stop", "-t", "0", "other")
    pair.fails("exec", "bbox2", "ping", "-c", "1", "other")
    pair.ok("start", "other")
    assert "0% packet loss" in pair.ok("exec", "bbox2", "ping", "-c", "1", "other")


def test_the_default_bridge_resolves_no_names_but_carries_packets(client: Client) -> None:
    client.ok("run", "-d", "--name=bbox3", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=bbox4", "busybox", "sleep", "600")
    assert "bad address" in client.fails("exec", "bbox4", "ping", "-c", "1", "bbox3")
    address = client.address("bbox3", "bridge")
    assert "0% packet loss" in client.ok("exec", "bbox4", "ping", "-c", "1", address)


def test_unknown_names_go_to_the_hosts_resolvers(pair: Client, lab: Lab, tmp_path) -> None:  # type: ignore[no-untyped-def]
    server = lab.background(
        "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={OUTSIDE4}",
        "--local=/example/", "--address=/world.example/203.0.113.7", f"--pid-file={tmp_path}/pid", "--user=root",
        outside=True,
    )  # fmt: skip
    try:
        pair.ok("run", "-d", "--network=my_net2", "--dns", OUTSIDE4, "--name=asker", "busybox", "sleep", "600")
        assert "203.0.113.7" in pair.ok("exec", "asker", "nslookup", "-type=a", "world.example")
        assert "0% packet loss" in pair.ok("exec", "asker", "ping", "-c", "1", "bbox1")
    finally:
        server.terminate()
        server.communicate()


def test_several_containers_share_an_alias(pair: Client) -> None:
    pair.ok("run", "-d", "--network=my_net2", "--network-alias", "db", "--name=bbox5", "busybox", "sleep", "600")
    found = pair.ok("exec", "bbox2", "nslookup", "db")
    assert pair.address("bbox1", "my_net2") in found
    assert pair.address("bbox5", "my_net2") in found
