"""Volumes on a real disk and a real store. Texts, results and events recorded from Docker 26.1.5."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from landbridge.engine.events import Events
from landbridge.engine.mountplan import plan
from landbridge.engine.state import State
from landbridge.engine.store import Store
from landbridge.engine.volumes import Volumes, check_options
from landbridge.errors import Conflict, Internal, Invalid, LandbridgeError, NotFound
from landbridge.model.config import Config, HostConfig, Mount, VolumeOptions
from landbridge.model.container import Container, MountPoint, Phase
from landbridge.model.container import State as ContainerState
from landbridge.model.volume import ANONYMOUS_LABEL, VolumeRequest
from landbridge.model.world import Instance
from landbridge.system.files import Files
from landbridge.system.volumes import VolumeDirectories

LOCAL = {"driver": "local"}


class Directories(VolumeDirectories):
    """The real ones, except that mounting needs root: what is mounted is written down instead."""

    def __init__(self) -> None:
        self.mounted: list[str] = []
        self.copied: list[tuple[str, str]] = []
        self.refuse = ""

    def mount(self, path: str, options: Mapping[str, str]) -> None:
        if self.refuse:
            raise Internal(self.refuse)
        if path not in self.mounted:
            self.mounted.append(path)

    def unmount(self, path: str) -> None:
        if path in self.mounted:
            self.mounted.remove(path)

    def bind_beneath(self, volume: str, subpath: str, target: str) -> None:
        self.mounted.append(f"{volume}/{subpath} at {target}")

    def copy_up(self, root: str, destination: str, volume: str) -> None:
        self.copied.append((destination, volume))
        super().copy_up(root, destination, volume)

    def release_beneath(self, target: str) -> None:
        self.mounted = [one for one in self.mounted if not one.endswith(f" at {target}")]


async def blocking(call: Callable[..., object], *arguments: object) -> object:
    return await asyncio.to_thread(call, *arguments)


class Setting:
    """An engine's volumes, and containers made of nothing but a record."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = Directories()
        self.open()

    def open(self) -> None:
        """As a daemon does at boot."""
        self.store = Store(str(self.root / "db"))
        self.state = State(self.store, Instance())
        self.events = Events()
        self.volumes = Volumes(
            state=self.state, events=self.events, files=Files(), disk=self.disk, blocking=blocking,
            root=str(self.root / "volumes"),
        )

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def happened(self) -> list[tuple[str, str, Mapping[str, str]]]:
        return [(event.action, event.id, event.attributes) for event in self.events.past(0, 1 << 63)]

    def container(self, name: str, host: HostConfig, config: Config | None = None) -> Container:
        """Planned, realised and recorded."""
        async def make() -> Container:
            planned = plan(config or Config(), host, self.volumes, self.state.container)
            points = await self.volumes.realise(name * 64, planned, lambda action: None)
            return Container(
                id=name * 64, name=name, created=1, image="", path="true", args=(), config=config or Config(),
                host=host, mounts=points,
            )

        made = asyncio.run(make())
        self.state.containers.put(made)
        return made

    def set_running(self, container: Container) -> None:
        state = ContainerState(phase=Phase.RUNNING, pid=1, started_at=1)
        self.state.containers.put(replace(container, state=state))

    def ls(self, **filters: Any) -> list[str]:
        return [volume.name for volume in self.volumes.list(filters)]


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    yield made
    made.store.close()


def run(call: Awaitable[Any]) -> Any:
    async def go() -> Any:
        return await call

    return asyncio.run(go())


# Records.


def test_create_makes_the_directory_and_says_so(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(name="data", labels={"a": "b"}))
    assert volume.mountpoint == str(setting.root / "volumes" / "data" / "_data")
    assert Path(volume.mountpoint).is_dir()
    assert (volume.driver, volume.scope, volume.options, volume.anonymous) == ("local", "local", None, False)
    assert setting.happened() == [("create", "data", LOCAL)]


