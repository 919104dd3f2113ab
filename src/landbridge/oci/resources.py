"""Limits of a container as OCI ``linux.resources``, and which devices it may touch.

Units are those of Docker's HostConfig: bytes, microseconds, billionths of a CPU. The runtime turns them into
what cgroup v1 or v2 wants.
"""

from collections.abc import Mapping
from typing import Any

from landbridge.errors import Invalid
from landbridge.model.config import HostConfig, ThrottleDevice
from landbridge.model.process import DeviceNode

_CPU_PERIOD = 100_000
_BILLION = 1_000_000_000

# /dev/zero, null, urandom, random, tty, console and pseudo terminals; mknod of any node is allowed, use is not.
_DEFAULT_NODES = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1), (1, 7), (5, 2))


def resources(
    host: HostConfig, *, cgroup_version: int, device_numbers: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Any]:
    """Everything limited, without the device rules; also what ``update`` hands to the runtime.

    `device_numbers` maps block device paths named in `host` to (major, minor).
    """
    parts = {
        "memory": _memory(host, cgroup_version),
        "cpu": _cpu(host),
        "pids": _pids(host),
        "blockIO": _block_io(host, device_numbers or {}),
    }
    return {key: part for key, part in parts.items() if part}


def device_rules(host: HostConfig, devices: tuple[DeviceNode, ...]) -> list[dict[str, Any]]:
    """The cgroup's device list: everything for a privileged container, else the harmless ones plus what was asked.

    Raises: Invalid for a ``--device-cgroup-rule`` that cannot be read.
    """
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": kind, "access": "m"} for kind in "cb"]
    rules += [_rule("c", major, minor, "rwm") for major, minor in _DEFAULT_NODES]
    rules.append({"allow": True, "type": "c", "major": 136, "access": "rwm"})
    asked = host.devices or ()
    access = {device.path_in_container or device.path_on_host: device.cgroup_permissions for device in asked}
    for node in devices:
        rules.append(_rule(node.type, node.major, node.minor, _access_of(node, access)))
    return rules + [parse_rule(text) for text in host.device_cgroup_rules or ()]


def parse_rule(text: str) -> dict[str, Any]:
    """``c 42:* rmw`` → an OCI device rule. Raises: Invalid."""
    parts = text.split()
    if len(parts) == 3 and parts[0] in ("a", "b", "c") and parts[2] and not set(parts[2]) - set("rwm"):
        major, colon, minor = parts[1].partition(":")
        if colon and all(number == "*" or number.isdigit() for number in (major, minor)):
            rule: dict[str, Any] = {"allow": True, "type": parts[0], "access": parts[2]}
            for key, number in (("major", major), ("minor", minor)):
                if number != "*":
                    rule[key] = int(number)
            return rule
    raise Invalid(f"invalid device cgroup rule format: '{text}'")


def _access_of(node: DeviceNode, access: Mapping[str, str]) -> str:
    """Permissions of the ``--device`` that brought `node`: its own path, or the directory it was found in."""
    for path, permissions in access.items():
        if node.path == path or node.path.startswith(path.rstrip("/") + "/"):
            return permissions or "rwm"
    return "rwm"


def _rule(kind: str, major: int, minor: int, access: str) -> dict[str, Any]:
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def _memory(host: HostConfig, cgroup_version: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if host.memory:
        found["limit"] = host.memory
    if host.memory_reservation:
        found["reservation"] = host.memory_reservation
    if host.memory_swap > 0:
        found["swap"] = host.memory_swap
    elif host.memory_swap == 0 and host.memory > 0:
        found["swap"] = 2 * host.memory  # Docker: as much swap as memory
    elif host.memory_swap == -1 and host.memory > 0 and cgroup_version == 2:
        found["swap"] = -1
    if cgroup_version == 1:
        # v2 has neither a swappiness of its own nor a way to switch the killer off.
        if host.memory_swappiness is not None and host.memory_swappiness >= 0:
            found["swappiness"] = host.memory_swappiness
        if host.oom_kill_disable:
            found["disableOOMKiller"] = True
    return found


def _cpu(host: HostConfig) -> dict[str, Any]:
    found: dict[str, Any] = {
        "shares": host.cpu_shares,
        "quota": host.cpu_quota,
        "period": host.cpu_period,
        "realtimePeriod": host.cpu_realtime_period,
        "realtimeRuntime": host.cpu_realtime_runtime,
        "cpus": host.cpuset_cpus,
        "mems": host.cpuset_mems,
    }
    if host.nano_cpus:
        found |= {"period": _CPU_PERIOD, "quota": host.nano_cpus * _CPU_PERIOD // _BILLION}
    return {key: value for key, value in found.items() if value}


def _pids(host: HostConfig) -> dict[str, int]:
    if not host.pids_limit:
        return {}
    return {"limit": host.pids_limit if host.pids_limit > 0 else -1}


def _block_io(host: HostConfig, numbers: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    def throttles(devices: tuple[ThrottleDevice, ...] | None) -> list[dict[str, int]]:
        return [
            {"major": numbers[device.path][0], "minor": numbers[device.path][1], "rate": device.rate}
            for device in devices or ()
        ]

    found: dict[str, Any] = {
        "weight": host.blkio_weight,
        "weightDevice": [
            {"major": numbers[device.path][0], "minor": numbers[device.path][1], "weight": device.weight}
            for device in host.blkio_weight_device or ()
        ],
        "throttleReadBpsDevice": throttles(host.blkio_device_read_bps),
        "throttleWriteBpsDevice": throttles(host.blkio_device_write_bps),
        "throttleReadIOPSDevice": throttles(host.blkio_device_read_iops),
        "throttleWriteIOPSDevice": throttles(host.blkio_device_write_iops),
    }
    return {key: value for key, value in found.items() if value}
