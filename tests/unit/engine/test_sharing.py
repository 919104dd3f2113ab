"""PID and IPC namespaces of other containers: who must be there when, and in which words it is said."""

import pytest

from landbridge.errors import Conflict, Internal, Invalid
from landbridge.model.container import Phase
from rig import Rig, engine_test


def alive(rig: Rig, name: str, state: str = "S") -> None:
    """What proc(5) says about the container's process."""
    pid = rig.of(name).state.pid
    rig.files.texts[f"/proc/{pid}/stat"] = f"{pid} (odd) name) {state} 1 2 3"


def namespaces(rig: Rig, name: str) -> dict[str, str]:
    spec = rig.runtime.processes[rig.of(name).id].request.spec
    return {one["type"]: one.get("path", "") for one in spec["linux"]["namespaces"]}


def shm_of(rig: Rig, name: str) -> str:
    spec = rig.runtime.processes[rig.of(name).id].request.spec
    found = [one for one in spec["mounts"] if one["destination"] == "/dev/shm"]
    return found[0]["source"] if found else ""


@engine_test
async def test_a_container_named_must_exist_at_create(rig: Rig) -> None:
    for mode in ("pid_mode", "ipc_mode"):
        with pytest.raises(Invalid, match="No such container: nobody"):
            await rig.create("web", **{mode: "container:nobody"})


@engine_test
async def test_it_is_known_by_its_id(rig: Rig) -> None:
    owner = await rig.run("owner", ipc_mode="shareable")
    made = await rig.create("web", pid_mode="container:owner", ipc_mode=f"container:{owner.id[:12]}")
    assert (made.host.pid_mode, made.host.ipc_mode) == (f"container:{owner.id}",) * 2
    await rig.lifecycle.stop("owner")


@engine_test
async def test_namespaces_and_shm_of_one_that_runs(rig: Rig) -> None:
    owner = await rig.run("owner", ipc_mode="shareable")
    alive(rig, "owner")
    await rig.run("web", pid_mode="container:owner", ipc_mode="container:owner")
    found = namespaces(rig, "web")
    assert (found["pid"], found["ipc"]) == (f"/proc/{owner.state.pid}/ns/pid", f"/proc/{owner.state.pid}/ns/ipc")
    assert shm_of(rig, "web") == shm_of(rig, "owner") != "shm"
    alive(rig, "web")
    await rig.run("third", ipc_mode="container:web")
    assert shm_of(rig, "third") == shm_of(rig, "owner")
    for name in ("third", "web", "owner"):
        await rig.lifecycle.stop(name)


@engine_test
async def test_the_hosts_namespaces(rig: Rig) -> None:
    await rig.run("web", pid_mode="host", ipc_mode="host")
    assert not {"pid", "ipc"} & set(namespaces(rig, "web"))
    assert shm_of(rig, "web") == "/dev/shm"
    await rig.lifecycle.stop("web")


@engine_test
async def test_one_that_does_not_run_shares_nothing(rig: Rig) -> None:
    owner = await rig.run("owner", ipc_mode="shareable")
    await rig.create("pids", pid_mode="container:owner")
    await rig.create("ipcs", ipc_mode="container:owner")
    alive(rig, "owner", "Z")  # it has ended, but nobody has noticed yet
    with pytest.raises(Internal, match=f"failed to join PID namespace: container {owner.id} is not running"):
        await rig.lifecycle.start("pids")
    await rig.lifecycle.stop("owner")
    with pytest.raises(Conflict, match=f"failed to join IPC namespace: container {owner.id} is not running"):
        await rig.lifecycle.start("ipcs")
    assert rig.phase("ipcs") is Phase.CREATED


@engine_test
async def test_ipc_that_is_private_is_not_shared(rig: Rig) -> None:
    await rig.run("owner")
    alive(rig, "owner")
    await rig.create("web", ipc_mode="container:owner")
    with pytest.raises(Invalid, match="non-shareable IPC"):
        await rig.lifecycle.start("web")
    await rig.lifecycle.stop("owner")
