"""Line 5: published ports, dynamic and fixed, from everywhere; held, listed, explained."""

import re
from collections.abc import Callable

import pytest
from clients import Client
from lab import HOST4, HOST6, Lab, Result

Retry = Callable[[Callable[[], Result], str], Result]


def fetch(address: str, port: str) -> list[str]:
    shown = f"[{address}]" if ":" in address else address
    return ["timeout", "3", "busybox", "wget", "-qO-", f"http://{shown}:{port}/"]


@pytest.fixture
def web(client: Client, lab: Lab, retry: Retry) -> Client:
    client.ok("run", "-d", "-p", "80", "-p", "8080:80", "--name=web", "httpd")
    retry(lambda: lab.host(*fetch("127.0.0.1", "8080")), "It works!")
    return client


def test_a_dynamic_port_is_the_same_on_both_families(web: Client) -> None:
    lines = web.ok("port", "web").splitlines()
    dynamic = {line.rpartition(":")[2] for line in lines} - {"8080"}
    assert len(dynamic) == 1
    port = dynamic.pop()
    assert f"80/tcp -> 0.0.0.0:{port}" in lines
    # The docker command writes [::] since 23.0.
    assert f"80/tcp -> [::]:{port}" in lines or f"80/tcp -> :::{port}" in lines
    ports = web.ok("ps", "--format", "{{.Ports}}")
    assert f"0.0.0.0:{port}->80/tcp" in ports
    assert "0.0.0.0:8080->80/tcp" in ports


def test_it_answers_from_everywhere(web: Client, lab: Lab) -> None:
    web.ok("network", "create", "elsewhere")
    web.ok("run", "-d", "--network=elsewhere", "--name=bb", "busybox", "sleep", "600")
    assert "It works!" in lab.outside(*fetch(HOST4, "8080")).text
    assert "It works!" in lab.outside(*fetch(HOST6, "8080")).text
    for address in (HOST4, "127.0.0.1", "::1", HOST6):
        assert "It works!" in lab.host(*fetch(address, "8080")).text, address
    assert "It works!" in web.ok("exec", "bb", "timeout", "3", "wget", "-qO-", f"http://{HOST4}:8080/")
    assert "It works!" in web.ok("exec", "web", "timeout", "3", "wget", "-qO-", f"http://{HOST4}:8080/")


@pytest.mark.parametrize("setting", ["0", "1"])
def test_hairpin_works_with_and_without_bridge_netfilter(web: Client, lab: Lab, setting: str) -> None:
    before = lab.host("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables")
    if before.code:
        pytest.skip("this kernel has no br_netfilter loaded; landbridge does not load it")
    lab.host("sh", "-c", f"echo {setting} >/proc/sys/net/bridge/bridge-nf-call-iptables")
    web.ok("run", "-d", "--name=neighbour", "busybox", "sleep", "600")
    for container in ("web", "neighbour"):
        assert "It works!" in web.ok("exec", container, "timeout", "3", "wget", "-qO-", f"http://{HOST4}:8080/")
    lab.host("sh", "-c", f"echo {before.out.strip()} >/proc/sys/net/bridge/bridge-nf-call-iptables")


def test_loopback_is_carried_by_the_kernel_not_by_a_process(web: Client, lab: Lab) -> None:
    lab.host(*fetch("127.0.0.1", "8080"))
    flows = lab.host("conntrack", "-L", "-p", "tcp", "--orig-dst", "127.0.0.1").out
    assert f"src={web.address('web', 'bridge')}" in flows, flows


def test_the_clients_address_is_seen(web: Client, lab: Lab) -> None:
    lab.outside(*fetch(HOST4, "8080"))
    assert "192.0.2.2" in web("logs", "web").text


def test_a_taken_port_names_its_holder_and_leaves_no_trace(web: Client, lab: Lab) -> None:
    said = web.fails("run", "-d", "-p", "8080:80", "--name=second", "httpd", code=125)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in said
    assert "web" in said
    assert web.ok("inspect", "-f", "{{.State.Status}}", "second") == "created"
    listener = lab.background("busybox", "nc", "-l", "-p", "8099")
    try:
        said = web.fails("run", "-d", "-p", "8099:80", "--name=third", "httpd", code=125)
        assert re.search(r"8099.*address already in use.*busybox|nc", said), said
    finally:
        listener.terminate()
        listener.communicate()
    web.ok("start", "third")


def test_the_port_is_held(web: Client, lab: Lab) -> None:
    assert "in use" in lab.host("busybox", "nc", "-l", "-p", "8080").text
    web.ok("rm", "-f", "web")
    listener = lab.background("busybox", "nc", "-l", "-p", "8080")
    listener.terminate()
    assert b"in use" not in listener.communicate()[0]


def test_ports_go_with_the_process_and_come_back_the_same(web: Client) -> None:
    port = web.port("web", "80")
    web.ok("stop", "-t", "0", "web")
    assert web.ok("port", "web") == ""
    web.ok("start", "web")
    assert web.port("web", "80") == port


def test_a_specific_host_address(client: Client, lab: Lab, retry: Retry) -> None:
    client.ok("run", "-d", "-p", "127.0.0.1:8081:80", "--name=local", "httpd")
    assert client.ok("port", "local") == "80/tcp -> 127.0.0.1:8081"
    retry(lambda: lab.host(*fetch("127.0.0.1", "8081")), "It works!")
    assert "It works!" not in lab.outside(*fetch(HOST4, "8081")).text


def test_unpublished_ports_are_closed_to_the_outside(web: Client, lab: Lab) -> None:
    address = web.address("web", "bridge")
    lab.outside("ip", "route", "add", f"{address}/32", "via", HOST4)
    try:
        assert "It works!" not in lab.outside(*fetch(address, "80")).text
    finally:
        lab.outside("ip", "route", "del", f"{address}/32")
    assert "It works!" in lab.host(*fetch(address, "80")).text


def test_explain_prints_the_path(web: Client, lab: Lab) -> None:
    port = web.port("web", "80")
    said = lab.landbridge("explain", f"127.0.0.1:{port}").out
    address = web.address("web", "bridge")
    for word in (f"127.0.0.1:{port}", "held by the proxy", "DNAT", "bridge", "web", address):
        assert word in said, said
    said = lab.landbridge("explain", "[::1]:8080").out
    assert "relays to" in said
    nobody = lab.landbridge("explain", "127.0.0.1:9")
    assert "no container publishes it" in nobody.text
