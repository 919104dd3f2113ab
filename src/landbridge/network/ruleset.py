"""The rules: World → sets and maps of one nft table, and the constant chains that read them.

Everything that grows is an element of a set or map; the chains never change, so neither the cost of a
packet nor of an operation grows with networks, containers or ports. Each object's elements are a function
of that object alone: `elements(world)` is their union, an operation sends just the difference, and the
two must agree (a property the tests check). Nothing is ever parsed back from the kernel.

Hooks and priorities (kernel: netfilter_ipv4.h, nf_tables): raw -300, dstnat -100, filter 0, srcnat 100.
"""

from collections.abc import Iterable, Iterator, Mapping

from landbridge.model.network import Endpoint, Network, Sandbox
from landbridge.model.ports import Binding
from landbridge.model.world import World
from landbridge.network import gateways
from landbridge.network.steps import Element

# name → nft type text. The order is the order of the rendered table.
CONTAINERS: dict[str, str] = {
    "bridges": "set type ifname",
    "same_network": "set type ifname . ifname",
    "subnets": "set type ipv4_addr . ifname; flags interval",
    "subnets6": "set type ipv6_addr . ifname; flags interval",
    "masqueraded": "set type ifname",
    "internal": "set type ifname",
    "publish_any": "map type inet_proto . inet_service : ipv4_addr . inet_service",
    "publish_addr": "map type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service",
    "publish_range": "map type inet_proto . ipv4_addr . inet_service : ipv4_addr; flags interval",
    "publish6_any": "map type inet_proto . inet_service : ipv6_addr . inet_service",
    "publish6_addr": "map type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service",
    "publish6_range": "map type inet_proto . ipv6_addr . inet_service : ipv6_addr; flags interval",
}

_PORTS4 = "meta nfproto ipv4 meta l4proto { tcp, udp }"
# ::1 cannot be sent off the host (no route_localnet for IPv6), and a link-local source is not forwarded: the proxy
# carries both.
_PORTS6 = "ip6 daddr != ::1 ip6 saddr != fe80::/10 meta l4proto { tcp, udp }"

# chain → (hook line or empty, rules). `user` belongs to the user: it is created and never flushed.
USER_CHAIN = "user"
CHAINS: dict[str, tuple[str, tuple[str, ...]]] = {
    USER_CHAIN: ("", ()),
    # Loopback addresses are reachable from other interfaces once route_localnet is on: close that here.
    "guard": (
        "type filter hook prerouting priority -300; policy accept;",
        ('iifname != "lo" ip daddr 127.0.0.0/8 counter drop',),
    ),
    "publish": (
        "",
        (
            f"{_PORTS4} dnat ip to meta l4proto . ip daddr . th dport map @publish_addr",
            f"{_PORTS4} dnat ip to meta l4proto . th dport map @publish_any",
            f"{_PORTS4} dnat ip to meta l4proto . ip daddr . th dport map @publish_range",
            f"{_PORTS6} dnat ip6 to meta l4proto . ip6 daddr . th dport map @publish6_addr",
            f"{_PORTS6} dnat ip6 to meta l4proto . th dport map @publish6_any",
            f"{_PORTS6} dnat ip6 to meta l4proto . ip6 daddr . th dport map @publish6_range",
        ),
    ),
    "prerouting": ("type nat hook prerouting priority -100; policy accept;", ("fib daddr type local jump publish",)),
    "output": ("type nat hook output priority -100; policy accept;", ("fib daddr type local jump publish",)),
    "forward": (
        "type filter hook forward priority 0; policy accept;",
        (
            "jump user",
            "iifname . oifname @same_network accept",
            "iifname @internal counter drop",
            "oifname @internal counter drop",
            "oifname @bridges ct state established,related accept",
            "oifname @bridges ct status dnat accept",
            "oifname @bridges counter drop",
        ),
    ),
    "postrouting": (
        "type nat hook postrouting priority 100; policy accept;",
        (
            # Whoever reaches its own network through a published port must be answered through the host. By source
            # address: where br_netfilter is loaded, such a packet is bridged and has no incoming interface here.
            "ip saddr . oifname @subnets ct status dnat masquerade",
            "ip6 saddr . oifname @subnets6 ct status dnat masquerade",
            "oifname @bridges ip saddr 127.0.0.0/8 masquerade",
            "iifname @masqueraded oifname != @bridges masquerade",
        ),
    ),
}

