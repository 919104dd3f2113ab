"""Endpoints and the sandboxes that hold them: claimed, brought up, taken down.

A sandbox belongs to the container it was made for (its *owner*), not to that container's process: it lives
while the owner or anyone who joined it runs, so that restarting the owner cuts nobody off. An endpoint's
addresses, MAC and names are claims for the life of the container (or of the attachment); `active` says
whether its link exists.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from ipaddress import ip_network

from landbridge.engine.apply import Apply, Undo
from landbridge.engine.remotes import Remotes, has_remote_ipam, idle, is_asked_for
from landbridge.engine.room import Room
from landbridge.engine.state import State
from landbridge.engine.validate_network import canonical_mac, check_endpoint
from landbridge.errors import Conflict, Forbidden, Invalid, NotFound
from landbridge.model import ids
from landbridge.model.config import EndpointConfig, EndpointIpam
from landbridge.model.container import Container, Phase
from landbridge.model.link import RouteSpec
from landbridge.model.network import Endpoint, IpamPool, Network, Sandbox
from landbridge.model.world import Instance
from landbridge.network import bridge as bridge_driver
from landbridge.network import extension, gateways, ipam, linking, options
from landbridge.network.drivers import driver
from landbridge.network.steps import Element, Exposed, Namespace, Routes, Rules, Step


class Attachments:
    """Claims endpoints and carries sandboxes up and down. Callers hold the container's lock."""

    def __init__(
        self, state: State, apply: Apply, netns_dir: str, mtu: int, remotes: Remotes, *,
        bridge_ports: int = extension.MOST_PORTS,
    ) -> None:  # fmt: skip
        self.state = state
        self.apply = apply
        self.netns_dir = netns_dir
        self.mtu = mtu
        self.remotes = remotes
        self.room = Room(state, apply, bridge_ports)

    # Who shares what.

    def owner(self, container: Container) -> Container:
        """The container whose sandbox this one uses: itself, or the end of its ``container:`` chain.

        Raises: NotFound when the target is gone, Conflict on a circle.
        """
        seen = {container.id}
        while container.joins:
            target = self._joined(container)
            if target.id in seen:
                raise Conflict(f"cannot join own network namespace: {container.name}")
            seen.add(target.id)
            container = target
        return container

    def _joined(self, container: Container) -> Container:
        """By what is written after ``container:`` first, then by name: a re-created target is found again."""
        found = self.state.containers.find(container.joins) or self.state.containers.by_name(container.joined_name)
        if found is None:
            raise NotFound(f"No such container: {container.joins}")
        return found

    def users(self, owner: str) -> list[Container]:
        """Containers that live in the owner's sandbox, itself included: they run, or will again after a back-off."""
        return [
            one for one in self.state.containers
            if one.state.stack_of == owner and (one.state.running or one.state.phase is Phase.RESTARTING)
        ]

    def name(self, container: Container) -> None:
        """Put a container under its (new) name: its endpoints' names follow, and what those know who joined it."""
        with self.state.store.transaction():
            self.state.containers.put(container)
            for endpoint in self.state.endpoints_of(container.id):
                self.state.put_endpoint(replace(endpoint, names=dns_names(container, endpoint.config)))
            for other in self.state.containers:
                if other.joins == container.id:
                    self.state.containers.put(replace(other, joined_name=container.name))

    # Claims.

    def claim(self, container: Container) -> tuple[Endpoint, ...]:
        """Endpoints for every network the container asked for, old claims kept, in order.

        Raises: NotFound when a network does not exist, Invalid or Forbidden when an address cannot be had;
        then nothing new has been claimed.
        """
        wanted = [(order, one, self.state.network(one.network)) for order, one in enumerate(container.endpoints)]
        ids_wanted = {network.id for _, _, network in wanted}
        for old in self.state.endpoints_of(container.id):
            if old.network not in ids_wanted:
                self.state.remove_endpoint(old.id)
        made: list[str] = []
        try:
            for order, config, network in wanted:
                standing = self.state.endpoint_on(container.id, network.id)
                if standing is None:
                    made.append(self.claim_one(container, network, config, order).id)
                elif standing.order != order:
                    self.state.put_endpoint(replace(standing, order=order))
        except BaseException:
            for identity in made:
                self.state.remove_endpoint(identity)
            raise
        return self.state.endpoints_of(container.id)

    def claim_one(self, container: Container, network: Network, config: EndpointConfig, order: int) -> Endpoint:
        """One endpoint, committed. Raises as `claim`."""
        if network.config_only:
            raise Forbidden("cannot create endpoint on configuration-only network")
        check_endpoint(network.name, config, network)
        identity = ids.new_id()
        kind = driver(network.driver)
        linked = kind.interfaces
        own_mac = linked and (kind.own_mac(network) or bool(config.mac_address and network.driver != "ipvlan"))
        six_too = network.enable_ipv6 and bridge_driver.has_ipv6(container.host.sysctls)
        six_too = six_too and not options.switches_ipv6_off(config.driver_opts or {})
        here = linked and not has_remote_ipam(network)
        four, gateway4 = self._address(network, config.ipam_config, 4) if here and network.enable_ipv4 else ("", "")
        six, gateway6 = self._address(network, config.ipam_config, 6) if here and six_too else ("", "")
        endpoint = Endpoint(
            id=identity, network=network.id, container=container.id, config=config, order=order,
            mac=(canonical_mac(config.mac_address) if config.mac_address else ids.random_mac()) if own_mac else "",
            ipv4=four, ipv6=six, gateway4=gateway4, gateway6=gateway6,
            host_name=self.state.instance.veth_name(secrets.token_hex(6)) if kind.host_side else "",
            names=dns_names(container, config),
        )
        self.state.put_endpoint(idle(endpoint, network))
        return self.state.endpoint(identity)

    def _address(self, network: Network, wanted: EndpointIpam | None, version: int) -> tuple[str, str]:
        """Address in CIDR form and gateway for one family. A full pool takes back a stopped container's lease."""
        pools = [pool for pool in network.pools if ip_network(pool.subnet).version == version]
        if not pools:
            return "", ""
        taken = self.state.taken(network.id)
        text = (wanted.ipv4_address if version == 4 else wanted.ipv6_address) if wanted else ""
        if text:
            address, pool = ipam.fixed_address(text, pools, lambda one: self._held(network, int(one)))
        else:
            address, pool = self._dynamic(network, pools, taken, version)
        length = ip_network(pool.subnet).prefixlen
        through = not network.internal and not options.is_layer3(network.driver, network.options)
        gateway = pool.auxiliary.get(f"DefaultGatewayIPv{version}", pool.gateway) if through else ""
        return f"{address}/{length}", gateway

    def _held(self, network: Network, number: int) -> bool:
        """Whether an address is taken for good. A dynamic lease of a stopped container is given up for it."""
        holder = self.state.taken(network.id).get(number)
        return holder is not None and not self._reclaim(holder)

    def _reclaim(self, identity: str) -> bool:
        endpoint = self.state.endpoint(identity)
        fixed = endpoint.config.ipam_config
        if endpoint.active or (fixed and (fixed.ipv4_address or fixed.ipv6_address)):
            return False
        self.state.remove_endpoint(identity)
        return True

    def _dynamic(
        self, network: Network, pools: list[IpamPool], taken: dict[int, str], version: int
    ) -> tuple[ipam.Address, IpamPool]:
        key = (network.id, version)
        for attempt in ("free", "reclaim"):
            for pool in pools:
                try:
                    address = ipam.next_address(pool, taken.keys(), self.state.cursor.get(key, 0))
                except Invalid:
                    continue
                self.state.cursor[key] = int(address)
                return address, pool
            if attempt == "free" and not any(map(self._reclaim, self._longest_idle(network))):
                break
        raise Invalid(
            f"no available IPv{version} addresses on this network's address pools: {network.name} ({network.id})"
        )

    def _longest_idle(self, network: Network) -> list[str]:
        """Endpoints that are not up, those of containers that ended long ago first."""
        containers = self.state.containers
        idle = [one for one in self.state.endpoints_on(network.id) if not one.active]
        idle.sort(key=lambda one: containers[one.container].state.finished_at if one.container in containers else 0)
        return [one.id for one in idle]

    # Up and down.

    def path(self, sandbox_id: str) -> str:
        """Where a sandbox's namespace is pinned."""
        return f"{self.netns_dir}/{ids.short(sandbox_id)}"

    async def up(self, owner: Container, undo: Undo) -> Sandbox | None:
        """Bring the owner's sandbox up with all its endpoints; None in host mode. Up already: as it is.

        Raises as `claim`; what was done is on `undo`.
        """
        if owner.host.network_mode == "host":
            return None
        standing = self.state.sandbox(owner.id)
        if standing is not None:
            return standing
        known = {one.id for one in self.state.endpoints_of(owner.id)}
        undo.push(lambda: self._forget(owner.id, known))
        endpoints = self._named(self.claim(owner))
        identity = ids.new_id()
        sandbox = Sandbox(id=identity, container=owner.id, path=self.path(identity))
        # Active before the kernel is touched: from here on nobody may take the addresses or the networks away.
        self.state.put_sandbox(sandbox)
        for endpoint in endpoints:
            self.state.put_endpoint(replace(endpoint, active=True))
        await self.room.among_neighbours()
        spec = bridge_driver.sandbox_spec(sandbox, owner.host.sysctls, self.apply.local_ports())
        steps: list[Step] = [Namespace(spec=spec), self.exposed(sandbox, owner.name)]
        if any(is_asked_for(self.state.networks[one.network]) for one in endpoints):
            await self.apply.run(steps, undo)
            steps, endpoints = [], await self._as_plugins_say(owner, sandbox, endpoints, undo)
        await self.apply.run((*steps, *self._interfaces(sandbox, endpoints)), undo)
        return sandbox

    async def _as_plugins_say(
        self, owner: Container, sandbox: Sandbox, endpoints: tuple[Endpoint, ...], undo: Undo
    ) -> tuple[Endpoint, ...]:
        """The endpoints as plugins have made them, committed."""
        joined = await self.remotes.join_all(owner, sandbox, endpoints, self.state.networks.all(), undo)
        for endpoint in joined:
            self.state.put_endpoint(replace(endpoint, active=True))
        return joined

    def _named(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        """Interface names: what the user asked for, else the lowest free number, in endpoint order."""
        endpoints = tuple(endpoints)
        asked = {(one.config.driver_opts or {}).get(options.IFNAME, "") for one in endpoints}
        named: list[Endpoint] = []
        for endpoint in endpoints:
            network = self.state.networks[endpoint.network]
            if driver(network.driver).interfaces:
                used = {one.ifname for one in named}
                name = interface_name(endpoint.config, network, used, asked)
                endpoint = replace(endpoint, ifname=name, extension=self.room.place(network))
            named.append(endpoint)
        return tuple(named)

    def _interfaces(self, sandbox: Sandbox, endpoints: tuple[Endpoint, ...]) -> tuple[Step, ...]:
        """All interfaces of a sandbox, and its default routes."""
        steps = [step for endpoint in endpoints for step in self._interface(endpoint, sandbox)]
        active = [replace(endpoint, active=True) for endpoint in endpoints]
        after = gateways.routes(sandbox.path, active, self.state.networks.all())
        return (*steps, Routes(after=after, before=after.cleared())) if after else tuple(steps)

    def exposed(self, sandbox: Sandbox, name: str) -> Exposed:
        """A container's network stack as tools of the host (``ip netns``) see it, called `name`."""
        return Exposed(path=sandbox.path, name=exposed_name(self.state.instance, name))

    def _interface(self, endpoint: Endpoint, sandbox: Sandbox) -> tuple[Step, ...]:
        """What an endpoint needs, and what links to and from it open where nothing else is open."""
        network = self.state.networks[endpoint.network]
        steps = driver(network.driver).attach(network, endpoint, sandbox, self.mtu)
        opened = self.linked(endpoint)
        return (*steps, Rules(add=opened)) if opened else steps

    def linked(self, endpoint: Endpoint) -> tuple[Element, ...]:
        """The rules' elements that are there because an endpoint is up and its container links or is linked to."""
        network = self.state.networks[endpoint.network]
        if not linking.filtered(network):
            return ()
        up = [one for one in self.state.endpoints_on(network.id) if one.active]
        addresses = {one.container: gateways.bare(one.ipv4) for one in (*up, endpoint)}
        return linking.elements_of(endpoint.container, self.state.containers.all(), addresses)

    async def _forget(self, owner: str, known: set[str]) -> None:
        """Take `up`'s reservations back; endpoints in `known` were claimed before and stay so."""
        for endpoint in self.state.endpoints_of(owner):
            if endpoint.id in known:
                self.state.put_endpoint(idle(endpoint, self.state.networks[endpoint.network]))
            else:
                self.state.remove_endpoint(endpoint.id)
        self.state.remove_sandbox(owner)

    async def down(self, owner: str) -> None:
        """Take the owner's sandbox down; twice is fine. Claims stay."""
        sandbox = self.state.sandbox(owner)
        if sandbox is None:
            return
        steps: list[Step] = []
        guests: list[tuple[Network, Endpoint]] = []
        for endpoint in self.state.endpoints_of(owner):
            network = self.state.networks[endpoint.network]
            if endpoint.active:
                steps += [step.inverse() for step in self._interface(endpoint, sandbox)]
                guests += [(network, endpoint)] if is_asked_for(network) else []
            self.state.put_endpoint(idle(endpoint, network))
        steps.append(self.exposed(sandbox, self.state.containers[owner].name).inverse())
        steps.append(Namespace(spec=bridge_driver.sandbox_spec(sandbox), present=False))
        self.state.remove_sandbox(owner)
        await self._depart(guests, steps)

    async def _depart(self, guests: list[tuple[Network, Endpoint]], steps: list[Step]) -> None:
        """Carry out the tear-down `steps`; plugins hear before and after. `guests` are their endpoints among them."""
        for network, endpoint in guests:
            await self.remotes.leave(network, endpoint)
        await self.apply.run_forgiving(steps)
        for network, endpoint in guests:
            await self.remotes.dismiss(network, endpoint)

    async def attach(self, owner: Container, endpoint: Endpoint, sandbox: Sandbox, undo: Undo) -> Endpoint:
        """Give a sandbox that is up one more interface; `endpoint` is active and has its interface name.

        The endpoint as it is then: a plugin may have had a part in it.
        """
        if is_asked_for(self.state.networks[endpoint.network]):
            others = tuple(one for one in self.state.endpoints_of(owner.id) if one.id != endpoint.id)
            joined = await self.remotes.join_all(owner, sandbox, (endpoint,), self.state.networks.all(), undo, others)
            endpoint = joined[0]
            self.state.put_endpoint(endpoint)
        await self.apply.run(self._interface(endpoint, sandbox), undo)
        before, after = self._routes_around(endpoint, sandbox)
        if after != before:
            await self.apply.run((Routes(after=after, before=before),), undo)
        return endpoint

    async def detach(self, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """Take an interface whose claim is gone away from a sandbox that is up."""
        after, before = self._routes_around(endpoint, sandbox)
        # The new default route first: a program that answers in between shall not be told that there is none.
        steps: list[Step] = [Routes(after=after, before=before)] if after != before else []
        steps += [step.inverse() for step in self._interface(endpoint, sandbox)]
        network = self.state.networks[endpoint.network]
        await self._depart([(network, endpoint)] if is_asked_for(network) else [], steps)

    async def right(self, owner: Container, sandbox: Sandbox) -> None:
        """The default routes of a sandbox that stands, as they should be: programs in it may have had their own ideas.

        Failures are logged; who starts a container again wants it to run.
        """
        after = gateways.routes(sandbox.path, self.state.endpoints_of(owner.id), self.state.networks.all())
        if after:
            await self.apply.run_forgiving((Routes(after=after, before=after),))

    def _routes_around(self, endpoint: Endpoint, sandbox: Sandbox) -> tuple[RouteSpec, RouteSpec]:
        """The sandbox's default routes without and with an endpoint."""
        networks = self.state.networks.all()
        others = [one for one in self.state.endpoints_of(endpoint.container) if one.id != endpoint.id]
        without = gateways.routes(sandbox.path, others, networks)
        return without, gateways.routes(sandbox.path, [*others, endpoint], networks)

    def reserve(self, container: Container, network: Network, config: EndpointConfig) -> Endpoint:
        """The claim of one more, active endpoint of a sandbox that is up. Raises as `claim`."""
        others = self.state.endpoints_of(container.id)
        order = 1 + max((one.order for one in others), default=-1)
        ifname = place = ""
        if driver(network.driver).interfaces:
            ifname = interface_name(config, network, {one.ifname for one in others})
            place = self.room.place(network)
        claim = self.claim_one(container, network, config, order)
        endpoint = replace(claim, ifname=ifname, extension=place, active=True)
        self.state.put_endpoint(endpoint)
        return endpoint


def exposed_name(instance: Instance, container: str) -> str:
    """``landbridge-web1``: the mark of the instance, then the container's name."""
    return f"{instance.table}-{container}"


def interface_name(config: EndpointConfig, network: Network, used: set[str], asked: Collection[str] = ()) -> str:
    """The name inside the container; `asked` are names others will take. Raises: Conflict when it is taken."""
    wanted = (config.driver_opts or {}).get(options.IFNAME, "")
    if wanted:
        if wanted in used:
            raise Conflict(
                f"failed to set up container networking: failed to add interface to sandbox: error renaming interface"
                f' to "{wanted}": file exists'
            )
        return wanted
    prefix = network.options.get(options.IFACE_PREFIX, "eth")
    number = 0
    while (name := f"{prefix}{number}") in used or name in asked:
        number += 1
    return name


def dns_names(container: Container, config: EndpointConfig) -> tuple[str, ...]:
    """Docker's order: container name, aliases, short id, hostname; each once."""
    hostname = container.config.hostname
    names = (container.name, *(config.aliases or ()), ids.short(container.id), hostname)
    return tuple(dict.fromkeys(name for name in names if name))
