"""A container, and what the engine found out for it, as the config.json an OCI runtime reads.

Pure: everything that must be looked up (users, devices, paths, the kernel's abilities) comes in `SpecContext`.
The result is what Docker's engine writes for the same container, checked key by key against it; parts live in
`spec_mounts`, `resources`, `capabilities` and `seccomp`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from landbridge.errors import Invalid, Unavailable
from landbridge.model.container import Container
from landbridge.model.process import DeviceNode, User
from landbridge.oci import capabilities, seccomp
from landbridge.oci.resources import device_rules, resources
from landbridge.oci.spec_mounts import MountContext, mounts, propagation

# crun 1.8 refuses 1.1 and later; nothing newer is needed.
VERSION = "1.0.2"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_IN_CONTAINER = "/sbin/docker-init"

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

# Docker: a container with a network stack of its own may open low ports and send pings without capabilities.
_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecContext:
    """What the engine resolved for one container.

    `rootfs` is the mounted root on the host. `netns` is the path of a network namespace, empty for the host's.
    `pid_ns`, `ipc_ns`, `uts_ns`: empty for a new one, ``host``, or a path to join. `files` maps a path in the
    container (/etc/hosts, …) to the host file bound there. `shm_dir` is a host directory to bind as /dev/shm
    (shareable or joined IPC); empty makes a private tmpfs. `devices` are the nodes of ``--device``, or all of
    the host's for a privileged container. `directories` are the destinations of mounts whose source is a directory:
    with `recursive_readonly` (the kernel knows mount_setattr) a read-only one covers the mounts below it.
    `device_numbers` maps block device paths named in limits to (major, minor). `capabilities` is all this daemon
    can give. `init_binary` is the init to run first (``--init``, or the daemon's default), or empty.
    """

    rootfs: str
    cgroup: str
    hostname: str = ""
    netns: str = ""
    pid_ns: str = ""
    ipc_ns: str = ""
    uts_ns: str = ""
    user: User = field(default_factory=User)
    files: Mapping[str, str] = field(default_factory=dict)
    shm_dir: str = ""
    devices: tuple[DeviceNode, ...] = ()
    device_numbers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    capabilities: tuple[str, ...] = capabilities.ALL
    machine: seccomp.Machine = field(default_factory=seccomp.Machine)
    seccomp_supported: bool = True
    cgroup_version: int = 2
    recursive_readonly: bool = True
    directories: frozenset[str] = frozenset()
    init_binary: str = ""
    extra_env: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """``--security-opt`` understood. `seccomp`: empty for the default, ``unconfined`` or a profile's JSON text."""

    no_new_privileges: bool = False
    seccomp: str = ""
    writable_cgroups: bool = False


def build(container: Container, context: SpecContext) -> dict[str, Any]:
    """The whole config.json of `container`.

    Raises: Invalid for options that make no sense (unknown capability, security option, device rule),
    Unavailable for ``--init`` without an init.
    """
    host = container.host
    caps = capabilities.select(
        host.cap_add, host.cap_drop, available=context.capabilities, privileged=host.privileged
    )
    security = parse_security(host.security_opt)
    spec: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(container, context, caps, security),
        "root": {"path": context.rootfs, **({"readonly": True} if host.readonly_rootfs else {})},
        "mounts": mounts(container, _mount_context(container, context, security)),
        "linux": _linux(container, context),
    }
    if context.uts_ns != "host" and context.hostname:
        spec["hostname"] = context.hostname
    filters = _seccomp(security, caps, context, privileged=host.privileged)
    if filters is not None:
        spec["linux"]["seccomp"] = filters
    annotations = {**context.annotations, **(host.annotations or {})}
    if annotations:
        spec["annotations"] = annotations
    return spec


