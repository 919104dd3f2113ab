"""Networks and attachments as the API shows them. Pure."""

from typing import Any

from landbridge.api.clock import stamp
from landbridge.api.request import Version
from landbridge.api.schema import encode
from landbridge.engine.state import State
from landbridge.model import ids
from landbridge.model.config import EndpointConfig
from landbridge.model.container import Container
from landbridge.model.network import Endpoint, IpamPool, Network

Object = dict[str, Any]


def _split(cidr: str) -> tuple[str, int]:
    address, _, length = cidr.partition("/")
    return address, int(length or 0)


def flat_view(endpoint: Endpoint | None) -> Object:
    """The operational fields of an attachment; all empty when it is not up."""
    up = endpoint if endpoint is not None and endpoint.active else None
    four, length4 = _split(up.ipv4 if up else "")
    six, length6 = _split(up.ipv6 if up else "")
    return {
        "EndpointID": up.id if up else "",
        "Gateway": up.gateway4 if up else "",
        "GlobalIPv6Address": six,
        "GlobalIPv6PrefixLen": length6,
        "IPAddress": four,
        "IPPrefixLen": length4,
        "IPv6Gateway": up.gateway6 if up else "",
        "MacAddress": up.mac if up else "",
    }


def endpoint_view(
    container: Container, config: EndpointConfig, network: Network | None, endpoint: Endpoint | None,
    version: Version, *, brief: bool,
) -> Object:
    """One of ``NetworkSettings.Networks``. `brief` as in ``ps``, which leaves out names and options."""
    # What a claim holds before the first start is the engine's business; Docker has nothing to show yet.
    known = endpoint is not None and (endpoint.active or container.state.started_at > 0)
    flat = flat_view(endpoint if container.state.running else None)
    resolves = network is not None and network.resolves
    aliases = list(config.aliases) if config.aliases is not None else None
    names = list(endpoint.names) if endpoint is not None and known and resolves else None
    if names and version < (1, 45):
        short = ids.short(container.id)
        aliases = [*(aliases or ()), *([short] if short not in (aliases or ()) else ())]
    shown: Object = {
        "IPAMConfig": encode(config.ipam_config),
        "Links": list(config.links) if config.links is not None else None,
        "Aliases": None if brief else aliases,
        "MacAddress": flat.pop("MacAddress") or (config.mac_address if not known else ""),
        "NetworkID": network.id if network is not None and known else "",
        **flat,
        "DriverOpts": None if brief or config.driver_opts is None else dict(config.driver_opts),
        "DNSNames": None if brief else names,
    }
    if version >= (1, 48):
        shown["GwPriority"] = config.gw_priority
    return shown


def pool_view(pool: IpamPool) -> Object:
    """One of ``IPAM.Config``; empty members are left out."""
    shown: Object = {"Subnet": pool.subnet, "IPRange": pool.ip_range, "Gateway": "" if pool.implied else pool.gateway}
    shown["AuxiliaryAddresses"] = dict(pool.auxiliary)
    return {name: value for name, value in shown.items() if value}


def network_view(network: Network, version: Version) -> Object:
    """A network as ``GET /networks`` lists it."""
    predefined = network.driver in ("host", "null")
    shown: Object = {
        "Name": network.name,
        "Id": network.id,
        "Created": stamp(network.created),
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": network.enable_ipv4 or predefined,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": _ipam_options(network),
            "Config": [pool_view(pool) for pool in network.pools] or (None if predefined else []),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": {},
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }
    if version < (1, 48):
        del shown["EnableIPv4"]
    return shown


def _ipam_options(network: Network) -> Object | None:
    return dict(network.ipam_options) if network.ipam_options is not None else None


def network_inspect_view(state: State, network: Network, version: Version) -> Object:
    """``GET /networks/{id}``: with the containers that are on it now."""
    shown = network_view(network, version)
    for endpoint in state.endpoints_on(network.id):
        container = state.containers.get(endpoint.container)
        if endpoint.active and container is not None:
            shown["Containers"][container.id] = {
                "Name": container.name,
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac,
                "IPv4Address": endpoint.ipv4,
                "IPv6Address": endpoint.ipv6,
            }
    return shown
