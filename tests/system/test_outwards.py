"""Line 4: containers reach the outside, which sees the host's address."""

import pytest
from clients import Client
from lab import HOST4, OUTSIDE4, Lab


@pytest.mark.parametrize("network", ["bridge", "my_net2"])
def test_the_outside_sees_the_host(client: Client, lab: Lab, network: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    if network != "bridge":
        client.ok("network", "create", network)
    client.ok("run", "-d", f"--network={network}", "--name=bb", "busybox", "sleep", "600")
    assert "0% packet loss" in client.ok("exec", "bb", "ping", "-c", "1", OUTSIDE4)
    (tmp_path / "index.html").write_text("the world")
    server = lab.background(
        "busybox", "httpd", "-f", "-vv", "-p", f"{OUTSIDE4}:7001", "-h", str(tmp_path), outside=True
    )
    try:
        fetched = f"for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://{OUTSIDE4}:7001/ && exit; sleep 0.2; done; exit 1"
        assert client.ok("exec", "bb", "sh", "-c", fetched) == "the world"
    finally:
        server.terminate()
        seen = server.communicate()[0].decode()
    assert HOST4 in seen
    assert client.address("bb", network) not in seen


def test_an_internal_network_has_no_way_out(client: Client) -> None:
    client.ok("network", "create", "--internal", "inner")
    client.ok("run", "-d", "--network=inner", "--name=aa", "busybox", "sleep", "600")
    client.ok("run", "-d", "--network=inner", "--name=bb", "busybox", "sleep", "600")
    assert "unreachable" in client.fails("exec", "bb", "ping", "-c", "1", "-W", "1", OUTSIDE4)
    assert "0% packet loss" in client.ok("exec", "bb", "ping", "-c", "1", "aa")


def test_host_and_none(client: Client, lab: Lab) -> None:
    assert "up0" in client.ok("run", "--rm", "--network=host", "busybox", "ip", "addr")
    shown = client.ok("run", "--rm", "--network=none", "busybox", "ip", "addr")
    assert "lo:" in shown
    assert "eth0" not in shown
