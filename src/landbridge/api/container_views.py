"""Containers as ``inspect`` and ``ps`` show them. Pure: state in, JSON-ready values out.

What differs between API versions is decided here, by the version of the request.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from landbridge.api.clock import SECOND, span, stamp
from landbridge.api.network_views import endpoint_view, flat_view
from landbridge.api.port_views import port_list, ports_view
from landbridge.api.request import Version
from landbridge.api.schema import encode
from landbridge.engine.links import Links
from landbridge.engine.state import State
from landbridge.model.container import Container, Health, MountPoint, Phase
from landbridge.model.container import State as ContainerState

Object = dict[str, Any]


def state_view(state: ContainerState) -> Object:
    """``State`` of inspect."""
    shown: Object = {
        "Status": state.phase.value,
        "Running": state.running or state.phase is Phase.RESTARTING,
        "Paused": state.phase is Phase.PAUSED,
        "Restarting": state.phase is Phase.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.phase is Phase.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": stamp(state.started_at),
        "FinishedAt": stamp(state.finished_at),
    }
    if state.health is not None:
        shown["Health"] = health_view(state.health)
    return shown


def health_view(health: Health) -> Object:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {"Start": stamp(one.start), "End": stamp(one.end), "ExitCode": one.exit_code, "Output": one.output}
            for one in health.log
        ],
    }


def status_text(state: ContainerState, now: int) -> str:
    """``Up 3 seconds``, ``Exited (0) 2 minutes ago``; `now` in nanoseconds since the epoch."""
    up, ago = span(now - state.started_at), span(now - state.finished_at)
    match state.phase:
        case Phase.RUNNING if state.health is not None:
            word = "health: starting" if state.health.status == "starting" else state.health.status
            return f"Up {up} ({word})"
        case Phase.RUNNING:
            return f"Up {up}"
        case Phase.PAUSED:
            return f"Up {up} (Paused)"
        case Phase.RESTARTING:
            return f"Restarting ({state.exit_code}) {ago} ago"
        case Phase.REMOVING:
            return "Removal In Progress"
        case Phase.DEAD:
            return "Dead"
        case Phase.CREATED:
            return "Created"
        case _:
            return f"Exited ({state.exit_code}) {ago} ago" if state.finished_at else ""


def mount_view(mount: MountPoint) -> Object:
    """One of ``Mounts``."""
    shown: Object = {"Type": mount.type}
    if mount.name:
        shown["Name"] = mount.name
    shown |= {"Source": mount.source, "Destination": mount.destination}
    if mount.driver:
        shown["Driver"] = mount.driver
    return shown | {"Mode": mount.mode, "RW": mount.rw, "Propagation": mount.propagation}


def command_text(container: Container) -> str:
    """The command as ``ps`` shows it: arguments with blanks in quotes."""
    words = [f"'{word}'" if " " in word else word for word in container.args]
    return " ".join([container.path, *words])


def networks_view(state: State, container: Container, version: Version, *, brief: bool = False) -> Object:
    """``NetworkSettings.Networks``, in the order the networks were attached."""
    shown: Object = {}
    for config in container.endpoints:
        network = state.networks.find(config.network)
        endpoint = state.endpoint_on(container.id, network.id) if network is not None else None
        name = network.name if network is not None else config.network
        shown[name] = endpoint_view(container, config, network, endpoint, version, brief=brief)
    return shown


def settings_view(state: State, container: Container, version: Version, *, ports: object = None) -> Object:
    """``NetworkSettings`` of inspect, with the flat fields of the default bridge. `ports` as `inspect_view` says."""
    sandbox = state.sandbox(container.id) if container.state.running else None
    bridge = state.networks.by_name("bridge")
    endpoint = state.endpoint_on(container.id, bridge.id) if bridge is not None else None
    return {
        "Bridge": "",
        "SandboxID": sandbox.id if sandbox else "",
        "SandboxKey": sandbox.path if sandbox else "",
        "Ports": ports_view(state, container, sandbox) if ports is None else ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **flat_view(endpoint),
        "Networks": networks_view(state, container, version),
    }


def config_view(container: Container, version: Version) -> Object:
    """``Config`` of inspect; before 1.44 the MAC address asked for on the main network is part of it."""
    shown: Object = encode(container.config)
    mac = container.endpoints[0].mac_address if container.endpoints else ""
    if mac and version < (1, 52):
        shown["MacAddress"] = mac
    return shown


def inspect_view(
    state: State, container: Container, version: Version, *, files: Object, driver: Object, execs: tuple[str, ...],
    ports: object = None,
) -> Object:
    """``GET /containers/{id}/json``.

    `files` are paths of the engine's files, `driver` is GraphDriver's value, `ports` is ``NetworkSettings.Ports``
    where it is ready already.
    """
    return {
        "Id": container.id,
        "Created": stamp(container.created),
        "Path": container.path,
        "Args": list(container.args),
        "State": state_view(container.state),
        "Image": container.image,
        **files,
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(execs) or None,
        "HostConfig": encode(replace(container.host, links=Links(state).shown(container))),
        "GraphDriver": driver,
        "Mounts": [mount_view(mount) for mount in container.mounts],
        "Config": config_view(container, version),
        "NetworkSettings": settings_view(state, container, version, ports=ports),
    }


def summary_view(
    state: State, container: Container, version: Version, image: str, now: int, *,
    ports: object = None, linked: Sequence[str] = (),
) -> Object:  # fmt: skip
    """One line of ``GET /containers/json``.

    `image` is the name to show, `ports` are ``Ports`` where ready already, `linked` the names it has in links.
    """
    if ports is None:
        ports = port_list(ports_view(state, container, state.sandbox(container.id)))
    host: Object = {"NetworkMode": container.host.network_mode}
    if container.host.annotations and version >= (1, 46):
        host["Annotations"] = dict(container.host.annotations)
    return {
        "Id": container.id,
        "Names": sorted([f"/{container.name}", *linked]),
        "Image": image,
        "ImageID": container.image,
        "Command": command_text(container),
        "Created": container.created // SECOND,
        "Ports": ports,
        "Labels": dict(container.config.labels),
        "State": container.state.phase.value,
        "Status": status_text(container.state, now),
        "HostConfig": host,
        "NetworkSettings": {"Networks": networks_view(state, container, version, brief=True)},
        "Mounts": [mount_view(mount) for mount in container.mounts],
    }


