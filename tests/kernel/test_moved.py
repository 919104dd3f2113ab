"""Links of somebody else's in sandboxes and back, in a throw-away host."""

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from lan_kit import Run, ip_json, link, names

from landbridge.errors import NotFound
from landbridge.model.link import MovedSpec
from landbridge.system import moved
from landbridge.system.netlink import Netlink, NetlinkError

pytestmark = pytest.mark.kernel


@pytest.fixture
def spec(throwaway_netns: str, make_netns: Callable[[str], str]) -> MovedSpec:
    """A veth pair in the host, `there` to be moved."""
    for words in ("link add here type veth peer name there", "addr add 10.9.0.1/24 dev here", "link set here up"):
        subprocess.run(["ip", *words.split()], check=True)
    return MovedSpec(
        source="there", ifname="eth0", sandbox=make_netns("box"), mac="02:42:0a:09:00:02",
        addresses=("10.9.0.2/24", "fd09::2/64"), sysctls=(("net/ipv4/conf/eth0/log_martians", "1"),),
        routes=(("10.8.0.0/16", "10.9.0.1"), ("10.7.0.0/16", ""), ("fd08::/64", "fd09::1")),
    )  # fmt: skip


def test_in_and_out(spec: MovedSpec, run_in: Run) -> None:
    with Netlink() as host:
        moved.move_in(host, spec)
        assert names(host) == {"here"}
        assert run_in(spec.sandbox, "ping", "-c1", "-W2", "10.9.0.1").returncode == 0
        with Netlink.inside(spec.sandbox) as inside:
            made = link(inside, "eth0")
            routes = {(one.destination, one.gateway) for one in inside.routes()}
        assert (made.mac, made.up) == (spec.mac, True) and set(spec.addresses) <= set(made.addresses)
        assert set(spec.routes) <= routes
        moved.move_out(spec)
        moved.move_out(spec)
        assert names(host) == {"here", "there"}
        [shown] = ip_json("link", "show", "there")
        assert "UP" not in shown["flags"]  # type: ignore[operator]


def test_all_or_nothing(spec: MovedSpec) -> None:
    with Netlink() as host:
        with pytest.raises(NotFound, match="no interface nosuch"):
            moved.move_in(host, replace(spec, source="nosuch"))
        with pytest.raises(NotFound, match="no network namespace"):
            moved.move_in(host, replace(spec, sandbox=spec.sandbox + "x"))
        with pytest.raises(NotFound, match="no such key"):
            moved.move_in(host, replace(spec, sysctls=(("net/ipv4/conf/eth0/nosuch", "1"),)))
        with pytest.raises(NetlinkError):
            moved.move_in(host, replace(spec, routes=(("10.8.0.0/16", "10.99.0.1"),)))
        assert names(host) == {"here", "there"}
        moved.move_out(replace(spec, sandbox=spec.sandbox + "x"))
