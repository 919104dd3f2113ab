"""What the engine knows right now: the tables, and the indexes every operation needs to decide quickly.

Used from the event loop's thread only. A decision reads it and commits its claim here without an ``await``
between the two, which is what makes the claim exclusive.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

from landbridge.engine.store import Store
from landbridge.engine.tables import Table
from landbridge.errors import NotFound
from landbridge.model.container import Container, Link
from landbridge.model.network import Endpoint, Network, Sandbox, Subnet
from landbridge.model.ports import Binding
from landbridge.model.world import Instance, World
from landbridge.network.portledger import PortLedger
from landbridge.network.subnetledger import SubnetLedger


class State:
    """Tables of containers, networks, endpoints and sandboxes, with their cross references."""

    def __init__(self, store: Store, instance: Instance) -> None:
        self.store = store
        self.instance = instance
        self.containers: Table[Container] = Table(store, "container", Container, lambda one: one.name)
        self.networks: Table[Network] = Table(store, "network", Network, lambda one: one.name)
        self._endpoints: Table[Endpoint] = Table(store, "endpoint", Endpoint, lambda one: None)
        self._sandboxes: Table[Sandbox] = Table(store, "sandbox", Sandbox, lambda one: None)
        self._by_container: dict[str, dict[str, str]] = defaultdict(dict)  # container → {endpoint id: network id}
        self._by_network: dict[str, set[str]] = defaultdict(set)
        self._addresses: dict[str, dict[int, str]] = defaultdict(dict)  # network → {address number: endpoint}
        self._sandbox_of: dict[str, str] = {}  # owner container → sandbox
        self.subnets = SubnetLedger()  # of all networks; read only
        self.bridges: dict[str, str] = {}  # bridge → network; read only
        self.ports = PortLedger()  # published host ports and the containers that have them; read only
        self.active = 0  # endpoints that are up; read only
        self._ports: Counter[str] = Counter()  # bridge → containers on it
        self.cursor: dict[tuple[str, int], int] = {}  # (network, family) → number handed out last
        self.announced: set[str] = set()  # containers whose names have been told before they are said to run
        for network in self.networks:
            self._index_network(network)
        for endpoint in self._endpoints:
            self._index_endpoint(endpoint)
            self._count(endpoint, 1)
        for sandbox in self._sandboxes:
            self._sandbox_of[sandbox.container] = sandbox.id
            self.ports.add(sandbox.published, sandbox.container)

    def world(self) -> World:
        """A snapshot for the renderers and the reconciler."""
        return World(
            instance=self.instance,
            networks=dict(self.networks.all()),
            endpoints=dict(self._endpoints.all()),
            sandboxes=dict(self._sandboxes.all()),
            containers=dict(self.containers.all()),
        )

    # Look-ups in Docker's words.

    def container(self, text: str) -> Container:
        """By id, name (with or without slash) or beginning of an id. Raises: NotFound, Invalid."""
        found = self.containers.find(text.removeprefix("/") if len(text) > 1 else text) or self._linked(text)
        if found is None:
            raise NotFound(f"No such container: {text}")
        return found

    def _linked(self, text: str) -> Container | None:
        """By the name it has as a target of a link: ``linker/alias``."""
        name, slash, alias = text.removeprefix("/").partition("/")
        linker = self.containers.by_name(name) if slash else None
        targets = [one.target for one in linker.links if one.alias == alias] if linker is not None else []
        return self.containers.get(targets[0]) if targets else None

    def set_links(self, identity: str, links: tuple[Link, ...]) -> None:
        self.containers.put(replace(self.containers[identity], links=links))

    def network(self, text: str) -> Network:
        """By id, name or beginning of an id; ``default`` is ``bridge``. Raises: NotFound, Invalid."""
        found = self.networks.find("bridge" if text == "default" else text)
        if found is None:
            raise NotFound(f"network {text} not found")
        return found

    # Networks. What a template says is taken by nobody.

    def put_network(self, network: Network) -> None:
        """Insert or replace. Raises: Conflict when the name belongs to another network."""
        old = self.networks.get(network.id)
        self.networks.put(network)
        if old is not None:
            self._unindex_network(old)
        self._index_network(network)

    def remove_network(self, identity: str) -> None:
        network = self.networks.get(identity)
        if network is not None:
            self.networks.remove(identity)
            self._unindex_network(network)

    def _index_network(self, network: Network) -> None:
        if network.bridge:
            self.bridges[network.bridge] = network.id
        for subnet in _subnets(network):
            self.subnets.add(subnet)

    def _unindex_network(self, network: Network) -> None:
        self.bridges.pop(network.bridge, None)
        for subnet in _subnets(network):
            self.subnets.remove(subnet)

    # Endpoints.

    def endpoint(self, identity: str) -> Endpoint:
        return self._endpoints[identity]

    def endpoints_of(self, container: str) -> tuple[Endpoint, ...]:
        """A container's endpoints in the order they were asked for."""
        found = [self._endpoints[identity] for identity in self._by_container.get(container, ())]
        return tuple(sorted(found, key=lambda endpoint: endpoint.order))

    def endpoint_on(self, container: str, network: str) -> Endpoint | None:
        """The container's endpoint on a network, by the network's id."""
        for identity, on in self._by_container.get(container, {}).items():
            if on == network:
                return self._endpoints[identity]
        return None

    def ports_on(self, bridge: str) -> int:
        """How many active endpoints have their port on a bridge."""
        return self._ports[bridge]

    def _count(self, endpoint: Endpoint, change: int) -> None:
        network = self.networks.get(endpoint.network)
        bridge = endpoint.extension or (network.bridge if network else "")
        if endpoint.active and bridge:
            self.active += change
            self._ports[bridge] += change
            if not self._ports[bridge]:
                del self._ports[bridge]

    def endpoints_on(self, network: str) -> Iterator[Endpoint]:
        """Every endpoint of a network, active or only claimed."""
        return (self._endpoints[identity] for identity in tuple(self._by_network.get(network, ())))

    def in_use(self, network: str) -> bool:
        """Whether anybody is on a network now; what stopped containers have of it does not count, as in Docker."""
        return any(one.active for one in self.endpoints_on(network))

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """Insert or replace, claiming its addresses. Raises: Conflict when somebody else has one."""
        old = self._endpoints.get(endpoint.id)
        moved = old is None or (old.ipv4, old.ipv6) != (endpoint.ipv4, endpoint.ipv6)
        with self.store.transaction():
            if moved:
                self.store.release(endpoint.id)
                for text in (endpoint.ipv4, endpoint.ipv6):
                    if text:
                        self.store.claim(endpoint.network, text.split("/")[0], endpoint.id)
            self._endpoints.put(endpoint)
        if old is not None:
            self._count(old, -1)
        self._count(endpoint, 1)
        if moved:
            if old is not None:
                self._forget_addresses(old)
            self._index_endpoint(endpoint)

    def remove_endpoint(self, identity: str) -> None:
        endpoint = self._endpoints.get(identity)
        if endpoint is None:
            return
        with self.store.transaction():
            self.store.release(identity)
            self._endpoints.remove(identity)
        self._count(endpoint, -1)
        self._forget_addresses(endpoint)
        self._by_container[endpoint.container].pop(identity, None)
        if not self._by_container[endpoint.container]:
            del self._by_container[endpoint.container]
        self._by_network[endpoint.network].discard(identity)

    def taken(self, network: str) -> dict[int, str]:
        """Addresses of a network in use, as numbers, with the endpoint that has each. Read only."""
        return self._addresses[network]

    def _index_endpoint(self, endpoint: Endpoint) -> None:
        self._by_container[endpoint.container][endpoint.id] = endpoint.network
        self._by_network[endpoint.network].add(endpoint.id)
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                self._addresses[endpoint.network][int(ip_address(text.split("/")[0]))] = endpoint.id

    def _forget_addresses(self, endpoint: Endpoint) -> None:
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                self._addresses[endpoint.network].pop(int(ip_address(text.split("/")[0])), None)

    # Sandboxes and the ports published through them.

    def sandbox(self, owner: str) -> Sandbox | None:
        """The sandbox made for a container, while it is up."""
        identity = self._sandbox_of.get(owner)
        return self._sandboxes.get(identity) if identity else None

    def put_sandbox(self, sandbox: Sandbox) -> None:
        old = self._sandboxes.get(sandbox.id)
        self._sandboxes.put(sandbox)
        if old is not None:
            self.ports.remove(old.published, old.container)
        self._sandbox_of[sandbox.container] = sandbox.id
        self.ports.add(sandbox.published, sandbox.container)

    def remove_sandbox(self, owner: str) -> None:
        sandbox = self.sandbox(owner)
        if sandbox is not None:
            self._sandboxes.remove(sandbox.id)
            self.ports.remove(sandbox.published, sandbox.container)
            del self._sandbox_of[owner]

    def reserve_ports(self, sandbox: Sandbox, bindings: tuple[Binding, ...]) -> Sandbox:
        """Commit a sandbox's published ports; the new sandbox value."""
        changed = replace(sandbox, published=bindings)
        self.put_sandbox(changed)
        return changed


def _subnets(network: Network) -> list[Subnet]:
    return [ip_network(pool.subnet) for pool in network.live_pools if not network.config_only]