TRUE = ("1", "t", "T", "true", "TRUE", "True")

ANY_HOST = ("0.0.0.0", "::")

# From here on a run of equal ports is one element of an interval map. Those are slower to change the more there are
# (0.1 ms with 10 elements, 1 ms with 1,000, 5 ms with 10,000), hash maps are not (32 elements: 0.25 ms): a fleet of
# containers with a few neighbouring ports each must not meet in the interval map.
RANGE_FROM = 16


def network_elements(network: Network) -> tuple[Element, ...]:
    """The elements one network adds while its bridge exists; none for drivers without a bridge."""
    if network.driver != "bridge" or not network.bridge:
        return ()
    name = f'"{network.bridge}"'
    found = [Element("bridges", name)]
    if icc(network):
        found.append(Element("same_network", f"{name} . {name}"))
        for pool in network.pools:
            found.append(Element("subnets6" if ":" in pool.subnet else "subnets", f"{pool.subnet} . {name}"))
    if network.internal:
        found.append(Element("internal", name))
    elif masquerades(network):
        found.append(Element("masqueraded", name))
    return tuple(found)


def flag(options: Mapping[str, str], key: str, *, default: bool) -> bool:
    """An option that is a Go boolean (strconv.ParseBool); `default` when absent."""
    return options[key] in TRUE if key in options else default


def icc(network: Network) -> bool:
    """True when containers of this network may talk to each other (Docker's enable_icc)."""
    return flag(network.options, "com.docker.network.bridge.enable_icc", default=True)


def masquerades(network: Network) -> bool:
    """True when outgoing connections are hidden behind the host (Docker's enable_ip_masquerade)."""
    return flag(network.options, "com.docker.network.bridge.enable_ip_masquerade", default=True)


def binding_elements(bindings: Iterable[Binding], ipv4: str, ipv6: str) -> tuple[Element, ...]:
    """The map elements that lead `bindings` to a container's bare addresses (empty: it has none).

    An IPv6 host address without an IPv6 container address has no element: the proxy relays it. Neither has
    sctp (the maps match tcp and udp) nor ``::1``, which the kernel does not route off the host.
    """
    found: list[Element] = []
    for binding in bindings:
        six = ":" in binding.host_ip
        target = ipv6 if six else ipv4
        if binding.port.proto not in ("tcp", "udp") or not target or binding.host_ip == "::1":
            continue
        if binding.count >= RANGE_FROM and binding.port.number == binding.host_port:
            found.append(_range_element(binding, target))
        else:
            found += [_port_element(one, target) for one in binding.singles()]
    return tuple(found)


def _range_element(binding: Binding, target: str) -> Element:
    """A run of equal ports: dnat to an address alone keeps the port."""
    six = ":" in binding.host_ip
    address = f"{binding.host_ip}/0" if binding.host_ip in ANY_HOST else binding.host_ip
    key = f"{binding.port.proto} . {address} . {binding.host_port}-{binding.last}"
    return Element("publish6_range" if six else "publish_range", key, target)


def _port_element(binding: Binding, target: str) -> Element:
    name = "publish6" if ":" in binding.host_ip else "publish"
    value = f"{target} . {binding.port.number}"
    if binding.host_ip in ANY_HOST:
        return Element(f"{name}_any", f"{binding.port.proto} . {binding.host_port}", value)
    return Element(f"{name}_addr", f"{binding.port.proto} . {binding.host_ip} . {binding.host_port}", value)


def sandbox_elements(
    sandbox: Sandbox, endpoints: Iterable[Endpoint], networks: Mapping[str, Network]
) -> tuple[Element, ...]:
    """The elements of a sandbox's published ports, led to its gateway endpoint per family."""
    four, six = gateways.targets(endpoints, networks)
    return binding_elements(sandbox.published, four, six)


def elements(world: World) -> tuple[Element, ...]:
    """Every element that should exist, sorted; the full render is made of these."""
    return tuple(sorted(_all(world)))


def _all(world: World) -> Iterator[Element]:
    for network in world.networks.values():
        yield from network_elements(network)
    by_container: dict[str, list[Endpoint]] = {}
    for endpoint in world.endpoints.values():
        by_container.setdefault(endpoint.container, []).append(endpoint)
    for sandbox in world.sandboxes.values():
        if sandbox.published:
            yield from sandbox_elements(sandbox, by_container.get(sandbox.container, ()), world.networks)
