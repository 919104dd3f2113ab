"""A daemon's start: what runs goes on, what ended meanwhile is put in order, what is nobody's goes, what lacks comes."""

import asyncio
from dataclasses import replace

from landbridge.engine import reconcile
from landbridge.engine.reconcile import Facts
from landbridge.model.container import Phase
from landbridge.model.link import BridgeSpec, RouteFact, SandboxSpec
from landbridge.network.steps import Bridge, Exposed, Namespace, Routes, Veth
from rig import INSTANCE, Rig, engine_test, scratch
from worlds import container, endpoint, network, sandbox, world


async def busy(rig: Rig) -> None:
    await rig.network("net", "10.1.0.0/24")
    await rig.run("web", net="net", ports={"80/tcp": "8080"})
    await rig.run("side", net="container:web")
    await rig.run("old", net="net")
    await rig.lifecycle.stop("old")


@engine_test
async def test_a_restart_of_the_daemon_changes_nothing(rig: Rig) -> None:
    await busy(rig)
    before = rig.outline()
    pid = rig.of("web").state.pid
    rig.faults.watch()
    await rig.again()
    assert rig.outline() == before
    assert rig.of("web").state.pid == pid
    made = [call for call in rig.faults.calls if call.split()[0] in ("ensure_bridge", "create_sandbox", "add_veth")]
    assert made == []


@engine_test
async def test_the_end_of_a_process_is_seen_after_a_restart_too(rig: Rig) -> None:
    await busy(rig)
    await rig.again()
    await rig.end("web", 4)
    assert rig.of("web").state.exit_code == 4
    assert rig.published("web") == {}


@engine_test
async def test_what_ended_while_the_daemon_was_away(rig: Rig) -> None:
    await busy(rig)
    await rig.run("loop", restart="always")
    await rig.run("gone", auto_remove=True)
    await rig.stop()
    for name in ("web", "loop", "gone"):
        rig.runtime.end(rig.of(name).id, 9)
    rig._assemble()
    await rig.boot()
    assert rig.of("web").state.exit_code == 9
    assert rig.phase("loop") is Phase.RUNNING
    assert rig.sleeper.asked == []  # the time the daemon was away was long enough
    assert rig.state.containers.by_name("gone") is None


@engine_test
async def test_after_a_reboot_of_the_machine(rig: Rig) -> None:
    """Nothing of the kernel's is left, nor any process; addresses stay, and the policy brings back what it should."""
    await busy(rig)
    await rig.run("loop", net="net", restart="unless-stopped")
    addresses = {name: rig.ip(name, "net") for name in ("web", "loop", "old")}
    await rig.stop()
    for part in (rig.kernel.bridges, rig.kernel.veths, rig.kernel.pins, rig.kernel.routes_in, rig.runtime.processes):
        part.clear()
    rig.firewall.table = None
    rig.outside.roots.mounted.clear()
    rig.resolver.networks.clear()
    rig.resolver.records.clear()
    rig.resolver.askers.clear()
    rig.proxy.held.clear()
    rig._assemble()
    await rig.boot()
    assert rig.phase("web") is Phase.EXITED
    assert rig.of("web").state.exit_code == 255
    assert rig.phase("loop") is Phase.RUNNING
    assert {name: rig.ip(name, "net") for name in addresses} == addresses


@engine_test
async def test_what_somebody_took_away_comes_back(rig: Rig) -> None:
    await busy(rig)
    rig.firewall.table = None
    rig.kernel.veths.clear()
    rig.kernel.routes_in.clear()
    rig.kernel.bridges.pop(rig.state.network("net").bridge)
    rig.resolver.records.clear()
    rig.proxy.held.clear()
    await rig.reconcile.repair()
    rig.check()