def exec_process(
    container: Container,
    context: SpecContext,
    *,
    args: tuple[str, ...],
    env: tuple[str, ...] = (),
    working_dir: str = "",
    tty: bool = False,
    privileged: bool = False,
    rows: int = 0,
    columns: int = 0,
) -> dict[str, Any]:
    """OCI process object of a further process in a running `container`, as ``exec`` makes it.

    It inherits the container's environment, limits and capabilities; `privileged` gives it all of
    ``context.capabilities``. `context.user` is whose it is; of the rest of `context` only hostname matters.

    Raises: Invalid as `build` does.
    """
    host = container.host
    caps = capabilities.select(
        host.cap_add, host.cap_drop, available=context.capabilities, privileged=host.privileged or privileged
    )
    # The container's init is there already, whether or not it came with --init.
    base = replace(container, config=replace(container.config, tty=tty), host=replace(host, init=False))
    process = _process(base, context, caps, parse_security(host.security_opt))
    process["args"] = list(args)
    process["env"] = merge_env(process["env"], env)
    process["cwd"] = working_dir or container.config.working_dir or "/"
    process.pop("consoleSize", None)
    if tty and rows and columns:
        process["consoleSize"] = {"height": rows, "width": columns}
    return process


def environment(container: Container, *, hostname: str, extra: tuple[str, ...] = ()) -> list[str]:
    """The process's environment: PATH, HOSTNAME, TERM with a terminal, `extra`, then the container's own.

    A later ``NAME=value`` replaces an earlier one in its place; a bare ``NAME`` removes it (Docker's rule).
    """
    defaults = [DEFAULT_PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if container.config.tty else []), *extra]
    return merge_env(defaults, container.config.env or ())


def merge_env(base: list[str], changes: tuple[str, ...]) -> list[str]:
    """`base` with `changes` applied in order, positions kept."""
    merged = {entry.partition("=")[0]: entry for entry in base}
    for entry in changes:
        name, equals, _ = entry.partition("=")
        if equals:
            merged[name] = entry
        else:
            merged.pop(name, None)
    return list(merged.values())


def parse_security(options: tuple[str, ...] | None) -> Security:
    """``--security-opt`` values, with ``=`` or the older ``:``. Raises: Invalid for one nobody knows.

    AppArmor and SELinux options are accepted: ``unconfined`` and ``label`` name what landbridge always does.
    """
    found: dict[str, Any] = {}
    for option in options or ():
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        match key:
            case "no-new-privileges":
                found["no_new_privileges"] = _truth(value or "true", option)
            case "writable-cgroups":
                found["writable_cgroups"] = _truth(value or "true", option)
            case "seccomp":
                found["seccomp"] = "" if value == "builtin" else value
            case "apparmor" | "label" | "systempaths" | "disable":
                continue
            case _:
                raise Invalid(f'invalid --security-opt 2: "{option}"')
    return Security(**found)


def process_user(user: User) -> dict[str, Any]:
    """OCI ``process.user``: the primary group heads the supplementary ones, as Docker has it."""
    return {
        "uid": user.uid,
        "gid": user.gid,
        "additionalGids": list(dict.fromkeys((user.gid, *user.groups))),
    }


def capability_sets(caps: tuple[str, ...]) -> dict[str, list[str]]:
    """Docker's three sets; inheritable and ambient stay empty (CVE-2022-24769)."""
    return {"bounding": list(caps), "effective": list(caps), "permitted": list(caps)}


