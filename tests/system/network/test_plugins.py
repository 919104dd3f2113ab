"""Networks and addresses of a plugin: a program that speaks Docker's protocol and makes its links itself."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clients import Client, MakeLab
from lab import Lab
from roads import inside, no_ping, page, pings

PROGRAM = Path(__file__).parent / "plugin.py"


class Weaver:
    """The plugin ``weaver``, and what it was asked."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.socket, self.log = directory / "weaver.sock", directory / "weaver.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        self._process = self.lab.background(sys.executable, "-I", str(PROGRAM), str(self.socket), str(self.log), *words)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        """Killed: its socket stays, and nobody listens."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()  # type: ignore[union-attr]
            self._process = None

    def asked(self) -> list[str]:
        """Methods since the last look."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return [json.loads(line)[0].partition(".")[2] for line in lines]


@contextmanager
def weaving(lab: Lab, directory: Path) -> Iterator[Weaver]:
    weaver = Weaver(lab, directory)
    weaver.start()
    try:
        yield weaver
    finally:
        weaver.stop()


@pytest.fixture
def make(lab_with: MakeLab, tmp_path: Path) -> Callable[[], tuple[Lab, Path]]:
    """An engine that looks for plugins in a directory of the test's own."""

    def made() -> tuple[Lab, Path]:
        directory = tmp_path / "plugins"
        directory.mkdir()
        return lab_with("--plugin-dir", str(directory)), directory

    return made


def links(lab: Lab) -> list[str]:
    shown = json.loads(lab.host("ip", "-j", "link").out)
    return [one["ifname"] for one in shown if one["ifname"].startswith("pl")]


def test_a_network_of_a_plugin(make: Callable[[], tuple[Lab, Path]]) -> None:
    lab, directory = make()
    client = Client(lab, "docker")
    with weaving(lab, directory) as weaver:
        client.ok("network", "create", "-d", "weaver", "--subnet=10.76.0.0/24", "-o", "colour=red", "woven")
        assert weaver.asked() == ["Activate", "GetCapabilities", "CreateNetwork"]
        client.ok("run", "-d", "--name=web", "--network=woven", "httpd")
        client.ok("run", "-d", "--name=bb", "--network=woven", "busybox", "sleep", "600")
        # The link has the name and the address the plugin says; the program in it is reached by name.
        assert page(inside(client, "bb"), "web") and page(lab.host, client.address("web", "woven"))
        assert client.ok("exec", "bb", "cat", "/sys/class/net/plug0/address") == "02:99:00:00:00:03"
        routes = client.ok("exec", "bb", "ip", "route")
        assert "default via 10.76.0.1 dev plug0" in routes and "203.0.113.0/24 via 10.76.0.1 dev plug0" in routes
        [shown] = json.loads(client.ok("network", "inspect", "woven"))
        assert (shown["Driver"], shown["Options"], len(shown["Containers"])) == ("weaver", {"colour": "red"}, 2)
        assert client.ok("network", "ls", "-q", "--filter", "driver=weaver") == shown["Id"][:12]
        weaver.asked()
        client.ok("network", "create", "n")
        client.ok("network", "connect", "n", "bb")
        client.ok("network", "disconnect", "woven", "bb")
        assert weaver.asked() == ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"]
        assert no_ping(inside(client, "web"), "10.76.0.3")
        client.ok("network", "connect", "--ip=10.76.0.50", "woven", "bb")
        assert pings(inside(client, "web"), "10.76.0.50")
        client.ok("rm", "-f", "web", "bb")
        client.ok("network", "rm", "woven")
        assert weaver.asked()[-1] == "DeleteNetwork" and links(lab) == []


