"""The rendered table on a real kernel: it loads, reloads, and changes add up to the whole."""

import re

import pytest

import worlds
from landbridge.model.ports import Binding, Port
from landbridge.network import nfttext, ruleset
from landbridge.system.nft import Nft

pytestmark = pytest.mark.kernel

NET = worlds.network("net")
WEB = worlds.container("web")
ENDPOINT = worlds.endpoint(WEB, NET, "172.18.0.2/20", ipv6="fd00::2/64", gateway6="fd00::1")


def bindings(*ports: int) -> tuple[Binding, ...]:
    return tuple(Binding(port=Port(80), host_ip="0.0.0.0", host_port=port) for port in ports)


def ranges(*spans: tuple[str, int, int]) -> tuple[Binding, ...]:
    return tuple(
        Binding(port=Port(first, "udp"), host_ip=ip, host_port=first, count=count) for ip, first, count in spans
    )


def whole(*ports: int, also: tuple[Binding, ...] = ()) -> str:
    world = worlds.world(NET, WEB, ENDPOINT, worlds.sandbox(WEB, *bindings(*ports), *also))
    return nfttext.full("lbtest", ruleset.elements(world), ruleset.chains())


def listed(nft: Nft) -> str:
    """The table as the kernel has it, in an order that does not depend on its hash tables."""
    text = nft.list_table("inet", "lbtest")

    def ordered(match: re.Match[str]) -> str:
        return "elements = {" + ", ".join(sorted(part.strip() for part in match[1].split(","))) + "}"

    return re.sub(r"elements = \{([^}]*)\}", ordered, text)


def test_the_table_loads_twice_and_is_the_same(throwaway_netns: str) -> None:
    with Nft() as nft:
        nft.apply(whole(8080, 8081))
        first = listed(nft)
        nft.apply(whole(8080, 8081))
        assert listed(nft) == first
        assert "tcp . 8080 : 172.18.0.2 . 80" in first


def test_changes_add_up_to_the_whole(throwaway_netns: str) -> None:
    old = ruleset.binding_elements(bindings(8080, 8081), "172.18.0.2", "")
    new = ruleset.binding_elements(bindings(8081, 8082), "172.18.0.2", "")
    with Nft() as nft:
        nft.apply(whole(8080, 8081))
        nft.apply(nfttext.change("lbtest", set(new) - set(old), set(old) - set(new)))
        changed = listed(nft)
        nft.apply(whole(8081, 8082))
        assert listed(nft) == changed


def test_a_reload_keeps_what_the_user_wrote(throwaway_netns: str) -> None:
    with Nft() as nft:
        nft.apply(whole(8080))
        nft.apply("add rule inet lbtest user tcp dport 25 drop\n")
        nft.apply(whole(8081))
        assert "tcp dport 25 drop" in nft.list_table("inet", "lbtest")


RANGES = [
    ((("0.0.0.0", 20000, 10000),), (("0.0.0.0", 20000, 5000), ("127.0.0.1", 25000, 5000))),
    ((("127.0.0.1", 100, 16), ("127.0.0.2", 100, 16)), (("0.0.0.0", 100, 16),)),
    ((("::", 20000, 10000), ("0.0.0.0", 20000, 10000)), (("::", 20000, 10000),)),
    ((("fd00::7", 1, 65535),), (("fd00::7", 1, 100), ("fd00::8", 1, 100))),
    ((), (("0.0.0.0", 1, 65535), ("::", 1, 65535))),
]


@pytest.mark.parametrize(("before", "after"), RANGES)
@pytest.mark.parametrize("target", ["172.18.0.2", "172.18.0.9"])
def test_ranges_change_into_each_other_and_move(
    throwaway_netns: str, before: tuple[tuple[str, int, int], ...], after: tuple[tuple[str, int, int], ...], target: str
) -> None:
    old = ruleset.binding_elements(ranges(*before), target, "fd00::2")
    new = ruleset.binding_elements(ranges(*after), "172.18.0.2", "fd00::2")
    with Nft() as nft:
        nft.apply(whole())
        nft.apply(nfttext.change("lbtest", old, ()))
        nft.apply(nfttext.change("lbtest", new, old))
        changed = listed(nft)
        nft.apply(whole(also=ranges(*after)))
        assert listed(nft) == changed
        nft.apply(nfttext.change("lbtest", (), new))
        withdrawn = listed(nft)
        nft.apply(whole())
        assert listed(nft) == withdrawn


def test_ten_thousand_ports_add_a_line_not_ten_thousand(throwaway_netns: str) -> None:
    with Nft() as nft:
        nft.apply(whole(8080))
        before = len(nft.list_table("inet", "lbtest").splitlines())
        published = ranges(("0.0.0.0", 20000, 10000), ("::", 20000, 10000))
        nft.apply(nfttext.change("lbtest", ruleset.binding_elements(published, "172.18.0.2", "fd00::2"), ()))
        assert len(nft.list_table("inet", "lbtest").splitlines()) - before < 5
