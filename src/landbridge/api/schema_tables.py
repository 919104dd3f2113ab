"""Docker's names for our fields, and how Docker writes what is empty. Data only.

A field's JSON name is its snake-case name in Pascal case unless `NAMES` says otherwise; whatever is not listed in
`OMITTED` is written even when empty. Source: the Engine API specification, and answers of a real engine.
"""

from collections.abc import Mapping

from landbridge.model.config import (
    BindOptions,
    Config,
    DriverConfig,
    EndpointConfig,
    EndpointIpam,
    Healthcheck,
    HostConfig,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)

NAMES: Mapping[type, Mapping[str, str]] = {
    HostConfig: {
        "container_id_file": "ContainerIDFile",
        "uts_mode": "UTSMode",
        "blkio_device_read_iops": "BlkioDeviceReadIOps",
        "blkio_device_write_iops": "BlkioDeviceWriteIOps",
        "io_maximum_iops": "IOMaximumIOps",
        "io_maximum_bandwidth": "IOMaximumBandwidth",
        "kernel_memory_tcp": "KernelMemoryTCP",
    },
    EndpointConfig: {"ipam_config": "IPAMConfig"},
    EndpointIpam: {
        "ipv4_address": "IPv4Address", "ipv6_address": "IPv6Address", "link_local_ips": "LinkLocalIPs",
    },
}  # fmt: skip

# Fields that exist in our value only.
OURS: Mapping[type, frozenset[str]] = {EndpointConfig: frozenset({"network"})}

# Fields Docker leaves out when they are empty; `ALL` of a type's.
ALL = frozenset({"*"})
OMITTED: Mapping[type, frozenset[str]] = {
    Config: frozenset({
        "exposed_ports", "healthcheck", "args_escaped", "network_disabled", "mac_address", "stop_signal",
        "stop_timeout", "shell",
    }),
    HostConfig: frozenset({
        "annotations", "storage_opt", "tmpfs", "sysctls", "init", "kernel_memory", "kernel_memory_tcp", "mounts",
    }),
    Healthcheck: ALL,
    Mount: ALL,
    BindOptions: ALL,
    VolumeOptions: ALL,
    DriverConfig: ALL,
    TmpfsOptions: ALL,
    EndpointIpam: ALL,
}  # fmt: skip

# Lists of words that may be given as one plain string (Docker: StrSlice).
WORDS: Mapping[type, frozenset[str]] = {
    Config: frozenset({"cmd", "entrypoint", "shell"}),
    HostConfig: frozenset({"cap_add", "cap_drop"}),
}

# What Go calls a type of ours, where an error message names it.
GO_NAMES: Mapping[type, str] = {
    Healthcheck: "HealthcheckConfig",
    EndpointConfig: "EndpointSettings",
    EndpointIpam: "EndpointIPAMConfig",
    Config: "ContainerConfigWrapper",
}