@engine_test
async def test_what_carries_our_mark_and_is_nobodys_goes_and_the_rest_stays(rig: Rig) -> None:
    foreign = ("docker0", "lb-0", "lbv-abc", "lbcafe-1")
    for name in (*foreign, INSTANCE.bridge_prefix + "gone"):
        rig.kernel.bridges[name] = BridgeSpec(name=name)
    rig.kernel.foreign |= set(foreign)
    rig.kernel.pins["/run/x/netns/gone"] = 1
    await rig.again()
    for name in foreign:
        del rig.kernel.bridges[name]  # KeyError if it had been removed


@engine_test
async def test_a_port_somebody_took_meanwhile_is_only_reported(rig: Rig) -> None:
    await busy(rig)
    await rig.stop()
    rig.proxy.held.clear()
    rig.proxy.busy.add(("tcp", 8080))
    rig._assemble()
    await rig.boot()
    assert rig.phase("web") is Phase.RUNNING
    assert rig.published("web") == {"80/tcp": [8080, 8080]}
    rig.proxy.busy.clear()
    await rig.reconcile.restore_ports()


@engine_test
async def test_a_removal_cut_short_ends(rig: Rig) -> None:
    made = await rig.create("web")
    rig.state.containers.put(replace(made, state=replace(made.state, phase=Phase.REMOVING)))
    await rig.again()
    assert len(rig.state.containers) == 0


@engine_test
async def test_what_a_creation_cut_short_left_goes(rig: Rig) -> None:
    made = await rig.create("web")
    rig.outside.roots.make("stray")
    rig.files.make_directory(rig.lifecycle.launch.directory("stray"))
    await rig.again()
    assert rig.outside.roots.made == {made.id}
    assert [one.rpartition("/")[2] for one in rig.files.directories] == [made.id]


@engine_test
async def test_who_lost_its_target_waits_for_a_new_one(rig: Rig) -> None:
    await rig.run("web")
    await rig.run("side", net="container:web", restart="always")
    await rig.containers.remove("web", force=True)
    await rig.stop()
    rig.runtime.end(rig.of("side").id, 1)
    rig._assemble()
    await rig.boot()
    assert rig.phase("side") is Phase.RESTARTING
    assert "No such container" in rig.of("side").state.error
    await rig.run("web")
    rig.sleeper.wake()
    await rig.settle()
    assert rig.phase("side") is Phase.RUNNING


@engine_test
async def test_predefined_networks_are_there_and_stay_the_same(rig: Rig) -> None:
    before = {one.name: one.id for one in rig.state.networks}
    assert set(before) == {"bridge", "host", "none"}
    assert rig.state.network("bridge").pools[0].subnet == "172.17.0.0/16"
    await rig.again()
    assert {one.name: one.id for one in rig.state.networks} == before


def test_the_default_bridge_follows_the_settings() -> None:
    async def go() -> None:
        with scratch() as directory:
            rig = await Rig(directory / "db", bip="10.7.0.1/24", fixed_cidr="10.7.0.128/25", icc=False).boot()
            await rig.run("web")
            assert rig.ip("web") == "10.7.0.128"
            assert rig.kernel.bridges["lbbeef-0"].addresses == ("10.7.0.1/24",)
            assert all(spec.isolated for spec in rig.kernel.veths.values())
            await rig.stop()
            rig = await Rig(directory / "none", bridge="none").boot()
            assert {one.name for one in rig.state.networks} == {"host", "none"}
            await rig.stop()
            outside = (await _routed(directory, "172.16.0.0/12")).state.network("bridge").pools[0].subnet
            assert outside == "10.128.0.0/20"

    asyncio.run(go())


async def _routed(directory, destination: str) -> Rig:  # type: ignore[no-untyped-def]
    rig = Rig(directory / "routed")
    rig.kernel.host_routes.append(RouteFact(destination=destination, device="vpn0"))
    await rig.boot()
    await rig.stop()
    return rig


# The difference, by itself.

