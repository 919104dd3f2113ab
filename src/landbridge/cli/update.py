"""`update`: change the limits of containers, and (not Docker's) the ports they publish."""

from __future__ import annotations

from landbridge.cli.createbody import restart_policy
from landbridge.cli.flags import Flag
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError
from landbridge.cli.publish import port_bindings
from landbridge.cli.quantities import swap_size
from landbridge.cli.runflags import LIMITS, PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

NAMES = (
    "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "kernel-memory", "memory", "memory-reservation", "memory-swap", "pids-limit", "restart",
)  # fmt: skip
FLAGS = (
    *(flag for flag in (*PROCESS, *LIMITS) if flag.name in NAMES),
    Flag("publish", "p", "list", "Publish one more port, also while it runs: [[IP:]PORT:]PORT[/PROTO]"),
    Flag("unpublish", "", "list", "Publish a container's port no longer: PORT[/PROTO]"),
)
PORTS = ("publish", "unpublish")


def update_body(flags: Parsed) -> dict[str, Any]:
    """The body of POST /containers/NAME/update. Raises: CommandError."""
    policy = restart_policy(flags["restart"]) if "restart" in flags.given else {"Name": "", "MaximumRetryCount": 0}
    return {
        "CpuShares": flags["cpu-shares"], "Memory": flags["memory"], "NanoCpus": flags["cpus"], "CgroupParent": "",
        "BlkioWeight": flags["blkio-weight"], "BlkioWeightDevice": None, "BlkioDeviceReadBps": None,
        "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None, "BlkioDeviceWriteIOps": None,
        "CpuPeriod": flags["cpu-period"], "CpuQuota": flags["cpu-quota"], "CpuRealtimePeriod": flags["cpu-rt-period"],
        "CpuRealtimeRuntime": flags["cpu-rt-runtime"], "CpusetCpus": flags["cpuset-cpus"],
        "CpusetMems": flags["cpuset-mems"], "Devices": None, "DeviceCgroupRules": None, "DeviceRequests": None,
        "MemoryReservation": flags["memory-reservation"], "MemorySwap": flags["memory-swap"], "MemorySwappiness": None,
        "OomKillDisable": None, "PidsLimit": flags["pids-limit"] if "pids-limit" in flags.given else None,
        "Ulimits": None, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
        "RestartPolicy": policy,
    }  # fmt: skip


def changed_ports(session: Session, name: str, flags: Parsed) -> dict[str, Any]:
    """PortBindings of a container with what the flags add and take away. Raises: CommandError, DaemonError."""
    bindings = dict(session.client.get(container_path(name, "/json"))["HostConfig"].get("PortBindings") or {})
    for text in flags["unpublish"]:
        port = text if "/" in text else f"{text}/tcp"
        if bindings.pop(port, None) is None:
            raise CommandError(f"{name} does not publish {port}")
    for port, added in port_bindings(flags["publish"]).items():
        bindings[port] = [*(bindings.get(port) or []), *added]
    return bindings


def update(session: Session, flags: Parsed) -> int:
    if not flags.given:
        raise CommandError("you must provide one or more flags when using this command")
    body = update_body(flags)
    warnings: list[str] = []
    errors: list[str] = []
    for name in flags.args:
        try:
            if any(one in flags.given for one in PORTS):
                body["PortBindings"] = changed_ports(session, name, flags)
            answer = session.client.post(container_path(name, "/update"), body=body)
        except CommandError as error:
            errors.append(error.message)
        else:
            session.out(name)
            warnings += (answer or {}).get("Warnings") or []
    if warnings:
        session.out("\n".join(warnings))
    for message in errors:
        session.err(message)
    return 1 if errors else 0


COMMANDS = {"container update": (FLAGS, update, {"memory-swap": swap_size})}
