"""kill -9 the daemon: containers, names, ports and established connections never notice."""

import signal
import time

from clients import Background, Client
from lab import HOST4, Lab


def test_a_killed_daemon_is_not_noticed(own_lab: Lab, background: Background) -> None:
    lab, ours = own_lab, Client(own_lab, "landbridge")
    ours.ok("network", "create", "my_net2")
    ours.ok("run", "-d", "--network=my_net2", "-p", "8080:80", "--name=web", "httpd")
    ours.ok("run", "-d", "--network=my_net2", "--name=bb", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--network=container:web", "--name=joined", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--network=my_net2", "-p", "7000:7000", "--name=echo", "busybox",
            "nc", "-ll", "-p", "7000", "-e", "cat")  # fmt: skip
    before = ours.ok("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Ports}}")
    pid = ours.ok("inspect", "-f", "{{.State.Pid}}", "bb")
    established = background(lab, "sh", "-c", f"(echo one; sleep 4; echo two) | busybox nc {HOST4} 7000", outside=True)
    asking = "for i in $(seq 30); do busybox nslookup web 127.0.0.11 >&2 && echo yes || echo no; sleep 0.1; done"
    lookups = background(lab, "nsenter", "-t", pid, "-n", "sh", "-c", f"({asking}) 2>/dev/null")
    time.sleep(0.5)
    lab.stop_daemon(signal.SIGKILL)
    fetched = lab.outside("timeout", "3", "busybox", "wget", "-qO-", f"http://{HOST4}:8080/").text
    relayed = lab.host("timeout", "3", "busybox", "wget", "-qO-", "http://[::1]:8080/").text
    lab.start_daemon()
    assert "It works!" in fetched
    assert "It works!" in relayed
    assert ours.ok("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Ports}}") == before
    assert established.communicate(timeout=30)[0].decode().split() == ["one", "two"]
    assert "no" not in lookups.communicate(timeout=30)[0].decode()
    assert ours.ok("inspect", "-f", "{{.State.Pid}}", "bb") == pid
    assert "0% packet loss" in ours.ok("exec", "bb", "ping", "-c", "1", "web")
    ours.ok("exec", "joined", "timeout", "3", "wget", "-qO-", "127.0.0.1")
    ours.ok("stop", "-t", "0", "bb")
    assert "Exited (137)" in ours.ok("ps", "-a", "--filter", "name=bb", "--format", "{{.Status}}")


def test_what_ended_while_the_daemon_was_away_is_known(own_lab: Lab) -> None:
    lab, ours = own_lab, Client(own_lab, "landbridge")
    ours.ok("run", "-d", "-p", "8085:80", "--name=short", "busybox", "sh", "-c", "sleep 1; exit 7")
    lab.stop_daemon(signal.SIGKILL)
    time.sleep(1.5)
    lab.start_daemon()
    for _ in range(50):
        status = ours.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "short")
        if status.startswith("exited"):
            break
        time.sleep(0.1)
    assert status == "exited 7"
    assert ours.ok("port", "short") == ""


def test_a_second_boot_changes_nothing(own_lab: Lab) -> None:
    lab, ours = own_lab, Client(own_lab, "landbridge")
    ours.ok("network", "create", "my_net2")
    ours.ok("run", "-d", "--network=my_net2", "-p", "8080:80", "--name=web", "httpd")

    def seen() -> tuple[str, str]:
        rules = lab.host("nft", "list", "ruleset").out
        return lab.host("ip", "-o", "link").out, "\n".join(sorted(rules.replace(",", "\n").split("\n")))

    before = seen()
    for number in (signal.SIGKILL, signal.SIGTERM):
        lab.stop_daemon(number)
        lab.start_daemon()
        after = seen()
        assert after[0] == before[0]
        assert "tcp . 8080" in after[1]
