"""The text of `info`. Pure."""

from __future__ import annotations

from landbridge.cli import humanize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATES = {"active": "active", "pending": "pending", "locked": "locked", "error": "error"}


def _truth(value: object) -> str:
    return "true" if value else "false"


def _engine(info: dict[str, Any]) -> list[str]:
    lines = [
        f" Containers: {info.get('Containers', 0)}", f"  Running: {info.get('ContainersRunning', 0)}",
        f"  Paused: {info.get('ContainersPaused', 0)}", f"  Stopped: {info.get('ContainersStopped', 0)}",
        f" Images: {info.get('Images', 0)}",
    ]  # fmt: skip
    if info.get("ServerVersion"):
        lines.append(f" Server Version: {info['ServerVersion']}")
    lines.append(f" Storage Driver: {info.get('Driver', '')}")
    lines += [f"  {name}: {value}" for name, value in info.get("DriverStatus") or []]
    for key, name in (
        ("LoggingDriver", "Logging Driver"),
        ("CgroupDriver", "Cgroup Driver"),
        ("CgroupVersion", "Cgroup Version"),
    ):
        if info.get(key):
            lines.append(f" {name}: {info[key]}")
    plugins = info.get("Plugins") or {}
    lines.append(" Plugins:")
    lines += [f"  {name}: {' '.join(plugins.get(name) or [])}" for name in ("Volume", "Network")]
    if plugins.get("Log"):
        lines.append(f"  Log: {' '.join(plugins['Log'])}")
    swarm = (info.get("Swarm") or {}).get("LocalNodeState") or "inactive"
    lines.append(f" Swarm: {swarm}")
    return lines


def _runtime(info: dict[str, Any]) -> list[str]:
    lines = []
    if info.get("Runtimes"):
        lines.append(f" Runtimes: {' '.join(sorted(info['Runtimes']))}")
        lines.append(f" Default Runtime: {info.get('DefaultRuntime', '')}")
    lines.append(f" Init Binary: {info.get('InitBinary', '')}")
    for key, name in (("ContainerdCommit", "containerd"), ("RuncCommit", "runc"), ("InitCommit", "init")):
        if key in info:
            lines.append(f" {name} version: {(info[key] or {}).get('ID', '')}")
    options = info.get("SecurityOptions") or []
    if options:
        lines.append(" Security Options:")
        for option in options:
            fields = dict(part.partition("=")[::2] for part in option.split(","))
            lines.append(f"  {fields.pop('name', option)}")
            lines += [f"   {name.title()}: {value}" for name, value in fields.items()]
    return lines


def _host(info: dict[str, Any]) -> list[str]:
    keys = (
        ("KernelVersion", "Kernel Version"), ("OperatingSystem", "Operating System"), ("OSType", "OSType"),
        ("Architecture", "Architecture"), ("NCPU", "CPUs"),
    )  # fmt: skip
    lines = [f" {name}: {info.get(key, '')}" for key, name in keys]
    lines.append(f" Total Memory: {humanize.binary_size(info.get('MemTotal', 0))}")
    lines += [
        f" {name}: {info.get(key, '')}"
        for key, name in (("Name", "Name"), ("ID", "ID"), ("DockerRootDir", "Docker Root Dir"))
    ]
    lines.append(f" Debug Mode: {_truth(info.get('Debug'))}")
    return lines


def _settings(info: dict[str, Any]) -> list[str]:
    proxies = (("HttpProxy", "HTTP Proxy"), ("HttpsProxy", "HTTPS Proxy"), ("NoProxy", "No Proxy"))
    lines = [f" {name}: {info[key]}" for key, name in proxies if info.get(key)]
    if info.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in info["Labels"])]
    lines.append(f" Experimental: {_truth(info.get('ExperimentalBuild'))}")
    registry = info.get("RegistryConfig") or {}
    insecure = [name for name, entry in (registry.get("IndexConfigs") or {}).items() if not entry.get("Secure", True)]
    insecure += registry.get("InsecureRegistryCIDRs") or []
    if insecure:
        lines += [" Insecure Registries:", *(f"  {name}" for name in insecure)]
    if registry.get("Mirrors"):
        lines += [" Registry Mirrors:", *(f"  {name}" for name in registry["Mirrors"])]
    lines.append(f" Live Restore Enabled: {_truth(info.get('LiveRestoreEnabled'))}")
    if info.get("ProductLicense"):
        lines.append(f" Product License: {info['ProductLicense']}")
    pools = info.get("DefaultAddressPools") or []
    if pools:
        lines += [" Default Address Pools:", *(f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools)]
    firewall = info.get("FirewallBackend") or {}
    if firewall.get("Driver"):
        lines.append(f" Firewall Backend: {firewall['Driver']}")
        lines += [f"  {name}: {value}" for name, value in firewall.get("Info") or []]
    return lines


def info_lines(info: dict[str, Any]) -> list[str]:
    """The server's part, line by line."""
    return [*_engine(info), *_runtime(info), *_host(info), *_settings(info)]
