"""Limits, restart policy and published ports of a container changed after its creation (``docker update``).

Docker changes no ports; here a request may name all that are to be published from now on.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from landbridge.engine.apply import Undo
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.state import State
from landbridge.engine.validate import Facts, checked_restart
from landbridge.engine.validate_resources import check_resources
from landbridge.errors import Conflict, Invalid
from landbridge.model.config import Config, HostConfig
from landbridge.model.container import Container, Phase
from landbridge.model.ports import PortBinding
from landbridge.network import publishing
from landbridge.oci.resources import resources

PortBindings = Mapping[str, tuple[PortBinding, ...] | None]

# What ``update`` can change; 0 and empty keep what is there.
_LIMITS = (
    "blkio_weight", "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota", "cpuset_cpus", "cpuset_mems", "memory",
    "memory_swap", "memory_reservation", "cpu_realtime_period", "cpu_realtime_runtime", "pids_limit",
)  # fmt: skip



class Updates:
    """Changes records and, of running containers, the kernel's limits."""

    def __init__(self, state: State, lifecycle: Lifecycle, facts: Facts) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.facts = facts

    async def update(self, text: str, wanted: HostConfig, ports: PortBindings | None = None) -> tuple[str, ...]:
        """Apply what `wanted` sets, and publish `ports` instead of what is published (None: as it is); warnings.

        Raises: NotFound, Conflict (being removed, restart policy with ``--rm``), Invalid (limits, ports), Internal (a
        port is taken: all ports stay as they were).
        """
        container = self.state.container(text)
        async with self.lifecycle.locks.holding(container.id):
            container = self.state.containers[container.id]
            if container.state.phase in (Phase.REMOVING, Phase.DEAD):
                raise Conflict(f"container is marked for removal and cannot be \"update\"d: {container.id}")
            try:
                changed = merged(container.host, wanted)
            except Conflict as error:
                raise Conflict(f"Cannot update container {container.id}: {error.message}") from None
            host, warnings = check_resources(checked_restart(changed), self.facts)
            if wanted.pids_limit is not None and wanted.pids_limit <= 0:
                host = replace(host, pids_limit=0)  # Docker shows a limit that was taken away so
            if container.state.running:
                await self.lifecycle.runtime.update(container.id, self._limits(host, container.host))
            if ports is not None:
                host = replace(host, port_bindings=ports)
                await self._publish(replace(container, host=host, config=_exposing(container.config, ports)))
            current = self.state.containers[container.id]
            config = current.config if ports is None else _exposing(current.config, ports)
            self.state.containers.put(replace(current, host=host, config=config))
        self.lifecycle.emit("update", current)
        return warnings

    async def _publish(self, changed: Container) -> None:
        """Ports that stay are held all the time; connections through others' are not touched."""
        if changed.joins:
            raise Invalid("conflicting options: port publishing and the container type network mode")
        publishing.check(changed.config, changed.host)
        sandbox = self.state.sandbox(changed.id)
        if changed.state.running and sandbox is not None:
            async with Undo() as undo:
                await self.lifecycle.stack.publish.publish(changed, sandbox, undo)

    def _limits(self, host: HostConfig, before: HostConfig) -> dict[str, Any]:
        """For the runtime, which leaves alone what is not mentioned: so a limit taken away must be."""
        launch = self.lifecycle.launch
        found = resources(
            host, cgroup_version=launch.facts.cgroup_version, device_numbers=launch.machine.device_numbers(host)
        )
        lifted = bool(before.pids_limit) and not host.pids_limit
        return {"pids": {"limit": -1}, **found} if lifted else found


def _exposing(config: Config, ports: PortBindings) -> Config:
    """What is published is exposed, as at create."""
    return replace(config, exposed_ports={**(config.exposed_ports or {}), **{port: {} for port in ports}})


def merged(host: HostConfig, wanted: HostConfig) -> HostConfig:
    """`host` with every limit and the policy that `wanted` sets. Raises: Invalid, Conflict."""
    if wanted.nano_cpus and (host.cpu_period or host.cpu_quota):
        name = "Period" if host.cpu_period else "Quota"
        raise Conflict(f"Conflicting options: Nano CPUs cannot be updated as CPU {name} has already been set")
    if host.nano_cpus and (wanted.cpu_period or wanted.cpu_quota):
        name = "Period" if wanted.cpu_period else "Quota"
        raise Conflict(f"Conflicting options: CPU {name} cannot be updated as NanoCPUs has already been set")
    if wanted.memory > host.memory_swap > 0 and wanted.memory_swap == 0:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    changes = {name: value for name in _LIMITS if (value := getattr(wanted, name))}
    policy = wanted.restart_policy
    if policy.name:
        if host.auto_remove and policy.name != "no":
            raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
        changes["restart_policy"] = policy
    return replace(host, **changes)