def test_addresses_of_a_plugin(make: Callable[[], tuple[Lab, Path]]) -> None:
    lab, directory = make()
    client = Client(lab, "landbridge")
    with weaving(lab, directory) as weaver:
        client.ok("network", "create", "--ipam-driver=weaver", "n")
        [shown] = json.loads(client.ok("network", "inspect", "n"))
        assert shown["IPAM"]["Driver"] == "weaver"
        assert shown["IPAM"]["Config"] == [{"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.1"}]
        client.ok("run", "-d", "--name=web", "--network=n", "-p", "8080:80", "httpd")
        client.ok("run", "-d", "--name=bb", "--network=n", "--ip=10.77.0.77", "busybox", "sleep", "600")
        assert client.address("web", "n") == "10.77.0.2" and pings(inside(client, "web"), "bb")
        assert page(lab.outside, "192.0.2.1", 8080), "the bridge and its ports are ours"
        weaver.asked()
        client.ok("stop", "-t0", "bb")
        assert weaver.asked() == ["ReleaseAddress"]
        client.ok("start", "bb")
        assert client.address("bb", "n") == "10.77.0.77"
        client.ok("rm", "-f", "web", "bb")
        client.ok("network", "rm", "n")
        assert weaver.asked()[-2:] == ["ReleaseAddress", "ReleasePool"]


def test_what_a_plugin_refuses_is_told_and_leaves_nothing(make: Callable[[], tuple[Lab, Path]]) -> None:
    lab, directory = make()
    client = Client(lab, "docker")
    assert 'plugin "weaver" not found' in client.fails("network", "create", "-d", "weaver", "x", code=1)
    assert 'plugin "weaver" not found' in client.fails("network", "create", "--ipam-driver", "weaver", "x", code=1)
    assert 'plugin "../weaver" not found' in client.fails("network", "create", "-d", "../weaver", "x", code=1)
    with weaving(lab, directory):
        said = client.fails("network", "create", "-d", "weaver", "-o", "refuse=1", "x", code=1)
        assert "remote: this plugin does not like it" in said
        said = client.fails("network", "create", "--ipam-driver=weaver", "--ipam-opt", "refuse=1", "x", code=1)
        assert "remote: no pools today" in said
        assert client.ok("network", "ls", "-q", "--filter", "name=x") == ""
        client.ok("network", "create", "-d", "weaver", "woven")
        said = client.fails("run", "--name=bb", "--network=name=woven,driver-opt=refuse=1", "busybox", "true", code=125)
        assert "remote: no room" in said and client.ok("inspect", "-f", "{{.State.Status}}", "bb") == "created"
        assert [name for name in links(lab) if not name.startswith("plg")] == []


def test_a_dead_plugin_holds_up_nobody(make: Callable[[], tuple[Lab, Path]]) -> None:
    lab, directory = make()
    client = Client(lab, "landbridge")
    with weaving(lab, directory) as weaver:
        client.ok("network", "create", "-d", "weaver", "--subnet=10.76.0.0/24", "woven")
        client.ok("run", "-d", "--name=web", "--network=woven", "httpd")
        client.ok("create", "--name=bb", "--network=woven", "busybox", "sleep", "600")
        weaver.stop()
        # Nobody waits for it at a start of the daemon, and what runs goes on.
        lab.stop_daemon()
        lab.start_daemon()
        assert page(lab.host, client.address("web", "woven"))
        # A start waits for it, and meanwhile everything else is answered; it is there again, and the start succeeds.
        starting = lab.background(str(lab_command()), "start", "bb")
        client.ok("run", "--rm", "busybox", "true")
        assert starting.poll() is None
        weaver.start()
        assert starting.wait(timeout=20) == 0
        starting.stdout.close()  # type: ignore[union-attr]
        assert page(inside(client, "bb"), "web")
        weaver.stop()
        client.ok("rm", "-f", "web", "bb")
        client.ok("network", "rm", "woven")
        assert client.ok("network", "ls", "-q", "--filter", "name=woven") == ""
        assert "Leave: dial unix" in lab.log() and "connection refused" in lab.log()
        for name in links(lab):
            lab.host("ip", "link", "del", name)


def lab_command() -> Path:
    return PROGRAM.parents[3] / "bin" / "landbridge"
