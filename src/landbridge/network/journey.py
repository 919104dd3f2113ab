"""The way of what a container sends, or somebody outside: through the rules, in their order, to where it ends. Pure.

`explain` begins at the host; here it begins in a sandbox. Each rule told is looked up in the ruleset by a word of it,
so that none can be told that is not there.
"""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from landbridge.model.network import Endpoint, Network
from landbridge.model.ports import Port
from landbridge.model.world import World
from landbridge.network import gateways, options, ruleset
from landbridge.network.explain import (
    OPEN,
    Explanation,
    Firewall,
    Hop,
    Listens,
    Target,
    arrive,
    asked_first,
    explain,
    nobody,
    published,
    through,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known beside the world: the host's own addresses, who listens, the firewall."""

    world: World
    listens: Listens
    host: Collection[str] = ()
    firewall: Firewall = OPEN


def rule(word: str) -> str:
    """The rule of chain forward with this word in it, as it stands there. Raises: LookupError."""
    found = [one for one in ruleset.chains()["forward"][1] if word in one]
    if len(found) != 1:
        raise LookupError(f"chain forward has {len(found)} rules with {word!r}")
    return f"chain forward: {found[0]}"


def from_container(setting: Setting, sender: str, target: Target, hops: list[Hop]) -> Explanation:
    """From the stack of the container with id `sender`, which has one; `hops` is how the address was found."""
    world = setting.world
    name = world.containers[sender].name
    ends = [one for one in world.endpoints_of(sender) if one.active]
    mine = next((one for one in ends if target.address in _addresses(one)), None)
    if ip_address(target.address).is_loopback or mine is not None:
        return _own(setting, sender, target, hops)
    there = _endpoint(world, target.address)
    near = next((one for one in ends if _in_subnet(world.networks[one.network], target.address)), None)
    if near is not None:
        hops = [*hops, Hop("route", f"{target.address} is on {near.ifname} of {name}, network"
                                    f" {world.networks[near.network].name}: sent directly")]
        if there is not None:
            return _neighbour(setting, near, there, target, hops)
    else:
        way = _default(world, ends, six=":" in target.address)
        if way is None:
            hops.append(Hop("route", f"{name} has no way to {target.address}: none of its networks leads out"))
            return _ended(hops, f"{name} has no route to {target.address}")
        near, gateway = way
        out = world.networks[near.network].name
        hops = [*hops, Hop("route", f"by default to {gateway} on {near.ifname}, network {out}")]
    if target.address in setting.host:
        return _host(setting, near, target, hops)
    if there is not None:
        return _elsewhere(setting, near, there, target, hops)
    return _outside(setting, near, target, hops)


def from_outside(setting: Setting, target: Target) -> Explanation:
    """From a machine beside this one, which sends `target`'s packets here."""
    world, there = setting.world, _endpoint(setting.world, target.address)
    if ip_address(target.address).is_loopback:
        hops = [Hop("client", f"somebody outside sends to {target}"), Hop("guard", f"chain guard: {_guard()}")]
        return _ended(hops, "loopback addresses are this host's alone")
    if there is None:
        return explain(world, target, setting.listens, setting.firewall)
    network = world.networks[there.network]
    hops = [Hop("client", f"somebody outside sends to {target}, by a route through this host")]
    return _forward(setting, "", network, there, target, hops)


def _guard() -> str:
    return ruleset.chains()["guard"][1][0]


def _own(setting: Setting, sender: str, target: Target, hops: list[Hop]) -> Explanation:
    world, sandbox = setting.world, next(one for one in setting.world.sandboxes.values() if one.container == sender)
    users = [one.name for one in world.containers.values() if one.state.running and one.state.stack_of == sender]
    shared = f", shared by {', '.join(users)}" if len(users) > 1 else ""
    hops = [*hops, Hop("stack", f"{target.address} is the container's own{shared}: nothing leaves it")]
    if target.proto == "icmp":
        return Explanation(hops=tuple(hops), reachable=True, summary="it is itself")
    port = Port(target.port, target.proto)
    listening = setting.listens(sandbox, port)
    if listening is False:
        return _ended([*hops, Hop("program", f"nobody listens on {port} in this stack")], "nobody listens")
    hops.append(Hop("program", f"{'a program listens' if listening else 'whether one listens is not known'} on {port}"))
    return Explanation(hops=tuple(hops), reachable=True, summary=f"this stack answers on {port}")


def _neighbour(setting: Setting, near: Endpoint, there: Endpoint, target: Target, hops: list[Hop]) -> Explanation:
    """On the same network: the bridge carries it, rules have no part in it, unless neighbours may not talk."""
    network = setting.world.networks[near.network]
    if options.icc(network):
        return _at(setting, there, target, hops)
    linked = f"{target.proto} . {gateways.bare(near.ipv4)} . {target.address} . {target.port}"
    if any(one.container == "linked" and one.key == linked for one in ruleset.elements(setting.world)):
        hops = [*hops, Hop("link", f"{rule('@linked')}, element {linked}")]
        return _at(setting, there, target, hops)
    hops = [*hops, Hop("bridge", f"ports of {network.bridge} are isolated from each other (enable_icc=false):"
                                 f" {near.host_name} does not reach {there.host_name}")]
    return _ended(hops, f"containers of network {network.name} may not talk to each other")


def _host(setting: Setting, near: Endpoint, target: Target, hops: list[Hop]) -> Explanation:
    """To an address of the host: a published port, or a program of the host's."""
    world, network = setting.world, setting.world.networks[near.network]
    found = published(world, target) if target.proto != "icmp" else None
    if found is None:
        hops = [*hops, Hop("host", f"{target.address} is this host's own: its input rules decide, and its programs")]
        if target.proto != "icmp":
            hops.append(Hop("host port", nobody(world, target)))
        return Explanation(hops=tuple(hops), reachable=True, summary="it reaches this host; no container is behind it")
    sandbox, run = found
    if not options.icc(network):
        return through(world, target, sandbox, run, setting.listens, hops, relayed="neighbours may not talk directly")
    if network.internal:
        hops = [*hops, Hop("forward", rule("iifname @internal"))]
        return _ended(hops, f"network {network.name} is internal: nothing it sends is forwarded")
    hops = [*hops, *asked_first(setting.firewall, target)]
    return through(world, target, sandbox, run, setting.listens, hops, chain="prerouting")


def _elsewhere(setting: Setting, near: Endpoint, there: Endpoint, target: Target, hops: list[Hop]) -> Explanation:
    network = setting.world.networks[near.network]
    if network.internal:
        hops = [*hops, Hop("forward", rule("iifname @internal"))]
        return _ended(hops, f"network {network.name} is internal: nothing it sends is forwarded")
    return _forward(setting, network.bridge, setting.world.networks[there.network], there, target, hops)


def _forward(
    setting: Setting, come_by: str, network: Network, there: Endpoint, target: Target, hops: list[Hop]
) -> Explanation:
    """Through chain forward to a container of `network`, in the order of its rules."""
    hops = [*hops, *asked_first(setting.firewall, target)]
    if network.internal:
        hops.append(Hop("forward", rule("oifname @internal")))
        return _ended(hops, f"network {network.name} is internal: nobody outside it comes in")
    word = _lets_in(setting.world, come_by, network, target)
    if not word:
        last = ruleset.chains()["forward"][1][-1]
        hops.append(Hop("forward", f"chain forward: {last} (the last rule: nothing before it lets {target} in)"))
        return _ended(hops, f"{target} is closed to all but its own network: publish it or join {network.name}")
    hops.append(Hop("forward", word))
    return _at(setting, there, target, hops)


def _lets_in(world: World, come_by: str, network: Network, target: Target) -> str:
    """The rule that lets a packet to a container's own address in; empty: none does."""
    mode = options.mode(network, six=":" in target.address)
    if mode == "nat-unprotected":
        return rule("@unprotected")
    if mode == "routed" and target.proto == "icmp":
        return f"{rule('@routed')}, which lets errors and echoes in"
    port = f"{target.proto} . {target.address} . {target.port}"
    opened = [one for one in ruleset.elements(world)
              if one.container.startswith("opened") and ruleset.covers(one, port)] if target.port else []
    if not opened:
        return ""
    shown = f"set {opened[0].container}, element {opened[0].key}"
    if mode == "routed":
        return f"{rule('@routed')}, {shown}"
    if network.direct:
        return f"{rule('@direct')}, {shown}"
    trusted = options.trusted(network)
    if come_by in trusted or (trusted and not come_by):
        return f"{rule('@trusted')} (by {', '.join(trusted)}), {shown}"
    return ""


def _outside(setting: Setting, near: Endpoint, target: Target, hops: list[Hop]) -> Explanation:
    network, six = setting.world.networks[near.network], ":" in target.address
    if network.internal:
        hops = [*hops, Hop("forward", rule("iifname @internal"))]
        return _ended(hops, f"network {network.name} is internal: nothing it sends is forwarded")
    hops = [*hops, *asked_first(setting.firewall, target), Hop("forward", rule("oifname != @bridges"))]
    own = network.options.get(options.HOST_IPV6 if six else options.HOST_IPV4, "")
    if options.mode(network, six=six) == "routed" or not options.masquerades(network):
        kept = gateways.bare(near.ipv6 if six else near.ipv4)
        hops.append(Hop("source", f"stays {kept}: who answers must know the way back"))
    elif own:
        hops.append(Hop("source", f"chain postrouting, map leaving_as{'6' * six}: becomes {own}"))
    else:
        hops.append(Hop("source", "chain postrouting: masqueraded, becomes the host's address on the way out"))
    hops.append(Hop("outside", f"{target} is neither this host's nor a container's: the host's routes lead on"))
    return Explanation(hops=tuple(hops), reachable=True, summary=f"it leaves this host for {target.address}")


def _at(setting: Setting, there: Endpoint, target: Target, hops: list[Hop]) -> Explanation:
    return arrive(setting.world, hops, there, target.address, Port(target.port, target.proto), setting.listens)


def _ended(hops: list[Hop], why: str) -> Explanation:
    return Explanation(hops=tuple(hops), reachable=False, summary=why)


def _addresses(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(filter(None, (gateways.bare(endpoint.ipv4), gateways.bare(endpoint.ipv6))))


def _endpoint(world: World, address: str) -> Endpoint | None:
    return next((one for one in world.endpoints.values() if one.active and address in _addresses(one)), None)


def _in_subnet(network: Network, address: str) -> bool:
    found = ip_address(address)
    return any(found in ip_network(pool.subnet) for pool in network.pools if pool.subnet)


def _default(world: World, ends: Collection[Endpoint], *, six: bool) -> tuple[Endpoint, str] | None:
    """The endpoint and gateway of the default route of one family."""
    routes = gateways.routes("", ends, world.networks)
    name, gateway = (routes.ifname6, routes.gateway6) if six else (routes.ifname4, routes.gateway4)
    found = next((one for one in ends if one.ifname == name), None)
    return (found, gateway) if found is not None and gateway else None
