"""From what the user asked (binds, mounts, volumes, volumes-from, tmpfs) to the mounts a container will have.

Pure: nothing is made here; `Volumes.realise` makes the volumes and fills in their paths. Docker's order of
precedence: volumes-from, then binds, then mounts, then the image's and user's volumes; a later kind replaces
an earlier one at the same place, but binds and mounts may not meet each other. Texts are Docker's.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from landbridge.errors import Invalid, LandbridgeError, NotFound
from landbridge.model.config import BindOptions, Config, HostConfig, Mount, VolumeOptions
from landbridge.model.container import Container, MountPoint
from landbridge.model.volume import VolumeRequest

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")

# Each mode word belongs to one of these; a mode may have one word of each (Docker: anything else is invalid).
_MODE_KINDS: Mapping[str, str] = {
    "ro": "access", "rw": "access", "z": "label", "Z": "label", "nocopy": "copy",
    "consistent": "consistency", "cached": "consistency", "delegated": "consistency",
    **dict.fromkeys(PROPAGATIONS, "propagation"),
}  # fmt: skip

_TMPFS_FLAGS = frozenset(
    "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime noatime"
    " diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave rslave"
    " relatime norelatime strictatime nostrictatime".split()
)
_TMPFS_KEYS = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"))

FindContainer = Callable[[str], Container]


class Lookups(Protocol):
    """What planning must know of the host."""

    def source_exists(self, path: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPlan:
    """`points` from the shallowest to the deepest; `wanted` the volume of a point, by its destination.

    A point with a wanted volume has no source yet. `plain` are the destinations that came from ``Volumes``
    (they keep an empty mode where Docker shows ``z`` for the others).
    """

    points: tuple[MountPoint, ...] = ()
    wanted: Mapping[str, VolumeRequest] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()


def plan(config: Config, host: HostConfig, lookups: Lookups, find: FindContainer) -> MountPlan:
    """The mounts of a container with `config` (the image's volumes merged in) and `host`.

    Raises: Invalid, with Docker's sentence, for anything malformed, duplicate or missing.
    """
    points: dict[str, MountPoint] = {}
    wanted: dict[str, VolumeRequest] = {}
    for text in host.volumes_from or ():
        points |= {point.destination: point for point in _inherited(text, find)}
    taken: set[str] = set()
    for text in host.binds or ():
        point, request = _parse_bind(text, host.volume_driver)
        if point.destination in taken or point.destination in (host.tmpfs or {}):
            raise Invalid(f"Duplicate mount point: {point.destination}")
        taken.add(point.destination)
        _place(points, wanted, point, request)
    for mount in host.mounts or ():
        point, request = _parse_mount(mount, lookups)
        if point.destination in taken:
            raise Invalid(f"Duplicate mount point: {mount.target}")
        taken.add(point.destination)
        _place(points, wanted, point, request)
    for destination, options in (host.tmpfs or {}).items():
        _check_target(destination)
        check_tmpfs_options(options.split(",") if options else ())
    plain = set()
    for text in config.volumes or {}:
        destination = _clean(text)
        if destination == "/":
            raise Invalid("invalid specification: destination can't be '/'")
        if destination not in points and destination not in (host.tmpfs or {}):
            plain.add(destination)
            point = MountPoint(type="volume", destination=destination, copy_up=True)
            _place(points, wanted, point, VolumeRequest(driver=host.volume_driver))
    ordered = sorted(points.values(), key=lambda point: point.destination.count("/"))
    return MountPlan(points=tuple(ordered), wanted=wanted, plain=frozenset(plain))


def shallow(planned: MountPlan) -> MountPlan:
    """`planned` with read-only binds that leave the mounts below them writable."""
    points = (
        replace(point, options=(*point.options, "ro"))
        if point.type == "bind" and not point.rw and "ro" not in point.options else point
        for point in planned.points
    )  # fmt: skip
    return replace(planned, points=tuple(points))


def check_tmpfs_options(options: tuple[str, ...] | list[str]) -> None:
    """Raises: Invalid for an option Docker does not let through to tmpfs."""
    for option in options:
        key, equals, _ = option.partition("=")
        if option not in _TMPFS_FLAGS and not (equals and (key in _TMPFS_KEYS or not key)):
            raise Invalid(f'invalid tmpfs option "{key}"')


def named_volumes(host: HostConfig) -> frozenset[str]:
    """Volumes the user asked for by name; the others a container has are its own."""
    binds = {text.split(":")[0] for text in host.binds or () if ":" in text}
    return frozenset(binds | {mount.source for mount in host.mounts or () if mount.type == "volume" and mount.source})


def _clean(path: str) -> str:
    """Absolute and without ``.``, ``..`` and doubled slashes (two leading ones mean nothing on Linux)."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _place(
    points: dict[str, MountPoint], wanted: dict[str, VolumeRequest], point: MountPoint, request: VolumeRequest | None
) -> None:
    points[point.destination] = point
    if request is not None:
        wanted[point.destination] = request


