"""A container as its user asked for it: Docker's Config, HostConfig and endpoint settings.

Field names are Docker's in snake case; `api.schema` derives the JSON names. None stands for JSON null
where Docker keeps null and empty apart in what it shows; values are otherwise already in range:
`engine.validate` refuses what is wrong before a record with these is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landbridge.model.ports import PortBinding

Empty = Mapping[str, Any]  # a JSON object used as a set member: {"80/tcp": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """Durations in nanoseconds; `test` is ``["CMD", …]``, ``["CMD-SHELL", "…"]``, ``["NONE"]`` or empty (inherit)."""

    test: tuple[str, ...] | None = None
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What runs, independent of the host. `env` entries are ``NAME=value`` (``NAME`` alone removes)."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: Mapping[str, Empty] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: Mapping[str, Empty] | None = None
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: tuple[str, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    type: str = ""
    config: Mapping[str, str] | None = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """`name` is ``no``, ``on-failure``, ``always`` or ``unless-stopped`` (empty in requests: no)."""

    name: str = ""
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str = ""
    hard: int = 0
    soft: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDevice:
    path: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleDevice:
    path: str = ""
    rate: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BindOptions:
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverConfig:
    name: str = ""
    options: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeOptions:
    no_copy: bool = False
    labels: Mapping[str, str] | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsOptions:
    size_bytes: int = 0
    mode: int = 0
    options: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One ``--mount``: `type` is ``bind``, ``volume``, ``tmpfs`` (others are refused)."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What the container gets from the host: limits, mounts, ports, namespaces."""

    binds: tuple[str, ...] | None = None
    container_id_file: str = ""
    log_config: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: Mapping[str, tuple[PortBinding, ...] | None] | None = field(default_factory=dict)
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: tuple[str, ...] | None = None
    console_size: tuple[int, int] | None = (0, 0)
    annotations: Mapping[str, str] | None = None
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    cgroupns_mode: str = ""
    dns: tuple[str, ...] | None = ()
    dns_options: tuple[str, ...] | None = ()
    dns_search: tuple[str, ...] | None = ()
    extra_hosts: tuple[str, ...] | None = None
    group_add: tuple[str, ...] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: tuple[str, ...] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: tuple[str, ...] | None = None
    storage_opt: Mapping[str, str] | None = None
    tmpfs: Mapping[str, str] | None = None
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] | None = ()
    blkio_device_read_bps: tuple[ThrottleDevice, ...] | None = ()
    blkio_device_write_bps: tuple[ThrottleDevice, ...] | None = ()
    blkio_device_read_iops: tuple[ThrottleDevice, ...] | None = ()
    blkio_device_write_iops: tuple[ThrottleDevice, ...] | None = ()
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[Device, ...] | None = ()
    device_cgroup_rules: tuple[str, ...] | None = None
    device_requests: tuple[Mapping[str, Any], ...] | None = None
    kernel_memory: int = 0
    kernel_memory_tcp: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = False
    init: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] | None = ()
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = 0
    io_maximum_bandwidth: int = 0
    mounts: tuple[Mount, ...] | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointIpam:
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """What the user asked of one attachment. `network` is the name or id as given."""

    network: str = ""
    ipam_config: EndpointIpam | None = None
    links: tuple[str, ...] | None = None
    aliases: tuple[str, ...] | None = None
    driver_opts: Mapping[str, str] | None = None
    gw_priority: int = 0
    mac_address: str = ""
