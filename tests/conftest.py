"""Fixtures for all tests: the leak check around every one of them, and throw-away network namespaces.

Nothing here knows landbridge's engine. Names made for a test carry the run's token (`unique_name`), so that
runs side by side on one machine never meet and leaks can be told from other people's work.
"""

import itertools
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import leaks
from hosts import TwoHosts
from landbridge.model.link import SandboxSpec
from landbridge.system import netns, sysctl

KERNEL_MARKS = ("kernel", "system")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs root where there is none."""
    if os.geteuid() != 0 and any(item.get_closest_marker(mark) for mark in KERNEL_MARKS):
        pytest.skip("needs root: makes network namespaces, links and nftables rules")


@pytest.fixture(scope="session")
def run_token() -> str:
    """Four characters of this run's own, in every name it gives to something outside the process."""
    return secrets.token_hex(2)


@pytest.fixture(scope="session", autouse=True)
def watch(run_token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[leaks.Watch]:
    """The marks of this run. A test with a daemon adds its instance by `watch.add_instance`."""
    mark = f"tst{run_token}"
    os.environ[leaks.MARK_VARIABLE] = mark
    yield leaks.Watch({mark, f"{tmp_path_factory.getbasetemp()}/"})
    del os.environ[leaks.MARK_VARIABLE]


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest, watch: leaks.Watch) -> Iterator[leaks.Watch]:
    """Fail a test that leaves anything behind; `no_leaks.forgive(kind, because=…)` for what it must keep."""
    kernel = os.geteuid() == 0 and any(request.node.get_closest_marker(mark) for mark in KERNEL_MARKS)
    watch.forgiven.clear()
    before = leaks.take(watch.marks, kernel=kernel)
    yield watch
    found = leaks.settled(before, lambda: leaks.take(watch.marks, kernel=kernel), watch.forgiven)
    if found:
        _unmount([line.partition(": ")[2] for line in found if line.startswith("mounts:")])
        pytest.fail("left behind:\n  " + "\n  ".join(found), pytrace=False)


@pytest.fixture(scope="session")
def unique_name(run_token: str) -> Callable[[str], str]:
    """`unique_name("br")` -> a name nobody else on the machine has, fit for an interface (15 characters)."""
    count = itertools.count()

    def make(prefix: str) -> str:
        name = f"{prefix}tst{run_token}{next(count):x}"
        assert len(name) <= 15, f"{name} is too long for an interface"
        return name

    return make


@pytest.fixture
def make_netns(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """`make_netns("web")` -> path of a fresh pinned network namespace with loopback up, removed afterwards."""
    made: list[str] = []

    def make(name: str) -> str:
        path = str(tmp_path / "netns" / name)
        netns.create(SandboxSpec(path=path))
        made.append(path)
        return path

    yield make
    for path in reversed(made):
        netns.remove(path)


@pytest.fixture
def throwaway_netns(make_netns: Callable[[str], str]) -> Iterator[str]:
    """Run the test inside a fresh network namespace that plays the host; its path.

    The test's thread is in it, and with it every socket, thread and process the test starts.
    """
    path = make_netns("host")
    with netns.inside(path):
        yield path


@pytest.fixture
def two_hosts(throwaway_netns: str, make_netns: Callable[[str], str]) -> TwoHosts:
    """The host with an uplink, and a neighbour outside that is its default gateway. Made with iproute2 alone."""
    hosts = TwoHosts(host=throwaway_netns, outside=make_netns("outside"))
    _ip(f"link add {hosts.host_link} type veth peer name wire")
    with open(hosts.outside) as pinned:
        subprocess.run(
            ["ip", "link", "set", "wire", "netns", f"/proc/{os.getpid()}/fd/{pinned.fileno()}"],
            check=True,
        )
    _configure(hosts.host_link, hosts.host4, hosts.host6)
    with netns.inside(hosts.outside):
        _configure("wire", hosts.outside4, hosts.outside6)
    _ip(f"route add default via {hosts.outside4}")
    _ip(f"-6 route add default via {hosts.outside6}")
    return hosts


@pytest.fixture
def run_in() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_in(path, "ping", "-c1", …)` -> the finished process, run in the namespace at `path`."""

    def run(path: str, *argv: str) -> subprocess.CompletedProcess[str]:
        with netns.inside(path):
            return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20)

    return run


def _unmount(paths: list[str]) -> None:
    # A mount left under the temporary directory would make every later run on the machine fail to tidy it.
    for path in paths:
        subprocess.run(["umount", "--lazy", path], check=False)


def _configure(link: str, address4: str, address6: str) -> None:
    # A router asks for its neighbours from its link-local address, which duplicate detection holds back for a second.
    sysctl.write(f"net/ipv6/conf/{link}/accept_dad", "0")
    _ip(f"address add {address4}/24 dev {link}")
    _ip(f"address add {address6}/64 dev {link} nodad")
    _ip(f"link set {link} up")


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)