# Volumes from another container.


def _inherited(text: str, find: FindContainer) -> tuple[MountPoint, ...]:
    if not text:
        raise Invalid("volumes-from specification cannot be an empty string")
    name, colon, mode = text.partition(":")
    kinds = _mode_kinds(mode)
    if kinds is None or {"propagation", "copy"} & set(kinds):
        raise Invalid(f"invalid mode: {mode}")
    if not name:
        raise Invalid('invalid name or ID supplied: ""')
    try:
        source = find(name)
    except NotFound as error:
        # A wrong part of the request, not the thing the request is about.
        raise Invalid(error.message) from error
    writable = not (colon and "ro" in kinds.values())
    return tuple(
        replace(point, rw=point.rw and writable, mode="", copy_up=False) for point in source.mounts
    )


# Binds.


def _mode_kinds(mode: str) -> dict[str, str] | None:
    """Words of a mode by kind; None when it is no valid mode. The empty mode is valid."""
    kinds: dict[str, str] = {}
    for word in mode.split(",") if mode else ():
        kind = _MODE_KINDS.get(word)
        if kind is None or kind in kinds:
            return None
        kinds[kind] = word
    return kinds


def _parse_bind(text: str, driver: str) -> tuple[MountPoint, VolumeRequest | None]:
    """``[source:]destination[:mode]``. Raises: Invalid."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0] or (len(parts) == 2 and _mode_kinds(parts[1]) is not None):
        raise Invalid(f"invalid volume specification: '{text}'")
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    mode = parts[2] if len(parts) == 3 else ""
    kinds = _mode_kinds(mode)
    if kinds is None:
        raise Invalid(f"invalid mode: {mode}")
    bound = source.startswith("/")
    wants_volume = "copy" in kinds or (driver != "" and not bound)
    mount = Mount(
        type="bind" if bound else "volume", source=source, target=target, read_only=kinds.get("access") == "ro",
        bind_options=BindOptions(propagation=kinds["propagation"]) if "propagation" in kinds else None,
        volume_options=VolumeOptions(no_copy="copy" in kinds) if wants_volume else None,
    )
    try:
        _check(mount)
    except Invalid as error:
        raise Invalid(f"invalid volume specification: '{text}': {error.message}") from error
    point, request = _point(mount)
    if request is not None:
        request = replace(request, driver=driver)
    return replace(point, mode=mode, create_source=bound), request


# Mounts.


def _parse_mount(mount: Mount, lookups: Lookups) -> tuple[MountPoint, VolumeRequest | None]:
    foreign = {
        "bind": (("VolumeOptions", mount.volume_options), ("TmpfsOptions", mount.tmpfs_options)),
        "volume": (("BindOptions", mount.bind_options), ("TmpfsOptions", mount.tmpfs_options)),
        "tmpfs": (("BindOptions", mount.bind_options), ("VolumeOptions", mount.volume_options)),
    }
    for name, value in foreign.get(mount.type, ()):
        if value is not None:
            raise Invalid(f'{name} must not be specified on mount type "{mount.type}"')
    _check(mount)
    create = mount.bind_options is not None and mount.bind_options.create_mountpoint
    if mount.type == "bind" and not create and not lookups.source_exists(mount.source):
        raise _wrong(mount.type, f"bind source path does not exist: {mount.source}")
    point, request = _point(mount)
    return replace(point, create_source=create), request


def _wrong(kind: str, reason: str) -> Invalid:
    return Invalid(f'invalid mount config for type "{kind}": {reason}')


def _check_target(target: str) -> None:
    if target.startswith("/") and _clean(target.replace("\\", "/")) == "/":
        raise Invalid("invalid specification: destination can't be '/'")
    if not target.startswith("/"):
        raise Invalid(f"invalid mount path: '{target}' mount path must be absolute")


def _check(mount: Mount) -> None:
    """What one mount must satisfy whatever way it was written. Raises: Invalid."""
    checks = {"bind": _check_bind, "volume": _check_volume, "tmpfs": _check_tmpfs}
    try:
        if not mount.target:
            raise Invalid("field Target must not be empty")
        if mount.type not in checks:
            raise Invalid("mount type unknown")
        _check_target(mount.target)
        checks[mount.type](mount)
    except LandbridgeError as error:
        raise _wrong(mount.type, error.message) from error


def _check_bind(mount: Mount) -> None:
    if not mount.source:
        raise Invalid("field Source must not be empty")
    options = mount.bind_options
    if options is not None and options.propagation and options.propagation not in PROPAGATIONS:
        raise Invalid(f"invalid propagation mode: {options.propagation}")
    if options is not None and options.read_only_non_recursive and options.read_only_force_recursive:
        raise Invalid("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
    if mount.volume_options is not None:
        raise Invalid("field VolumeOptions must not be specified")
    if not mount.source.startswith("/"):
        raise Invalid(f"invalid mount path: '{mount.source}' mount path must be absolute")


def _check_volume(mount: Mount) -> None:
    if mount.bind_options is not None:
        raise Invalid("field BindOptions must not be specified")
    subpath = mount.volume_options.subpath if mount.volume_options is not None else ""
    if subpath and not mount.source:
        raise Invalid("must not set Subpath when using anonymous volumes")
    if subpath.startswith("/") or posixpath.normpath(subpath or ".").split("/")[0] == "..":
        raise Invalid("subpath must be a relative path within the volume")
    if mount.read_only and not mount.source:
        raise Invalid("must not set ReadOnly mode when using anonymous volumes")


def _check_tmpfs(mount: Mount) -> None:
    if mount.source:
        raise Invalid("field Source must not be specified")
    check_tmpfs_options(_tmpfs_options(mount))


def _tmpfs_options(mount: Mount) -> tuple[str, ...]:
    options = mount.tmpfs_options
    if options is None:
        return ()
    found = [f"mode={options.mode:o}"] if options.mode else []
    found += [f"size={options.size_bytes}"] if options.size_bytes else []
    return (*found, *("=".join(pair) for pair in options.options or ()))


def _point(mount: Mount) -> tuple[MountPoint, VolumeRequest | None]:
    """The mount point of a checked mount, and the volume it needs."""
    destination = _clean(mount.target)
    point = MountPoint(type=mount.type, destination=destination, rw=not mount.read_only)
    if mount.type == "tmpfs":
        return replace(point, options=_tmpfs_options(mount)), None
    if mount.type == "bind":
        options = mount.bind_options or BindOptions()
        words = (("bind", options.non_recursive), ("ro", options.read_only_non_recursive))
        return replace(
            point, source=_clean(mount.source), propagation=options.propagation or "rprivate",
            options=tuple(word for word, given in words if given),
        ), None
    volume = mount.volume_options or VolumeOptions()
    config = volume.driver_config
    request = VolumeRequest(
        name=mount.source, driver=config.name if config else "", options=(config.options if config else None) or None,
        labels=volume.labels or None,
    )
    return replace(point, copy_up=not volume.no_copy, subpath=volume.subpath), request
