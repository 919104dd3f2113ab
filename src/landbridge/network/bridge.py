"""The bridge driver: one Linux bridge per network, one veth pair per endpoint. Pure: answers are steps."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from landbridge.errors import Forbidden, Invalid
from landbridge.model.link import BridgeSpec, SandboxSpec, VethSpec
from landbridge.model.network import Endpoint, IpamPool, Network, NetworkRequest, Sandbox
from landbridge.network import options, ruleset
from landbridge.network.extension import extension_spec
from landbridge.network.steps import Bridge, Extended, Rules, Step, Veth

_OF_INTERFACE = re.compile(r"net[./]ipv[46][./](?:conf|neigh)[./](?!(?:all|default|lo)[./])")


class BridgeDriver:
    """Driver ``bridge`` (scope local): containers in one subnet per family, the host is their gateway."""

    name = "bridge"
    interfaces = True
    host_side = True
    kind = ""

    def check(self, request: NetworkRequest) -> None:
        """Raises: Invalid on an option with a value this driver cannot use, Forbidden on two subnets of a family."""
        options.check(request)
        if request.enable_ipv4 is False and not request.enable_ipv6:
            raise Invalid("IPv4 or IPv6 must be enabled")
        sixes = [":" in pool.subnet for pool in request.pools if pool.subnet]
        fours = 0 if request.enable_ipv4 is False else sixes.count(False)
        if fours > 1 or (request.enable_ipv6 and sixes.count(True) > 1):
            raise Forbidden("bridge driver doesn't support multiple subnets")

    def check_among(self, request: NetworkRequest, networks: Iterable[Network], links: Collection[str]) -> None:
        """What an existing interface of the bridge's name means is seen when it is used."""

    def leads_out(self, request: NetworkRequest) -> bool:
        """Unless asked not to."""
        return True

    def without_gateway(self, request: NetworkRequest, *, six: bool) -> bool:
        """Whether nobody would have the gateway's address."""
        return options.without_gateway(request.options, internal=request.internal, six=six)

    def own_mac(self, network: Network) -> bool:
        """Each endpoint has one."""
        return True

    def create(self, network: Network, mtu: int) -> tuple[Step, ...]:
        """Steps that bring the network's bridge and its rule elements into being."""
        return (
            Bridge(spec=bridge_spec(network, mtu)),
            Rules(add=ruleset.network_elements(network)),
        )

    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]:
        """Steps that give the sandbox an interface on the network."""
        wired = [one for one in network.extensions if one.bridge == endpoint.extension]
        extended = (Extended(spec=extension_spec(network, one, network_mtu(network, mtu))) for one in wired)
        return (*extended, Veth(spec=veth_spec(network, endpoint, sandbox, mtu)))


def host_addresses(network: Network) -> tuple[str, ...]:
    """What the host is called on the network, in CIDR form: the gateways of the pools, where it is the gateway."""
    addresses = []
    for pool in network.live_pools:
        six = ":" in pool.subnet
        inhibited = not six and options.flag(network.options, options.INHIBIT_IPV4, default=False)
        if pool.gateway and not inhibited and options.mode(network, six=six) != "isolated":
            addresses.append(f"{pool.gateway}/{pool.subnet.split('/')[1]}")
    return tuple(addresses)


def own_pool(addresses: Iterable[str], version: int) -> IpamPool | None:
    """The subnet a bridge that was there before us is in, the bridge as its gateway; None without an address.

    A link-local address is every interface's and says nothing.
    """
    for text in addresses:
        address = ip_interface(text)
        if address.version == version and not address.ip.is_link_local:
            return IpamPool(subnet=str(address.network), gateway=str(address.ip))
    return None


def adopted(
    pools: Iterable[IpamPool], addresses: Sequence[str], *, four: bool, six: bool
) -> tuple[IpamPool, ...]:
    """The pools of a network over somebody else's bridge: where none is given, the bridge's own; its address stays.

    (Docker takes a subnet of its own choice and the bridge's address away.)
    """
    found = list(pools)
    for version, wanted in ((4, four), (6, six)):
        own = own_pool(addresses, version) if wanted else None
        if own is None:
            continue
        given = [one for one in found if one.subnet and ip_network(one.subnet).version == version]
        if not given:
            found.append(own)
        found = [replace(one, gateway=own.gateway) if one.subnet == own.subnet and not one.gateway else one
                 for one in found]
    return tuple(found)


