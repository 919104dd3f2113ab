"""Sandboxes in the kernel: made, pinned, found by other tools, let go; the caller's own namespace untouched."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from landbridge.errors import Conflict, NotFound, StartFailed
from landbridge.model.link import SandboxSpec
from landbridge.system import netns, sysctl
from landbridge.system.netlink import Netlink

pytestmark = pytest.mark.kernel

FORWARD = "net/ipv4/ip_forward"


@pytest.fixture
def pin(tmp_path: Path) -> str:
    return str(tmp_path / "sandboxes" / "one")


def test_a_sandbox_starts_with_loopback_up_and_its_settings(pin: str, throwaway_netns: str) -> None:
    sysctl.write(FORWARD, "0")  # a new namespace takes the setting over from the machine's first one
    netns.create(SandboxSpec(path=pin, sysctls=((FORWARD, "1"), ("net.ipv4.conf.all.rp_filter", "2"))))
    with Netlink.inside(pin) as inside:
        assert [(fact.name, fact.up, fact.addresses) for fact in inside.links()] == [
            ("lo", True, ("127.0.0.1/8", "::1/128"))
        ]
    assert netns.read_sysctl(pin, FORWARD) == "1"
    assert netns.read_sysctl(pin, "net/ipv4/conf/all/rp_filter") == "2"
    assert sysctl.read(FORWARD) == "0", "a sandbox's setting reached its maker"
    netns.remove(pin)


def test_making_and_entering_leave_the_caller_where_it_was(pin: str) -> None:
    before = netns.current()
    netns.create(SandboxSpec(path=pin))
    assert netns.current() == before
    with pytest.raises(ZeroDivisionError), netns.inside(pin):
        assert netns.current() == netns.inode(pin) != before
        raise ZeroDivisionError
    assert netns.current() == before
    netns.remove(pin)


def test_other_threads_do_not_follow(make_netns: Callable[[str], str]) -> None:
    path = make_netns("a")
    seen: list[int] = []
    with netns.inside(path):
        go = threading.Event()
    thread = threading.Thread(target=lambda: (go.wait(), seen.append(netns.current())))
    thread.start()
    with netns.inside(path):
        go.set()
        thread.join()
    assert seen == [netns.current()]


def test_a_socket_stays_where_it_was_opened(make_netns: Callable[[str], str]) -> None:
    one, two = make_netns("one"), make_netns("two")

    def listen() -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    with netns.run_inside(one, listen) as server:
        address = server.getsockname()
        netns.run_inside(one, lambda: socket.create_connection(address, timeout=5)).close()
        with pytest.raises(ConnectionRefusedError):
            netns.run_inside(two, lambda: socket.create_connection(address, timeout=5))


def test_a_place_that_is_taken_is_a_conflict_and_stays_pinned(pin: str) -> None:
    netns.create(SandboxSpec(path=pin))
    before = netns.inode(pin)
    with pytest.raises(Conflict):
        netns.create(SandboxSpec(path=pin))
    assert netns.inode(pin) == before
    netns.remove(pin)


def test_a_plain_file_left_by_a_crash_is_no_sandbox_and_is_taken_over(pin: str) -> None:
    os.makedirs(os.path.dirname(pin))
    Path(pin).touch()
    assert netns.inode(pin) is None
    with pytest.raises(NotFound), netns.inside(pin):
        pass
    netns.create(SandboxSpec(path=pin))
    assert netns.inode(pin) is not None
    netns.remove(pin)


def test_a_refused_setting_leaves_nothing(pin: str) -> None:
    for bad, said, code in (
        (("net/ipv4/nothing", "1"), "open /proc/sys/net/ipv4/nothing: no such file or directory: unknown", 127),
        ((FORWARD, "many"), f"write /proc/sys/{FORWARD}: invalid argument: unknown", 128),
    ):
        with pytest.raises(StartFailed, match=f"error during container init: {said}$") as caught:
            netns.create(SandboxSpec(path=pin, sysctls=((FORWARD, "1"), bad)))
        assert caught.value.exit_code == code
        assert not os.path.lexists(pin)


def test_removing_twice_is_fine_and_entering_afterwards_is_not_found(pin: str) -> None:
    netns.create(SandboxSpec(path=pin))
    netns.remove(pin)
    netns.remove(pin)
    assert netns.inode(pin) is None
    with pytest.raises(NotFound):
        netns.netlink_socket(pin)


def test_removing_ends_the_namespace_even_when_another_mount_namespace_has_a_copy(
    pin: str, throwaway_netns: str
) -> None:
    netns.create(SandboxSpec(path=pin))
    subprocess.run(["ip", "link", "add", "near", "type", "veth", "peer", "name", "far"], check=True)
    with open(pin) as pinned:
        target = f"/proc/{os.getpid()}/fd/{pinned.fileno()}"
        subprocess.run(["ip", "link", "set", "far", "netns", target], check=True)
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", "echo ready; read line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin and holder.stdout
    assert holder.stdout.readline() == b"ready\n"
    netns.remove(pin)
    with Netlink() as host:
        # The kernel takes a namespace down later; its end of the pair going is how that shows.
        deadline = time.monotonic() + 10
        while any(fact.name == "near" for fact in host.links()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert all(fact.name != "near" for fact in host.links())
    holder.communicate(b"\n")


def test_ip_netns_finds_a_sandbox_in_its_directory(unique_name: Callable[[str], str]) -> None:
    name = unique_name("ns")
    path = f"/run/netns/{name}"
    netns.create(SandboxSpec(path=path))
    try:
        listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
        assert name in listed.split()
        links = subprocess.run(["ip", "netns", "exec", name, "ip", "-o", "link"], check=True, capture_output=True)
        assert links.stdout.count(b"\n") == 1
    finally:
        netns.remove(path)


def test_a_sandbox_elsewhere_can_be_shown_to_ip_netns(
    make_netns: Callable[[str], str], unique_name: Callable[[str], str]
) -> None:
    name, theirs = unique_name("ns"), unique_name("ns")
    one, two = make_netns("one"), make_netns("two")
    netns.expose(one, name)
    netns.expose(two, name)
    inside = ["ip", "netns", "exec", name, "stat", "--dereference", "--format=%i", "/proc/self/ns/net"]
    assert int(subprocess.run(inside, check=True, capture_output=True).stdout) == netns.inode(two)
    netns.conceal(name)
    netns.conceal(name)
    assert not os.path.lexists(f"/run/netns/{name}")

    subprocess.run(["ip", "netns", "add", theirs], check=True)
    try:
        with pytest.raises(Conflict):
            netns.expose(one, theirs)
        netns.conceal(theirs)
        assert netns.inode(f"/run/netns/{theirs}") is not None
    finally:
        subprocess.run(["ip", "netns", "delete", theirs], check=True)


def test_other_engines_names_may_go_while_ours_are_listed(pin: str) -> None:
    """The directory of names is everybody's: a name seen in it may be gone before it is read."""
    name = f"lb-{os.getpid()}-ours"
    others = [f"/run/netns/lb-{os.getpid()}-{number}" for number in range(50)]
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            for other in others:
                os.symlink("/elsewhere/pin", other)
            for other in others:
                os.unlink(other)

    netns.expose(pin, name)
    busy = threading.Thread(target=come_and_go)
    busy.start()
    try:
        for _ in range(300):
            assert netns.exposed(os.path.dirname(pin)) == {name: pin}
    finally:
        stop.set()
        busy.join()
        netns.conceal(name)


FIRST_PIN_ON_A_FRESH_MACHINE = """
import subprocess
from landbridge.model.link import SandboxSpec
from landbridge.system import netns
netns.create(SandboxSpec(path="/run/netns/ours"))
subprocess.run(["ip", "netns", "add", "theirs"], check=True)
netns.remove("/run/netns/ours")
subprocess.run(["ip", "netns", "delete", "theirs"], check=True)
"""


def test_ip_netns_add_after_our_first_pin_does_not_bury_it() -> None:
    """iproute2 mounts /run/netns onto itself the first time; a pin made before would be stuck below."""
    fresh = "mount -t tmpfs none /run && mkdir /run/netns"
    command = f"{fresh} && exec {sys.executable} -c '{FIRST_PIN_ON_A_FRESH_MACHINE}'"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", command], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
