"""What is mounted inside a container, in the order it must happen: kernel file systems, then the user's mounts
from the shallowest to the deepest, then the network files.

A mount of the user's at a default's place replaces it; one at /dev replaces everything below /dev.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landbridge.model.container import Container, MountPoint

DEFAULT_SHM_SIZE = 64 * 1024 * 1024

# Options that exclude each other: a later one drops its partners given earlier.
_EXCLUSIVE = {
    option: group
    for group in (
        {"ro", "rw"},
        {"exec", "noexec"},
        {"suid", "nosuid"},
        {"dev", "nodev"},
        {"private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"},
        {"atime", "noatime", "relatime", "norelatime", "strictatime"},
    )
    for option in group
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MountContext:
    """`init` is (host path, path in the container) or None.

    `recursive_readonly` are destinations whose source is a directory and whose read-only mount shall reach the
    mounts below (Docker 25's default); crun 1.8 refuses that for files, which have nothing below.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    shm_dir: str = ""
    init: tuple[str, str] | None = None
    recursive_readonly: frozenset[str] = frozenset()
    sys_writable: bool = False
    cgroup_writable: bool = False


def mounts(container: Container, context: MountContext) -> list[dict[str, Any]]:
    """OCI ``mounts`` of `container`."""
    host = container.host
    asked = {point.destination: _user_mount(point, context) for point in container.mounts}
    for destination, options in (host.tmpfs or {}).items():
        asked.setdefault(destination, _tmpfs(destination, tuple(filter(None, options.split(",")))))
    found = [entry for entry in _defaults(container, context) if not _replaced(entry["destination"], set(asked))]
    if context.init:
        source, destination = context.init
        found.append(_entry(destination, "bind", source, "bind", "ro"))
    found += sorted(asked.values(), key=lambda entry: _depth(entry["destination"]))
    for destination, source in context.files.items():
        if destination not in asked:
            readonly = ["ro"] if host.readonly_rootfs else []
            found.append(_entry(destination, "bind", source, "rbind", *readonly, "rprivate"))
    return found


def propagation(points: tuple[MountPoint, ...]) -> str:
    """How the root must propagate for the mounts' sake: ``shared``, ``slave`` or empty."""
    wanted = {point.propagation.removeprefix("r") for point in points}
    return "shared" if "shared" in wanted else "slave" if "slave" in wanted else ""


def merge_options(base: tuple[str, ...], extra: tuple[str, ...]) -> tuple[str, ...]:
    """`base` then `extra`; what `extra` contradicts is dropped, as is an earlier value of the same ``key=``."""
    merged = list(base)
    for option in extra:
        rivals = _EXCLUSIVE.get(option, {option})
        key = option.partition("=")[0] + "=" if "=" in option else None
        merged = [old for old in merged if old not in rivals and not (key and old.startswith(key))]
        merged.append(option)
    return tuple(merged)


def _defaults(container: Container, context: MountContext) -> list[dict[str, Any]]:
    host = container.host
    sys_mode = () if context.sys_writable else ("ro",)
    cgroup_mode = () if context.cgroup_writable else ("ro",)
    found = [
        _entry("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _entry("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _entry(
            "/dev/pts", "devpts", "devpts",
            "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
        ),
        _entry("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", *sys_mode),
        _entry("/sys/fs/cgroup", "cgroup", "cgroup", *cgroup_mode, "nosuid", "noexec", "nodev"),
        _entry("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    ]  # fmt: skip
    if context.shm_dir:
        found.append(_entry("/dev/shm", "bind", context.shm_dir, "rbind", "rprivate"))
    elif host.ipc_mode != "none":
        size = host.shm_size or DEFAULT_SHM_SIZE
        found.append(_entry("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={size}"))
    return found


def _user_mount(point: MountPoint, context: MountContext) -> dict[str, Any]:
    if point.type == "tmpfs":
        return _tmpfs(point.destination, point.options if point.rw else (*point.options, "ro"))
    options = ["bind" if "bind" in point.options else "rbind"]
    if not point.rw:
        shallow = {"bind", "ro"} & set(point.options) or point.destination not in context.recursive_readonly
        options.append("ro" if shallow else "rro")
    propagation = point.propagation or ("rprivate" if point.type == "bind" else "")
    if propagation:
        # A recursive propagation makes crun 1.8 bind recursively; without mounts below, both words mean the same.
        options.append(propagation.removeprefix("r") if options[0] == "bind" else propagation)
    return _entry(point.destination, "bind", point.source, *options)


def _tmpfs(destination: str, options: tuple[str, ...]) -> dict[str, Any]:
    base = ("noexec", "nosuid", "nodev", "rprivate")
    return _entry(destination, "tmpfs", "tmpfs", *merge_options(base, options))


def _replaced(destination: str, asked: set[str]) -> bool:
    return destination in asked or ("/dev" in asked and destination.startswith("/dev/"))


def _depth(path: str) -> int:
    return len([part for part in path.split("/") if part])


def _entry(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}
