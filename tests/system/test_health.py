"""Health checks: what docker ps, inspect and events show of them, and that they go on over a daemon's end."""

import json
import signal
from typing import Any

import pytest
from clients import Client
from lab import Lab
from patience import until

FAST = ("--health-interval", "100ms", "--health-timeout", "5s")


def health(client: Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.ok("inspect", "-f", "{{json .State.Health}}", name))
    return found


def status(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.State.Health.Status}}", name)


def told(client: Client, identity: str) -> list[str]:
    """What events there were about a container, by its id: names come again."""
    return client.ok("events", "--since", "60s", "--until", "0s", "--filter", f"container={identity}",
                     "--format", "{{.Action}}").splitlines()  # fmt: skip


def shown(client: Client, name: str) -> str:
    return client.ok("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")


def test_starting_healthy_unhealthy_and_back(client: Client) -> None:
    client.ok("run", "-d", "--name=web", "--health-cmd=echo hi; test -e /tmp/ok", *FAST, "--health-retries=2",
              "--health-start-period=1h", "--health-start-interval=100ms", "busybox", "sleep", "600")  # fmt: skip
    until(lambda: len(health(client, "web")["Log"]), lambda seen: seen > 0)
    assert health(client, "web")["Status"] == "starting"
    assert shown(client, "web").endswith("(health: starting)")
    assert client.ok("ps", "-q", "--filter", "health=starting")
    client.ok("exec", "web", "touch", "/tmp/ok")
    until(lambda: status(client, "web"), "healthy")
    assert shown(client, "web").endswith("(healthy)")
    assert health(client, "web")["FailingStreak"] == 0
    client.ok("exec", "web", "rm", "/tmp/ok")
    until(lambda: status(client, "web"), "unhealthy")
    assert shown(client, "web").endswith("(unhealthy)")
    assert client.ok("ps", "-q", "--filter", "health=healthy") == ""
    found = health(client, "web")
    assert found["FailingStreak"] >= 2
    assert found["Log"][-1] | {"Start": "", "End": ""} == {"Start": "", "End": "", "ExitCode": 1, "Output": "hi\n"}
    until(lambda: len(health(client, "web")["Log"]), 5)


def test_events_of_a_probe(client: Client) -> None:
    web = client.ok("run", "-d", "--health-cmd=exit 3", *FAST, "--health-retries=1", "busybox", "sleep", "600")
    until(lambda: status(client, web), "unhealthy")
    client.ok("rm", "-f", web)
    seen = until(lambda: told(client, web), lambda seen: "destroy" in seen)
    at = seen.index("health_status: unhealthy")
    assert seen[at - 3 : at] == ["exec_create: /bin/sh -c exit 3", "exec_start: /bin/sh -c exit 3", "exec_die"]


def test_a_probe_runs_as_the_container_does(client: Client) -> None:
    client.ok("run", "-d", "--name=web", "--user=nobody", "-w", "/tmp", "-e", "WHAT=this", *FAST,
              '--health-cmd=echo "$(id -un) $(pwd) $WHAT"', "busybox", "sleep", "600")  # fmt: skip
    until(lambda: status(client, "web"), "healthy")
    assert health(client, "web")["Log"][0]["Output"] == "nobody /tmp this\n"


def test_a_probe_that_takes_too_long_is_killed_with_all_it_started(client: Client) -> None:
    client.ok("run", "-d", "--init", "--name=web", "--health-interval=100ms", "--health-timeout=300ms",
              "--health-retries=1", "--health-cmd=trap '' TERM; echo begun; sleep 301 & sleep 302",
              "busybox", "sleep", "600")  # fmt: skip
    until(lambda: status(client, "web"), "unhealthy")
    first = health(client, "web")["Log"][0]
    assert first["ExitCode"] == -1
    assert first["Output"] == "Health check exceeded timeout (300ms): begun\n"
    client.ok("pause", "web")
    client.ok("unpause", "web")
    until(lambda: len(health(client, "web")["Log"]), lambda seen: seen > 2)
    running = client.ok("exec", "web", "ps").count("sleep 301")
    assert running <= 1, "only the probe of this moment"


def test_output_is_cut_at_4096_bytes(client: Client) -> None:
    client.ok("run", "-d", "--name=web", *FAST, "--health-cmd=head -c 5000 /dev/zero | tr '\\0' x", "busybox",
              "sleep", "600")  # fmt: skip
    until(lambda: status(client, "web"), "healthy")
    assert health(client, "web")["Log"][0]["Output"] == "x" * 4096 + "..."


def test_a_paused_or_ended_container_is_not_healthy(client: Client) -> None:
    client.ok("run", "-d", "--name=web", *FAST, "--health-cmd=true", "busybox", "sleep", "600")
    until(lambda: status(client, "web"), "healthy")
    client.ok("pause", "web")
    assert status(client, "web") == "unhealthy"
    assert shown(client, "web").endswith("(Paused)")
    client.ok("unpause", "web")
    until(lambda: status(client, "web"), "healthy")
    client.ok("stop", "-t", "0", "web")
    assert status(client, "web") == "unhealthy"
    assert shown(client, "web").startswith("Exited (137)")
    client.ok("start", "web")
    assert health(client, "web")["Log"], "results of the former run stay to be seen"


def test_the_image_s_check_and_its_refusal(client: Client) -> None:
    client.ok("create", "--name=maker", "busybox", "sleep", "600")
    change = 'HEALTHCHECK --interval=100ms --retries=1 CMD ["test", "-e", "/tmp/ok"]'
    client.ok("commit", "-c", change, "maker", "checked:1")
    client.ok("run", "-d", "--name=web", "checked:1")
    until(lambda: status(client, "web"), "unhealthy")
    client.ok("run", "-d", "--name=quiet", "--no-healthcheck", "checked:1")
    assert client.ok("inspect", "-f", "{{json .State.Health}}", "quiet") == "null"
    assert "health" not in shown(client, "quiet")
    assert client.ok("ps", "-a", "--filter", "health=none", "--format", "{{.Names}}") == "quiet\nmaker"
    client.ok("run", "-d", "--name=other", "--health-cmd=true", "checked:1")
    until(lambda: status(client, "other"), "healthy")
    client.ok("rm", "-f", "web", "quiet", "other", "maker")
    client.ok("rmi", "checked:1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_new_daemon_goes_on_with_the_checks(own_lab: Lab, number: signal.Signals) -> None:
    ours = Client(own_lab, "landbridge")
    ours.ok("run", "-d", "--name=web", *FAST, "--health-retries=1", "--health-cmd=test ! -e /tmp/bad", "busybox",
            "sleep", "600")  # fmt: skip
    until(lambda: status(ours, "web"), "healthy")
    own_lab.stop_daemon(number)
    own_lab.start_daemon()
    assert shown(ours, "web").endswith("(healthy)")
    ours.ok("exec", "web", "touch", "/tmp/bad")
    until(lambda: status(ours, "web"), "unhealthy")


def test_a_healthy_container_restarts_as_starting(client: Client) -> None:
    web = client.ok("run", "-d", "--health-interval=200ms", "--health-cmd=true", "busybox", "sleep", "600")
    until(lambda: status(client, web), "healthy")
    client.ok("restart", "-t", "0", web)
    until(lambda: told(client, web).count("health_status: healthy"), 2)
