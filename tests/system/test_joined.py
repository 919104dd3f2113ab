"""Line 3: --network=container:web1 shares one network stack."""

import re

from clients import Client
from lab import Lab


def mac_and_address(text: str) -> tuple[str, str]:
    mac, address = re.search(r"link/ether (\S+)", text), re.search(r"inet (\d\S+)/\d+ brd", text)
    assert mac, text
    assert address, text
    return mac[1], address[1]


def test_one_stack_same_mac_same_address_and_loopback(client: Client) -> None:
    client.ok("run", "-d", "--name=web1", "httpd")
    shown = client("run", "-it", "--network=container:web1", "busybox",
                   tty=True, input="ip addr show eth0\nwget -qO- 127.0.0.1\nexit\n").text  # fmt: skip
    assert "It works!" in shown
    assert mac_and_address(shown) == mac_and_address(client.ok("exec", "web1", "ip", "addr", "show", "eth0"))


def test_a_joined_container_shares_names_and_files(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=web1", "httpd")
    client.ok("run", "-d", "--network=container:web1", "--name=bb", "busybox", "sleep", "600")
    assert client.ok("exec", "bb", "hostname") == client.ok("exec", "web1", "hostname")
    assert client.ok("exec", "bb", "cat", "/etc/hosts") == client.ok("exec", "web1", "cat", "/etc/hosts")
    assert client.ok("inspect", "-f", "{{len .NetworkSettings.Networks}}", "bb") == "0"
    identity = client.ok("inspect", "-f", "{{.Id}}", "web1")
    assert client.ok("inspect", "-f", "{{.HostConfig.NetworkMode}}", "bb") == f"container:{identity}"


def test_restarting_the_owner_cuts_nobody_off(client: Client, lab: Lab) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "-p", "80", "--name=web1", "httpd")
    client.ok("run", "-d", "--network=container:web1", "--name=bb", "busybox", "sleep", "600")
    before = mac_and_address(client.ok("exec", "bb", "ip", "addr", "show", "eth0"))
    port = client.port("web1", "80")
    client.ok("restart", "-t", "0", "web1")
    assert mac_and_address(client.ok("exec", "bb", "ip", "addr", "show", "eth0")) == before
    assert mac_and_address(client.ok("exec", "web1", "ip", "addr", "show", "eth0")) == before
    assert client.port("web1", "80") == port
    fetched = "for i in 1 2 3 4 5 6 7 8 9; do wget -qO- 127.0.0.1 && exit; sleep 0.2; done; exit 1"
    assert "It works!" in client.ok("exec", "bb", "sh", "-c", fetched)
    assert "0% packet loss" in client.ok("exec", "bb", "ping", "-c", "1", "web1")


def test_the_stack_outlives_a_stopped_owner_and_goes_with_the_last(client: Client) -> None:
    client.ok("run", "-d", "--name=web1", "busybox", "sleep", "600")
    client.ok("run", "-d", "--network=container:web1", "--name=bb", "busybox", "sleep", "600")
    client.ok("stop", "-t", "0", "web1")
    assert "eth0" in client.ok("exec", "bb", "ip", "addr")
    client.ok("start", "web1")
    assert mac_and_address(client.ok("exec", "bb", "ip", "addr", "show", "eth0")) == mac_and_address(
        client.ok("exec", "web1", "ip", "addr", "show", "eth0")
    )


def test_options_of_the_network_are_refused_when_joining(client: Client) -> None:
    client.ok("run", "-d", "--name=web1", "busybox", "sleep", "600")
    for option, words in (
        (("-p", "81:81"), "conflicting options: port publishing and the container type network mode"),
        (("--hostname", "x"), "conflicting options: hostname and the network mode"),
        (("--dns", "1.1.1.1"), "conflicting options: dns and the network mode"),
        (("--add-host", "a:1.2.3.4"), "conflicting options: custom host-to-IP mapping and the network mode"),
    ):
        said = client.fails("run", "--network=container:web1", *option, "busybox", "true", code=125)
        assert words in said, said
    assert client.ok("ps", "-aq").count("\n") == 0


def test_joining_nobody_is_an_error(client: Client) -> None:
    said = client.fails("run", "--name=lonely", "--network=container:nobody", "busybox", "true", code=125)
    assert "No such container: nobody" in said
