"""The kernel's announcements of changed tables: what counts as a loss, and what of our own work does not."""

import select
import subprocess
from collections.abc import Iterator

import pytest

import worlds
from landbridge.model.ports import Binding, Port
from landbridge.network import nfttext, ruleset
from landbridge.network.steps import Element
from landbridge.system.firewall import Firewall
from landbridge.system.firewall_watch import DOCKER_USER, LOST, USER, FirewallWatch
from landbridge.system.nft import Nft

pytestmark = pytest.mark.kernel

TABLE = "lbwatch"
NET = worlds.network("net")
WEB = worlds.container("web")
PUBLISHED = Binding(port=Port(80), host_ip="0.0.0.0", host_port=8080)
WORLD = worlds.world(NET, WEB, worlds.endpoint(WEB, NET, "172.18.0.2/20"), worlds.sandbox(WEB, PUBLISHED))
FULL = nfttext.full(TABLE, ruleset.elements(WORLD), ruleset.chains())


@pytest.fixture
def nft(throwaway_netns: str) -> Iterator[Nft]:
    with Nft() as made:
        made.apply(FULL)
        yield made


@pytest.fixture
def listener(nft: Nft) -> Iterator[FirewallWatch]:
    made = FirewallWatch(TABLE, user_chain=ruleset.USER_CHAIN, user_set=ruleset.USER_SET)
    yield made
    made.close()


def seen(listener: FirewallWatch) -> frozenset[str]:
    """The kernel has announced a transaction by the time nft returns; nothing is waited for but the wake-up."""
    assert select.select([listener], [], [], 5)[0], "the kernel said nothing"
    return listener.drain()


def run(*words: str) -> None:
    subprocess.run(["nft", *words], check=True, capture_output=True)


@pytest.mark.parametrize(
    "sweep",
    [
        ("flush", "ruleset"), ("delete", "table", "inet", TABLE), ("flush", "table", "inet", TABLE),
        ("flush", "chain", "inet", TABLE, "forward"), ("flush", "chain", "inet", TABLE, "postrouting"),
    ],
)  # fmt: skip
def test_sweeping_ours_away_is_a_loss(listener: FirewallWatch, sweep: tuple[str, ...]) -> None:
    run(*sweep)
    assert LOST in seen(listener)


def test_removing_a_chain_is_a_loss(nft: Nft, listener: FirewallWatch) -> None:
    nft.apply(f"flush chain inet {TABLE} guard; delete chain inet {TABLE} guard\n")
    assert seen(listener) == {LOST}


def test_swept_and_made_again_in_one_transaction_is_none(nft: Nft, listener: FirewallWatch) -> None:
    nft.apply(f"delete table inet {TABLE}\n{FULL}")
    assert seen(listener) == frozenset()


def test_our_own_work_is_none(nft: Nft, listener: FirewallWatch) -> None:
    element = [Element("publish_any", f"tcp . {port}", "172.18.0.2 . 80") for port in range(100)]
    for text in (FULL, nfttext.change(TABLE, element, ()), nfttext.change(TABLE, (), element)):
        nft.apply(text)
        assert seen(listener) == frozenset()


def test_other_tables_are_other_peoples(nft: Nft, listener: FirewallWatch) -> None:
    other = f"{TABLE}2"
    for text in (nfttext.full(other, (), ruleset.chains()), f"delete table inet {other}\n", f"add table ip {TABLE}\n",
                 f"delete table ip {TABLE}\n"):
        nft.apply(text)
        assert seen(listener) == frozenset()


def test_what_belongs_to_the_user_is_told_apart(nft: Nft, listener: FirewallWatch) -> None:
    for text in ("add rule inet {} user tcp dport 25 drop\n", "flush chain inet {} user\n",
                 "add element inet {} allowed {{ tcp . 80-90 }}\n", "delete element inet {} allowed {{ tcp . 80-90 }}\n"):
        nft.apply(text.format(TABLE))
        assert seen(listener) == {USER}, text
    nft.apply(f"add rule inet {TABLE} user tcp dport 25 drop\n")
    assert seen(listener) == {USER}
    run("flush", "ruleset")
    assert seen(listener) == {LOST}


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_the_chain_of_dockers_users_is_told_of(nft: Nft, listener: FirewallWatch, family: str) -> None:
    hook = "{ type filter hook forward priority 0; policy accept; }"
    for text, kinds in (
        (f"add table {family} filter\nadd chain {family} filter FORWARD {hook}\n", set()),
        (f"add chain {family} filter DOCKER-USER\n", {DOCKER_USER}),
        (f"add rule {family} filter FORWARD jump DOCKER-USER\nadd rule {family} filter DOCKER-USER drop\n", set()),
        (f"flush chain {family} filter DOCKER-USER\n", set()),
        (f"flush chain {family} filter FORWARD\n", {DOCKER_USER}),
        (f"add table {family} other\nadd chain {family} other DOCKER-USER\n", set()),
    ):
        nft.apply(text)
        assert seen(listener) == kinds, text


def test_a_big_transaction_is_read_to_its_end(nft: Nft, listener: FirewallWatch) -> None:
    many = [Element("publish_any", f"tcp . {port}", "172.18.0.2 . 80") for port in range(1, 5000)]
    nft.apply(nfttext.change(TABLE, many, ()) + f"flush chain inet {TABLE} forward\n")
    found = seen(listener)
    while select.select([listener], [], [], 0.2)[0]:
        found |= listener.drain()
    assert found == {LOST}


def test_an_overrun_counts_as_a_loss(nft: Nft, listener: FirewallWatch) -> None:
    for _ in range(200):  # nobody reads
        nft.apply(FULL)
        nft.apply(FULL + nfttext.change(TABLE, [Element("publish_any", f"udp . {port}", "172.18.0.2 . 80")
                                                for port in range(1, 500)], ()))
    assert LOST in seen(listener)


FORWARD = "{ type filter hook forward priority 0; policy accept; }"


@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_the_way_to_the_chain_of_dockers_users_is_made_once(nft: Nft, family: str) -> None:
    firewall = Firewall(TABLE)
    try:
        firewall.heed_docker_user()
        assert not nft.table_exists(family, "filter")
        nft.apply(f"add table {family} filter\nadd chain {family} filter FORWARD {FORWARD}\n")
        nft.apply(f"add rule {family} filter FORWARD tcp dport 25 drop\n")
        before = nft.list_table(family, "filter")
        firewall.heed_docker_user()
        assert nft.list_table(family, "filter") == before
        nft.apply(f"add chain {family} filter DOCKER-USER\n")
        for _ in range(2):
            firewall.heed_docker_user()
            rules = [line.strip() for line in nft.list_table(family, "filter").splitlines() if "DOCKER-USER" in line or "25" in line]
            assert [rule.split("jump")[-1].strip() for rule in rules[:2]] == ["DOCKER-USER", "tcp dport 25 drop"]
            assert len(rules) == 3, "the jump, the old rule, the chain"
        nft.apply(f"delete table {family} filter\nadd table {family} filter\nadd chain {family} filter DOCKER-USER\n")
        firewall.heed_docker_user()
        assert "hook forward" in nft.list_table(family, "filter")
    finally:
        firewall.close()
