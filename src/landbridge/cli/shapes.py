"""Which JSON objects of the API are structures in Docker's client, and their fields in order. Data only.

A format like `{{.NetworkSettings.Ports}}` prints `{0.0.0.0 8080}` for a binding because Go knows its type, and
`{{if .State.Health}}` works although the field is left out. Only what people print is listed; other objects are maps.

Kinds: `s` text, `i` number, `b` boolean, `l` list, `m` map, `any`, `time`, the name of a shape, `*` before a pointer,
`[]` before a list of, `map:` before a map of.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _shape(text: str) -> dict[str, str]:
    """`Name Id:i Env:l` — text where no kind is written."""
    return {name: kind or "s" for name, _, kind in (word.partition(":") for word in text.split())}


SHAPES: dict[str, dict[str, str]] = {
    "Container": _shape(
        "Id Created Path Args:l State:*State Image ResolvConfPath HostnamePath HostsPath LogPath Name"
        " RestartCount:i Driver Platform MountLabel ProcessLabel AppArmorProfile ExecIDs:l"
        " HostConfig:*HostConfig GraphDriver:GraphDriver SizeRw:*i SizeRootFs:*i Mounts:[]MountPoint"
        " Config:*Config NetworkSettings:*NetworkSettings"
    ),
    "State": _shape(
        "Status Running:b Paused:b Restarting:b OOMKilled:b Dead:b Pid:i ExitCode:i Error StartedAt"
        " FinishedAt Health:*Health"
    ),
    "Health": _shape("Status FailingStreak:i Log:[]HealthResult"),
    "HealthResult": _shape("Start:time End:time ExitCode:i Output"),
    "Config": _shape(
        "Hostname Domainname User AttachStdin:b AttachStdout:b AttachStderr:b ExposedPorts:map:Empty Tty:b"
        " OpenStdin:b StdinOnce:b Env:l Cmd:l Healthcheck:*Healthcheck ArgsEscaped:b Image Volumes:map:Empty"
        " WorkingDir Entrypoint:l NetworkDisabled:b MacAddress OnBuild:l Labels:m StopSignal StopTimeout:*i"
        " Shell:l"
    ),
    "Healthcheck": _shape("Test:l Interval:i Timeout:i StartPeriod:i StartInterval:i Retries:i"),
    "HostConfig": _shape(
        "Binds:l ContainerIDFile LogConfig:LogConfig NetworkMode PortBindings:map:[]PortBinding"
        " RestartPolicy:RestartPolicy AutoRemove:b VolumeDriver VolumesFrom:l ConsoleSize:l Annotations:m"
        " CapAdd:l CapDrop:l CgroupnsMode Dns:l DnsOptions:l DnsSearch:l ExtraHosts:l GroupAdd:l IpcMode"
        " Cgroup Links:l OomScoreAdj:i PidMode Privileged:b PublishAllPorts:b ReadonlyRootfs:b SecurityOpt:l"
        " StorageOpt:m Tmpfs:m UTSMode UsernsMode ShmSize:i Sysctls:m Runtime Isolation CpuShares:i Memory:i"
        " NanoCpus:i CgroupParent BlkioWeight:i BlkioWeightDevice:l BlkioDeviceReadBps:l BlkioDeviceWriteBps:l"
        " BlkioDeviceReadIOps:l BlkioDeviceWriteIOps:l CpuPeriod:i CpuQuota:i CpuRealtimePeriod:i"
        " CpuRealtimeRuntime:i CpusetCpus CpusetMems Devices:[]Device DeviceCgroupRules:l DeviceRequests:l"
        " MemoryReservation:i MemorySwap:i MemorySwappiness:*i OomKillDisable:*b PidsLimit:*i Ulimits:[]Ulimit"
        " CpuCount:i CpuPercent:i IOMaximumIOps:i IOMaximumBandwidth:i Mounts:l MaskedPaths:l ReadonlyPaths:l"
        " Init:*b"
    ),
    "LogConfig": _shape("Type Config:m"),
    "RestartPolicy": _shape("Name MaximumRetryCount:i"),
    "PortBinding": _shape("HostIp HostPort"),
    "Device": _shape("PathOnHost PathInContainer CgroupPermissions"),
    "Ulimit": _shape("Name Hard:i Soft:i"),
    "GraphDriver": _shape("Data:m Name"),
    "MountPoint": _shape("Type Name Source Destination Driver Mode RW:b Propagation"),
    "NetworkSettings": _shape(
        "Bridge SandboxID SandboxKey Ports:map:[]PortBinding HairpinMode:b LinkLocalIPv6Address"
        " LinkLocalIPv6PrefixLen:i SecondaryIPAddresses:l SecondaryIPv6Addresses:l EndpointID Gateway"
        " GlobalIPv6Address GlobalIPv6PrefixLen:i IPAddress IPPrefixLen:i IPv6Gateway MacAddress"
        " Networks:map:*Endpoint"
    ),
    "Endpoint": _shape(
        "IPAMConfig:*EndpointIPAM Links:l Aliases:l MacAddress DriverOpts:m GwPriority:i NetworkID EndpointID"
        " Gateway IPAddress IPPrefixLen:i IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen:i DNSNames:l"
    ),
    "EndpointIPAM": _shape("IPv4Address IPv6Address LinkLocalIPs:l"),
    "Network": _shape(
        "Name Id Created:time Scope Driver EnableIPv4:b EnableIPv6:b IPAM:IPAM Internal:b Attachable:b"
        " Ingress:b ConfigFrom:ConfigFrom ConfigOnly:b Containers:map:NetworkMember Options:m Labels:m Peers:l"
        " Services:m"
    ),
    "IPAM": _shape("Driver Options:m Config:[]IPAMConfig"),
    "IPAMConfig": _shape("Subnet IPRange Gateway AuxiliaryAddresses:m"),
    "ConfigFrom": _shape("Network"),
    "NetworkMember": _shape("Name EndpointID MacAddress IPv4Address IPv6Address"),
    "Image": _shape(
        "Id RepoTags:l RepoDigests:l Parent Comment Created DockerVersion Author Config:*Config Architecture"
        " Variant Os OsVersion Size:i VirtualSize:i GraphDriver:GraphDriver RootFS:RootFS"
        " Metadata:ImageMetadata"
    ),
    "RootFS": _shape("Type Layers:l"),
    "ImageMetadata": _shape("LastTagTime:time"),
    "Volume": _shape("CreatedAt Driver Labels:m Mountpoint Name Options:m Scope Status:m UsageData:*VolumeUsage"),
    "VolumeUsage": _shape("RefCount:i Size:i"),
    "Event": _shape("Status ID From Type Action Actor:Actor Scope TimeNano:i Time:i"),
    "Actor": _shape("ID Attributes:m"),
    "Empty": {},
}


class NilList(list["Any"]):
    """Go's nil slice: empty everywhere but in JSON, where it is null."""


class NilMap(dict[str, "Any"]):
    """Go's nil map, likewise."""


def zero_of(kind: str) -> Any:
    """What Go has where the JSON has nothing."""
    if kind.startswith("*") or kind in ("any",):
        return None
    if kind.startswith("[]") or kind == "l":
        return NilList()
    if kind.startswith("map:") or kind == "m":
        return NilMap()
    if kind in SHAPES:
        from landbridge.cli.templatevalues import Record  # it imports the table above

        return Record({}, kind)
    return {"i": 0, "b": False}.get(kind, "")