def test_a_name_that_exists_keeps_its_volume(setting: Setting) -> None:
    first = setting.volumes.create(VolumeRequest(name="data"))
    again = VolumeRequest(name="data", driver="local", labels={"x": "y"}, options={"type": "tmpfs", "device": "t"})
    assert setting.volumes.create(again) is first
    assert len(setting.happened()) == 1


def test_a_volume_nobody_named_is_anonymous(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(labels={"q": "r"}))
    assert len(volume.name) == 64
    assert volume.labels == {"q": "r", ANONYMOUS_LABEL: ""}


CHARACTERS = (
    'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you'
    " intended to pass a host directory, use absolute path"
)


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        (VolumeRequest(name="a"), Invalid,
         "create a: volume name is too short, names should be at least two alphanumeric characters"),
        (VolumeRequest(name="-bad"), Invalid, f'create -bad: "-bad" {CHARACTERS}'),
        (VolumeRequest(name="../x"), Invalid, f'create ../x: "../x" {CHARACTERS}'),
        (VolumeRequest(name="bad name"), Invalid, f'create bad name: "bad name" {CHARACTERS}'),
        (VolumeRequest(name="data\n"), Invalid, f'create data\n: "data\n" {CHARACTERS}'),
        (VolumeRequest(name="data", driver="nope"), NotFound,
         'create data: error looking up volume plugin nope: plugin "nope" not found'),
        (VolumeRequest(name="data", options={"foo": "bar"}), Invalid, 'create data: invalid option: "foo"'),
        (VolumeRequest(name="data", options={"Type": "tmpfs"}), Invalid, 'create data: invalid option: "Type"'),
        (VolumeRequest(name="data", options={"type": "tmpfs"}), Invalid,
         'create data: missing required option: "device"'),
        (VolumeRequest(name="data", options={"device": "x"}), Invalid,
         'create data: missing required option: "type"'),
        (VolumeRequest(name="data", options={"type": "none", "o": "bind"}), Invalid,
         'create data: missing required option: "device"'),
        (VolumeRequest(name="data", options={"size": "10m"}), Invalid,
         "create data: quota size requested but no quota support"),
    ],
)  # fmt: skip
def test_refused_requests(setting: Setting, request_: VolumeRequest, kind: type[LandbridgeError], text: str) -> None:
    with pytest.raises(kind) as error:
        setting.volumes.create(request_)
    assert error.value.message == text
    assert setting.ls() == []
    assert not (setting.root / "volumes").exists()


def test_options_may_be_empty() -> None:
    check_options({"type": "", "device": "", "o": ""})
    check_options({"type": "nfs", "device": ":/x", "o": "addr=10.0.0.1,rw"})


def test_volumes_survive_the_daemon(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(labels={"a": "b"}))
    setting.reopen()
    assert setting.volumes.get(volume.name) == volume


def test_get_and_remove_of_nothing(setting: Setting) -> None:
    for call in (lambda: setting.volumes.get("nope"), lambda: run(setting.volumes.remove("nope"))):
        with pytest.raises(NotFound) as error:
            call()
        assert error.value.message == "get nope: no such volume"
    run(setting.volumes.remove("nope", force=True))


def test_boot_finishes_removals_and_takes_up_what_it_finds(setting: Setting) -> None:
    kept = setting.volumes.create(VolumeRequest(name="kept", options={"type": "tmpfs", "device": "tmpfs"}))
    lost = setting.volumes.create(VolumeRequest(name="lost"))
    (Path(lost.mountpoint) / "file").write_text("precious")
    setting.volumes.table.remove("lost")
    gone = setting.volumes.create(VolumeRequest(name="gone"))
    setting.volumes.table.remove("gone")
    aside = setting.disk.discard(setting.volumes.root, "gone")
    (setting.root / "volumes" / "not-a-volume").mkdir()
    setting.disk.mounted.append(kept.mountpoint)
    setting.reopen()
    run(setting.volumes.recover())
    assert setting.ls() == ["kept", "lost"]
    assert (Path(setting.volumes.get("lost").mountpoint) / "file").read_text() == "precious"
    assert not Path(aside).exists() and not Path(gone.mountpoint).exists()
    assert setting.disk.mounted == []


