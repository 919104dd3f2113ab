"""Restart policies: crashes, the daemon's ends of every kind, and the machine's."""

import os
import signal

import pytest
from clients import Client
from lab import HOST4, Lab
from patience import until
from reboot import reboot

JOINERS = 20


def field(client: Client, name: str, what: str) -> str:
    return client.ok("inspect", "-f", f"{{{{{what}}}}}", name)


def told(client: Client, identity: str) -> list[str]:
    """Actions of the container's own events so far."""
    return client.ok("events", "--since", "120s", "--until", "0s", "--filter", f"container={identity}",
                     "--filter", "type=container", "--format", "{{.Action}}").splitlines()  # fmt: skip


def kill(client: Client, *names: str) -> None:
    """The programs die, not by the engine's hand."""
    for pid in client.ok("inspect", "-f", "{{.State.Pid}}", *names).split():
        os.kill(int(pid), signal.SIGKILL)


def test_on_failure_tries_so_often(client: Client) -> None:
    web = client.ok("run", "-d", "--restart=on-failure:2", "busybox", "sh", "-c", "exit 3")
    until(lambda: field(client, web, ".State.Status"), "exited")
    assert field(client, web, ".RestartCount") == "2"
    assert field(client, web, ".State.ExitCode") == "3"
    until(lambda: told(client, web), ["create", *["start", "die"] * 3])


def test_on_failure_lets_success_be(client: Client) -> None:
    web = client.ok("run", "-d", "--restart=on-failure", "busybox", "true")
    assert client.ok("wait", web) == "0"
    assert field(client, web, ".RestartCount") == "0"


def test_waiting_for_a_restart(client: Client) -> None:
    """What can be done with a container between two runs, in Docker's words."""
    web = client.ok("run", "-d", "--name=web", "--restart=always", "busybox", "sh", "-c", "exit 3")
    until(lambda: field(client, web, ".State.Restarting"), lambda seen: seen == "true")
    until(lambda: field(client, web, ".RestartCount"), lambda seen: int(seen) >= 5)  # the next wait is a long one
    until(lambda: client.ok("ps", "--filter", "id=" + web, "--format", "{{.Status}}"),
          lambda seen: seen.startswith("Restarting (3)"))  # fmt: skip
    assert client.ok("ps", "-q", "--filter", "status=restarting")
    assert "is restarting, wait until the container is running" in client.fails("exec", "web", "true")
    assert "is restarting, wait until the container is running" in client.fails("pause", "web")
    assert "cannot attach to a restarting container, wait until it is running" in client.fails("attach", "web")
    words = 'cannot remove container "/web": container is restarting: stop the container before removing or force remove'
    assert words in client.fails("rm", "web")
    client.ok("kill", "-s", "HUP", "web")
    assert field(client, web, ".State.Status") == "exited"
    client.ok("start", "web")
    assert int(field(client, web, ".RestartCount")) <= 1
    client.ok("rm", "-f", "web")


def test_a_stopped_or_killed_container_stays_down(client: Client) -> None:
    for name, words in (("one", ("stop", "-t", "0")), ("two", ("kill",))):
        client.ok("run", "-d", f"--name={name}", "--restart=always", "busybox", "sleep", "600")
        client.ok(*words, name)
        until(lambda name=name: field(client, name, ".State.Status"), "exited")
        assert field(client, name, ".RestartCount") == "0"


def test_all_of_a_joined_group_dies_at_once_and_comes_back(client: Client) -> None:
    client.ok("run", "-d", "--name=owner", "--restart=always", "-p", "80", "httpd")
    joined = [f"joined{number}" for number in range(5)]
    for name in joined:
        client.ok("run", "-d", f"--name={name}", "--restart=always", "--network=container:owner", "busybox",
                  "sleep", "600")  # fmt: skip
    client.ok("run", "-d", "--name=debug", "--restart=always", "--pid=container:owner", "busybox", "sleep", "600")
    port = client.port("owner", "80")
    kill(client, "owner", "debug", *joined)
    for name in ("owner", "debug", *joined):
        until(lambda name=name: field(client, name, ".RestartCount"), "1")
        until(lambda name=name: field(client, name, ".State.Status"), "running")
    assert client.port("owner", "80") == port
    assert "httpd" in client.ok("exec", "debug", "ps")
    until(lambda: client("exec", "joined3", "wget", "-qO-", "127.0.0.1").out, lambda seen: "It works!" in seen)


