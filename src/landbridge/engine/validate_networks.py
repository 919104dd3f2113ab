"""Requests for a network as far as they can be judged without the kernel: completed, or refused in Docker's words.

Subnets that others have, interfaces and routes of the host are looked at where the network is decided.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from landbridge.errors import Forbidden, Invalid, NotFound
from landbridge.model import ids
from landbridge.model.network import RESERVED, Network, NetworkRequest
from landbridge.network import ipam, options
from landbridge.network.drivers import driver

Options = Mapping[str, Mapping[str, str]]


class Networks(Protocol):
    """The networks there are."""

    def by_name(self, name: str) -> Network | None: ...


def checked(request: NetworkRequest, networks: Networks, defaults: Options) -> NetworkRequest:
    """The request with its template's and the daemon's `defaults` (driver → options) in it, and its driver named.

    Whether a plugin is there is seen when it is asked.

    Raises: Invalid, Forbidden, NotFound (template), Internal (options of macvlan and ipvlan).
    """
    _check_operator(request)
    if request.config_from:
        request = _from_template(request, networks)
    pools = ipam.canonical_pools(request.pools)
    ipam.check_reserved([pool for pool in pools if pool.subnet])
    if request.ipam_driver == "null":
        _check_no_addresses(request)
    if request.config_only:  # Docker: a template has no driver, whoever is made from it has
        return replace(request, driver="null", pools=pools)
    kind = driver(request.driver or "bridge")
    request = replace(request, driver=kind.name, pools=pools)
    if not request.config_from:
        given = {**defaults.get(kind.name, {}), **request.options}
        request = options.with_families(replace(request, options=given))
    kind.check(request)
    return replace(request, internal=request.internal or not kind.leads_out(request))


def _check_operator(request: NetworkRequest) -> None:
    """What a network is called and whose it is."""
    if request.name in RESERVED:
        raise Forbidden(f"operation is not permitted on predefined {request.name} network")
    ids.check_network_name(request.name)
    if request.config_only and (request.internal or request.attachable or request.ingress or request.scope):
        raise Forbidden(
            "configuration network can only contain network specific fields. Network operator fields like"
            " [ ingress | internal | attachable | scope ] are not supported."
        )
    if request.scope not in ("", "local", "global"):
        raise Forbidden(f"cannot create a {request.scope} scoped network when swarm is not active")
    if request.driver == "overlay":
        raise Forbidden('This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect'
                        " this node to swarm and try again.")
    if request.ingress:
        raise Forbidden("Ingress network can only be global scope network")


def _from_template(request: NetworkRequest, networks: Networks) -> NetworkRequest:
    """What a configuration network says, which must then say everything (Docker's rule and words)."""
    if request.config_only:
        raise Forbidden("a configuration network cannot depend on another configuration network")
    if request.options:
        raise Forbidden("network driver options are not supported if the network depends on a configuration network")
    if request.pools or request.labels or request.ipam_options or request.enable_ipv6:
        raise Forbidden("user specified configurations are not supported if the network depends on a configuration"
                        " network")
    template = networks.by_name(request.config_from)
    if template is None or not template.config_only:
        raise NotFound(f'configuration network "{request.config_from}" does not exist')
    return replace(
        request, enable_ipv4=template.enable_ipv4, enable_ipv6=template.enable_ipv6, options=template.options,
        pools=template.pools, internal=request.internal or template.internal, ipam_driver=template.ipam_driver,
        ipam_options=template.ipam_options, labels=template.labels,
    )


def _check_no_addresses(request: NetworkRequest) -> None:
    """The IPAM driver ``null`` gives none, which only networks without a family can do with. Raises: Invalid."""
    if any(pool.subnet for pool in request.pools):
        raise Invalid("null ipam driver does not handle specific address pool requests")
    if request.enable_ipv4 is not False:
        raise Invalid("ipv4 pool is empty")
    if request.enable_ipv6:
        raise Invalid("ipv6 pool is empty")
