"""Published ports: held and led to the container together, kept over restarts, refused with the holder's name."""

import pytest

from landbridge.errors import Internal
from landbridge.model.config import Config
from landbridge.model.container import Phase
from landbridge.model.ports import PortBinding
from rig import Rig, engine_test

ANYWHERE = {"80/tcp": ""}


@engine_test
async def test_a_dynamic_port_is_one_number_for_both_families(rig: Rig) -> None:
    await rig.run("web", ports=ANYWHERE)
    four, six = rig.published("web")["80/tcp"]
    assert four == six
    assert 32768 <= four <= 60999


@engine_test
async def test_dynamic_ports_differ_and_stay_with_their_container(rig: Rig) -> None:
    await rig.run("ca", ports=ANYWHERE)
    await rig.run("cb", ports=ANYWHERE)
    before = rig.published("ca")
    assert before != rig.published("cb")
    await rig.lifecycle.stop("ca")
    await rig.run("cc", ports=ANYWHERE)
    await rig.lifecycle.start("ca")
    assert rig.published("ca") == before
    await rig.lifecycle.restart("ca")
    assert rig.published("ca") == before


@engine_test
async def test_a_remembered_port_somebody_took_is_given_up(rig: Rig) -> None:
    await rig.run("ca", ports=ANYWHERE)
    [number, _] = rig.published("ca")["80/tcp"]
    await rig.lifecycle.stop("ca")
    await rig.run("cb", ports={"80/tcp": str(number)})
    await rig.lifecycle.start("ca")
    assert rig.published("ca")["80/tcp"][0] != number


@engine_test
async def test_a_dynamic_port_held_by_a_program_outside_is_passed_over(rig: Rig) -> None:
    rig.proxy.busy |= {("tcp", number) for number in range(32768, 32775)}
    await rig.run("web", ports=ANYWHERE)
    assert rig.published("web") == {"80/tcp": [32775, 32775]}


@engine_test
async def test_a_range_is_tried_to_its_end(rig: Rig) -> None:
    rig.proxy.busy.add(("tcp", 8000))
    await rig.run("ca", ports={"80/tcp": "8000-8002"})
    await rig.run("cb", ports={"80/tcp": "8000-8002"})
    assert rig.published("ca")["80/tcp"][0] == 8001
    assert rig.published("cb")["80/tcp"][0] == 8002
    await rig.create("cc", ports={"80/tcp": "8000-8002"})
    with pytest.raises(Internal):
        await rig.lifecycle.start("cc")


@engine_test
async def test_a_conflict_names_the_container_that_has_the_port(rig: Rig) -> None:
    await rig.run("web", ports={"80/tcp": "8080"})
    await rig.create("late", ports={"80/tcp": "8080"})
    with pytest.raises(Internal) as caught:
        await rig.lifecycle.start("late")
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in caught.value.message
    assert "held by container web" in caught.value.message
    assert rig.phase("late") is Phase.CREATED
    await rig.lifecycle.stop("web")
    await rig.lifecycle.start("late")


@engine_test
async def test_a_conflict_names_the_program_outside(rig: Rig) -> None:
    rig.proxy.busy.add(("tcp", 8080))
    await rig.create("web", ports={"80/tcp": "8080"})
    with pytest.raises(Internal) as caught:
        await rig.lifecycle.start("web")
    assert "0.0.0.0:8080/tcp: address already in use" in caught.value.message
    assert "pid 7 (nginx)" in caught.value.message


@engine_test
async def test_one_number_of_two_addresses_or_protocols_is_no_conflict(rig: Rig) -> None:
    await rig.run("ca", ports={"80/tcp": (PortBinding(host_ip="127.0.0.1", host_port="8080"),)})
    await rig.run("cb", ports={"80/tcp": (PortBinding(host_ip="127.0.0.2", host_port="8080"),)})
    await rig.run("cc", ports={"53/udp": "8080"})
    await rig.create("cd", ports={"80/tcp": "8080"})
    with pytest.raises(Internal, match="port is already allocated"):
        await rig.lifecycle.start("cd")


@engine_test
async def test_all_exposed_ports(rig: Rig) -> None:
    await rig.run("web", publish_all_ports=True, config=Config(exposed_ports={"80/tcp": {}, "53/udp": {}}))
    assert set(rig.published("web")) == {"80/tcp", "53/udp"}


@engine_test
async def test_udp_flows_of_a_published_port_are_forgotten(rig: Rig) -> None:
    await rig.run("dns", ports={"53/udp": "5353"})
    flows = {(flow.proto, flow.port) for flow in rig.kernel.flushed}
    assert flows == {("udp", 5353)}
    rig.kernel.flushed.clear()
    await rig.lifecycle.stop("dns")
    assert rig.kernel.flushed


@engine_test
async def test_host_mode_publishes_nothing(rig: Rig) -> None:
    await rig.run("web", net="host", ports={"80/tcp": "8080"})
    assert rig.proxy.held == {}
