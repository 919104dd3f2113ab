"""Steps and their opposites."""

import pytest

from landbridge.model.hold import Hold
from landbridge.model.link import BridgeSpec, Flow, RouteSpec, SandboxSpec, VethSpec
from landbridge.model.names import RemoveRecord
from landbridge.network.steps import Bridge, Element, Forget, Names, Namespace, Ports, Routes, Rules, Step, Veth

HOLD = Hold(key="k", proto="tcp", host_ip="0.0.0.0", host_port=80, target_ip="10.0.0.2", target_port=80)
VETH = VethSpec(host_name="v", ifname="eth0", sandbox="/x", bridge="b", mac="02:00:00:00:00:01")
STEPS: tuple[Step, ...] = (
    Bridge(spec=BridgeSpec(name="b")),
    Namespace(spec=SandboxSpec(path="/x")),
    Veth(spec=VETH),
    Routes(after=RouteSpec(sandbox="/x", gateway4="10.0.0.1"), before=RouteSpec(sandbox="/x")),
    Rules(add=(Element("bridges", "b"),), remove=(Element("bridges", "a"),)),
    Ports(hold=(HOLD,)),
    Names(changes=(RemoveRecord("a"),), undo=(RemoveRecord("b"),)),
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_the_opposite_of_the_opposite_is_the_step(step: Step) -> None:
    assert step.inverse() != step
    assert step.inverse().inverse() == step


def test_opposites_name_the_same_things() -> None:
    assert Ports(hold=(HOLD,)).inverse() == Ports(release=(HOLD,))
    assert Veth(spec=VETH).inverse() == Veth(spec=VETH, present=False)
    assert Rules(add=(Element("s", "k"),)).inverse() == Rules(remove=(Element("s", "k"),))


def test_what_is_forgotten_cannot_be_remembered() -> None:
    assert Forget(flows=(Flow(proto="udp", port=53),)).inverse() == Forget()
