"""Binds, mounts, volumes, volumes-from and tmpfs → mount points. Texts and results recorded from Docker 26.1.5."""

from collections.abc import Mapping
from typing import Any

import pytest

from landbridge.engine.mountplan import MountPlan, check_tmpfs_options, named_volumes, plan
from landbridge.errors import Invalid, NotFound
from landbridge.model.config import (
    BindOptions,
    Config,
    DriverConfig,
    HostConfig,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)
from landbridge.model.container import Container, MountPoint
from landbridge.model.volume import VolumeRequest


class Disk:
    """A host on which only /here exists."""

    def source_exists(self, path: str) -> bool:
        return path == "/here"


def planned(
    host: HostConfig, volumes: tuple[str, ...] = (), others: Mapping[str, Container] | None = None
) -> MountPlan:
    def find(name: str) -> Container:
        if name in (others or {}):
            return (others or {})[name]
        raise NotFound(f"No such container: {name}")

    return plan(Config(volumes={path: {} for path in volumes} or None), host, Disk(), find)


def binds(*texts: str, **host: Any) -> MountPlan:
    return planned(HostConfig(binds=texts, **host))


def mount(**fields: Any) -> MountPlan:
    return planned(HostConfig(mounts=(Mount(**fields),)))


def container(*points: MountPoint) -> Container:
    return Container(
        id="c" * 64, name="source", created=1, image="", path="true", args=(), config=Config(), host=HostConfig(),
        mounts=points,
    )


BIND = MountPoint(
    type="bind", source="/here", destination="/x", rw=True, propagation="rprivate", create_source=True
)


# Binds.


@pytest.mark.parametrize(
    ("mode", "rw", "propagation"),
    [
        ("", True, "rprivate"), ("ro", False, "rprivate"), ("rw,z", True, "rprivate"), ("Z", True, "rprivate"),
        ("rslave", True, "rslave"), ("shared,ro", False, "shared"), ("cached", True, "rprivate"),
        ("delegated,ro", False, "rprivate"), ("consistent", True, "rprivate"),
    ],
)  # fmt: skip
def test_bind_modes(mode: str, rw: bool, propagation: str) -> None:  # noqa: FBT001
    (point,) = binds(f"/here:/x:{mode}").points
    assert (point.type, point.source, point.destination, point.mode) == ("bind", "/here", "/x", mode)
    assert (point.rw, point.propagation, point.create_source) == (rw, propagation, True)


@pytest.mark.parametrize(
    "mode", ["default", "nosuch", "ro,rw", "z,Z", "cached,delegated", "rslave,shared", "noexec", "RO", "ro,", ",ro",
             "bind", "nocopy,nocopy"],
)  # fmt: skip
def test_invalid_modes(mode: str) -> None:
    with pytest.raises(Invalid, match=f"^invalid mode: {mode}$"):
        binds(f"/here:/x:{mode}")


@pytest.mark.parametrize("target", ["//", "/.", "///x/..", "/\\"])
def test_the_root_has_many_names(target: str) -> None:
    with pytest.raises(Invalid, match="destination can't be '/'"):
        binds(f"/here:{target}")


