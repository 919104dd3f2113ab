"""Requests of clients of earlier API versions: defaults of their time, fields they did not have."""

from dataclasses import replace

import pytest

from landbridge.api.elders import as_meant, limits_as_meant
from landbridge.engine.containers import Request
from landbridge.errors import Invalid
from landbridge.model.config import (
    BindOptions,
    Config,
    EndpointConfig,
    Healthcheck,
    HostConfig,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)

NOW = (1, 51)


def request(*mounts: Mount, **fields: object) -> Request:
    host = HostConfig(mounts=mounts or None, **fields)  # type: ignore[arg-type]
    return Request(config=Config(image="busybox"), host=host)


def test_today_everything_is_as_it_was_said() -> None:
    bind = Mount(type="bind", source="/a", target="/b", bind_options=BindOptions(non_recursive=True))
    wanted = request(bind, annotations={"a": "b"})
    assert as_meant(wanted, NOW) == wanted


def test_memory_is_shareable_by_default_up_to_1_39() -> None:
    assert as_meant(request(), (1, 39)).host.ipc_mode == "shareable"
    assert as_meant(request(ipc_mode="none"), (1, 39)).host.ipc_mode == "none"
    assert as_meant(request(), (1, 40)).host.ipc_mode == ""


def test_readonly_was_shallow_up_to_1_43() -> None:
    assert as_meant(request(), (1, 43)).shallow_readonly
    assert not as_meant(request(), (1, 44)).shallow_readonly


def test_one_network_only_up_to_1_43() -> None:
    wanted = replace(request(), endpoints=(EndpointConfig(network="one"), EndpointConfig(network="two")))
    assert as_meant(wanted, (1, 44)).endpoints == wanted.endpoints
    with pytest.raises(Invalid, match=r"^Container cannot be created with multiple network endpoints: one, two$"):
        as_meant(wanted, (1, 43))


def test_what_would_be_ignored_to_ones_harm_is_refused() -> None:
    forced = Mount(type="bind", source="/a", target="/b", bind_options=BindOptions(read_only_force_recursive=True))
    with pytest.raises(Invalid, match=r"ReadOnlyForceRecursive needs API v1\.44 or newer"):
        as_meant(request(forced), (1, 43))
    part = Mount(type="volume", source="v", target="/b", volume_options=VolumeOptions(subpath="sub"))
    with pytest.raises(Invalid, match=r"VolumeOptions\.Subpath needs API v1\.45 or newer"):
        as_meant(request(part), (1, 44))


def test_fields_that_came_later_are_ignored() -> None:
    options = BindOptions(non_recursive=True, create_mountpoint=True)
    mount = Mount(type="bind", source="/a", target="/b", bind_options=options, volume_options=VolumeOptions(),
                  tmpfs_options=TmpfsOptions(size_bytes=1))  # fmt: skip
    wanted = replace(
        request(mount, annotations={"a": "b"}), config=Config(image="i", healthcheck=Healthcheck(start_interval=5))
    )
    meant = as_meant(wanted, (1, 39))
    assert meant.host.annotations is None
    assert meant.config.healthcheck == Healthcheck(start_interval=0)
    assert meant.host.mounts == (Mount(type="bind", source="/a", target="/b", bind_options=BindOptions()),)


def test_an_old_client_knows_no_limit_of_processes() -> None:
    limits = HostConfig(pids_limit=5, memory=7)
    assert limits_as_meant(limits, (1, 39)) == HostConfig(memory=7)
    assert limits_as_meant(limits, (1, 40)) == limits