NET = network("net", "10.1.0.0/24", "10.1.0.1")
WEB = container("web")
HERE = endpoint(WEB, NET, "10.1.0.2/24")
BOX = sandbox(WEB)
EXPOSED = {"landbridge_beef-web": BOX.path}
WANTED = world(NET, WEB, HERE, BOX)


def facts(**links: str) -> Facts:
    return Facts(links={NET.bridge: "", HERE.host_name: NET.bridge, **links}, pins={BOX.path: 7}, exposed=EXPOSED)


def test_no_difference() -> None:
    assert reconcile.diff(WANTED, facts(), 1500) == ()


def test_foreign_links_are_no_business_of_ours() -> None:
    assert reconcile.diff(WANTED, facts(eth0="", docker0="", veth123="docker0"), 1500) == ()


def test_strangers_with_our_mark_go_first() -> None:
    there = Facts(links={"lbbeef-dead": "", "lbvbeefdead": ""}, pins={BOX.path: 7, "/run/x/old": None}, exposed=EXPOSED)
    steps = reconcile.diff(WANTED, there, 1500)
    assert [type(step) for step in steps] == [Bridge, Veth, Namespace, Bridge, Veth, Routes]
    assert [getattr(step, "present", True) for step in steps] == [False, False, False, True, True, True]
    assert steps[2] == Namespace(spec=SandboxSpec(path="/run/x/old"), present=False)


def test_a_missing_interface_comes_back_with_its_routes() -> None:
    there = Facts(links={NET.bridge: ""}, pins={BOX.path: 7}, exposed=EXPOSED)
    veth, routes = reconcile.diff(WANTED, there, 1500)
    assert isinstance(veth, Veth)
    assert veth.spec.addresses == ("10.1.0.2/24",)
    assert isinstance(routes, Routes)
    assert routes.after.gateway4 == "10.1.0.1"


def test_nothing_is_put_into_a_namespace_that_is_gone() -> None:
    there = Facts(links={NET.bridge: ""}, pins={BOX.path: None})
    assert reconcile.diff(WANTED, there, 1500) == ()


def test_names_for_tools_of_the_host_are_those_of_the_containers() -> None:
    stale = {"landbridge_beef-gone": "/run/x/gone", "landbridge_beef-web": "/run/x/former"}
    steps = reconcile.diff(WANTED, replace(facts(), exposed=stale), 1500)
    assert steps == (
        Exposed(path="/run/x/gone", name="landbridge_beef-gone", present=False),
        Exposed(path="/run/x/former", name="landbridge_beef-web", present=False),
        Exposed(path=BOX.path, name="landbridge_beef-web"),
    )


@engine_test
async def test_a_network_stack_is_found_under_its_containers_name(rig: Rig) -> None:
    await rig.run("web")
    assert list(rig.kernel.names) == ["landbridge_beef-web"]
    await rig.containers.rename("web", "www")
    assert list(rig.kernel.names) == ["landbridge_beef-www"]
    rig.kernel.names.clear()
    await rig.again()
    assert list(rig.kernel.names) == ["landbridge_beef-www"]
    await rig.lifecycle.stop("www")
    assert rig.kernel.names == {}


@engine_test
async def test_a_resolver_that_dies_during_a_start_is_told_the_new_name(rig: Rig) -> None:
    """Between the announcement and the moment the container is said to run."""
    await rig.network("net", "10.1.0.0/24")
    told: list[asyncio.Future[None]] = []

    def die(_: int, what: str) -> None:
        if what == "runtime.create" and not told:
            assert rig.names("net") == {"web"}
            told.append(asyncio.ensure_future(rig.reconcile.restore_names()))

    rig.faults.watch(hook=die)
    await rig.run("web", net="net")
    await told[0]
    assert rig.names("net") == {"web"}
    # Who has ended, or never came up, is not told of.
    await rig.lifecycle.stop("web")
    await rig.reconcile.restore_names()
    assert rig.names("net") == set() == rig.state.announced
