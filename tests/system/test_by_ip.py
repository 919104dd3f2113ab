"""Line 1: containers with an interface in the same network talk by IP, and only those."""

from clients import Client


def test_two_containers_of_a_network_ping_each_other(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=bbox1", "busybox", "sleep", "600")
    client.ok("run", "-dit", "--network=my_net2", "--name=bbox2", "busybox")
    one, two = client.address("bbox1", "my_net2"), client.address("bbox2", "my_net2")
    assert one != two
    assert "0% packet loss" in client.ok("exec", "bbox1", "ping", "-c", "1", two)
    assert "0% packet loss" in client.ok("exec", "bbox2", "ping", "-c", "1", one)


def test_a_terminal_in_a_container(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=bbox1", "busybox", "sleep", "600")
    address = client.address("bbox1", "my_net2")
    done = client("run", "-it", "--rm", "--network=my_net2", "--name=bbox2", "busybox",
                  tty=True, input=f"ping -c 1 {address}\ntty\nexit 3\n")  # fmt: skip
    assert "0% packet loss" in done.text
    assert "/dev/pts/0" in done.text
    assert done.code == 3


def test_connect_to_a_running_container_works_at_once(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=bbox1", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=bbox3", "busybox", "sleep", "600")
    address = client.address("bbox1", "my_net2")
    client.fails("exec", "bbox3", "ping", "-c", "1", "-W", "1", address)
    client.ok("network", "connect", "--alias", "third", "my_net2", "bbox3")
    links = client.ok("exec", "bbox3", "ip", "-o", "-4", "addr")
    assert client.address("bbox3", "my_net2") in links
    assert "eth0" in links
    assert "eth1" in links
    assert "0% packet loss" in client.ok("exec", "bbox3", "ping", "-c", "1", address)
    assert "0% packet loss" in client.ok("exec", "bbox3", "ping", "-c", "1", "bbox1")
    assert "0% packet loss" in client.ok("exec", "bbox1", "ping", "-c", "1", "third")
    client.ok("network", "disconnect", "my_net2", "bbox3")
    assert "eth1" not in client.ok("exec", "bbox3", "ip", "-o", "-4", "addr")
    client.fails("exec", "bbox3", "ping", "-c", "1", "-W", "1", address)
    client.fails("exec", "bbox1", "ping", "-c", "1", "-W", "1", "third")


def test_bridges_do_not_reach_each_other(client: Client) -> None:
    client.ok("network", "create", "left")
    client.ok("network", "create", "right")
    client.ok("run", "-d", "--network=left", "--name=aa", "httpd")
    client.ok("run", "-d", "--network=right", "--name=bb", "busybox", "sleep", "600")
    address = client.address("aa", "left")
    client.fails("exec", "bb", "ping", "-c", "1", "-W", "1", address)
    client.fails("exec", "bb", "timeout", "1", "wget", "-qO-", f"http://{address}/")


def test_networks_are_listed_inspected_and_removed(client: Client) -> None:
    client.ok("network", "create", "--subnet", "10.77.0.0/24", "--label", "x=y", "labelled")
    assert "labelled" in client.ok("network", "ls", "--filter", "label=x=y")
    assert client.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "labelled") == "10.77.0.0/24"
    client.ok("run", "-d", "--network=labelled", "--ip", "10.77.0.9", "--name=fixed", "busybox", "sleep", "600")
    assert client.address("fixed", "labelled") == "10.77.0.9"
    assert "has active endpoints" in client.fails("network", "rm", "labelled")
    client.ok("rm", "-f", "fixed")
    assert client.ok("network", "rm", "labelled") == "labelled"
    said = client.fails("network", "inspect", "labelled")
    assert "not found" in said or "No such network: labelled" in said  # the docker command's words until 20.10