# Lists.


def test_filters(setting: Setting) -> None:
    for name, labels in (("alpha", {"x": "y"}), ("beta", {"x": "z"}), ("gamma", None)):
        setting.volumes.create(VolumeRequest(name=name, labels=labels))
    setting.container("a", HostConfig(binds=("beta:/x",)))
    assert setting.ls() == ["alpha", "beta", "gamma"]
    assert setting.ls(dangling=["true"]) == ["alpha", "gamma"]
    assert setting.ls(dangling=["0"]) == ["beta"]
    assert setting.ls(driver=["loc"]) == []
    assert setting.ls(driver=["local"]) == ["alpha", "beta", "gamma"]
    assert setting.ls(name=["^al", "mm"]) == ["alpha", "gamma"]
    assert setting.ls(name=["["]) == []
    assert setting.ls(label=["x"]) == ["alpha", "beta"]
    assert setting.ls(label=["x", "x=z"]) == ["beta"]


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"foo": ["x"]}, "invalid filter 'foo'"),
        ({"all": ["1"]}, "invalid filter 'all'"),
        ({"dangling": ["x"]}, "invalid filter 'dangling=[x]'"),
        ({"dangling": ["true", "false"]}, "invalid filter 'dangling=[true false]'"),
    ],
)
def test_refused_filters(setting: Setting, filters: dict[str, list[str]], text: str) -> None:
    with pytest.raises(Invalid) as error:
        setting.volumes.list(filters)
    assert error.value.message == text


# Removal.


def test_a_volume_in_use_stays(setting: Setting) -> None:
    first = setting.container("a", HostConfig(binds=("data:/x",)))
    second = setting.container("b", HostConfig(binds=("data:/y:ro",)))
    for options in ({}, {"force": True}):
        with pytest.raises(Conflict) as error:
            run(setting.volumes.remove("data", **options))
        assert error.value.message == f"remove data: volume is in use - [{first.id}, {second.id}]"
    setting.state.containers.remove(first.id)
    setting.state.containers.remove(second.id)
    run(setting.volumes.remove("data"))
    assert not (setting.root / "volumes" / "data").exists()
    assert setting.happened()[-1] == ("destroy", "data", LOCAL)


def test_a_name_is_free_while_its_content_is_being_removed(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(name="data"))
    (Path(volume.mountpoint) / "old").touch()
    (Path(volume.mountpoint) / "link").symlink_to(setting.root)

    async def meanwhile() -> None:
        removal = asyncio.create_task(setting.volumes.remove("data"))
        await asyncio.sleep(0)
        setting.volumes.create(VolumeRequest(name="data"))
        await removal

    asyncio.run(meanwhile())
    assert list(Path(setting.volumes.get("data").mountpoint).iterdir()) == []
    assert [one.name for one in (setting.root / "volumes").iterdir()] == ["data"]


def test_a_removed_container_takes_only_what_was_its_own(setting: Setting) -> None:
    named_by_hand = setting.volumes.create(VolumeRequest()).name
    config = Config(volumes={"/own": {}})
    gone = setting.container("a", HostConfig(binds=("data:/x", "/anon", f"{named_by_hand}:/y")), config)
    shared = setting.container("b", HostConfig(binds=("/shared",)))
    heir = setting.container("c", HostConfig(volumes_from=("b",)))
    for container in (gone, shared):
        setting.state.containers.remove(container.id)
        run(setting.volumes.remove_anonymous(container))
    inherited = heir.mounts[0].name
    assert setting.ls() == sorted(["data", named_by_hand, inherited])


