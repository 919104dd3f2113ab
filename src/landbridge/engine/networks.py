"""Networks: made, removed, pruned. Attachments of containers are `engine.attachments`."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from landbridge.engine.apply import Apply, Undo
from landbridge.engine.events import Events
from landbridge.engine.overlaps import meeting, told
from landbridge.engine.presence import host_record, names_of
from landbridge.engine.remotes import Remotes, has_remote_ipam
from landbridge.engine.state import State
from landbridge.engine.validate_networks import checked
from landbridge.errors import Conflict, Forbidden, Internal, Invalid
from landbridge.model import ids
from landbridge.model.link import LinkFact, RouteFact
from landbridge.model.names import Change, RemoveNetwork, RemoveRecord, SetNetwork, SetRecord
from landbridge.model.network import PREDEFINED, IpamPool, Network, NetworkRequest, Subnet
from landbridge.model.settings import Settings
from landbridge.network import bridge, ipam, options
from landbridge.network.drivers import driver
from landbridge.network.extension import extension_spec
from landbridge.network.steps import Bridge, Extended, Names, Step
from landbridge.network.subnetledger import SubnetLedger

log = logging.getLogger(__name__)


class Networks:
    """The life of networks."""

    def __init__(
        self, state: State, apply: Apply, events: Events, settings: Settings, mtu: int, remotes: Remotes
    ) -> None:
        self.state = state
        self.apply = apply
        self.events = events
        self.settings = settings
        self.mtu = mtu
        self.remotes = remotes
        self._forwards = False  # IPv6, as far as this daemon has seen to it
        self.bases = tuple(
            ipam.PoolBase(ip_network(base), size) for base, size in settings.address_pools
        ) or ipam.DEFAULT_POOLS

    # Making.

    async def create(self, request: NetworkRequest) -> Network:
        """Make a user-defined network.

        Raises: Invalid, Forbidden (predefined name, overlap), Conflict (name taken), NotFound (driver).
        """
        request = checked(request, self.state.networks, self.settings.default_network_options)
        if self.state.networks.by_name(request.name) is not None:
            raise Conflict(f"network with name {request.name} already exists")
        async with Undo() as undo:  # what plugins give is given back unless the network comes to be
            return await self._create(await self.remotes.prepare(request, undo), undo)

    async def _create(self, request: NetworkRequest, undo: Undo) -> Network:
        routed = await self.routed()
        await self._check_kernel(request)
        named = request.options.get(options.NAME, "") if request.driver == "bridge" else ""
        there = await self.bridge_there(named)
        # A bridge has nothing to do with the host's other interfaces, of which there are as many as containers.
        links = {} if request.driver == "bridge" else await self._links()
        if there is not None:
            pools = bridge.adopted(request.pools, there.addresses, four=request.enable_ipv4 is not False,
                                   six=bool(request.enable_ipv6))
            request = replace(request, pools=pools)
        network = replace(self._decide(request, routed, links), foreign_bridge=there is not None)
        self.state.put_network(network)
        try:
            await self.ensure_forwarding(network)
            await self.remotes.make(network, undo)
            await self.apply.run(making(network, self.mtu), undo)
        except BaseException:
            self._withdraw(network)
            raise
        self.events.emit("network", "create", network.id, _attributes(network))
        return network

    def _decide(
        self, request: NetworkRequest, routed: SubnetLedger, links: Mapping[str, LinkFact]
    ) -> Network:
        """Choose subnets, gateways and the bridge's name. No await: the answer is committed by the caller."""
        if self.state.networks.by_name(request.name) is not None:
            raise Conflict(f"network with name {request.name} already exists")
        identity = ids.new_id()
        enable4 = request.enable_ipv4 is not False
        enable6 = bool(request.enable_ipv6)
        pools: tuple[IpamPool, ...] = request.pools
        link = ""
        if not request.config_only:
            driver(request.driver).check_among(request, self.state.networks, links)
            pools = self._pools(request, enable4=enable4, enable6=enable6, routed=routed)
        if request.driver == "bridge" and not request.config_only:
            link = request.options.get(options.NAME, "") or self.state.instance.bridge_name(identity)
            self._check_bridge_free(link, identity)
        return Network(
            id=identity, name=request.name, created=time.time_ns(), driver=request.driver, enable_ipv4=enable4,
            enable_ipv6=enable6, internal=request.internal, attachable=request.attachable,
            scope=request.scope or "local", config_only=request.config_only, config_from=request.config_from,
            ipam_driver=request.ipam_driver or "default", ipam_options=request.ipam_options, pools=pools,
            options=request.options, labels=request.labels, bridge=link, direct=self.settings.direct_routing,
        )

    def _check_bridge_free(self, bridge: str, identity: str) -> None:
        other = self.state.bridges.get(bridge)
        if other is not None:
            raise Forbidden(f"cannot create network {identity} ({bridge}): conflicts with network {other}"
                            f" ({bridge}): networks have same bridge name")

    def _pools(
        self, request: NetworkRequest, *, enable4: bool, enable6: bool, routed: SubnetLedger
    ) -> tuple[IpamPool, ...]:
        """Pools with subnet and gateway each, the engine's choice where the user made none."""
        own = SubnetLedger()
        taken = (self.state.subnets, own)
        chosen: list[IpamPool] = []
        idle: list[IpamPool] = []
        if request.ipam_driver == "null" or has_remote_ipam(request):
            return request.pools  # none, or complete: a plugin may give one pool to many
        for pool in request.pools:
            if not pool.subnet:
                continue
            if not (enable6 if ":" in pool.subnet else enable4):
                idle.append(pool)
                continue
            subnet = ip_network(pool.subnet)
            if subnet.prefixlen and subnet.network_address.is_unspecified:  # "any of this size", as in Docker 28
                subnet = self.any_subnet(subnet.version, taken, routed, size=subnet.prefixlen)
                pool = replace(pool, subnet=str(subnet), chosen=True)
            ipam.check_overlap(subnet, taken)
            own.add(subnet)
            chosen.append(pool)
        for version, wanted in ((4, enable4), (6, enable6)):
            if wanted and not any(ip_network(pool.subnet).version == version for pool in chosen):
                subnet = self.any_subnet(version, taken, routed)
                own.add(subnet)
                chosen.append(IpamPool(subnet=str(subnet), chosen=True))
        return (*idle, *(self._with_gateway(pool, request) for pool in chosen))

    @staticmethod
    def _with_gateway(pool: IpamPool, request: NetworkRequest) -> IpamPool:
        needless = driver(request.driver).without_gateway(request, six=":" in pool.subnet)
        if pool.gateway or needless:
            return pool
        return replace(pool, gateway=str(ipam.choose_gateway(pool)), implied=not pool.chosen)

    def any_subnet(
        self, version: int, taken: Sequence[SubnetLedger], routed: SubnetLedger, *, size: int = 0
    ) -> Subnet:
        """A free subnet of the pools; with `size` one of that prefix length, where the pools are wide enough."""
        bases = self.bases
        if version == 6 and not any(base.base.version == 6 for base in bases):
            bases = (*bases, ipam.PoolBase(ip_network(self._ula()), 64))
        if size:
            bases = tuple(ipam.PoolBase(one.base, size) for one in bases if one.base.prefixlen <= size)
        return ipam.choose_subnet(bases, version, taken, routed)

    def _ula(self) -> str:
        """This host's own unique local prefix (RFC 4193), stable for the life of the data root."""
        return ipam.ula_prefix(self.state.store.get_meta("id"))

    async def routed(self) -> SubnetLedger:
        """Where the host's routes lead, those to our own bridges and the default ones aside."""
        subnets = (ip_network(fact.destination) for fact in await self._elsewhere())
        return SubnetLedger(subnet for subnet in subnets if subnet.prefixlen)

    async def overlaps(self, network: Network) -> tuple[str, ...]:
        """What to tell the user about routes of the host that meet a network; usually nothing."""
        return tuple(told(*pair) for pair in meeting((network,), await self._elsewhere()))

    async def _elsewhere(self) -> tuple[RouteFact, ...]:
        facts = await self.apply.blocking(self.apply.kernel.routes_elsewhere, self._is_own)
        assert isinstance(facts, tuple)
        return facts

    def _is_own(self, link: str) -> bool:
        return link in self.state.bridges or self.state.instance.owns_link(link)

    async def bridge_there(self, name: str) -> LinkFact | None:
        """The bridge of this name when it is there and somebody else's.

        Raises: Invalid when an interface has the name that is none.
        """
        fact = await self.apply.blocking(self.apply.kernel.link, name) if name else None
        if not isinstance(fact, LinkFact):
            return None
        if fact.kind != "bridge":
            raise Invalid(f"existing interface {name} is not a bridge")
        return fact if fact.alias != self.state.instance.table else None

    async def _links(self) -> dict[str, LinkFact]:
        """The host's interfaces by name."""
        facts = await self.apply.blocking(self.apply.kernel.links)
        assert isinstance(facts, tuple)
        return {fact.name: fact for fact in facts}

    async def _check_kernel(self, request: NetworkRequest) -> None:
        """Raises: Internal when this kernel cannot make the links a driver needs (Docker: at the first start)."""
        kind = "" if request.config_only else driver(request.driver).kind
        if kind and not await self.apply.blocking(self.apply.kernel.supports, kind):
            raise Internal(f"failed to create the {kind} port: operation not supported (this kernel has no {kind})")

    async def ensure_forwarding(self, *networks: Network) -> None:
        """The host passes IPv6 on as soon as a network needs it, and not before."""
        needed = any(one.enable_ipv6 and one.bridge and not one.internal for one in networks)
        if needed and self.settings.ip_forward and not self._forwards:
            await self.apply.blocking(self.apply.kernel.forward_ipv6)
            self._forwards = True

    # Unmaking.

    async def remove(self, text: str) -> None:
        """Remove a network. Raises: NotFound, Forbidden when predefined or in use by a running container."""
        network = self.state.network(text)
        if network.name in PREDEFINED:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        active = [endpoint for endpoint in self.state.endpoints_on(network.id) if endpoint.active]
        if active:
            users = ", ".join(
                f'name:"{self.state.containers[endpoint.container].name}" id:"{ids.short(endpoint.id)}"'
                for endpoint in active
            )
            raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({users})")
        if network.config_only and self._is_template(network):
            raise Forbidden(f'error while removing network: configuration network "{network.name}" is in use')
        self._withdraw(network)
        try:
            await self.apply.run_forgiving(removal(network, self.mtu))
            await self.remotes.unmake(network)
        finally:  # also when the request was cancelled meanwhile
            self.events.emit("network", "destroy", network.id, _attributes(network))

    def _withdraw(self, network: Network) -> None:
        """The claims of stopped containers go with the network (Docker: they do not hold it)."""
        with self.state.store.transaction():
            for endpoint in self.state.endpoints_on(network.id):
                self.state.remove_endpoint(endpoint.id)
            self.state.remove_network(network.id)

    def unused(self) -> list[Network]:
        """User-defined networks with nobody on them. Docker: stopped containers do not count, templates stay."""
        return [
            one for one in self.state.networks
            if one.name not in PREDEFINED and not one.config_only and not self.state.in_use(one.id)
        ]

    def _is_template(self, network: Network) -> bool:
        return any(other.config_from == network.name for other in self.state.networks)


def making(network: Network, mtu: int) -> tuple[Step, ...]:
    """What a network needs; a template for others needs nothing."""
    if network.config_only:
        return ()
    return (*driver(network.driver).create(network, mtu), *naming(network))


def naming(network: Network) -> tuple[Step, ...]:
    """The resolver learns the network's name and what the host is called there."""
    if not network.resolves:
        return ()
    host = host_record(network)
    known: tuple[Change, ...] = (SetRecord(host),) if host else ()
    gone: tuple[Change, ...] = (RemoveRecord(host.endpoint),) if host else ()
    return (Names(changes=(SetNetwork(names_of(network)), *known), undo=(*gone, RemoveNetwork(network.id))),)


def removal(network: Network, mtu: int) -> tuple[Step, ...]:
    """The inverse of making the network; a bridge that was there before us stays."""
    steps = tuple(step.inverse() for step in reversed(making(network, mtu)))
    own = tuple(step for step in steps if not (network.foreign_bridge and isinstance(step, Bridge)))
    return (*(Extended(spec=extension_spec(network, one, mtu), present=False) for one in network.extensions), *own)


def _attributes(network: Network) -> dict[str, str]:
    return {"name": network.name, "type": network.driver}
