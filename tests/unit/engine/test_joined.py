"""Containers that share another's network stack: the stack belongs to neither's process and outlives both's restarts."""

import asyncio

import pytest

from landbridge.errors import Conflict, Forbidden, Internal, Invalid, NotFound
from landbridge.model.config import Config
from landbridge.model.container import Phase
from landbridge.model.ports import PortBinding
from rig import Rig, engine_test


async def joined(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("web", net="net", ports={"80/tcp": "8080"})
    await rig.run("side", net="container:web")


def stack(rig: Rig, owner: str = "web") -> str:
    sandbox = rig.state.sandbox(rig.of(owner).id)
    assert sandbox is not None
    return sandbox.path


def netns(rig: Rig, name: str) -> str:
    """The namespace a container's process was started in."""
    spaces = rig.runtime.processes[rig.of(name).id].request.spec["linux"]["namespaces"]
    return next(one["path"] for one in spaces if one["type"] == "network")


@engine_test
async def test_it_has_the_same_stack_and_files_and_none_of_its_own(rig: Rig) -> None:
    await joined(rig)
    assert netns(rig, "side") == netns(rig, "web") == stack(rig)
    assert rig.of("side").host.network_mode == f"container:{rig.of('web').id}"
    assert rig.state.endpoints_of(rig.of("side").id) == ()
    assert rig.names("net") == {"web"}
    mounts = {one["destination"]: one["source"] for one in
              rig.runtime.processes[rig.of("side").id].request.spec["mounts"]}
    assert mounts["/etc/hosts"] == f"/data/containers/{rig.of('web').id}/hosts"
    assert rig.of("side").config.hostname == rig.of("web").config.hostname


@engine_test
async def test_the_owners_restart_cuts_nobody_off(rig: Rig) -> None:
    await joined(rig)
    before = stack(rig), rig.ip("web", "net"), rig.published("web")
    await rig.lifecycle.restart("web")
    assert (stack(rig), rig.ip("web", "net"), rig.published("web")) == before
    assert netns(rig, "web") == netns(rig, "side")


@engine_test
async def test_the_owners_stop_takes_its_ports_and_names_but_not_the_stack(rig: Rig) -> None:
    await joined(rig)
    path = stack(rig)
    await rig.lifecycle.stop("web")
    assert stack(rig) == path
    assert rig.published("web") == {}
    assert rig.names("net") == set()
    assert rig.resolver.askers  # the other one may still ask
    rig.check()
    await rig.lifecycle.start("web")
    assert stack(rig) == path
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    assert rig.names("net") == {"web"}


@engine_test
async def test_the_last_one_out_takes_the_stack_down(rig: Rig) -> None:
    await joined(rig)
    await rig.lifecycle.stop("web")
    await rig.lifecycle.stop("side")
    assert rig.state.sandbox(rig.of("web").id) is None
    assert rig.kernel.pins == {}


@engine_test
async def test_it_may_start_before_its_owner(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.create("web", net="net", ports={"80/tcp": "8080"})
    await rig.run("side", net="container:web")
    assert rig.published("web") == {}
    assert rig.names("net") == set()
    rig.check()
    await rig.lifecycle.start("web")
    assert netns(rig, "web") == netns(rig, "side")
    assert rig.published("web") == {"80/tcp": [8080, 8080]}


@engine_test
async def test_a_chain_ends_at_the_first_owner(rig: Rig) -> None:
    await joined(rig)
    await rig.run("third", net="container:side")
    assert netns(rig, "third") == stack(rig)
    await rig.lifecycle.stop("web")
    await rig.lifecycle.stop("side")
    assert rig.state.sandbox(rig.of("web").id) is not None
    await rig.lifecycle.stop("third")


@engine_test
async def test_a_removed_owner_takes_the_stack_along(rig: Rig) -> None:
    await joined(rig)
    await rig.containers.remove("web", force=True)
    assert rig.kernel.pins == {}
    assert rig.phase("side") is Phase.RUNNING
    await rig.lifecycle.stop("side")
    with pytest.raises(NotFound, match="No such container"):
        await rig.lifecycle.start("side")


@engine_test
async def test_a_target_made_anew_is_found_by_its_name(rig: Rig) -> None:
    await joined(rig)
    await rig.containers.remove("web", force=True)
    await rig.run("web", net="net")
    await rig.lifecycle.restart("side")
    assert netns(rig, "side") == stack(rig)


@engine_test
async def test_a_new_target_is_not_kept_up_by_who_lives_in_the_old_one(rig: Rig) -> None:
    await joined(rig)
    await rig.containers.remove("web", force=True)
    await rig.run("web", net="net")
    await rig.lifecycle.stop("web")
    assert rig.phase("side") is Phase.RUNNING
    assert rig.state.sandbox(rig.of("web").id) is None


@engine_test
async def test_a_target_that_does_not_exist_yet(rig: Rig) -> None:
    await rig.create("side", net="container:web")
    with pytest.raises(NotFound, match="No such container: web"):
        await rig.lifecycle.start("side")
    await rig.run("web")
    await rig.lifecycle.start("side")
    assert netns(rig, "side") == stack(rig)


@engine_test
async def test_a_circle_is_refused(rig: Rig) -> None:
    await rig.create("one", net="container:two")
    await rig.create("two", net="container:one")
    for name in ("one", "two"):
        with pytest.raises(Conflict, match="cannot join own network namespace"):
            await rig.lifecycle.start(name)


@engine_test
async def test_joining_host_mode_is_host_mode(rig: Rig) -> None:
    await rig.run("open", net="host")
    await rig.run("side", net="container:open")
    spaces = {one["type"] for one in rig.runtime.processes[rig.of("side").id].request.spec["linux"]["namespaces"]}
    assert "network" not in spaces


@engine_test
async def test_conflicting_options(rig: Rig) -> None:
    await rig.run("web")
    for options in (
        {"config": Config(hostname="x")}, {"dns": ("192.0.2.1",)}, {"extra_hosts": ("x:192.0.2.1",)},
        {"ports": {"80/tcp": (PortBinding(host_port="81"),)}}, {"config": Config(exposed_ports={"80/tcp": {}})},
    ):  # fmt: skip
        with pytest.raises(Invalid, match="conflicting options"):
            await rig.create("side", net="container:web", **options)  # type: ignore[arg-type]


@engine_test
async def test_a_failed_start_of_the_joined_one_leaves_the_owner_alone(rig: Rig) -> None:
    await joined(rig)
    await rig.lifecycle.stop("side")
    before = rig.outline()
    rig.faults.fail(1)
    with pytest.raises(Internal):
        await rig.lifecycle.start("side")
    assert rig.outline() == before


@engine_test
async def test_the_joined_ones_end_while_its_owner_comes_back(rig: Rig) -> None:
    """In the middle of the owner's restart nobody runs in the stack; it must not be taken down for that."""
    await joined(rig)
    rig.runtime.stubborn.add(rig.of("web").id)
    path = stack(rig)
    restart = asyncio.ensure_future(rig.lifecycle.restart("web", timeout=-1))
    await rig.settle()
    rig.faults.turns = lambda: 10
    rig.runtime.end(rig.of("web").id, 0)
    rig.runtime.end(rig.of("side").id, 0)
    await restart
    assert stack(rig) == path
    assert rig.published("web") == {"80/tcp": [8080, 8080]}


@engine_test
async def test_the_joined_ones_end_during_its_owners_back_off(rig: Rig) -> None:
    await rig.run("web", ports={"80/tcp": "8080"}, restart="always")
    await rig.run("side", net="container:web")
    path = stack(rig)
    await rig.end("web")
    assert rig.phase("web") is Phase.RESTARTING
    await rig.end("side")
    assert stack(rig) == path
    rig.check()
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("web") is Phase.RUNNING
    assert stack(rig) == path


@engine_test
async def test_networks_of_a_stopped_owner_change_under_who_joined_it(rig: Rig) -> None:
    await joined(rig)
    await rig.network("two", "10.2.0.0/24")
    await rig.lifecycle.stop("web")
    await rig.connect("two", "web", gw_priority=1)
    assert len(rig.kernel.veths) == 2
    assert rig.names("two") == set()  # the owner does not run
    assert rig.published("web") == {}
    with pytest.raises(Forbidden, match="already exists"):
        await rig.connect("two", "web")
    await rig.containers.disconnect("net", "web")
    assert rig.published("web") == {}
    rig.check()
    await rig.lifecycle.start("web")
    assert rig.names("two") == {"web"}


@engine_test
async def test_a_renamed_target_made_anew_is_found_by_its_new_name(rig: Rig) -> None:
    await joined(rig)
    await rig.containers.rename("web", "shop")
    assert rig.of("side").joined_name == "shop"
    await rig.containers.remove("shop", force=True)
    await rig.run("web", net="net")
    with pytest.raises(NotFound, match="No such container"):
        await rig.lifecycle.restart("side")
    await rig.run("shop", net="net")
    await rig.lifecycle.start("side")
    assert netns(rig, "side") == stack(rig, "shop")
