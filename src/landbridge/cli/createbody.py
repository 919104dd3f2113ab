"""Flags of `run` and `create` to the body of POST /containers/create, field by field what Docker's client sends."""

from __future__ import annotations

from landbridge.cli.attachments import check_network, mac_ok, networking
from landbridge.cli.mountspec import binds_and_volumes, check_mount
from landbridge.cli.outcome import CommandError
from landbridge.cli.publish import exposed_ports, port_bindings
from landbridge.cli.quantities import swap_size
from landbridge.cli.values import (
    check_attach,
    check_cgroup_rule,
    check_device_bytes,
    check_device_count,
    check_device_weight,
    check_dns,
    check_dns_search,
    check_extra_host,
    check_gpus,
    check_label,
    check_link,
    check_sysctl,
    check_ulimit,
    env_check,
    pairs,
    read_env_file,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from landbridge.cli.flags import Parsed

# systempaths=unconfined asks for these two lists to be empty instead of the daemon's default.
SYSTEM_PATHS = "systempaths=unconfined"


def checks(env: Mapping[str, str]) -> dict[str, Any]:
    """The checks by flag name."""
    return {
        "add-host": check_extra_host, "attach": check_attach, "blkio-weight-device": check_device_weight,
        "device-cgroup-rule": check_cgroup_rule, "device-read-bps": check_device_bytes,
        "device-read-iops": check_device_count, "device-write-bps": check_device_bytes,
        "device-write-iops": check_device_count, "dns": check_dns, "dns-search": check_dns_search,
        "env": env_check(env), "gpus": check_gpus, "label": check_label, "link": check_link, "memory-swap": swap_size,
        "mount": check_mount, "network": check_network, "sysctl": check_sysctl, "ulimit": check_ulimit,
    }  # fmt: skip


def restart_policy(text: str) -> dict[str, Any]:
    """`on-failure:3` to a RestartPolicy. Raises: CommandError."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise CommandError("invalid restart policy format: no policy provided before colon")
    if count and not count.lstrip("-").isdigit():
        raise CommandError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or "0")}


def device(text: str) -> dict[str, str]:
    """`/dev/a[:/dev/b][:rwm]`. Raises: CommandError."""
    parts = text.split(":")
    if not parts[0].startswith("/"):
        raise CommandError(f"{text} is not an absolute path")

    def is_mode(mode: str) -> bool:
        return bool(mode) and not mode.strip("rwm") and len(set(mode)) == len(mode)

    source, target, mode = parts[0], parts[0], "rwm"
    if len(parts) == 2:
        if is_mode(parts[1]):
            mode = parts[1]
        else:
            target = parts[1]
    elif len(parts) == 3:
        target, mode = parts[1], parts[2]
    if len(parts) > 3:
        raise CommandError(f"bad format for path: {text}")
    if not target.startswith("/"):
        raise CommandError(f"{target} is not an absolute path")
    if not is_mode(mode):
        raise CommandError(f"bad mode specified: {mode}")
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode}


def health(flags: Parsed) -> dict[str, Any] | None:
    """The Healthcheck object, None when no flag asks for one. Raises: CommandError."""
    fields = {
        "health-interval": "Interval", "health-timeout": "Timeout", "health-start-period": "StartPeriod",
        "health-start-interval": "StartInterval", "health-retries": "Retries",
    }  # fmt: skip
    given = flags["health-cmd"] or any(flags[name] for name in fields)
    if flags["no-healthcheck"]:
        if given:
            raise CommandError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not given:
        return None
    for name in fields:
        if flags[name] < 0:
            raise CommandError(f"--{name} cannot be negative")
    check: dict[str, Any] = {"Test": ["CMD-SHELL", flags["health-cmd"]]} if flags["health-cmd"] else {}
    return check | {field: flags[name] for name, field in fields.items() if flags[name]}


def security_options(options: list[str]) -> tuple[list[str], bool]:
    """Options for the daemon (a seccomp file replaced by its content), and whether system paths are to be open.

    Raises: CommandError.
    """
    found = []
    unconfined = False
    for option in options:
        if option == SYSTEM_PATHS:
            unconfined = True
            continue
        name, equals, value = option.partition("=")
        if not equals:
            name, equals, value = option.partition(":")
        if not equals and name != "no-new-privileges":
            raise CommandError(f'Invalid --security-opt: "{option}"')
        if name == "seccomp" and value not in ("unconfined", "builtin"):
            from landbridge.cli.seccomp import compact_profile  # only for a profile in a file

            option = f"seccomp={compact_profile(value)}"
        found.append(option)
    return found, unconfined


def capabilities(names: list[str]) -> list[str] | None:
    """`net_admin` to `CAP_NET_ADMIN`; each once, sorted; ALL stays as it is."""
    upper = {name.upper().strip() for name in names}
    return sorted(name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper) or None


def _check_modes(flags: Parsed) -> None:
    memory_swappiness = flags["memory-swappiness"]
    if memory_swappiness != -1 and not 0 <= memory_swappiness <= 100:
        raise CommandError(f"invalid value: {memory_swappiness}. Valid memory swappiness range is 0-100")
    if flags["mac-address"] and not mac_ok(flags["mac-address"]):
        raise CommandError(f"{flags['mac-address']} is not a valid mac address")
    joined = flags["pid"].removeprefix("container:")
    if flags["pid"] not in ("", "host") and (joined == flags["pid"] or not joined):
        raise CommandError("--pid: invalid PID mode")
    for name, word in (("uts", "UTS"), ("userns", "USER"), ("cgroupns", "CGROUP")):
        allowed = ("", "host", "private") if name == "cgroupns" else ("", "host")
        if flags[name] not in allowed:
            raise CommandError(f"--{name}: invalid {word} mode")
    if flags["log-driver"] == "none" and flags["log-opt"]:
        raise CommandError("invalid logging opts for driver none")
    if any("=" not in option for option in flags["storage-opt"]):
        raise CommandError("invalid storage option")


def config(flags: Parsed, env: Mapping[str, str], image: str, command: list[str]) -> dict[str, Any]:
    """The Config part. Raises: CommandError."""
    detached = bool(flags.values.get("detach"))  # `create` has no such flag
    attach = flags["attach"]
    interactive = flags["interactive"]
    try:
        from_files = [line for path in flags["env-file"] for line in read_env_file(path, "env", env)]
        labels = [line for path in flags["label-file"] for line in read_env_file(path, "label", None)]
    except ValueError as error:
        raise CommandError(str(error)) from None
    attach_in = not detached and ("stdin" in attach or interactive)
    body: dict[str, Any] = {
        "Hostname": flags["hostname"], "Domainname": flags["domainname"], "User": flags["user"],
        "AttachStdin": attach_in,
        "AttachStdout": not detached and (not attach or "stdout" in attach),
        "AttachStderr": not detached and (not attach or "stderr" in attach),
        "Tty": flags["tty"], "OpenStdin": interactive, "StdinOnce": attach_in and interactive,
        "Env": from_files + flags["env"] or None, "Cmd": command or None, "Image": image, "Volumes": {},
        "WorkingDir": flags["workdir"], "Entrypoint": None, "OnBuild": None, "Labels": pairs(labels + flags["label"]),
    }  # fmt: skip
    if "entrypoint" in flags.given:
        body["Entrypoint"] = [flags["entrypoint"]]
    check = health(flags)
    if check is not None:
        body["Healthcheck"] = check
    if flags["stop-signal"]:
        body["StopSignal"] = flags["stop-signal"]
    if "stop-timeout" in flags.given:
        body["StopTimeout"] = flags["stop-timeout"]
    return body


def _devices(flags: Parsed) -> tuple[list[dict[str, str]], list[dict[str, Any]] | None]:
    """Devices, and requests for devices named the CDI way (`vendor.com/class=name`)."""
    plain, named = [], []
    for text in flags["device"]:
        vendor, slash, rest = text.partition("/")
        if vendor and slash and "=" in rest:
            named.append(text)
        else:
            plain.append(device(text))
    requests: list[dict[str, Any]] = list(flags["gpus"])
    if named:
        requests.append({"Driver": "cdi", "Count": 0, "DeviceIDs": named, "Capabilities": None, "Options": None})
    return plain, requests or None


def _limits(flags: Parsed) -> dict[str, Any]:
    devices, requests = _devices(flags)
    return {
        "CpuShares": flags["cpu-shares"], "Memory": flags["memory"], "NanoCpus": flags["cpus"],
        "CgroupParent": flags["cgroup-parent"], "BlkioWeight": flags["blkio-weight"],
        "BlkioWeightDevice": flags["blkio-weight-device"], "BlkioDeviceReadBps": flags["device-read-bps"],
        "BlkioDeviceWriteBps": flags["device-write-bps"], "BlkioDeviceReadIOps": flags["device-read-iops"],
        "BlkioDeviceWriteIOps": flags["device-write-iops"], "CpuPeriod": flags["cpu-period"],
        "CpuQuota": flags["cpu-quota"], "CpuRealtimePeriod": flags["cpu-rt-period"],
        "CpuRealtimeRuntime": flags["cpu-rt-runtime"], "CpusetCpus": flags["cpuset-cpus"],
        "CpusetMems": flags["cpuset-mems"], "Devices": devices,
        "DeviceCgroupRules": flags["device-cgroup-rule"] or None, "DeviceRequests": requests,
        "MemoryReservation": flags["memory-reservation"], "MemorySwap": flags["memory-swap"],
        "MemorySwappiness": flags["memory-swappiness"], "OomKillDisable": flags["oom-kill-disable"],
        "PidsLimit": flags["pids-limit"], "Ulimits": flags["ulimit"], "CpuCount": 0, "CpuPercent": 0,
        "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
    }  # fmt: skip


def host_config(flags: Parsed, mode: str) -> dict[str, Any]:
    """The HostConfig part. Raises: CommandError."""
    _check_modes(flags)
    binds, _ = binds_and_volumes(flags["volume"])
    security, unconfined = security_options(flags["security-opt"])
    closed: list[str] | None = [] if unconfined else None
    body: dict[str, Any] = {
        "Binds": binds or None, "ContainerIDFile": flags["cidfile"],
        "LogConfig": {"Type": flags["log-driver"], "Config": pairs(flags["log-opt"])}, "NetworkMode": mode,
        "PortBindings": port_bindings(flags["publish"]), "RestartPolicy": restart_policy(flags["restart"]),
        "AutoRemove": flags["rm"], "VolumeDriver": flags["volume-driver"], "VolumesFrom": flags["volumes-from"] or None,
        "ConsoleSize": [0, 0], "CapAdd": capabilities(flags["cap-add"]), "CapDrop": capabilities(flags["cap-drop"]),
        "CgroupnsMode": flags["cgroupns"], "Dns": flags["dns"], "DnsOptions": flags["dns-option"],
        "DnsSearch": flags["dns-search"], "ExtraHosts": flags["add-host"] or None,
        "GroupAdd": flags["group-add"] or None,
        "IpcMode": flags["ipc"], "Cgroup": "", "Links": flags["link"] or None, "OomScoreAdj": flags["oom-score-adj"],
        "PidMode": flags["pid"], "Privileged": flags["privileged"], "PublishAllPorts": flags["publish-all"],
        "ReadonlyRootfs": flags["read-only"], "SecurityOpt": security if flags["security-opt"] else None,
        "UTSMode": flags["uts"],
        "UsernsMode": flags["userns"], "ShmSize": flags["shm-size"], "Isolation": flags["isolation"],
        **_limits(flags), "MaskedPaths": closed, "ReadonlyPaths": closed,
    }  # fmt: skip
    optional = {
        "Annotations": pairs(flags["annotation"]), "StorageOpt": pairs(flags["storage-opt"]),
        "Tmpfs": {path: options for path, _, options in (text.partition(":") for text in flags["tmpfs"])},
        "Sysctls": pairs(flags["sysctl"]), "Runtime": flags["runtime"], "Mounts": flags["mount"],
    }  # fmt: skip
    body.update({name: value for name, value in optional.items() if value})
    if "init" in flags.given:
        body["Init"] = flags["init"]
    return body


def create_body(flags: Parsed, env: Mapping[str, str]) -> dict[str, Any]:
    """The whole body; the image is the first argument, the command the rest. Raises: CommandError."""
    image, *command = flags.args
    if flags["rm"] and flags["restart"] not in ("no", ""):
        raise CommandError("conflicting options: cannot specify both --restart and --rm")
    mode, endpoints = networking(flags)
    body = config(flags, env, image, command)
    host = host_config(flags, mode)
    _, body["Volumes"] = binds_and_volumes(flags["volume"])
    exposed = exposed_ports(flags["expose"], host["PortBindings"])
    if exposed:
        body["ExposedPorts"] = exposed
    body["HostConfig"] = host
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return body
