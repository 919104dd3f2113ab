"""Published ports of a container that runs: opened and closed, while everybody else's connections go on."""

import subprocess
import sys

from clients import Background, Client
from lab import HOST4, Lab
from patience import until
from roads import no_page, page

# Says what it was sent, line by line, on one connection.
ECHO = """
import socket
with socket.create_server(("", 7000)) as door:
    print("ready", flush=True)
    peer, _ = door.accept()
    with peer:
        while data := peer.recv(100):
            peer.sendall(data)
"""
TALK = f"""
import socket, sys
with socket.create_connection(("{HOST4}", 7000)) as there:
    for line in sys.stdin.buffer:
        there.sendall(line)
        print(there.recv(100).decode(), end="", flush=True)
"""


def test_one_more_and_one_less_while_connections_go_on(ours: Client, lab: Lab, background: Background) -> None:
    ours.ok("run", "-d", "--name=web", "-p", "8080:80", "-p", "7000", "-p", "7000:7000", "httpd")
    dynamic = ours.port("web", "7000")
    pid = ours.ok("inspect", "-f", "{{.State.Pid}}", "web")
    server = background(lab, "nsenter", "-t", pid, "-n", sys.executable, "-I", "-S", "-c", ECHO)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    talk = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{lab.outside_ns}", sys.executable, "-I", "-S", "-c", TALK], stdin=-1, stdout=-1)
    try:
        assert talk.stdin is not None
        assert talk.stdout is not None

        def said(word: bytes) -> bool:
            talk.stdin.write(word + b"\n")
            talk.stdin.flush()
            return bool(talk.stdout.readline() == word + b"\n")

        assert said(b"before")
        until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
        assert ours.ok("update", "-p", "8081:80", "-p", "9000:80/udp", "web") == "web"
        assert page(lab.outside, HOST4, 8081) and page(lab.outside, HOST4, 8080) and said(b"one more")
        assert "80/tcp -> 0.0.0.0:8081" in ours.ok("port", "web").splitlines()
        assert ours.port("web", "7000") in (dynamic, "7000")
        ours.ok("update", "--unpublish", "80", "web")
        assert no_page(lab.outside, HOST4, 8080) and no_page(lab.outside, HOST4, 8081) and said(b"one less")
        assert ":8081" not in lab.host("ss", "-Hltn").out, "nobody holds it"
    finally:
        talk.kill()
        talk.communicate()
    # It stays so.
    ours.ok("update", "-p", "8082:80", "web")
    ours.ok("restart", "-t", "0", "web")
    until(lambda: page(lab.outside, HOST4, 8082), wanted=True)
    assert no_page(lab.outside, HOST4, 8080)


def test_what_cannot_be_published_changes_nothing(ours: Client, lab: Lab) -> None:
    ours.ok("run", "-d", "--name=web", "-p", "8080:80", "httpd")
    ours.ok("run", "-d", "--name=other", "-p", "8081:80", "httpd")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
    before = ours.ok("port", "web")
    said = ours.fails("update", "-p", "8090:90", "-p", "8081:81", "web")
    assert "port is already allocated (held by container other)" in said
    assert ours.ok("port", "web") == before and page(lab.outside, HOST4, 8080) and ":8090" not in lab.host("ss", "-Hltn").out
    assert "does not publish 99/tcp" in ours.fails("update", "--unpublish", "99", "web")
    assert ours.ok("inspect", "-f", "{{len .HostConfig.PortBindings}}", "web") == "1"


def test_a_shared_stack_publishes_through_its_owner(ours: Client, lab: Lab) -> None:
    """Who joined cannot publish (as in Docker); whose stack it is can, at any time."""
    ours.ok("run", "-d", "--name=owner", "busybox", "sleep", "600")
    ours.ok("run", "-d", "--name=guest", "--network=container:owner", "httpd")
    said = ours.fails("update", "-p", "8080:80", "guest")
    assert "port publishing and the container type network mode" in said
    ours.ok("update", "-p", "8080:80", "owner")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)


def test_a_stopped_container_publishes_at_its_next_start(ours: Client, lab: Lab) -> None:
    ours.ok("create", "--name=web", "httpd")
    ours.ok("update", "-p", "8080:80", "web")
    assert ours.ok("port", "web") == ""
    ours.ok("start", "web")
    until(lambda: page(lab.outside, HOST4, 8080), wanted=True)