def _truth(text: str, option: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise Invalid(f'invalid --security-opt 2: "{option}"')


def _process(
    container: Container, context: SpecContext, caps: tuple[str, ...], security: Security
) -> dict[str, Any]:
    config, host = container.config, container.host
    args = [container.path, *container.args]
    if _has_init(container, context):
        args = [INIT_IN_CONTAINER, "--", *args]
    env = environment(container, hostname=context.hostname, extra=context.extra_env)
    if context.user.home and not any(entry.startswith("HOME=") for entry in env):
        env.append(f"HOME={context.user.home}")
    process: dict[str, Any] = {
        "user": process_user(context.user),
        "args": args,
        "env": env,
        "cwd": config.working_dir or "/",
        "capabilities": capability_sets(caps),
        "oomScoreAdj": host.oom_score_adj,
    }
    if config.tty:
        process["terminal"] = True
        if host.console_size and all(host.console_size):
            process["consoleSize"] = {"height": host.console_size[0], "width": host.console_size[1]}
    if security.no_new_privileges:
        process["noNewPrivileges"] = True
    if host.ulimits:
        process["rlimits"] = [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard} for limit in host.ulimits
        ]
    return process


def _has_init(container: Container, context: SpecContext) -> bool:
    """Docker gives an init only to a container with a PID namespace of its own. Raises: Unavailable."""
    if context.pid_ns:
        return False
    if container.host.init and not context.init_binary:
        raise Unavailable("no init program for --init on this host: install tini or catatonit")
    return bool(context.init_binary)


def _mount_context(container: Container, context: SpecContext, security: Security) -> MountContext:
    host = container.host
    return MountContext(
        files=context.files,
        shm_dir=context.shm_dir or ("/dev/shm" if context.ipc_ns == "host" else ""),
        init=(context.init_binary, INIT_IN_CONTAINER) if _has_init(container, context) else None,
        recursive_readonly=context.directories if context.recursive_readonly else frozenset(),
        sys_writable=host.privileged,
        cgroup_writable=host.privileged or security.writable_cgroups,
    )


def _linux(container: Container, context: SpecContext) -> dict[str, Any]:
    host = container.host
    limits = resources(host, cgroup_version=context.cgroup_version, device_numbers=context.device_numbers)
    limits["devices"] = device_rules(host, context.devices)
    linux: dict[str, Any] = {
        "sysctl": _sysctls(container, context),
        "resources": limits,
        "cgroupsPath": context.cgroup,
        "namespaces": _namespaces(container, context),
    }
    for key, chosen, default in (
        ("maskedPaths", host.masked_paths, MASKED_PATHS),
        ("readonlyPaths", host.readonly_paths, READONLY_PATHS),
    ):
        paths = chosen if chosen is not None else () if host.privileged else default
        if paths and not host.privileged:
            linux[key] = list(paths)
    if context.devices:
        linux["devices"] = [_device(node) for node in context.devices]
    shared = propagation(container.mounts)
    if shared:
        linux["rootfsPropagation"] = shared
    return linux


def _device(node: DeviceNode) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.type,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def _namespaces(container: Container, context: SpecContext) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [{"type": "mount"}]
    if context.netns:
        found.append({"type": "network", "path": context.netns})
    for kind, where in (("uts", context.uts_ns), ("pid", context.pid_ns), ("ipc", context.ipc_ns)):
        if where != "host":
            found.append({"type": kind, "path": where} if where else {"type": kind})
    # Docker's daemon default: private where only cgroup v2 exists, the host's otherwise.
    mode = container.host.cgroupns_mode or ("private" if context.cgroup_version == 2 else "host")
    if mode == "private" and not (container.host.privileged and not container.host.cgroupns_mode):
        found.append({"type": "cgroup"})
    return found


def _sysctls(container: Container, context: SpecContext) -> dict[str, str]:
    found = {}
    if container.config.domainname and context.uts_ns != "host":
        found["kernel.domainname"] = container.config.domainname
    if context.netns and not container.joins:
        found |= _NETWORK_SYSCTLS
    return found | dict(container.host.sysctls or {})


def _seccomp(
    security: Security, caps: tuple[str, ...], context: SpecContext, *, privileged: bool
) -> dict[str, Any] | None:
    if not context.seccomp_supported or security.seccomp == "unconfined":
        return None
    if security.seccomp:
        return seccomp.from_profile(security.seccomp, caps, context.machine)
    return None if privileged else seccomp.default(caps, context.machine)
