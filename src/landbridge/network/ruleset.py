"""The rules: World → sets and maps of one nft table, and the constant chains that read them.

Everything that grows is an element of a set or map; the chains never change, so neither the cost of a
packet nor of an operation grows with networks, containers or ports. Each object's elements are a function
of that object alone: `elements(world)` is their union, an operation sends just the difference, and the
two must agree (a property the tests check). Nothing is ever parsed back from the kernel.

Hooks and priorities (kernel: netfilter_ipv4.h, nf_tables): raw -300, dstnat -100, filter 0, srcnat 100.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from landbridge.model.network import Endpoint, Network, Sandbox
from landbridge.model.ports import Binding
from landbridge.model.world import World
from landbridge.network import gateways, linking, options
from landbridge.network.gateways import Lead
from landbridge.network.steps import Element

# name → nft type text. The order is the order of the rendered table.
CONTAINERS: dict[str, str] = {
    "bridges": "set type ifname",
    "same_network": "set type ifname . ifname",
    "closed": "set type ifname",
    "subnets": "set type ipv4_addr . ifname; flags interval",
    "subnets6": "set type ipv6_addr . ifname; flags interval",
    "internal": "set type ifname",
    "masqueraded": "set type nf_proto . ifname",
    "leaving_as": "map type ifname : ipv4_addr",
    "leaving_as6": "map type ifname : ipv6_addr",
    "unprotected": "set type nf_proto . ifname",
    "routed": "set type nf_proto . ifname",
    "trusted": "set type ifname . ifname",
    "direct": "set type ifname",
    "opened": "set type inet_proto . ipv4_addr . inet_service",
    "opened_range": "set type inet_proto . ipv4_addr . inet_service; flags interval",
    "opened6": "set type inet_proto . ipv6_addr . inet_service",
    "opened6_range": "set type inet_proto . ipv6_addr . inet_service; flags interval",
    "linked": "set type inet_proto . ipv4_addr . ipv4_addr . inet_service",
    "allowed": "set type inet_proto . inet_service; flags interval",
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

LOCAL_PORTS = (32768, 60999)  # net.ipv4.ip_local_port_range of a namespace where nobody changed it

_HIDDEN = "meta nfproto . iifname @masqueraded"

# What belongs to the user is created and never flushed: the chain every packet through the host meets first, and the
# ports that lead to containers although the host's own firewall decides about all others (policy host-firewall).
USER_CHAIN = "user"
USER_SET = "allowed"

Chains = Mapping[str, tuple[str, tuple[str, ...]]]
"""Name → (hook line or empty, rules)."""

# Where neighbours may not talk, the proxy carries what they say to each other's published ports: translated here, it
# would be bridged from port to port wherever br_netfilter is loaded, and their isolation would drop it.
_CLOSED = "iifname @closed accept"
_ANYWHERE = (_CLOSED, "fib daddr type local jump publish")
# Not translated, a packet from outside goes on to the host itself: its input rules decide, the proxy relays.
_HOST_DECIDES = (
    _CLOSED,
    "iifname @bridges fib daddr type local jump publish",
    "meta l4proto . th dport @allowed fib daddr type local jump publish",
)

_CHAINS: dict[str, tuple[str, tuple[str, ...]]] = {
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
    "prerouting": ("type nat hook prerouting priority -100; policy accept;", _ANYWHERE),
    "output": ("type nat hook output priority -100; policy accept;", ("fib daddr type local jump publish",)),
    # Connections must not depend on ICMP "too big" where a container's MTU is larger than the way out; the kernel
    # takes the smaller of both directions and never makes it larger (nft_rt, nft_exthdr).
    "clamp": (
        "",
        (
            "iifname @bridges tcp option maxseg size set rt mtu",
            "oifname @bridges tcp option maxseg size set rt mtu",
        ),
    ),
    "opened": (
        "",
        tuple(
            f"meta l4proto {{ tcp, udp, sctp }} meta l4proto . {ip} daddr . th dport @{name} accept"
            for ip, name in (("ip", "opened"), ("ip", "opened_range"), ("ip6", "opened6"), ("ip6", "opened6_range"))
        ),
    ),
    # By nft's own words for protocols: those of /etc/protocols are not there on a small system.
    "routed_network": ("", ("meta l4proto { icmp, icmpv6 } accept", "jump opened")),
    "forward": (
        "type filter hook forward priority 0; policy accept;",
        (
            "tcp flags & (syn | rst) == syn jump clamp",
            "jump user",
            "iifname . oifname @same_network accept",
            "iifname @internal counter drop",
            "oifname @internal counter drop",
            # Not to us: other programs' business. From here on everything goes to one of our bridges.
            "oifname != @bridges accept",
            "ct state established,related accept",
            "ct status dnat accept",
            "meta nfproto . oifname @unprotected accept",
            "meta nfproto . oifname @routed jump routed_network",
            "iifname . oifname @trusted jump opened",
            "oifname @direct jump opened",
            "meta l4proto . ip saddr . ip daddr . th dport @linked accept",
            "counter drop",
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
            "oifname @bridges accept",
            "snat ip to iifname map @leaving_as",
            "snat ip6 to iifname map @leaving_as6",
            # A source port that is one of the host's own dynamic ones stays one, also where two containers chose the
            # same; others (SIP, IKE) are kept where they can be.
            f"{_HIDDEN} meta l4proto {{ tcp, udp }} th sport $local_ports masquerade to :$local_ports",
            f"{_HIDDEN} masquerade",
        ),
    ),
}

POLICIES = ("open", "host-firewall", "local")


def chains(
    policy: str = "open", *, mark: str = "", unfiltered: Iterable[str] = (), guarded: bool = True
) -> Chains:
    """The constant chains. Under ``host-firewall`` only `allowed` ports are led to containers from outside.

    Packets with `mark` (``0x1``, ``0x1/0xff``) go to any container; `unfiltered` families (``ipv4``, ``ipv6``) meet
    no rule of ours; without `guarded` nobody minds whence a loopback address comes.
    """
    found = dict(_CHAINS)
    if policy == "host-firewall":
        found["prerouting"] = (_CHAINS["prerouting"][0], _HOST_DECIDES)
    if not guarded:
        found["guard"] = (_CHAINS["guard"][0], ())
    if mark:
        value, _, mask = mark.partition("/")
        hook, rules = found["forward"]
        at = rules.index("oifname != @bridges accept") + 1
        # Mark 0 of a rule without a mask is every bit, as in Docker.
        match = f"meta mark & {mask} == {value}" if mask else f"meta mark {value}"
        found["forward"] = (hook, (*rules[:at], f"{match} accept", *rules[at:]))
    for family in unfiltered:
        first = f"meta nfproto {family} accept"
        found |= {name: (hook, (first, *rules)) for name, (hook, rules) in found.items() if hook}
    return found


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
    if options.icc(network):
        found.append(Element("same_network", f"{name} . {name}"))
    else:
        found.append(Element("closed", name))
    for pool in network.live_pools:
        found.append(Element("subnets6" if ":" in pool.subnet else "subnets", f"{pool.subnet} . {name}"))
    if network.internal:
        found.append(Element("internal", name))
        return tuple(found)
    for six, family in ((False, "ipv4"), (True, "ipv6")):
        found += _family_elements(network, name, family, six=six)
    found += [Element("trusted", f'"{other}" . {name}') for other in options.trusted(network)]
    if network.direct:
        found.append(Element("direct", name))
    return tuple(found)


def _family_elements(network: Network, name: str, family: str, *, six: bool) -> Iterator[Element]:
    """What leaves the network as what, and what may enter it."""
    mode = options.mode(network, six=six)
    if mode == "routed":
        yield Element("routed", f"{family} . {name}")
    elif options.masquerades(network):
        address = network.options.get(options.HOST_IPV6 if six else options.HOST_IPV4, "")
        if address:
            yield Element("leaving_as6" if six else "leaving_as", name, address)
        else:
            yield Element("masqueraded", f"{family} . {name}")
    if mode == "nat-unprotected":
        yield Element("unprotected", f"{family} . {name}")


def binding_elements(bindings: Iterable[Binding], ipv4: str, ipv6: str) -> tuple[Element, ...]:
    """The map elements that lead `bindings` to a container's bare addresses (empty: it has none).

    An IPv6 host address without an IPv6 container address has no element: the proxy relays it. Neither has
    sctp (the maps match tcp and udp) nor ``::1``, which the kernel does not route off the host.
    """
    found: list[Element] = []
    for binding in bindings:
        six = ":" in binding.host_ip
        target = ipv6 if six else ipv4
        if binding.port.proto not in ("tcp", "udp") or not target or binding.host_ip == "::1" or not binding.host_port:
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


def opened_elements(bindings: Iterable[Binding], addresses: Iterable[str]) -> tuple[Element, ...]:
    """The elements that let clients come to published ports at the container's own `addresses`."""
    runs = _container_ports(bindings)
    found: list[Element] = []
    for address in addresses:
        name = "opened6" if ":" in address else "opened"
        for proto, first, last in runs:
            if last - first + 1 >= RANGE_FROM:
                found.append(Element(f"{name}_range", f"{proto} . {address} . {first}-{last}"))
            else:
                found += [Element(name, f"{proto} . {address} . {number}") for number in range(first, last + 1)]
    return tuple(found)


