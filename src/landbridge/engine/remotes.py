"""What plugins are asked, and when: networks, endpoints and addresses that somebody else's books say.

Our claims last as long as a container; a plugin's answers last from start to stop, because its books, not ours, say
who has what. So it is asked when a sandbox comes up or gets one more interface, and told when that ends. Making may
wait for a plugin that is just starting; tear-down waits little and forgives all: a dead plugin keeps nobody running
and no network alive, and nothing is asked of it while the daemon starts.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface, ip_network
from typing import Any

from landbridge.engine.apply import Undo, finished
from landbridge.engine.effects_plugins import Plugins
from landbridge.errors import Internal, LandbridgeError, NotFound, Unavailable
from landbridge.model.container import Container
from landbridge.model.network import Endpoint, IpamPool, Network, NetworkRequest, Sandbox
from landbridge.network import gateways, remote
from landbridge.network.drivers import is_remote

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for an answer that something is made of (Docker tries for 30)
HASTE = 2.0  # seconds for a plugin to hear that something is over
HURRY = 0.1  # the same for one that did not answer a moment ago: many things may be over at once
MOMENT = 10.0  # seconds
BUILT_IN_IPAM = ("", "default", "null")
_GATEWAY_REQUEST = {"RequestAddressType": "com.docker.network.gateway"}


def has_remote_ipam(network: Network | NetworkRequest) -> bool:
    """Whether a plugin gives the addresses of a network."""
    return network.ipam_driver not in BUILT_IN_IPAM


def is_asked_for(network: Network) -> bool:
    """Whether endpoints of a network are somebody else's business."""
    return is_remote(network.driver) or has_remote_ipam(network)


def idle(endpoint: Endpoint, network: Network) -> Endpoint:
    """An endpoint that is not up; what a plugin gave is the plugin's again."""
    endpoint = replace(endpoint, active=False, ifname="")
    if is_remote(network.driver):
        endpoint = replace(endpoint, source="", routes=(), external=False, gateway4="", gateway6="",
                           mac=endpoint.config.mac_address)
    return replace(endpoint, ipv4="", ipv6="", gateway4="", gateway6="") if has_remote_ipam(network) else endpoint


