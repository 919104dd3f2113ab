"""Request bodies with more structure than one dataclass: create, connect, exec, network and volume creation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from landbridge.api.schema import Object, decode, decode_field, member
from landbridge.engine.containers import Request
from landbridge.engine.execs import ExecConfig
from landbridge.errors import Invalid
from landbridge.model.config import Config, EndpointConfig, HostConfig
from landbridge.model.network import IpamPool, NetworkRequest
from landbridge.model.ports import PortBinding
from landbridge.model.volume import VolumeRequest

Bindings = Mapping[str, tuple[PortBinding, ...] | None]
_Texts = dict[str, str]
_TextsOrNone = dict[str, str] | None


def create_request(document: Object, name: str) -> Request:
    """``POST /containers/create``: Config at top level, beside it HostConfig and NetworkingConfig.

    Raises: Invalid.
    """
    if not any(value is not None for value in document.values()):
        raise Invalid("config cannot be empty in order to create a container")
    config = decode(Config, document, "Config")
    host = _host(document)
    host = replace(host, console_size=host.console_size or (0, 0), port_bindings=with_any_port(host.port_bindings))
    return Request(name=name, config=config, host=host, endpoints=endpoints(_object(document, "NetworkingConfig")))


# What counts beside HostConfig too, where it says nothing of it.
_ALSO_BESIDE = ("memory", "memory_swap", "cpu_shares", "cpuset_cpus", "volume_driver")


def _host(document: Object) -> HostConfig:
    """HostConfig. Its fields beside it are those of old clients, and of some (aiodocker) that know no better: without
    a HostConfig all of them count, with one only the few that were there before it (Docker's rule)."""
    beside = decode(HostConfig, document)
    if not beside.cpuset_cpus:
        beside = replace(beside, cpuset_cpus=_text(document, "Cpuset", "Config"))
    given = _object(document, "HostConfig")
    if given is None:
        return beside
    host = decode(HostConfig, given, "HostConfig")
    return replace(host, **{name: getattr(host, name) or getattr(beside, name) for name in _ALSO_BESIDE})


def with_any_port(bindings: Bindings | None) -> Bindings | None:
    """``"80/tcp": []`` and null mean any port up to API 1.51, though newer engines publish nothing for them."""
    if not bindings or all(bindings.values()):
        return bindings
    return {port: tuple(values or (PortBinding(),)) for port, values in bindings.items()}


def endpoints(networking: Object | None) -> tuple[EndpointConfig, ...]:
    """``NetworkingConfig.EndpointsConfig`` in the order of the request. Raises: Invalid."""
    given = _object(networking or {}, "EndpointsConfig", "NetworkingConfig.EndpointsConfig")
    path = "NetworkingConfig.EndpointsConfig"
    return tuple(endpoint(name, value, path) for name, value in (given or {}).items())


def endpoint(network: str, document: Object | None, path: str) -> EndpointConfig:
    """One attachment; the operational fields a client may send back are ignored. Raises: Invalid."""
    return replace(decode(EndpointConfig, document, path), network=network)


def connect_request(document: Object) -> tuple[str, EndpointConfig]:
    """``POST /networks/{id}/connect``: container and settings. Raises: Invalid."""
    container = _named(_text(document, "Container", "NetworkConnect"))
    return container, endpoint("", _object(document, "EndpointConfig"), "EndpointConfig")


def disconnect_request(document: Object) -> tuple[str, bool]:
    """``POST /networks/{id}/disconnect``: container and force. Raises: Invalid."""
    return _named(_text(document, "Container", "NetworkDisconnect")), _flag(document, "Force", "NetworkDisconnect")


def _named(text: str) -> str:
    if not text:
        raise Invalid(f'invalid name or ID supplied: "{text}"')
    return text


def exec_request(document: Object) -> ExecConfig:
    """``POST /containers/{id}/exec``. Raises: Invalid."""
    struct = "ExecConfig"

    def texts(name: str) -> tuple[str, ...]:
        found: tuple[str, ...] = decode_field(tuple[str, ...], member(document, name), struct, name)
        return found

    cmd = texts("Cmd")
    if not cmd:
        raise Invalid("No exec command specified")
    size = decode_field(tuple[int, int] | None, member(document, "ConsoleSize"), struct, "ConsoleSize")
    return ExecConfig(
        cmd=cmd,
        env=texts("Env"),
        user=_text(document, "User", struct),
        working_dir=_text(document, "WorkingDir", struct),
        tty=_flag(document, "Tty", struct),
        privileged=_flag(document, "Privileged", struct),
        attach_stdin=_flag(document, "AttachStdin", struct),
        attach_stdout=_flag(document, "AttachStdout", struct),
        attach_stderr=_flag(document, "AttachStderr", struct),
        detach_keys=_text(document, "DetachKeys", struct),
        console_size=size or (0, 0),
    )


def network_request(document: Object) -> NetworkRequest:
    """``POST /networks/create``. Raises: Invalid."""
    struct = "NetworkCreateRequest"
    ipam = _object(document, "IPAM") or {}
    source = _object(document, "ConfigFrom") or {}
    pools = decode_field(tuple[dict[str, Any], ...], member(ipam, "Config"), "IPAM", "IPAM.Config")
    return NetworkRequest(
        name=_text(document, "Name", struct),
        driver=_text(document, "Driver", struct),
        enable_ipv4=decode_field(bool | None, member(document, "EnableIPv4"), struct, "EnableIPv4"),
        enable_ipv6=decode_field(bool | None, member(document, "EnableIPv6"), struct, "EnableIPv6"),
        internal=_flag(document, "Internal", struct),
        attachable=_flag(document, "Attachable", struct),
        ingress=_flag(document, "Ingress", struct),
        scope=_text(document, "Scope", struct),
        config_only=_flag(document, "ConfigOnly", struct),
        config_from=_text(source, "Network", struct),
        ipam_driver=_text(ipam, "Driver", "IPAM"),
        ipam_options=decode_field(_TextsOrNone, member(ipam, "Options"), "IPAM", "IPAM.Options"),
        pools=tuple(_pool(pool) for pool in pools),
        options=decode_field(_Texts, member(document, "Options"), struct, "Options"),
        labels=decode_field(_Texts, member(document, "Labels"), struct, "Labels"),
    )


def _pool(document: Object) -> IpamPool:
    struct = "IPAMConfig"
    auxiliary = member(document, "AuxiliaryAddresses")
    return IpamPool(
        subnet=_text(document, "Subnet", struct, "IPAM.Config."),
        ip_range=_text(document, "IPRange", struct, "IPAM.Config."),
        gateway=_text(document, "Gateway", struct, "IPAM.Config."),
        auxiliary=decode_field(_Texts, auxiliary, struct, "IPAM.Config.AuxiliaryAddresses"),
    )


def volume_request(document: Object) -> VolumeRequest:
    """``POST /volumes/create``. Raises: Invalid."""
    struct = "CreateOptions"
    return VolumeRequest(
        name=_text(document, "Name", struct),
        driver=_text(document, "Driver", struct),
        options=decode_field(_TextsOrNone, member(document, "DriverOpts"), struct, "DriverOpts"),
        labels=decode_field(_TextsOrNone, member(document, "Labels"), struct, "Labels"),
    )


def _object(document: Object, name: str, path: str = "") -> Object | None:
    found: Object | None = decode_field(dict[str, Any] | None, member(document, name), name, path or name)
    return found


def _text(document: Object, name: str, struct: str, prefix: str = "") -> str:
    found: str = decode_field(str, member(document, name), struct, prefix + name)
    return found


def _flag(document: Object, name: str, struct: str) -> bool:
    found: bool = decode_field(bool, member(document, name), struct, name)
    return found