def test_prune_takes_anonymous_ones_unless_told(setting: Setting) -> None:
    for request in (VolumeRequest(), VolumeRequest(name="kept", labels={"keep": ""}), VolumeRequest(name="other")):
        volume = setting.volumes.create(request)
        (Path(volume.mountpoint) / "content").write_bytes(b"x" * 100)
    setting.container("a", HostConfig(binds=("/used",)))
    pruned = run(setting.volumes.prune({}))
    assert [len(name) for name in pruned.names] == [64]
    assert pruned.reclaimed == 100
    assert setting.happened()[-1] == ("prune", "", {"reclaimed": "100"})
    assert run(setting.volumes.prune({"all": ["1"], "label!": ["keep"]})).names == ("other",)
    assert run(setting.volumes.prune({"all": ["true"], "label": ["nope"]})).names == ()
    assert len(setting.ls()) == 2


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"dangling": ["true"]}, "invalid filter 'dangling'"),
        ({"all": ["bad"]}, "invalid filter 'all': strconv.ParseBool: parsing \"bad\": invalid syntax"),
    ],
)
def test_refused_prune_filters(setting: Setting, filters: dict[str, list[str]], text: str) -> None:
    with pytest.raises(Invalid) as error:
        run(setting.volumes.prune(filters))
    assert error.value.message == text


def test_usage(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(name="data"))
    (Path(volume.mountpoint) / "content").write_bytes(b"x" * 100)
    setting.container("a", HostConfig(binds=("data:/x", "data:/y")))
    usage = run(setting.volumes.usage())
    assert (usage["data"].size, usage["data"].references) == (100, 1)


# What containers get.


def test_realised_mounts_look_as_docker_shows_them(setting: Setting) -> None:
    config = Config(volumes={"/own": {}})
    points = {
        point.destination: point
        for point in setting.container("a", HostConfig(binds=("data:/x", "data:/y:ro", "/anon")), config).mounts
    }
    assert {path: (point.mode, point.rw) for path, point in points.items()} == {
        "/x": ("z", True), "/y": ("ro", False), "/anon": ("z", True), "/own": ("", True),
    }  # fmt: skip
    assert points["/x"].source == points["/y"].source == str(setting.root / "volumes" / "data" / "_data")
    assert {point.driver for point in points.values()} == {"local"}
    assert len(points["/anon"].name) == len(points["/own"].name) == 64


def test_a_failed_creation_takes_its_volumes_back(setting: Setting) -> None:
    setting.volumes.create(VolumeRequest(name="before"))
    undo: list[Callable[[], Awaitable[None]]] = []
    host = HostConfig(binds=("before:/a", "new:/b", "/anon"))
    planned = plan(Config(), host, setting.volumes, setting.state.container)

    async def make_and_undo() -> None:
        await setting.volumes.realise("a" * 64, planned, undo.append)
        assert len(setting.ls()) == 3
        for action in undo:
            await action()

    asyncio.run(make_and_undo())
    assert setting.ls() == ["before"]


def test_mount_events_and_holders(setting: Setting) -> None:
    options = {"type": "tmpfs", "device": "tmpfs"}
    volume = setting.volumes.create(VolumeRequest(name="fast", options=options))
    first = setting.container("a", HostConfig(binds=("fast:/x",)))
    second = setting.container("b", HostConfig(binds=("fast:/y:ro",)))
    before = len(setting.happened())
    run(setting.volumes.acquire(first))
    run(setting.volumes.acquire(second))
    run(setting.volumes.release(first))
    run(setting.volumes.release(first))
    assert setting.disk.mounted == [volume.mountpoint]
    run(setting.volumes.release(second))
    assert setting.disk.mounted == []
    assert setting.happened()[before:] == [
        ("mount", "fast", {"container": first.id, "destination": "/x", "driver": "local", "propagation": "",
                           "read/write": "true"}),
        ("mount", "fast", {"container": second.id, "destination": "/y", "driver": "local", "propagation": "",
                           "read/write": "false"}),
        ("unmount", "fast", {"container": first.id, "driver": "local"}),
        ("unmount", "fast", {"container": second.id, "driver": "local"}),
    ]  # fmt: skip