@pytest.mark.parametrize("text", ["/here:", ":/x", ":", "", "/here:/x:ro:y", "/a:ro"])
def test_malformed_binds(text: str) -> None:
    with pytest.raises(Invalid) as error:
        binds(text)
    assert error.value.message == f"invalid volume specification: '{text}'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/here:/x:nocopy", 'invalid mount config for type "bind": field VolumeOptions must not be specified'),
        ("vol", "invalid mount config for type \"volume\": invalid mount path: 'vol' mount path must be absolute"),
        ("/here:x", "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute"),
        ("/here:/", "invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
        ("/here:/x/../", "invalid mount config for type \"bind\": invalid specification: destination can't be '/'"),
        ("vol:/x:rslave", 'invalid mount config for type "volume": field BindOptions must not be specified'),
        ("vol:/", "invalid mount config for type \"volume\": invalid specification: destination can't be '/'"),
    ],
)
def test_refused_binds_say_why(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as error:
        binds(text)
    assert error.value.message == f"invalid volume specification: '{text}': {reason}"


def test_paths_are_cleaned() -> None:
    (point,) = binds("//here/:/x/../y/").points
    assert (point.source, point.destination) == ("/here", "/y")


def test_named_volume_with_driver_and_nocopy() -> None:
    found = binds("vol:/x:ro,nocopy", volume_driver="local")
    (point,) = found.points
    assert (point.type, point.rw, point.copy_up, point.mode) == ("volume", False, False, "ro,nocopy")
    assert found.wanted == {"/x": VolumeRequest(name="vol", driver="local")}


def test_destination_alone_is_an_anonymous_volume() -> None:
    found = binds("/x")
    assert found.points == (MountPoint(type="volume", destination="/x", copy_up=True),)
    assert found.wanted == {"/x": VolumeRequest()}


@pytest.mark.parametrize(
    "host",
    [
        HostConfig(binds=("/here:/x", "vol:/x")),
        HostConfig(binds=("/here:/x", "/here:/x/")),
        HostConfig(binds=("/here:/x",), tmpfs={"/x": ""}),
        HostConfig(binds=("/here:/x",), mounts=(Mount(type="bind", source="/here", target="/x"),)),
    ],
)
def test_duplicates(host: HostConfig) -> None:
    with pytest.raises(Invalid, match=r"^Duplicate mount point: /x$"):
        planned(host)


def test_shallow_mounts_come_first() -> None:
    found = binds("/here:/x/y", "/here:/x", "/here:/a/b/c", "/here:/b")
    assert [point.destination for point in found.points] == ["/x", "/b", "/x/y", "/a/b/c"]


# Mounts.


def test_bind_mount_must_exist_unless_created() -> None:
    with pytest.raises(Invalid) as error:
        mount(type="bind", source="/gone", target="/x")
    assert error.value.message == 'invalid mount config for type "bind": bind source path does not exist: /gone'
    (point,) = mount(type="bind", source="/gone", target="/x", bind_options=BindOptions(create_mountpoint=True)).points
    assert point.create_source
    (point,) = mount(type="bind", source="/here", target="/x").points
    assert not point.create_source


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "bind", "source": "rel", "target": "/x"}, "invalid mount path: 'rel' mount path must be absolute"),
        ({"type": "bind", "target": "/x"}, "field Source must not be empty"),
        ({"type": "bind", "source": "/here"}, "field Target must not be empty"),
        ({"type": "bind", "source": "/here", "target": "x"}, "invalid mount path: 'x' mount path must be absolute"),
        ({"type": "bind", "source": "/here", "target": "/"}, "invalid specification: destination can't be '/'"),
        ({"type": "bind", "source": "/here", "target": "/x", "bind_options": BindOptions(propagation="bad")},
         "invalid propagation mode: bad"),
        ({"type": "volume", "source": "vol", "target": "/x", "volume_options": VolumeOptions(subpath="../s")},
         "subpath must be a relative path within the volume"),
        ({"type": "volume", "source": "vol", "target": "/x", "volume_options": VolumeOptions(subpath="/s")},
         "subpath must be a relative path within the volume"),
        ({"type": "volume", "target": "/x", "volume_options": VolumeOptions(subpath="s")},
         "must not set Subpath when using anonymous volumes"),
        ({"type": "volume", "target": "/x", "read_only": True},
         "must not set ReadOnly mode when using anonymous volumes"),
        ({"type": "tmpfs", "source": "y", "target": "/x"}, "field Source must not be specified"),
        ({"type": "image", "source": "busybox", "target": "/x"}, "mount type unknown"),
        ({"type": "npipe", "source": "x", "target": "/x"}, "mount type unknown"),
        ({"type": "cluster", "source": "x", "target": "/x"}, "mount type unknown"),
        ({"type": "BIND", "source": "/here", "target": "/x"}, "mount type unknown"),
        ({"type": "", "target": "/x"}, "mount type unknown"),
    ],
)  # fmt: skip
def test_refused_mounts(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as error:
        mount(**fields)
    assert error.value.message == f'invalid mount config for type "{fields["type"]}": {text}'


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("bind", {"volume_options": VolumeOptions()}, "VolumeOptions"),
        ("bind", {"tmpfs_options": TmpfsOptions()}, "TmpfsOptions"),
        ("volume", {"bind_options": BindOptions()}, "BindOptions"),
        ("tmpfs", {"volume_options": VolumeOptions()}, "VolumeOptions"),
    ],
)
def test_options_of_another_type(kind: str, options: dict[str, Any], name: str) -> None:
    with pytest.raises(Invalid) as error:
        mount(type=kind, source="/here", target="/x", **options)
    assert error.value.message == f'{name} must not be specified on mount type "{kind}"'


def test_duplicate_mounts_are_named_as_typed() -> None:
    with pytest.raises(Invalid, match=r"^Duplicate mount point: /x/$"):
        planned(HostConfig(mounts=(Mount(type="tmpfs", target="/x"), Mount(type="tmpfs", target="/x/"))))


