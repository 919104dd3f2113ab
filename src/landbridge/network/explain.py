"""Why a connection arrives, or does not: the path of one target through what the engine set up. Pure.

Every hop names the object that does the work (socket, map element, bridge, interface), so that each claim can
be checked with the system's own tools. Facts that only the kernel knows (does anybody listen?) come in.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from landbridge.errors import Invalid
from landbridge.model.network import Endpoint, Network, Sandbox
from landbridge.model.ports import PROTOCOLS, Binding, Port
from landbridge.model.world import World
from landbridge.network import gateways, options, ruleset

# (sandbox path, port) → whether a program listens there; None when nobody can tell.
Listens = Callable[[Sandbox, Port], bool | None]


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked about: a host (or container) address, a port, a protocol (``icmp``: no port)."""

    address: str
    port: int
    proto: str = "tcp"

    def __str__(self) -> str:
        if self.proto == "icmp":
            return f"{self.address} (echo)"
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{where}:{self.port}/{self.proto}"


@dataclass(frozen=True, slots=True)
class Hop:
    """One station: `what` it is, and the `detail` that shows it."""

    what: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The hops in order, whether a connection would arrive, and one sentence."""

    hops: tuple[Hop, ...]
    reachable: bool
    summary: str


def parse_target(text: str) -> Target:
    """``127.0.0.1:32773``, ``[::1]:80``, ``8080``, ``:53/udp``. Raises: Invalid."""
    rest, _, proto = text.strip().partition("/")
    proto = proto or "tcp"
    if proto not in PROTOCOLS:
        raise Invalid(f"unknown protocol: {proto}")
    host, colon, port = rest.rpartition(":")
    if not colon:
        host, port = "", rest
    host = host.strip("[]") or "127.0.0.1"
    if host == "localhost":
        host = "127.0.0.1"
    try:
        address = str(ip_address(host))
        number = int(port)
    except ValueError:
        raise Invalid(f"cannot explain {text!r}: give ADDRESS:PORT[/PROTO]") from None
    if not 0 < number < 65536:
        raise Invalid(f"cannot explain {text!r}: port out of range")
    return Target(address, number, proto)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """Who reaches published ports: the engine's `policy`, and what the user has in our table."""

    policy: str = "open"
    allowed: Callable[[Target], bool] = lambda target: False
    rules: int = 0  # of chain user


OPEN = Firewall()


def explain(world: World, target: Target, listens: Listens, firewall: Firewall = OPEN) -> Explanation:
    """The path from a client that names `target` to a container, as far as it goes."""
    for endpoint in world.endpoints.values():
        if endpoint.active and target.address in (endpoint.ipv4.split("/")[0], endpoint.ipv6.split("/")[0]):
            return _direct(world, target, endpoint, listens)
    found = published(world, target)
    if found is None:
        why = (_client(target), Hop("host port", nobody(world, target)))
        return Explanation(hops=why, reachable=False, summary=f"nothing of this engine answers at {target}")
    sandbox, run = found
    if firewall.policy == "host-firewall" and not _from_here(target) and not firewall.allowed(target):
        return _past_the_hosts_firewall(world, target, sandbox, run, listens)
    hops = [_client(target), *asked_first(firewall, target)]
    return through(world, target, sandbox, run, listens, hops)


def asked_first(firewall: Firewall, target: Target) -> list[Hop]:
    """The user's own chain, which sees whatever is forwarded."""
    if not firewall.rules or ip_address(target.address).is_loopback:
        return []
    return [Hop("user rules", f"chain user has {firewall.rules} of yours, which are asked first and may end it")]


def _past_the_hosts_firewall(
    world: World, target: Target, sandbox: Sandbox, run: Binding, listens: Listens
) -> Explanation:
    """Policy ``host-firewall``: not translated for clients outside, but handed to the host like its own services."""
    hops = [
        _client(target),
        Hop("publish policy", f"host-firewall, and {target.proto} . {target.port} is not in set allowed: what comes"
                              " from outside goes to the host itself, whose input rules decide"),
    ]  # fmt: skip
    found = through(world, target, sandbox, run, listens, hops, relayed="published ports are the host's own here")
    return replace(found, summary=f"{found.summary}, if the host's firewall lets it in") if found.reachable else found


def nobody(world: World, target: Target) -> str:
    """Why no container has a host port; one of the same number at another address is worth knowing."""
    found = [
        f"{one.host_ip} by {world.containers[sandbox.container].name}"
        for sandbox in world.sandboxes.values() for one in sandbox.published
        if one.port.proto == target.proto and one.host_port <= target.port <= one.last
    ]  # fmt: skip
    return f"{target}: no container publishes it" + (f" there, only at {', '.join(found)}" if found else "")


def published(world: World, target: Target) -> tuple[Sandbox, Binding] | None:
    """The run of ports that has the target: an exact host address before the wildcard."""
    six = ":" in target.address
    candidates = []
    for sandbox in world.sandboxes.values():
        for binding in sandbox.published:
            held = 0 < binding.host_port <= target.port <= binding.last
            if not held or binding.port.proto != target.proto:
                continue
            if (":" in binding.host_ip) != six:
                continue
            if binding.host_ip == target.address or binding.host_ip in ruleset.ANY_HOST:
                candidates.append((binding.host_ip in ruleset.ANY_HOST, sandbox, binding))
    if not candidates:
        return None
    _, sandbox, binding = min(candidates, key=lambda one: one[0])
    return sandbox, binding


