"""Handlers about the engine itself: ping, version, info, df, auth."""

import time
from typing import Any

from landbridge import __version__
from landbridge.api.container_views import summary_view
from landbridge.api.images import summary_view as image_summary
from landbridge.api.request import Request, Version
from landbridge.api.response import JSON, Raw, Response
from landbridge.api.router import MAXIMUM_VERSION, MINIMUM_VERSION, Route, show_version
from landbridge.api.volumes import volume_view
from landbridge.engine.disk import DiskUsage
from landbridge.engine.engine import Engine
from landbridge.engine.info import Facts
from landbridge.errors import Invalid
from landbridge.model.settings import Settings
from landbridge.model.stamp import format_ns

# What clients compare with minimum versions; the engine's own is among the components.
SERVER_VERSION = "28.5.2"

_PING_HEADERS = (
    ("Builder-Version", "1"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Swarm", "inactive"),
)
Object = dict[str, Any]


def version_view(facts: Facts) -> Object:
    """``GET /version``."""
    api = {"ApiVersion": show_version(MAXIMUM_VERSION), "MinAPIVersion": show_version(MINIMUM_VERSION)}
    machine = {"Os": "linux", "Arch": facts.go_architecture, "KernelVersion": facts.kernel}
    built = {"GitCommit": facts.commit, "GoVersion": f"python{facts.python}", "BuildTime": facts.built}
    return {
        "Platform": {"Name": "landbridge"},
        "Components": [
            {
                "Name": "Engine",
                "Version": SERVER_VERSION,
                "Details": {**api, **machine, **built, "Experimental": "false"},
            },
            {"Name": "landbridge", "Version": __version__, "Details": {"GitCommit": facts.commit}},
            {
                "Name": facts.runtimes[0],
                "Version": facts.runtime_version,
                "Details": {"GitCommit": "", "Reason": facts.runtime_reason},
            },
        ],
        "Version": SERVER_VERSION,
        **api,
        **built,
        **machine,
    }


def info_view(facts: Facts) -> Object:
    """``GET /info``. Long: it is one flat document."""
    count = facts.containers
    return {
        "ID": facts.id,
        "Containers": count.all,
        "ContainersRunning": count.running,
        "ContainersPaused": count.paused,
        "ContainersStopped": count.all - count.running - count.paused,
        "Images": facts.images,
        "Driver": "overlay2",
        "DriverStatus": [["Supports d_type", "true"], ["Using metacopy", "false"], ["userxattr", "false"]],
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null"], "Authorization": None,
            "Log": ["json-file"],
        },
        **dict.fromkeys(
            ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit",
             "OomKillDisable"), True,
        ),
        "KernelMemoryTCP": False,
        "IPv4Forwarding": facts.forwarding,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": facts.settings.debug,
        "NFd": facts.descriptors,
        "NGoroutines": facts.tasks,
        "SystemTime": format_ns(facts.time),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(facts.cgroup_version),
        "NEventsListener": 0,
        "KernelVersion": facts.kernel,
        "OperatingSystem": facts.os_name,
        "OSVersion": facts.os_version,
        "OSType": "linux",
        "Architecture": facts.architecture,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": registry_view(facts.settings),
        "NCPU": facts.cpus,
        "MemTotal": facts.memory,
        "GenericResources": None,
        "DockerRootDir": facts.settings.data_root,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": facts.hostname,
        "Labels": list(facts.settings.labels),
        "ExperimentalBuild": False,
        "ServerVersion": SERVER_VERSION,
        "Runtimes": {name: {"path": facts.runtime_path} for name in facts.runtimes},
        "DefaultRuntime": facts.runtimes[0],
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "docker-init",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": facts.runtime_version, "Expected": facts.runtime_version},
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": list(facts.security),
        "DefaultAddressPools": [{"Base": base, "Size": size} for base, size in facts.address_pools],
        "FirewallBackend": {"Driver": "nftables", "Info": [["Table", f"inet {facts.table}"]]},
        "CDISpecDirs": [],
        "Warnings": None,
    }  # fmt: skip


def registry_view(settings: Settings) -> Object:
    """``RegistryConfig`` of ``GET /info``."""
    mirrors = [f"{mirror.rstrip('/')}/" for mirror in settings.registry_mirrors]
    configs: Object = {"docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}}
    networks = ["::1/128", "127.0.0.0/8"]
    for text in settings.insecure_registries:
        if "/" in text:
            networks.append(text)
        else:
            configs[text] = {"Name": text, "Mirrors": [], "Secure": False, "Official": False}
    return {"InsecureRegistryCIDRs": networks, "IndexConfigs": configs, "Mirrors": mirrors or None}


def disk_view(engine: Engine, usage: DiskUsage, version: Version) -> Object:
    """``GET /system/df``."""
    now = time.time_ns()
    containers = []
    for container, sizes in usage.containers:
        shown = summary_view(engine.state, container, version, container.config.image, now)
        shown |= {"SizeRootFs": sizes.whole} | ({"SizeRw": sizes.written} if sizes.written else {})
        containers.append(shown)
    volumes = []
    for volume in engine.volumes.list({}):
        found = usage.volumes.get(volume.name)
        data = {"RefCount": found.references, "Size": found.size} if found else {"RefCount": 0, "Size": 0}
        volumes.append(volume_view(volume) | {"UsageData": data})
    images = [
        image_summary(one.view, one.containers, version) | {"SharedSize": one.shared} for one in usage.images
    ]
    return {
        "LayersSize": usage.layers, "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [],
    }  # fmt: skip


class SystemHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/_ping", self.ping),
            Route("HEAD", "/_ping", self.ping),
            Route("GET", "/version", self.version),
            Route("GET", "/info", self.info),
            Route("GET", "/system/df", self.disk),
        ]

    async def ping(self, request: Request) -> Response:
        body = b"" if request.method == "HEAD" else b"OK"
        return Raw(body, headers=_PING_HEADERS)

    async def version(self, request: Request) -> Response:
        return JSON(version_view(self._engine.info.facts()))

    async def info(self, request: Request) -> Response:
        shown = info_view(self._engine.info.facts())
        if request.version < (1, 49):
            del shown["FirewallBackend"]
        return JSON(shown)

    async def disk(self, request: Request) -> Response:
        wanted = request.query_list("type")
        for kind in wanted:
            if kind not in ("container", "image", "volume", "build-cache"):
                raise Invalid(f"unknown object type: {kind}")
        usage = await self._engine.disk.usage()
        shown = disk_view(self._engine, usage, request.version)
        if wanted:
            names = {"container": "Containers", "image": "Images", "volume": "Volumes", "build-cache": "BuildCache"}
            kept = {names[kind] for kind in wanted}
            shown |= {name: None for name in names.values() if name not in kept}
            shown["LayersSize"] = usage.layers if "image" in wanted else 0
        return JSON(shown)