def _container_ports(bindings: Iterable[Binding]) -> list[tuple[str, int, int]]:
    """(protocol, first, last) of what is published, each port once: intervals of a set must not overlap."""
    spans = sorted({(one.port.proto, one.port.number, one.port.number + one.count - 1) for one in bindings})
    joined: list[tuple[str, int, int]] = []
    for proto, first, last in spans:
        if joined and joined[-1][0] == proto and first <= joined[-1][2] + 1:
            joined[-1] = (proto, joined[-1][1], max(joined[-1][2], last))
        else:
            joined.append((proto, first, last))
    return joined


def covers(element: Element, port: str) -> bool:
    """Whether an element of an `opened` set is, or has in its range, ``tcp . 172.18.0.2 . 80``."""
    head, _, span = element.key.rpartition(" . ")
    wanted, _, number = port.rpartition(" . ")
    first, _, last = span.partition("-")
    return head == wanted and int(first) <= int(number) <= int(last or first)


def published_elements(bindings: Sequence[Binding], lead: Lead) -> tuple[Element, ...]:
    """All elements of published ports that lead where `lead` says."""
    return (*binding_elements(bindings, lead.four, lead.six), *opened_elements(bindings, lead.open))


def sandbox_elements(
    sandbox: Sandbox, endpoints: Iterable[Endpoint], networks: Mapping[str, Network]
) -> tuple[Element, ...]:
    """The elements of a sandbox's published ports, led to its gateway endpoint per family."""
    return published_elements(sandbox.published, gateways.lead(endpoints, networks))


def elements(world: World) -> tuple[Element, ...]:
    """Every element that should exist, sorted; the full render is made of these."""
    return tuple(sorted(set(_all(world))))


def _all(world: World) -> Iterator[Element]:
    for network in world.networks.values():
        yield from network_elements(network)
        if linking.filtered(network):
            up = [one for one in world.endpoints.values() if one.network == network.id and one.active]
            addresses = {one.container: gateways.bare(one.ipv4) for one in up}
            yield from linking.elements(world.containers, addresses)
    by_container: dict[str, list[Endpoint]] = {}
    for endpoint in world.endpoints.values():
        by_container.setdefault(endpoint.container, []).append(endpoint)
    for sandbox in world.sandboxes.values():
        if sandbox.published:
            yield from sandbox_elements(sandbox, by_container.get(sandbox.container, ()), world.networks)