def through(
    world: World, target: Target, sandbox: Sandbox, run: Binding, listens: Listens, hops: list[Hop], *, chain: str = "",
    relayed: str = "",
) -> Explanation:
    """From a host port on: by the map, or by the proxy (`relayed`: why it is, although the map has it).

    `hops` is how it came there, `chain` where it is translated.
    """
    binding = run.at(target.port)
    owner = world.containers[sandbox.container]
    endpoints = world.endpoints_of(sandbox.container)
    four, six = gateways.targets(endpoints, world.networks)
    shown = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
    hops = [
        *hops,
        Hop("host port", f"{shown}:{binding.host_port}/{binding.port.proto}, held by the proxy for container"
                         f" {owner.name} ({binding.port})"),
    ]  # fmt: skip
    elements = ruleset.binding_elements((run,), four, six)
    if elements and target.address != "::1" and not relayed:
        element = elements[0] if len(elements) == 1 else elements[target.port - run.host_port]
        chain = chain or ("output" if _from_here(target) else "prerouting")
        hops.append(Hop("DNAT", f"table inet {world.instance.table}, chain {chain} → publish, map {element.container}:"
                                f" {element.key} : {element.value}"))
        if ip_address(target.address).is_loopback:
            hops.append(Hop("masquerade", "chain postrouting: the source 127.0.0.0/8 becomes the bridge's address"))
        address = six if ":" in target.address else four
    else:
        address = (six if ":" in target.address and six else "") or four
        if not address:
            hops.append(Hop("proxy", f"no address of {owner.name} to relay to"))
            return Explanation(hops=tuple(hops), reachable=False, summary=f"{owner.name} has no address for {target}")
        why = "::1 is not routed off the host" if target.address == "::1" else "the container has no such address"
        hops.append(Hop("proxy", f"relays to {address}:{binding.port.number} ({relayed or why}); the container sees the"
                                 " bridge's address as the client"))
    endpoint = next(one for one in endpoints if address in (one.ipv4.split("/")[0], one.ipv6.split("/")[0]))
    return arrive(world, hops, endpoint, address, binding.port, listens)


def _direct(world: World, target: Target, endpoint: Endpoint, listens: Listens) -> Explanation:
    network = world.networks[endpoint.network]
    hops = [
        Hop("client", _who_comes_directly(world, network, target)),
        Hop("route", f"{target.address} is in {_subnet(network, target.address)}, directly on {network.bridge}"),
    ]
    return arrive(world, hops, endpoint, target.address, Port(target.port, target.proto), listens)


def _who_comes_directly(world: World, network: Network, target: Target) -> str:
    """Who may come to a container's own address, and what lets them."""
    neighbours = f", or a container on network {network.name}" if options.icc(network) else ""
    here = f"this host{neighbours}"
    mode = options.mode(network, six=":" in target.address)
    if network.internal:
        return f"{here}; everybody else is dropped in chain forward, set internal"
    if mode == "nat-unprotected":
        return f"{here}, or anybody with a route: chain forward, set unprotected"
    elements = ruleset.elements(world)
    port = f"{target.proto} . {target.address} . {target.port}"
    if any(one.container.startswith("opened") and ruleset.covers(one, port) for one in elements):
        who = "anybody with a route" if mode == "routed" else f"whoever comes by {', '.join(options.trusted(network))}"
        return f"{here}, or {who}: chain opened, element {port}"
    return f"{here}; others are dropped in chain forward"


def arrive(
    world: World, hops: list[Hop], endpoint: Endpoint, address: str, port: Port, listens: Listens
) -> Explanation:
    network, owner = world.networks[endpoint.network], world.containers[endpoint.container]
    sandbox = next(one for one in world.sandboxes.values() if one.container == endpoint.container)
    bridges = f"{network.bridge}, {endpoint.extension} behind it" if endpoint.extension else network.bridge
    hops.append(Hop("bridge", f"{bridges} (network {network.name}), port {endpoint.host_name}"))
    if port.proto == "icmp":
        hops.append(Hop("container", f"{owner.name} {endpoint.ifname} {address} ({endpoint.mac})"))
        return Explanation(hops=tuple(hops), reachable=True, summary=f"{owner.name} answers at {address}")
    hops.append(Hop("container", f"{owner.name} {endpoint.ifname} {address} ({endpoint.mac}), port {port}"))
    listening = listens(sandbox, port)
    if listening is False:
        hops.append(Hop("program", f"nobody listens on {port} in {owner.name}"))
        return Explanation(hops=tuple(hops), reachable=False, summary=f"the path is open, {owner.name} does not listen")
    known = "a program listens" if listening else "whether a program listens is not known"
    hops.append(Hop("program", f"{known} on {port}"))
    return Explanation(hops=tuple(hops), reachable=True, summary=f"{owner.name} answers on {port}")


def _subnet(network: Network, address: str) -> str:
    six = ":" in address
    return next((pool.subnet for pool in network.pools if (":" in pool.subnet) == six), network.name)


def _from_here(target: Target) -> bool:
    return ip_address(target.address).is_loopback


def _client(target: Target) -> Hop:
    if _from_here(target):
        return Hop("client", f"a program on this host connects to {target}")
    return Hop("client", f"a client connects to {target}")
