"""What clients of earlier API versions mean: the defaults of their time, and fields they could not know.

A field that came with a version is ignored below it or refused, as Docker does each; a default that changed keeps
its old value. Pure; only requests are looked at here, answers are the views'.
"""

from dataclasses import replace

from landbridge.engine.containers import Request
from landbridge.errors import Invalid
from landbridge.model.config import HostConfig, Mount

Version = tuple[int, ...]


def as_meant(wanted: Request, version: Version) -> Request:
    """``POST /containers/create`` of a client that speaks `version`. Raises: Invalid, in Docker's words."""
    host, config = wanted.host, wanted.config
    _check(wanted, version)
    if version < (1, 40):
        host = replace(host, ipc_mode=host.ipc_mode or "shareable")
    if version < (1, 43):
        host = replace(host, annotations=None)
    if version < (1, 44):
        if config.healthcheck is not None:
            config = replace(config, healthcheck=replace(config.healthcheck, start_interval=0))
        wanted = replace(wanted, shallow_readonly=True)
    mounts = tuple(_mount(mount, version) for mount in host.mounts) if host.mounts is not None else None
    return replace(wanted, host=replace(host, mounts=mounts), config=config)


def limits_as_meant(wanted: HostConfig, version: Version) -> HostConfig:
    """``POST /containers/{name}/update`` of a client that speaks `version`."""
    return replace(wanted, pids_limit=None) if version < (1, 40) else wanted


def _check(wanted: Request, version: Version) -> None:
    mounts = wanted.host.mounts or ()
    if version < (1, 44):
        if any(mount.bind_options is not None and mount.bind_options.read_only_force_recursive for mount in mounts):
            raise Invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        if len(wanted.endpoints) > 1:
            names = ", ".join(one.network for one in wanted.endpoints)
            raise Invalid(f"Container cannot be created with multiple network endpoints: {names}")
    if version < (1, 45) and any(mount.volume_options and mount.volume_options.subpath for mount in mounts):
        raise Invalid("VolumeOptions.Subpath needs API v1.45 or newer")


def _mount(mount: Mount, version: Version) -> Mount:
    bind = mount.bind_options
    if bind is not None and version < (1, 40):
        bind = replace(bind, non_recursive=False)
    if bind is not None and version < (1, 42):
        bind = replace(bind, create_mountpoint=False)
    mount = replace(mount, bind_options=bind)
    if version < (1, 42):  # these combinations became errors then
        mount = replace(
            mount,
            volume_options=mount.volume_options if mount.type == "volume" else None,
            tmpfs_options=mount.tmpfs_options if mount.type == "tmpfs" else None,
        )
    return mount
