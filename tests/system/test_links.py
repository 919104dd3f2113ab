"""``--link``: hosts entries and variables on the default bridge, an alias of one's own on other networks."""

import signal

from clients import Client
from lab import Lab
from patience import until
from reboot import reboot


def test_a_link_on_the_default_bridge(client: Client) -> None:
    db = client.ok("run", "-d", "--name=db", "--expose=81/udp", "-p", "80", "-e", "WHAT=a b", "busybox", "sleep", "600")
    address = client.address("db", "bridge")
    client.ok("run", "-d", "--name=web", "--link=db:my-db", "--link=db", "-e", "MINE=1", "busybox", "sleep", "600")
    hosts = client.ok("exec", "web", "cat", "/etc/hosts").splitlines()
    assert f"{address}\tmy-db {db[:12]} db" in hosts
    assert f"{address}\tdb {db[:12]}" in hosts
    assert hosts[-1].split()[0] == client.address("web", "bridge")
    assert "0% packet loss" in client.ok("exec", "web", "ping", "-c", "1", "my-db")
    variables = client.ok("exec", "web", "env").splitlines()
    at = variables.index(f"MY_DB_PORT=tcp://{address}:80")
    assert variables[at + 1 : at + 11] == [
        f"MY_DB_PORT_80_TCP=tcp://{address}:80", f"MY_DB_PORT_80_TCP_ADDR={address}", "MY_DB_PORT_80_TCP_PORT=80",
        "MY_DB_PORT_80_TCP_PROTO=tcp", f"MY_DB_PORT_81_UDP=udp://{address}:81", f"MY_DB_PORT_81_UDP_ADDR={address}",
        "MY_DB_PORT_81_UDP_PORT=81", "MY_DB_PORT_81_UDP_PROTO=udp", "MY_DB_NAME=/web/my-db", "MY_DB_ENV_WHAT=a b",
    ]  # fmt: skip
    assert {"DB_NAME=/web/db", "MINE=1"} <= set(variables)
    assert client.ok("inspect", "-f", "{{json .HostConfig.Links}}", "web") == '["/db:/web/my-db","/db:/web/db"]'


def test_names_by_link_follow_a_rename(client: Client) -> None:
    db = client.ok("run", "-d", "--name=db", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=web", "--link=db:store", "busybox", "sleep", "600")
    assert client.ok("inspect", "-f", "{{.Id}}", "web/store") == db
    assert client.ok("ps", "--no-trunc", "--filter", "id=" + db, "--format", "{{.Names}}") == "db,web/store"
    client.ok("rename", "db", "base")
    client.ok("rename", "web", "front")
    assert client.ok("inspect", "-f", "{{json .HostConfig.Links}}", "front") == '["/base:/front/store"]'
    client.ok("rm", "--link", "front/store")
    assert client.ok("inspect", "-f", "{{json .HostConfig.Links}}", "front") == "null"
    assert client.ok("inspect", "-f", "{{.State.Status}}", "base") == "running"


def test_the_target_must_exist_run_and_be_there(client: Client) -> None:
    said = client.fails("create", "--link=nobody:db", "busybox", "true")
    assert "could not get container for nobody: No such container: nobody" in said
    client.ok("run", "-d", "--name=db", "busybox", "sleep", "600")
    client.ok("create", "--name=web", "--link=db", "busybox", "sleep", "600")
    client.ok("stop", "-t", "0", "db")
    assert "Cannot link to a non running container: /db AS /web/db" in client.fails("start", "web")
    client.ok("start", "db")
    client.ok("start", "web")
    client.ok("run", "-d", "--name=lone", "--network=none", "busybox", "sleep", "600")
    said = client.fails("run", "--link=lone", "busybox", "true", code=125)
    assert "Cannot link to /lone, as it does not belong to the default network" in said
    client.ok("run", "-d", "--name=hosted", "--network=host", "busybox", "sleep", "600")
    said = client.fails("run", "--link=hosted", "busybox", "true", code=125)
    assert "conflicting options: host type networking can't be used with links" in said


def test_an_alias_only_the_linker_sees(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=db", "busybox", "sleep", "600")
    client.ok("run", "-d", "--network=my_net2", "--name=web", "--link=db:store", "--link=later:soon", "busybox",
              "sleep", "600")  # fmt: skip
    client.ok("run", "-d", "--network=my_net2", "--name=other", "busybox", "sleep", "600")
    assert client.address("db", "my_net2") in client.ok("exec", "web", "nslookup", "store")
    assert client("exec", "other", "nslookup", "store").code != 0
    assert client("exec", "web", "nslookup", "soon").code != 0
    client.ok("run", "-d", "--network=my_net2", "--name=later", "busybox", "sleep", "600")
    assert client.address("later", "my_net2") in client.ok("exec", "web", "nslookup", "soon")
    assert "STORE" not in client.ok("exec", "web", "env")
    assert "store" not in client.ok("exec", "web", "cat", "/etc/hosts")
    assert client.ok("inspect", "-f", "{{json .HostConfig.Links}}", "web") == "null"
    links = client.ok("inspect", "-f", "{{json .NetworkSettings.Networks.my_net2.Links}}", "web")
    assert links == '["db:store","later:soon"]'


def test_a_link_given_with_connect(client: Client) -> None:
    client.ok("network", "create", "my_net2")
    client.ok("run", "-d", "--network=my_net2", "--name=db", "busybox", "sleep", "600")
    client.ok("run", "-d", "--name=web", "busybox", "sleep", "600")
    client.ok("network", "connect", "--link=db:store", "my_net2", "web")
    assert client.address("db", "my_net2") in client.ok("exec", "web", "nslookup", "store")


def test_linked_containers_come_back_in_order(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok("run", "-d", "--name=zdb", "--restart=always", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--name=amid", "--restart=always", "--link=zdb", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--name=web", "--restart=always", "--link=amid", "busybox", "sleep", "600")
    for come_back in (lambda: reboot(own_lab), lambda: (own_lab.stop_daemon(signal.SIGKILL), own_lab.start_daemon())):
        come_back()
        assert len(ours.ok("ps", "-q", "--filter", "status=running").split()) == 3
        until(lambda: ours("exec", "web", "ping", "-c", "1", "amid").out, lambda seen: "0% packet loss" in seen)
    assert "restart of" not in own_lab.log()
