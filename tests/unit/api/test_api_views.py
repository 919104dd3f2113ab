"""Containers and networks as the API shows them, of an engine on fakes: before the first start, up, stopped, joined."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landbridge.api.clock import SECOND, span, stamp
from landbridge.api.container_views import (
    command_text,
    inspect_view,
    settings_view,
    status_text,
    summary_view,
)
from landbridge.api.images import named_for
from landbridge.api.network_views import network_inspect_view, network_view, pool_view
from landbridge.api.port_views import port_list
from landbridge.model.config import Config, EndpointConfig
from landbridge.model.container import Health, Phase, State
from landbridge.model.network import IpamPool
from rig import Rig

NOW = (1, 51)
EMPTY = {
    "EndpointID": "", "Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPAddress": "",
    "IPPrefixLen": 0, "IPv6Gateway": "", "MacAddress": "",
}  # fmt: skip


def on_rig(tmp_path: Path, scene: Callable[[Rig], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        rig = await Rig(tmp_path / "db").boot()
        try:
            return await scene(rig)
        finally:
            await rig.stop()

    return asyncio.run(play())


def test_a_container_that_never_ran_shows_its_network_by_name_only(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> dict[str, Any]:
        await rig.network("net", "10.1.0.0/24")
        made = await rig.create("web", net="net", ip="10.1.0.9", ports={"80/tcp": "8080"})
        return settings_view(rig.state, made, NOW)

    shown = on_rig(tmp_path, scene)
    assert shown["Ports"] == {} and shown["SandboxID"] == "" and shown["SandboxKey"] == ""
    assert shown["Networks"]["net"] == EMPTY | {
        "IPAMConfig": {"IPv4Address": "10.1.0.9"}, "Links": None, "Aliases": None, "NetworkID": "",
        "DriverOpts": None, "DNSNames": None, "GwPriority": 0,
    }  # fmt: skip


def test_a_running_container_shows_addresses_ports_and_names(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> tuple[dict[str, Any], str, str]:
        network = await rig.network("net", "10.1.0.0/24")
        config = Config(exposed_ports={"99/udp": {}, "80/tcp": {}})
        made = await rig.run(
            "web", net="net", ports={"80/tcp": "8080"}, config=config,
            endpoints=(EndpointConfig(network="net", aliases=("w",)),),
        )  # fmt: skip
        return settings_view(rig.state, made, NOW), network.id, made.id[:12]

    shown, network, short = on_rig(tmp_path, scene)
    mine = shown["Networks"]["net"]
    assert (mine["NetworkID"], mine["IPAddress"], mine["IPPrefixLen"], mine["Gateway"]) == (
        network, "10.1.0.2", 24, "10.1.0.1",
    )  # fmt: skip
    assert mine["Aliases"] == ["w"] and mine["DNSNames"] == ["web", "w", short] and mine["MacAddress"]
    assert shown["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "99/udp": None,
    }  # fmt: skip
    assert {key: shown[key] for key in EMPTY} == EMPTY  # flat fields are the default bridge's
    assert len(shown["SandboxID"]) == 64 and shown["SandboxKey"].endswith(shown["SandboxID"][:12])


def test_flat_fields_repeat_the_default_bridge(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> dict[str, Any]:
        return settings_view(rig.state, await rig.run("web"), NOW)

    shown = on_rig(tmp_path, scene)
    mine = shown["Networks"]["bridge"]
    assert {key: shown[key] for key in EMPTY} == {key: mine[key] for key in EMPTY}
    assert mine["IPAddress"] and mine["Aliases"] is None and mine["DNSNames"] is None


def test_a_stopped_container_keeps_the_network_and_nothing_of_it(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> tuple[dict[str, Any], dict[str, Any]]:
        await rig.network("net", "10.1.0.0/24")
        await rig.run("web", net="net", ports={"80/tcp": "8080"})
        await rig.run("side", net="container:web")
        await rig.end("web", 3)
        stopped = rig.of("web")
        return settings_view(rig.state, stopped, NOW), summary_view(rig.state, stopped, NOW, "busybox", 0)

    shown, line = on_rig(tmp_path, scene)
    mine = shown["Networks"]["net"]
    assert {key: mine[key] for key in EMPTY} == EMPTY and mine["NetworkID"] and mine["DNSNames"][0] == "web"
    assert shown["Ports"] == {} and line["Ports"] == [] and line["State"] == "exited"


def test_a_joined_container_has_no_networks_and_no_ports(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> dict[str, Any]:
        await rig.run("web", ports={"80/tcp": "8080"})
        return settings_view(rig.state, await rig.run("side", net="container:web"), NOW)

    shown = on_rig(tmp_path, scene)
    assert shown["Networks"] == {} and shown["Ports"] == {}


def test_what_older_clients_are_shown(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> tuple[dict[str, Any], dict[str, Any], str]:
        await rig.network("net", "10.1.0.0/24")
        settings = EndpointConfig(network="net", mac_address="02:00:00:00:00:07", aliases=("w",))
        made = await rig.run("web", net="net", endpoints=(settings,))
        def inspected(version: tuple[int, int]) -> dict[str, Any]:
            return inspect_view(rig.state, made, version, files={}, driver={}, execs=())

        return inspected((1, 43)), inspected((1, 45)), made.id[:12]

    old, new, short = on_rig(tmp_path, scene)
    assert old["Config"]["MacAddress"] == "02:00:00:00:00:07" and new["Config"]["MacAddress"] == "02:00:00:00:00:07"
    assert old["NetworkSettings"]["Networks"]["net"]["Aliases"] == ["w", short]
    assert new["NetworkSettings"]["Networks"]["net"]["Aliases"] == ["w"]
    assert "GwPriority" not in new["NetworkSettings"]["Networks"]["net"]
    assert new["ExecIDs"] is None and new["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"


def test_a_network_lists_who_is_on_it_now(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> tuple[dict[str, Any], dict[str, Any], str]:
        network = await rig.network("net", "10.1.0.0/24")
        made = await rig.run("web", net="net")
        await rig.create("idle", net="net", ip="10.1.0.9")
        return network_inspect_view(rig.state, network, NOW), network_view(network, NOW), made.id

    inspected, listed, identity = on_rig(tmp_path, scene)
    assert list(inspected["Containers"]) == [identity] and listed["Containers"] == {}
    assert inspected["Containers"][identity]["IPv4Address"] == "10.1.0.2/24"
    assert inspected["IPAM"]["Config"] == [{"Subnet": "10.1.0.0/24"}]
    assert (inspected["EnableIPv4"], inspected["EnableIPv6"], inspected["Scope"]) == (True, False, "local")


def test_predefined_networks_have_no_pools(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> list[dict[str, Any]]:
        return [network_view(rig.state.network(name), (1, 47)) for name in ("host", "none", "bridge")]

    host, none, bridge = on_rig(tmp_path, scene)
    assert host["IPAM"]["Config"] is None and none["Driver"] == "null" and len(bridge["IPAM"]["Config"]) == 1
    assert "EnableIPv4" not in host


def test_empty_parts_of_a_pool_are_left_out() -> None:
    assert pool_view(IpamPool(subnet="10.0.0.0/8", auxiliary={"r": "10.0.0.9"})) == {
        "Subnet": "10.0.0.0/8", "AuxiliaryAddresses": {"r": "10.0.0.9"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(phase=Phase.RUNNING, started_at=97 * SECOND), "Up 3 seconds"),
        (State(phase=Phase.PAUSED, started_at=40 * SECOND), "Up About a minute (Paused)"),
        (State(phase=Phase.RUNNING, started_at=99 * SECOND, health=Health(status="starting")),
         "Up 1 second (health: starting)"),
        (State(phase=Phase.RUNNING, started_at=100 * SECOND, health=Health(status="healthy")),
         "Up Less than a second (healthy)"),
        (State(phase=Phase.RESTARTING, finished_at=98 * SECOND, exit_code=7), "Restarting (7) 2 seconds ago"),
        (State(phase=Phase.EXITED, finished_at=98 * SECOND, exit_code=137), "Exited (137) 2 seconds ago"),
        (State(phase=Phase.EXITED), ""),
        (State(phase=Phase.REMOVING), "Removal In Progress"),
        (State(phase=Phase.DEAD), "Dead"),
    ],
)  # fmt: skip
def test_status_in_words(state: State, text: str) -> None:
    assert status_text(state, 100 * SECOND) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
        (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"), (60 * 86400, "2 months"), (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_spans_in_words(seconds: int, text: str) -> None:
    assert span(seconds * SECOND) == text


def test_never_is_gos_zero_time() -> None:
    assert stamp(0) == "0001-01-01T00:00:00Z" and stamp(1) == "1970-01-01T00:00:00.000000001Z"


def test_arguments_with_blanks_are_quoted(tmp_path: Path) -> None:
    async def scene(rig: Rig) -> str:
        made = await rig.create("web")
        return command_text(replace(made, path="sh", args=("-c", "echo hi")))

    assert on_rig(tmp_path, scene) == "sh -c 'echo hi'"


def test_port_lines() -> None:
    ports = {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "99/udp": None}
    assert port_list(ports) == [
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 99, "Type": "udp"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "tags", "digests", "expected"),
    [
        ((1, 42), [], [], (["<none>:<none>"], ["<none>@<none>"])),
        ((1, 42), ["a:1"], [], (["a:1"], None)),
        ((1, 42), [], ["a@sha256:1"], (None, ["a@sha256:1"])),
        ((1, 43), [], [], ([], [])),
        ((1, 43), ["a:1"], [], (["a:1"], [])),
    ],
)
def test_a_listed_image_without_names(
    version: tuple[int, int], tags: list[str], digests: list[str], expected: tuple[object, object]
) -> None:
    shown = named_for({"RepoTags": tags, "RepoDigests": digests}, version)
    assert (shown["RepoTags"], shown["RepoDigests"]) == expected