def bridge_spec(network: Network, mtu: int) -> BridgeSpec:
    """The bridge of a network, with the host's addresses on it."""
    addresses = list(host_addresses(network))
    if any(":" in address for address in addresses):
        # A fixed link-local address is usable at once; the kernel's own waits a second for duplicate detection.
        addresses.append("fe80::1/64")
    sysctls = [
        (f"net/ipv4/conf/{network.bridge}/route_localnet", "1"),
        (f"net/ipv6/conf/{network.bridge}/accept_ra", "0"),
    ]
    if not network.enable_ipv6:
        sysctls.append((f"net/ipv6/conf/{network.bridge}/disable_ipv6", "1"))
    if not options.icc(network) and options.flag(network.options, options.DEFAULT_BRIDGE, default=False):
        # Ports do not hear each other's ARP, yet links (--link) lead from one to the other: the host answers for all
        # (RFC 3069) and forwards what a link allows. It must not tell them of a shorter way.
        sysctls += [(f"net/ipv4/conf/{network.bridge}/proxy_arp_pvlan", "1"),
                    (f"net/ipv4/conf/{network.bridge}/send_redirects", "0")]
    return BridgeSpec(
        name=network.bridge,
        addresses=tuple(addresses),
        mtu=network_mtu(network, mtu),
        sysctls=tuple(sysctls),
    )


def veth_spec(network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> VethSpec:
    """The interface pair of an endpoint."""
    rate_in, rate_out = options.rates(network, endpoint.config.driver_opts or {})
    return VethSpec(
        host_name=endpoint.host_name,
        ifname=endpoint.ifname,
        sandbox=sandbox.path,
        bridge=endpoint.extension or network.bridge,
        mac=endpoint.mac,
        mtu=network_mtu(network, mtu),
        addresses=inner_addresses(endpoint),
        isolated=not options.icc(network),
        hairpin=options.icc(network),
        rate_in=rate_in,
        rate_out=rate_out,
        sysctls=inner_sysctls(network, endpoint),
    )


def inner_addresses(endpoint: Endpoint) -> tuple[str, ...]:
    """The addresses of an endpoint's interface, in CIDR form."""
    return (*(address for address in (endpoint.ipv4, endpoint.ipv6) if address), *link_local(endpoint))


def inner_sysctls(network: Network, endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """The settings of an endpoint's interface. Loopback keeps ::1 whatever the interfaces have."""
    inner = endpoint.ifname
    sysctls = [(f"net/ipv6/conf/{inner}/disable_ipv6", "0" if endpoint.ipv6 else "1")]
    if endpoint.ipv6:
        sysctls.append((f"net/ipv6/conf/{inner}/accept_ra", "0"))
    if network.options.get(options.ANNOUNCEMENTS) == "0":
        sysctls += [(f"net/ipv4/conf/{inner}/arp_notify", "0"), (f"net/ipv6/conf/{inner}/ndisc_notify", "0")]
    return (*sysctls, *options.sysctls(endpoint.config.driver_opts or {}, inner))


def link_local(endpoint: Endpoint) -> tuple[str, ...]:
    """The link-local addresses the user gave the interface, in CIDR form; of a family it does not have, none."""
    wanted = endpoint.config.ipam_config
    given = [ip_address(text) for text in (wanted.link_local_ips or ())] if wanted else []
    return tuple(
        f"{address}/{16 if address.version == 4 else 64}" for address in given if address.version == 4 or endpoint.ipv6
    )


def has_ipv6(sysctls: Mapping[str, str] | None) -> bool:
    """False when the user switched IPv6 off for a whole container, which then gets no address of it."""
    keys = ("net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6")
    return not any((sysctls or {}).get(key) == "1" for key in keys)


def network_mtu(network: Network, default: int) -> int:
    """Bytes; the network's own option, else what the daemon was told or found at its uplink."""
    text = network.options.get(options.MTU, "")
    return int(text) if text and int(text) else default


def sandbox_spec(
    sandbox: Sandbox, sysctls: Mapping[str, str] | None = None, local_ports: tuple[int, int] = ruleset.LOCAL_PORTS
) -> SandboxSpec:
    """The namespace of a sandbox with the container's own net sysctls (dots become slashes).

    Those of one interface are left to the runtime, which sets them when the interfaces are there. Its dynamic ports
    are the host's, `local_ports`, so that masquerading can keep them.
    """
    wanted = {key.replace(".", "/"): value for key, value in (sysctls or {}).items()
              if key.startswith(("net.", "net/")) and not _OF_INTERFACE.match(key)}
    if local_ports != ruleset.LOCAL_PORTS:
        wanted = {"net/ipv4/ip_local_port_range": "{} {}".format(*local_ports), **wanted}
    return SandboxSpec(path=sandbox.path, sysctls=tuple(wanted.items()))