@pytest.mark.parametrize("end", ["kill", "stop", "reboot"])
def test_what_runs_after_the_daemon_came_back(own_lab: Lab, end: str) -> None:
    """By policy: crashed while the daemon was away (or with it), stopped by the user, never started."""
    ours = Client(own_lab, "landbridge")
    for policy in ("no", "always", "unless-stopped", "on-failure:5"):
        name = policy.partition(":")[0]
        for kind in ("up", "down"):
            ours.ok("run", "-d", f"--name={name}-{kind}", f"--restart={policy}", "busybox", "sleep", "600")
        ours.ok("stop", "-t", "0", f"{name}-down")
    ours.ok("create", "--name=fresh", "--restart=always", "busybox", "sleep", "600")
    if end == "reboot":
        reboot(own_lab)
    else:
        up = [one for one in ours.ok("ps", "--format", "{{.Names}}").split() if one.endswith("-up")]
        pids = [int(one) for one in ours.ok("inspect", "-f", "{{.State.Pid}}", *up).split()]
        own_lab.stop_daemon(signal.SIGKILL if end == "kill" else signal.SIGTERM)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        own_lab.start_daemon()
    wanted = {"always-up", "always-down", "unless-stopped-up", "on-failure-up"}
    assert set(ours.ok("ps", "--format", "{{.Names}}").split()) == wanted
    assert field(ours, "no-up", ".State.ExitCode") == ("255" if end == "reboot" else "137")
    assert field(ours, "fresh", ".State.Status") == "created"


def test_twenty_who_join_come_back_with_their_owner(own_lab: Lab) -> None:
    """In whatever order the boot finds them; kill -9, a clean restart and a reboot."""
    ours = Client(own_lab, "landbridge")
    ours.ok("network", "create", "my_net2")
    ours.ok("create", "--name=owner", "--restart=always", "--network=my_net2", "-p", "8080:80", "httpd")
    names = [f"{letter}{number}" for letter in "az" for number in range(JOINERS // 2)]
    for name in names[: JOINERS // 2]:
        ours.ok("run", "-d", f"--name={name}", "--restart=always", "--network=container:owner", "busybox", "sleep", "600")
    ours.ok("start", "owner")
    for name in names[JOINERS // 2 :]:
        ours.ok("run", "-d", f"--name={name}", "--restart=always", "--network=container:owner", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--name=debug", "--restart=always", "--pid=container:owner", "busybox", "sleep", "600")
    address = ours.address("owner", "my_net2")
    for come_back in (lambda: _again(own_lab, signal.SIGKILL), lambda: reboot(own_lab),
                      lambda: _again(own_lab, signal.SIGTERM), lambda: reboot(own_lab)):  # fmt: skip
        come_back()
        assert len(ours.ok("ps", "-q", "--filter", "status=running").split()) == JOINERS + 2
        assert ours.address("owner", "my_net2") == address
        for name in (names[0], names[-1]):
            until(lambda name=name: ours("exec", name, "wget", "-qO-", "127.0.0.1").out, lambda seen: "It works!" in seen)
        assert "httpd" in ours.ok("exec", "debug", "ps")
        fetched = own_lab.outside("busybox", "wget", "-qO-", f"http://{HOST4}:8080/", timeout=10)
        assert "It works!" in fetched.text


def _again(lab: Lab, number: signal.Signals) -> None:
    lab.stop_daemon(number)
    lab.start_daemon()


def test_what_was_missing_at_boot_may_come_later(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok("network", "create", "late")
    ours.ok("run", "-d", "--name=web", "--restart=always", "--network=late", "-p", "8080:80", "httpd")
    ours.ok("stop", "-t", "0", "web")
    ours.ok("network", "rm", "late")
    _again(own_lab, signal.SIGTERM)
    assert field(ours, "web", ".State.Status") == "restarting"
    assert "network late not found" in field(ours, "web", ".State.Error")
    ours.ok("network", "create", "late")
    until(lambda: field(ours, "web", ".State.Status"), "running")
    fetched = own_lab.outside("busybox", "wget", "-qO-", f"http://{HOST4}:8080/", timeout=10)
    assert "It works!" in fetched.text
    assert field(ours, "web", ".State.Error") == ""


def test_giving_up_on_what_is_missing(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok("network", "create", "gone")
    ours.ok("run", "-d", "--name=web", "--restart=always", "--network=gone", "busybox", "sleep", "600")
    ours.ok("stop", "-t", "0", "web")
    ours.ok("network", "rm", "gone")
    _again(own_lab, signal.SIGTERM)
    assert field(ours, "web", ".State.Status") == "restarting"
    ours.ok("stop", "web")
    assert field(ours, "web", ".State.Status") == "exited"
    assert "network gone not found" in ours.fails("start", "web")
