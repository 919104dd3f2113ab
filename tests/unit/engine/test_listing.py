"""Docker's filters of ``ps`` and ``network ls`` on an engine with a few containers."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from landbridge.engine.listing import Filters, Page, select_containers, select_networks
from landbridge.errors import Invalid, NotFound
from landbridge.model.config import Config
from landbridge.model.container import Container, Health, MountPoint
from rig import IMAGE, Rig

RUNNING = "front back"


def listed(tmp_path: Path, filters: Filters, page: Page | None = None) -> list[str]:
    """Names of the containers shown, in order. ``old`` has ended with 3; ``young`` was never started."""

    async def scene() -> list[str]:
        rig = await Rig(tmp_path / "db").boot()
        await rig.network("net")
        await rig.run("old", config=Config(labels={"tier": "db"}))
        await rig.end("old", 3)
        await rig.run("front", net="net", ports={"80/tcp": "8080"}, config=Config(labels={"tier": "web", "x": ""}))
        await rig.run("back")
        await rig.create("young")
        front = rig.of("front")
        volume = MountPoint(type="volume", destination="/data", name="data", source="/data/volumes/data/_data")
        health = replace(front.state, health=Health(status="healthy"))
        rig.state.containers.put(replace(front, mounts=(volume,), state=health))
        for number, name in enumerate(("old", "front", "back", "young"), 1):
            rig.state.containers.put(replace(rig.of(name), created=number))
        try:
            return [one.name for one in select_containers(rig.state, filters, page or Page(), ancestors, exposed)]
        finally:
            await rig.stop()

    return asyncio.run(scene())


def ancestors(text: str) -> frozenset[str]:
    return frozenset({IMAGE.id}) if text == "busybox" else frozenset()


def exposed(container: Container) -> Sequence[str]:
    return ("80/tcp",) if container.name == "front" else ()


@pytest.mark.parametrize(
    ("filters", "page", "names"),
    [
        ({}, Page(), "back front"),
        ({}, Page(everything=True), "young back front old"),
        ({}, Page(limit=1), "young"),
        ({}, Page(limit=9), "young back front old"),
        ({}, Page(since="front"), "back"),
        ({}, Page(before="back"), "front"),
        ({}, Page(everything=True, since="front"), "young back"),
        ({}, Page(everything=True, before="back"), "front old"),
        ({"since": ["old"], "before": ["young"]}, Page(), "back front"),
        ({"name": ["^fr"]}, Page(), "front"),
        ({"name": ["/front$"]}, Page(), "front"),
        ({"name": ["fro", "bac"]}, Page(), "back front"),
        ({"name": ["("]}, Page(), ""),
        ({"status": ["exited"]}, Page(), "old"),
        ({"status": ["created", "running"]}, Page(), "young back front"),
        ({"exited": ["3"]}, Page(), ""),
        ({"exited": ["3"]}, Page(everything=True), "old"),
        ({"exited": ["0"]}, Page(), ""),
        ({"health": ["healthy"]}, Page(), "front"),
        ({"health": ["none"]}, Page(), "back"),
        ({"health": ["none"]}, Page(everything=True), "young back old"),
        ({"label": ["tier"]}, Page(everything=True), "front old"),
        ({"label": ["tier=web", "x"]}, Page(everything=True), "front"),
        ({"label": ["tier=web", "tier=db"]}, Page(everything=True), ""),
        ({"network": ["net"]}, Page(), "front"),
        ({"network": ["bridge"]}, Page(everything=True), "young back old"),
        ({"network": ["nosuch"]}, Page(), ""),
        ({"publish": ["80"]}, Page(), ""),
        ({"publish": ["8000-8080/tcp"]}, Page(), "front"),
        ({"publish": ["80/udp"]}, Page(), ""),
        ({"expose": ["80"]}, Page(), "front"),
        ({"volume": ["data"]}, Page(), "front"),
        ({"volume": ["/data"]}, Page(), "front"),
        ({"ancestor": ["busybox"]}, Page(), "back front"),
        ({"ancestor": ["other"]}, Page(), ""),
        ({"is-task": ["false"]}, Page(), "back front"),
        ({"is-task": ["true"]}, Page(), ""),
        ({"name": ["front"], "status": ["exited"]}, Page(), ""),
    ],
)  # fmt: skip
def test_containers(tmp_path: Path, filters: Filters, page: Page, names: str) -> None:
    assert " ".join(listed(tmp_path, filters, page)) == names


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"nonsense": ["x"]}, "invalid filter 'nonsense'"),
        ({"status": ["up"]}, "invalid filter 'status=up'"),
        ({"health": ["ill"]}, "unrecognized filter value for health: ill"),
        ({"exited": ["x"]}, "invalid filter 'exited=x': .*"),
        ({"publish": ["a"]}, 'error while looking up for publish a: strconv.ParseUint: parsing "a": invalid syntax'),
        ({"expose": ["1-99999999"]}, "invalid filter 'expose=1-99999999'"),
    ],
)
def test_what_is_refused(tmp_path: Path, filters: Filters, words: str) -> None:
    with pytest.raises(Invalid, match=f"^{words}$"):
        listed(tmp_path, filters)


def test_before_a_container_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No such container: nosuch"):
        listed(tmp_path, {"before": ["nosuch"]})


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, "none host bridge one two"),
        ({"type": ["custom"]}, "one two"),
        ({"type": ["builtin"]}, "none host bridge"),
        ({"name": ["on"]}, "none one"),
        ({"driver": ["bridge"]}, "bridge one two"),
        ({"label": ["a=b"]}, "two"),
        ({"dangling": ["true"]}, "two"),
        ({"dangling": ["0"]}, "none host bridge one"),
        ({"scope": ["swarm"]}, ""),
    ],
)
def test_networks(tmp_path: Path, filters: Filters, names: str) -> None:
    async def scene() -> list[str]:
        rig = await Rig(tmp_path / "db").boot()
        await rig.network("one")
        await rig.network("two", labels={"a": "b"})
        await rig.run("user", net="one")
        try:
            return [one.name for one in select_networks(rig.state, filters)]
        finally:
            await rig.stop()

    assert " ".join(asyncio.run(scene())) == names


@pytest.mark.parametrize(
    ("filters", "words"),
    [({"x": ["y"]}, "invalid filter 'x'"), ({"type": ["x"]}, "invalid filter: 'type'='x'"),
     ({"dangling": ["x"]}, "invalid value for filter 'dangling', must be")],
)  # fmt: skip
def test_networks_refused(tmp_path: Path, filters: Filters, words: str) -> None:
    async def scene() -> None:
        rig = await Rig(tmp_path / "db").boot()
        try:
            select_networks(rig.state, filters)
        finally:
            await rig.stop()

    with pytest.raises(Invalid, match=words):
        asyncio.run(scene())