class Remotes:
    """Asks plugins. Everything made is put on the undo stack of its operation."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._later: set[asyncio.Task[None]] = set()
        self._silent: dict[str, float] = {}  # plugin → when it did not answer, in the loop's time

    # Networks.

    async def prepare(self, request: NetworkRequest, undo: Undo) -> NetworkRequest:
        """The request with the scope its driver has and the pools its IPAM plugin gives.

        Raises: NotFound (no such plugin, or it does something else), Unavailable, Internal.
        """
        if request.config_only:
            return request
        if is_remote(request.driver):
            await self._activate(request.driver, "NetworkDriver")
            scope = str((await self._ask(request.driver, "NetworkDriver.GetCapabilities", {})).get("Scope"))
            if scope not in ("local", "global"):
                raise Internal(f"invalid capability: expecting 'local' or 'global', got {scope}")
            request = replace(request, scope=request.scope or scope)
        if has_remote_ipam(request):
            await self._activate(request.ipam_driver, "IpamDriver")
            request = replace(request, pools=await self._pools(request, undo))
        return request

    async def make(self, network: Network, undo: Undo) -> None:
        """Raises: Unavailable, Internal with the plugin's own words."""
        if is_remote(network.driver):
            undo.push(partial(self._tell, network.driver, "NetworkDriver.DeleteNetwork", {"NetworkID": network.id}))
            await self._ask(network.driver, "NetworkDriver.CreateNetwork", remote.network_body(network))

    async def unmake(self, network: Network) -> None:
        """The network is gone; twice is fine. Errors are logged, as Docker does."""
        if is_remote(network.driver):
            await self._tell(network.driver, "NetworkDriver.DeleteNetwork", {"NetworkID": network.id})
        if has_remote_ipam(network):
            await self._release(network.ipam_driver, network.pools)

    async def _activate(self, name: str, kind: str) -> None:
        found = (await self._ask(name, "Plugin.Activate", {})).get("Implements") or []
        if kind not in found:
            raise NotFound(f'plugin "{name}" not found: Plugin does not implement the requested driver')

    # Addresses.

    async def _pools(self, request: NetworkRequest, undo: Undo) -> tuple[IpamPool, ...]:
        name = request.ipam_driver
        spaces = await self._ask(name, "IpamDriver.GetDefaultAddressSpaces", {})
        space = spaces.get("LocalDefaultAddressSpace") or ""
        wanted = [pool for pool in request.pools if pool.subnet]
        for six, enabled in ((False, request.enable_ipv4 is not False), (True, bool(request.enable_ipv6))):
            if enabled and not any((":" in pool.subnet) is six for pool in wanted):
                wanted.append(IpamPool(chosen=True, subnet="::/0" if six else "0.0.0.0/0"))
        made: list[IpamPool] = []
        undo.push(lambda: self._release(name, tuple(made)))
        for pool in wanted:
            body = {"AddressSpace": space, "Pool": "" if pool.chosen else pool.subnet, "SubPool": pool.ip_range,
                    "Options": dict(request.ipam_options or {}), "V6": ":" in pool.subnet}  # fmt: skip
            answer = await self._ask(name, "IpamDriver.RequestPool", body)
            made.append(replace(pool, subnet=_pool(answer), lease=str(answer.get("PoolID") or ""), gateway=""))
            gateway = (answer.get("Data") or {}).get(remote.GATEWAY) or ""
            if not gateway or pool.gateway:
                gateway = await self._address(name, made[-1].lease, pool.gateway, _GATEWAY_REQUEST)
            made[-1] = replace(made[-1], gateway=_bare(gateway))
            for text in pool.auxiliary.values():
                await self._address(name, made[-1].lease, text, None)
        return tuple(made)

    async def _release(self, name: str, pools: Iterable[IpamPool]) -> None:
        for pool in pools:
            for text in filter(None, (pool.gateway, *pool.auxiliary.values())):
                await self._tell(name, "IpamDriver.ReleaseAddress", {"PoolID": pool.lease, "Address": text})
            await self._tell(name, "IpamDriver.ReleasePool", {"PoolID": pool.lease})

    async def _address(self, name: str, pool: str, address: str, options: Mapping[str, str] | None) -> str:
        body = {"PoolID": pool, "Address": address, "Options": options}
        found = str((await self._ask(name, "IpamDriver.RequestAddress", body)).get("Address") or "")
        try:
            return str(ip_interface(found))
        except ValueError:
            raise Internal("ipam plugin did not return any IP address" if not found
                           else f"invalid CIDR address: {found}") from None

    async def _lease(self, network: Network, endpoint: Endpoint, undo: Undo) -> Endpoint:
        """The endpoint with addresses of the network's IPAM plugin: the first pool of a family that has one."""
        wanted = endpoint.config.ipam_config
        for six in (False, True):
            asked = ((wanted.ipv6_address if six else wanted.ipv4_address) if wanted else "") or ""
            pools = [pool for pool in network.pools if (":" in pool.subnet) is six]
            for pool in pools:
                options = {"com.docker.network.endpoint.macaddress": endpoint.mac} if endpoint.mac else {}
                try:
                    found = await self._address(network.ipam_driver, pool.lease, asked, options)
                except Internal:
                    if pool is pools[-1]:
                        raise
                    continue
                body = {"PoolID": pool.lease, "Address": _bare(found)}
                undo.push(partial(self._tell, network.ipam_driver, "IpamDriver.ReleaseAddress", body))
                gateway = "" if network.internal else pool.gateway
                endpoint = (replace(endpoint, ipv6=found, gateway6=gateway) if six
                            else replace(endpoint, ipv4=found, gateway4=gateway))  # fmt: skip
                break
        return endpoint

    # Endpoints.

    async def join_all(
        self, container: Container, sandbox: Sandbox, endpoints: Iterable[Endpoint], networks: Mapping[str, Network],
        undo: Undo, others: Iterable[Endpoint] = (),
    ) -> tuple[Endpoint, ...]:
        """All endpoints as plugins made theirs; `others` are in the sandbox already. Raises as `join`."""
        joined = list(endpoints)
        for index, endpoint in enumerate(joined):
            network = networks[endpoint.network]
            if is_asked_for(network):
                used = {one.ifname for one in (*joined, *others) if one.id != endpoint.id}
                joined[index] = await self.join(container, network, endpoint, sandbox, used, undo)
        active = [replace(one, active=True) for one in joined]
        way = gateways.routes(sandbox.path, [*active, *others], networks)
        for index, endpoint in enumerate(joined):
            network = networks[endpoint.network]
            if is_remote(network.driver) and endpoint.ifname and endpoint.ifname in (way.ifname4, way.ifname6):
                joined[index] = await self.open(container, network, endpoint, undo)
        return tuple(joined)

    async def join(
        self, container: Container, network: Network, endpoint: Endpoint, sandbox: Sandbox, used: Collection[str],
        undo: Undo,
    ) -> Endpoint:
        """The endpoint as plugins made it, ready to be carried out; `used` are interface names taken in the sandbox.

        Raises: NotFound, Unavailable, Internal; what was asked for is given back by `undo`.
        """
        if has_remote_ipam(network):
            endpoint = await self._lease(network, endpoint, undo)
        if not is_remote(network.driver):
            return endpoint
        name, ids, options = network.driver, remote.ids(endpoint), remote.port_options(container)
        undo.push(partial(self._tell, name, "NetworkDriver.DeleteEndpoint", ids))
        answer = await self._ask(name, "NetworkDriver.CreateEndpoint", remote.endpoint_body(endpoint, options))
        endpoint = remote.with_interface(endpoint, answer)
        undo.push(partial(self._tell, name, "NetworkDriver.Leave", ids))
        body = {**ids, "SandboxKey": sandbox.path, "Options": options}
        endpoint = remote.with_join(endpoint, await self._ask(name, "NetworkDriver.Join", body), used)
        if network.internal:
            endpoint = replace(endpoint, gateway4="", gateway6="")
        return endpoint

    async def open(self, container: Container, network: Network, endpoint: Endpoint, undo: Undo) -> Endpoint:
        """The endpoint carries the container's default route: its plugin may lead the world to published ports."""
        ids = remote.ids(endpoint)
        undo.push(partial(self._tell, network.driver, "NetworkDriver.RevokeExternalConnectivity", ids))
        body = {**ids, "Options": remote.port_options(container)}
        try:
            await self._ask(network.driver, "NetworkDriver.ProgramExternalConnectivity", body)
        except NotFound:
            pass  # not every plugin has this, says the protocol
        return replace(endpoint, external=True)

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """The sandbox lets go of the endpoint; to be told before its link moves. Errors are logged."""
        if not is_remote(network.driver):
            return
        if endpoint.external:
            await self._tell(network.driver, "NetworkDriver.RevokeExternalConnectivity", remote.ids(endpoint))
        await self._tell(network.driver, "NetworkDriver.Leave", remote.ids(endpoint))

    async def dismiss(self, network: Network, endpoint: Endpoint) -> None:
        """The endpoint is over, and its addresses are free. Errors are logged."""
        if is_remote(network.driver):
            await self._tell(network.driver, "NetworkDriver.DeleteEndpoint", remote.ids(endpoint))
        if has_remote_ipam(network):
            for cidr in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                body = {"PoolID": remote.pool_of(cidr, network), "Address": _bare(cidr)}
                await self._tell(network.ipam_driver, "IpamDriver.ReleaseAddress", body)

    def dismiss_later(self, guests: Iterable[tuple[Network, Endpoint]]) -> None:
        """As `leave` and `dismiss`, in the background: nobody waits for a plugin that may be dead."""

        async def tell() -> None:
            for network, endpoint in guests:
                await self.leave(network, endpoint)
                await self.dismiss(network, endpoint)

        guests = tuple(guests)
        if guests:
            task = asyncio.create_task(tell())
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Leave unsaid what is still to be said."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    # Talking.

    async def _ask(self, name: str, method: str, body: Mapping[str, object]) -> dict[str, Any]:
        answer = await finished(self._plugins.call(name, method, body, seconds=PATIENCE))
        self._silent.pop(name, None)
        return answer

    async def _tell(self, name: str, method: str, body: Mapping[str, object]) -> None:
        now = asyncio.get_running_loop().time()
        seconds = HURRY if now - self._silent.get(name, -MOMENT) < MOMENT else HASTE
        try:
            await finished(self._plugins.call(name, method, body, seconds=seconds))
        except Unavailable as error:
            self._silent[name] = now
            log.warning("plugin %s: %s", name, error)
        except LandbridgeError as error:
            log.warning("plugin %s: %s", name, error)


def _pool(answer: Mapping[str, Any]) -> str:
    text = str(answer.get("Pool") or "")
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise Internal(f"invalid CIDR address: {text}") from None


def _bare(cidr: str) -> str:
    return cidr.partition("/")[0]
