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
ENDPOINT = worlds.endpoint(WEB, NET, "172.18.0.2/20")


def bindings(*ports: int) -> tuple[Binding, ...]:
    return tuple(Binding(port=Port(80), host_ip="0.0.0.0", host_port=port) for port in ports)


def whole(*ports: int) -> str:
    world = worlds.world(NET, WEB, ENDPOINT, worlds.sandbox(WEB, *bindings(*ports)))
    return nfttext.full("lbtest", ruleset.elements(world))


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
