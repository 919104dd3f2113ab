"""From a container or from outside, rule by rule."""

import re
from pathlib import Path

import pytest

from landbridge.model.network import Sandbox
from landbridge.model.ports import Binding, Port
from landbridge.network import journey, options
from landbridge.network.explain import Target
from landbridge.network.journey import Setting, from_container, from_outside, rule
from worlds import container, endpoint, network, sandbox, world

ONE, TWO = network("one", "10.1.0.0/24", "10.1.0.1"), network("two", "10.2.0.0/24", "10.2.0.1")
WEB, BOB = container("web"), container("bob")
WORDS = re.findall(r"rule\(['\"]([^'\"]+)['\"]\)", Path(journey.__file__).read_text())


def listens(box: Sandbox, port: Port) -> bool | None:
    return True


def of(*things: object) -> Setting:
    return Setting(world=world(*things), listens=listens, host={"10.1.0.1", "10.2.0.1", "192.0.2.1"})  # type: ignore[arg-type]


@pytest.mark.parametrize("word", sorted(set(WORDS)))
def test_every_rule_it_tells_of_is_there(word: str) -> None:
    assert rule(word).startswith("chain forward: ")


def test_a_rule_that_is_not_there() -> None:
    with pytest.raises(LookupError):
        rule("accept everything")


@pytest.mark.parametrize(
    ("kind", "reached", "word"),
    [
        ({}, False, "counter drop"),
        ({options.GATEWAY_MODE_4: "nat-unprotected"}, True, "@unprotected"),
        ({options.GATEWAY_MODE_4: "routed"}, True, "@routed"),
        ({options.TRUSTED: "eth7"}, True, "@trusted"),
    ],
)  # fmt: skip
def test_from_outside_by_the_network_s_mode(kind: dict[str, str], reached: bool, word: str) -> None:  # noqa: FBT001
    open_ = network("one", "10.1.0.0/24", "10.1.0.1", options=kind)
    box = sandbox(WEB, Binding(port=Port(80), host_ip="0.0.0.0", host_port=0 if "routed" in kind.values() else 8080))
    found = from_outside(of(open_, WEB, endpoint(WEB, open_, "10.1.0.2/24"), box), Target("10.1.0.2", 80))
    assert found.reachable is reached
    assert any(word in hop.detail for hop in found.hops)


def test_a_container_of_another_network() -> None:
    setting = of(ONE, TWO, WEB, BOB, endpoint(WEB, ONE, "10.1.0.2/24"), endpoint(BOB, TWO, "10.2.0.2/24"), sandbox(WEB), sandbox(BOB))
    found = from_container(setting, BOB.id, Target("10.1.0.2", 80), [])
    assert not found.reachable
    assert [hop.what for hop in found.hops] == ["route", "forward"]
    found = from_container(setting, BOB.id, Target("10.1.0.1", 80), [])
    assert [hop.what for hop in found.hops] == ["route", "host", "host port"]
    found = from_container(setting, BOB.id, Target("198.51.100.1", 0, "icmp"), [])
    assert found.reachable
    assert [hop.what for hop in found.hops] == ["route", "forward", "source", "outside"]