def test_running_containers_hold_their_volumes_over_a_restart(setting: Setting) -> None:
    volume = setting.volumes.create(VolumeRequest(name="fast", options={"type": "tmpfs", "device": "tmpfs"}))
    runs = setting.container("a", HostConfig(binds=("fast:/x",)))
    other = setting.container("b", HostConfig(binds=("fast:/x",)))
    run(setting.volumes.acquire(runs))
    setting.set_running(runs)
    setting.reopen()
    run(setting.volumes.acquire(other))
    run(setting.volumes.release(other))
    assert setting.disk.mounted == [volume.mountpoint]
    run(setting.volumes.release(runs))
    assert setting.disk.mounted == []


def test_a_mount_the_kernel_refuses_holds_nothing(setting: Setting) -> None:
    setting.volumes.create(VolumeRequest(name="bad", options={"type": "x", "device": "y"}))
    container = setting.container("a", HostConfig(binds=("bad:/x",)))
    setting.disk.refuse = "no such device"
    with pytest.raises(Internal):
        run(setting.volumes.acquire(container))
    run(setting.volumes.release(container))
    setting.state.containers.remove(container.id)
    run(setting.volumes.remove("bad"))
    assert setting.happened()[-1] == ("destroy", "bad", LOCAL)


def test_bind_sources_are_made_or_missed(setting: Setting) -> None:
    missing = str(setting.root / "binds" / "deep")
    made = setting.container("a", HostConfig(binds=(f"{missing}:/x",)))
    assert not Path(missing).exists()
    run(setting.volumes.acquire(made))
    assert Path(missing).stat().st_mode & 0o777 == 0o755
    gone = replace(made, mounts=(MountPoint(type="bind", source="/nowhere/at/all", destination="/x"),))
    with pytest.raises(Invalid, match="bind source path does not exist: /nowhere/at/all"):
        run(setting.volumes.acquire(gone))


def test_a_part_of_a_volume_is_bound_while_held(setting: Setting) -> None:
    part = Mount(type="volume", source="data", target="/x", volume_options=VolumeOptions(subpath="sub/dir"))
    container = setting.container("a", HostConfig(binds=("data:/whole",), mounts=(part,)))
    run(setting.volumes.acquire(container))
    sources = {point.destination: point.source for point in setting.volumes.sources(container)}
    content = f"{setting.root}/volumes/data/_data"
    assert sources["/whole"] == content
    assert setting.disk.mounted == [f"{content}/sub/dir at {sources['/x']}"]
    assert container.mounts[1].source == content
    setting.volumes.copy_up(container, str(setting.root))
    assert setting.disk.copied == [("/whole", content), ("/x", sources["/x"])]
    run(setting.volumes.release(container))
    assert setting.disk.mounted == []


def test_a_vanished_volume_stops_the_start(setting: Setting) -> None:
    container = setting.container("a", HostConfig(binds=("data:/x",)))
    setting.volumes.table.remove("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        run(setting.volumes.acquire(container))


def test_copy_up_is_for_the_first_start(setting: Setting, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "x").mkdir(parents=True)
    (root / "x" / "file").write_text("from the image")
    container = setting.container("a", HostConfig(binds=("data:/x", "plain:/x2:nocopy")))
    content = setting.root / "volumes" / "data" / "_data"
    started = replace(container, state=ContainerState(started_at=5))
    setting.volumes.copy_up(started, str(root))
    assert list(content.iterdir()) == []
    setting.volumes.copy_up(container, str(root))
    assert (content / "file").read_text() == "from the image"