def test_volume_mount_carries_labels_driver_and_options() -> None:
    driver = DriverConfig(name="local", options={"type": "tmpfs", "device": "tmpfs"})
    found = mount(
        type="volume", source="vol", target="/x",
        volume_options=VolumeOptions(no_copy=True, labels={"a": "b"}, driver_config=driver),
    )
    assert found.wanted == {
        "/x": VolumeRequest(name="vol", driver="local", options=driver.options, labels={"a": "b"})
    }
    assert not found.points[0].copy_up


def test_tmpfs_mount_options() -> None:
    (point,) = mount(
        type="tmpfs", target="/x",
        tmpfs_options=TmpfsOptions(size_bytes=1000000, mode=0o1770, options=(("noexec",), ("uid", "5"))),
    ).points
    assert point.options == ("mode=1770", "size=1000000", "noexec", "uid=5")


def test_bind_recursion_options() -> None:
    (point,) = mount(
        type="bind", source="/here", target="/x", read_only=True,
        bind_options=BindOptions(non_recursive=True, read_only_non_recursive=True),
    ).points
    assert point.options == ("bind", "ro")


# Tmpfs.


def test_tmpfs_targets() -> None:
    with pytest.raises(Invalid, match=r"^invalid mount path: 't' mount path must be absolute$"):
        planned(HostConfig(tmpfs={"t": ""}))
    with pytest.raises(Invalid, match=r"^invalid specification: destination can't be '/'$"):
        planned(HostConfig(tmpfs={"/": ""}))


@pytest.mark.parametrize(
    ("option", "named"), [("nosuch", "nosuch"), ("huge=never", "huge"), ("size", "size"), ("", ""), (" ro", " ro")]
)
def test_tmpfs_options_refused(option: str, named: str) -> None:
    with pytest.raises(Invalid) as error:
        check_tmpfs_options((option,))
    assert error.value.message == f'invalid tmpfs option "{named}"'


def test_tmpfs_options_accepted() -> None:
    check_tmpfs_options(("size=64m", "mode=1777", "exec", "noatime", "rshared", "nr_inodes=5k", "mpol=default", "=x"))


# Volumes of the configuration.


def test_config_volumes_give_way_to_mounts_and_tmpfs() -> None:
    found = planned(HostConfig(binds=("/here:/x",), tmpfs={"/t": ""}), volumes=("/x", "/t", "/data/../own/", "rel"))
    assert [(point.type, point.destination) for point in found.points] == [
        ("bind", "/x"), ("volume", "/own"), ("volume", "/rel"),
    ]  # fmt: skip
    assert found.plain == {"/own", "/rel"}
    assert set(found.wanted) == {"/own", "/rel"}


# Volumes from another container.


SOURCE = container(
    MountPoint(type="volume", name="vol", source="/v/vol", destination="/a", driver="local", mode="z", copy_up=True),
    MountPoint(type="bind", source="/here", destination="/b", mode="ro", rw=False, propagation="rprivate"),
    MountPoint(type="tmpfs", destination="/t", options=("size=1m",)),
)


@pytest.mark.parametrize(("text", "rw"), [("src", True), ("src:ro", False), ("src:ro,z", False), ("src:", True)])
def test_inherited_mounts(text: str, rw: bool) -> None:  # noqa: FBT001
    found = planned(HostConfig(volumes_from=(text,)), others={"src": SOURCE})
    assert [(point.destination, point.rw, point.mode, point.copy_up) for point in found.points] == [
        ("/a", rw, "", False), ("/b", False, "", False), ("/t", rw, "", False),
    ]  # fmt: skip
    assert not found.wanted


def test_own_mounts_replace_inherited_ones() -> None:
    found = planned(HostConfig(volumes_from=("src",), binds=("/here:/a",)), others={"src": SOURCE})
    assert [(point.type, point.destination) for point in found.points] == [
        ("bind", "/a"), ("bind", "/b"), ("tmpfs", "/t"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "volumes-from specification cannot be an empty string"),
        (":ro", 'invalid name or ID supplied: ""'),
        ("src:bad", "invalid mode: bad"),
        ("src:rslave", "invalid mode: rslave"),
        ("src:nocopy", "invalid mode: nocopy"),
        ("src:ro:x", "invalid mode: ro:x"),
        ("nosuch:bad", "invalid mode: bad"),
        ("nosuch", "No such container: nosuch"),
    ],
)
def test_refused_volumes_from(text: str, message: str) -> None:
    with pytest.raises(Invalid) as error:
        planned(HostConfig(volumes_from=(text,)), others={"src": SOURCE})
    assert error.value.message == message


def test_named_volumes_are_those_the_user_named() -> None:
    host = HostConfig(
        binds=("vol:/x", "/anonymous"), mounts=(Mount(type="volume", source="other", target="/y"),
                                                Mount(type="volume", target="/z")),
    )
    assert {"vol", "other"} == named_volumes(host)
