"""Networks made from others, networks nobody uses, and what a network cannot be: in the words of the docker command."""

import json

import pytest
from clients import Client


def refused(client: Client, *flags: str) -> str:
    return client.fails("network", "create", *flags, "x", code=1)


def test_a_template_and_a_network_from_it(client: Client) -> None:
    given = ("--subnet=10.9.0.0/24", "-o", "com.docker.network.driver.mtu=1400", "--label=a=b")
    client.ok("network", "create", "--config-only", *given, "template")
    [template] = json.loads(client.ok("network", "inspect", "template"))
    assert (template["ConfigOnly"], template["Driver"], template["IPAM"]["Config"]) == (True, "null", [{"Subnet": "10.9.0.0/24"}])
    client.ok("network", "create", "--config-from=template", "made")
    [made] = json.loads(client.ok("network", "inspect", "made"))
    assert (made["ConfigFrom"], made["Driver"], made["Labels"]) == ({"Network": "template"}, "bridge", {"a": "b"})
    client.ok("run", "-d", "--name=bb", "--network=made", "busybox", "sleep", "600")
    assert client.address("bb", "made") == "10.9.0.2"
    assert client.ok("exec", "bb", "cat", "/sys/class/net/eth0/mtu") == "1400"
    assert "Pool overlaps with other one on this address space" in refused(client, "--config-from=template")
    assert 'configuration network "template" is in use' in client.fails("network", "rm", "template")
    said = client.fails("run", "--name=no", "--network=template", "busybox", "true", code=125)
    assert "cannot create endpoint on configuration-only network" in said
    client.ok("rm", "-f", "bb", "no")
    # A template is kept when what nobody uses goes.
    assert "made" in client.ok("network", "prune", "-f")
    assert client.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").split() == ["template"]
    client.ok("network", "rm", "template")


def test_a_macvlan_from_a_template(client: Client) -> None:
    client.ok("network", "create", "--config-only", "-o", "parent=up0", "--subnet=192.0.2.0/24", "template")
    client.ok("network", "create", "--config-from=template", "-d", "macvlan", "made")
    assert client.ok("network", "inspect", "-f", "{{.Driver}} {{.Options.parent}}", "made") == "macvlan up0"
    client.ok("network", "rm", "made", "template")


def test_what_templates_refuse(client: Client) -> None:
    client.ok("network", "create", "--config-only", "template")
    fields = "configuration network can only contain network specific fields."
    for flag in ("--internal", "--attachable", "--ingress", "--scope=local"):
        assert fields in refused(client, "--config-only", flag), flag
    assert "a configuration network cannot depend on another" in refused(client, "--config-only", "--config-from=template")
    assert "network driver options are not supported" in refused(client, "--config-from=template", "-o", "a=b")
    for flag in ("--label=a=b", "--ipv6", "--subnet=10.9.0.0/24"):
        assert "user specified configurations are not supported" in refused(client, "--config-from=template", flag), flag
    assert 'configuration network "bridge" does not exist' in refused(client, "--config-from=bridge")
    client.ok("network", "rm", "template")


def test_stopped_containers_keep_no_network(client: Client) -> None:
    client.ok("network", "create", "n")
    client.ok("network", "create", "used")
    client.ok("run", "-d", "--name=stopped", "--network=n", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=runs", "--network=used", "busybox", "sleep", "600")
    client.ok("stop", "-t0", "stopped")
    dangling = client.ok("network", "ls", "--format", "{{.Name}}", "--filter", "dangling=true")
    assert dangling.split() == ["n"]
    pruned = client.ok("network", "prune", "-f")
    assert "n" in pruned.split() and "used" not in pruned.split()
    assert "network n not found" in client.fails("start", "stopped")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--scope=swarm",), "cannot create a swarm scoped network when swarm is not active"),
        (("--ingress",), "Ingress network can only be global scope network"),
        (("-d", "overlay"), "This node is not a swarm manager."),
        (("-d", "host"), 'only one instance of "host" network is allowed'),
        (("--ipam-driver=null",), "ipv4 pool is empty"),
        (("--subnet=10.9.0.0/24", "--gateway=10.9.0.255"), "failed to allocate gateway (10.9.0.255): Address already in use"),
        (("--subnet=10.9.0.0/24", "--gateway=10.9.0.1", "--aux-address=a=10.9.0.1"),
         "failed to allocate secondary ip address (a:10.9.0.1): Address already in use"),
    ],
)  # fmt: skip
def test_what_a_network_cannot_be(client: Client, flags: tuple[str, ...], text: str) -> None:
    assert text in refused(client, *flags)
    assert client.ok("network", "ls", "-q", "--filter", "name=x") == ""


def test_a_network_of_two_addresses_and_a_huge_one(client: Client) -> None:
    client.ok("network", "create", "--internal", "-o", "com.docker.network.bridge.inhibit_ipv4=true", "--subnet=10.9.0.0/31", "two")
    client.ok("run", "-d", "--name=one", "--network=two", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=other", "--network=two", "busybox", "sleep", "600")
    assert {client.address("one", "two"), client.address("other", "two")} == {"10.9.0.0", "10.9.0.1"}
    assert client.ok("exec", "one", "ping", "-c1", "-W3", "other")
    client.ok("network", "create", "--ipv6", "--subnet=fd77::/32", "--ip-range=fd77:0:1::/48", "huge")
    client.ok("run", "-d", "--name=six", "--network=huge", "busybox", "sleep", "600")
    six = client.ok("inspect", "-f", "{{.NetworkSettings.Networks.huge.GlobalIPv6Address}}", "six")
    assert six.startswith("fd77:0:1:")
