"""What a link tells the linker, and whom it may lead to."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from landbridge.engine.links import variables
from landbridge.errors import Internal, Invalid, NotFound
from landbridge.model.config import Config, EndpointConfig
from landbridge.model.container import Phase
from landbridge.model.ports import Port
from landbridge.network.linking import exposed_ports
from rig import Rig, engine_test, scratch
from worlds import container


def test_variables_of_single_ports_and_runs_of_ports() -> None:
    exposed = [Port(80), Port(7000), Port(7001), Port(7001, "udp")]
    assert variables("/web/my-db.x", "10.0.0.2", exposed, ("A=1", "HOME=/x", "PATH=/y", "BARE", "E=")) == [
        "MY_DB.X_PORT=tcp://10.0.0.2:80",
        "MY_DB.X_PORT_80_TCP=tcp://10.0.0.2:80", "MY_DB.X_PORT_80_TCP_ADDR=10.0.0.2",
        "MY_DB.X_PORT_80_TCP_PORT=80", "MY_DB.X_PORT_80_TCP_PROTO=tcp",
        "MY_DB.X_PORT_7000_TCP=tcp://10.0.0.2:7000", "MY_DB.X_PORT_7000_TCP_ADDR=10.0.0.2",
        "MY_DB.X_PORT_7000_TCP_PORT=7000", "MY_DB.X_PORT_7000_TCP_PROTO=tcp",
        "MY_DB.X_PORT_7001_TCP=tcp://10.0.0.2:7001", "MY_DB.X_PORT_7001_TCP_ADDR=10.0.0.2",
        "MY_DB.X_PORT_7001_TCP_PORT=7001", "MY_DB.X_PORT_7001_TCP_PROTO=tcp",
        "MY_DB.X_PORT_7000_TCP_START=tcp://10.0.0.2:7000", "MY_DB.X_PORT_7000_TCP_PORT_START=7000",
        "MY_DB.X_PORT_7000_TCP_END=tcp://10.0.0.2:7001", "MY_DB.X_PORT_7000_TCP_PORT_END=7001",
        "MY_DB.X_PORT_7001_UDP=udp://10.0.0.2:7001", "MY_DB.X_PORT_7001_UDP_ADDR=10.0.0.2",
        "MY_DB.X_PORT_7001_UDP_PORT=7001", "MY_DB.X_PORT_7001_UDP_PROTO=udp",
        "MY_DB.X_NAME=/web/my-db.x", "MY_DB.X_ENV_A=1", "MY_DB.X_ENV_E=",
    ]  # fmt: skip


def test_variables_without_ports() -> None:
    assert variables("/web/db", "10.0.0.2", [], ()) == ["DB_NAME=/web/db"]


def test_ports_are_those_exposed_tcp_first() -> None:
    config = Config(exposed_ports={"90/tcp": {}, "81/udp": {}, "10-11/tcp": {}, "nonsense": {}})
    assert [str(port) for port in exposed_ports(container("db", config=config))] == ["10/tcp", "11/tcp", "90/tcp", "81/udp"]


@engine_test
async def test_hosts_show_the_target(rig: Rig) -> None:
    db = await rig.run("db", config=Config(hostname="base"))
    web = await rig.run("web", links=("db:store", "db"))
    assert web.host.links is None
    lines = rig.files.texts[f"/data/containers/{web.id}/hosts"].splitlines()
    assert f"{rig.ip('db')}\tstore base db" in lines
    assert f"{rig.ip('db')}\tdb base" in lines
    assert rig.containers.links.shown(web) == ("/db:/web/store", "/db:/web/db")
    assert rig.containers.links.names() == {db.id: ["/web/store", "/web/db"]}
    assert rig.state.container("/web/store").id == db.id
    with pytest.raises(NotFound):
        rig.state.container("web/other")


@engine_test
async def test_a_target_that_joins_another_is_the_other(rig: Rig) -> None:
    owner = await rig.run("owner")
    await rig.run("joined", net="container:owner")
    web = await rig.create("web", links=("joined:store",))
    assert web.links[0].target == owner.id
    await rig.lifecycle.stop("joined")
    await rig.lifecycle.stop("owner")


@engine_test
async def test_who_may_not_be_linked_to(rig: Rig) -> None:
    with pytest.raises(Invalid, match="could not get container for nobody: No such container: nobody"):
        await rig.create("web", links=("nobody",))
    await rig.run("hosted", net="host")
    with pytest.raises(Invalid, match="host type networking can't be used with links"):
        await rig.create("web", links=("hosted",))
    await rig.network("net")
    await rig.run("away", net="net")
    await rig.create("web", links=("away:x",))
    with pytest.raises(Internal, match="Cannot link to /away, as it does not belong to the default network"):
        await rig.lifecycle.start("web")
    assert rig.phase("web") is Phase.CREATED
    for name in ("hosted", "away"):
        await rig.lifecycle.stop(name)


@engine_test
async def test_a_target_must_run_when_the_linker_starts(rig: Rig) -> None:
    await rig.create("db")
    await rig.create("web", links=("db:store",))
    with pytest.raises(Internal, match="Cannot link to a non running container: /db AS /web/store"):
        await rig.lifecycle.start("web")
    await rig.lifecycle.start("db")
    await rig.lifecycle.start("web")
    await rig.containers.remove("db", force=True)
    assert rig.containers.links.shown(rig.of("web")) == ("/db:/web/store",)
    await rig.lifecycle.stop("web")
    with pytest.raises(Internal, match="non running container: /db AS"):
        await rig.lifecycle.start("web")


@engine_test
async def test_a_link_can_be_removed(rig: Rig) -> None:
    await rig.create("db")
    await rig.create("web", links=("db:store", "db:base"))
    rig.containers.links.remove("/web/store")
    assert rig.containers.links.shown(rig.of("web")) == ("/db:/web/base",)
    with pytest.raises(NotFound):
        rig.containers.links.remove("web/store")
    assert rig.of("db")


@engine_test
async def test_links_of_other_networks_are_the_resolvers(rig: Rig) -> None:
    await rig.network("net")
    web = await rig.run("web", net="net", links=("db:store",), endpoints=(EndpointConfig(network="net", links=("db:x",)),))
    assert web.links == ()
    asker = next(iter(rig.resolver.askers.values()))
    assert [(alias, target) for _, alias, target in asker.links] == [("x", "db")]
    await rig.lifecycle.stop("web")


@engine_test
async def test_the_target_comes_back_first(rig: Rig) -> None:
    await rig.run("zdb", restart="always")
    await rig.run("web", restart="always", links=("zdb",))
    for name in ("web", "zdb"):
        rig.runtime.end(rig.of(name).id, 255)
    await rig.settle()
    rig.sleeper.asked.clear()
    await rig.again()
    assert rig.phase("web") is Phase.RUNNING
    assert rig.sleeper.asked == []


def closed_bridge(test: Callable[[Rig], Awaitable[None]]) -> None:
    """Run a test on a default bridge whose containers may not talk to each other."""

    async def go() -> None:
        with scratch() as directory:
            rig = await Rig(directory / "db", icc=False).boot()
            try:
                await test(rig)
                await rig.settle()
                rig.check()
            finally:
                await rig.stop()

    asyncio.run(go())


def opened(rig: Rig) -> set[str]:
    return {key for name, key, _ in rig.firewall.elements if name == "linked"}


EXPOSING = Config(exposed_ports={"80/tcp": {}, "53/udp": {}})


def test_where_nothing_is_open_a_link_opens_what_is_exposed() -> None:
    async def go(rig: Rig) -> None:
        await rig.run("db", config=EXPOSING)
        await rig.run("web", links=("db", "db:store"))
        await rig.run("other")
        pair = f"{rig.ip('web')} . {rig.ip('db')}"
        assert opened(rig) == {f"tcp . {pair} . 80", f"udp . {pair} . 53"}
        await rig.again()
        assert opened(rig) == {f"tcp . {pair} . 80", f"udp . {pair} . 53"}
        await rig.lifecycle.stop("db")
        assert opened(rig) == set()
        await rig.lifecycle.start("db")
        assert len(opened(rig)) == 2
        await rig.containers.unlink("web/store")
        assert len(opened(rig)) == 2, "the other link is the same way"
        await rig.containers.unlink("web/db")
        assert opened(rig) == set()

    closed_bridge(go)


def test_what_a_link_opened_closes_with_its_owner() -> None:
    async def go(rig: Rig) -> None:
        await rig.run("db", config=EXPOSING)
        await rig.run("web", links=("db",))
        await rig.network("net")
        await rig.containers.disconnect("bridge", "db")
        assert opened(rig) == set()
        await rig.connect("bridge", "db")
        assert len(opened(rig)) == 2
        await rig.containers.remove("web", force=True)
        assert opened(rig) == set()

    closed_bridge(go)


@engine_test
async def test_where_all_is_open_a_link_opens_nothing(rig: Rig) -> None:
    await rig.run("db", config=EXPOSING)
    await rig.run("web", links=("db",))
    assert opened(rig) == set()
