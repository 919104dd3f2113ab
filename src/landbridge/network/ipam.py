"""Address management, pure: which subnet a network gets and which address an endpoint gets.

Nothing is remembered here. Callers pass what is taken and commit the answer as a claim before anything
else happens; every function is plain arithmetic on `ipaddress` values. Rules and texts are Docker's
(reference section 1.4) except for the default pools, which are larger and split smaller.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from landbridge.errors import Forbidden, Invalid
from landbridge.model.network import IpamPool, Subnet
from landbridge.network.subnetledger import SubnetLedger

Address = IPv4Address | IPv6Address

# Names under which an auxiliary address is the containers' gateway; it may be the network's own.
_OTHER_GATEWAYS = ("DefaultGatewayIPv4", "DefaultGatewayIPv6")


@dataclass(frozen=True, slots=True)
class PoolBase:
    """A default pool: `base` is cut into subnets of prefix length `size`."""

    base: Subnet
    size: int


# 172.17/16 is the default bridge's, as in Docker; the rest is cut into /20 (4,094 addresses each): 224
# networks beside Docker's usual ranges, then 2,048 more in the half of 10/8 that is rarely routed.
DEFAULT_POOLS: tuple[PoolBase, ...] = (
    PoolBase(IPv4Network("172.17.0.0/16"), 16),
    PoolBase(IPv4Network("172.18.0.0/15"), 20),
    PoolBase(IPv4Network("172.20.0.0/14"), 20),
    PoolBase(IPv4Network("172.24.0.0/13"), 20),
    PoolBase(IPv4Network("10.128.0.0/9"), 20),
)


def parse_subnet(text: str) -> Subnet:
    """CIDR text → network. Raises: Invalid on bad text or host bits set (Docker's sentence)."""
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        raise Invalid(f"invalid subnet {text}: invalid CIDR block notation") from None
    if ip_address(text.split("/")[0]) != loose.network_address:
        raise Invalid(f"invalid subnet {text}: it should be {loose}")
    return loose


def canonical_pools(pools: Sequence[IpamPool]) -> tuple[IpamPool, ...]:
    """User pools in canonical form.

    Raises: Invalid listing every fault of every pool, one a line, under Docker's heading.
    """
    faults: list[str] = []
    result = [_canonical(pool, faults) for pool in pools]
    if faults:
        listed = faults if len(faults) == 1 else [f"* {fault}" for fault in faults]
        raise Invalid("invalid network config:\n" + "\n".join(listed))
    return tuple(result)


def _canonical(pool: IpamPool, faults: list[str]) -> IpamPool:
    if not pool.subnet:
        if pool.gateway or pool.ip_range or pool.auxiliary:
            faults.append("invalid subnet : invalid CIDR block notation")
        return pool
    try:
        subnet = parse_subnet(pool.subnet)
    except Invalid as error:
        faults.append(error.message)
        return pool
    ip_range = pool.ip_range
    if ip_range:
        try:
            wanted = parse_subnet(ip_range)
        except Invalid as error:
            faults.append(error.message.replace("invalid subnet", "invalid ip-range", 1))
        else:
            if wanted.version != subnet.version or wanted.prefixlen < subnet.prefixlen:
                faults.append(f"invalid ip-range {ip_range}: CIDR block is bigger than its parent subnet {subnet}")
            elif wanted.network_address not in subnet:
                faults.append(f"invalid ip-range {ip_range}: parent subnet {subnet} doesn't contain ip-range")
            ip_range = str(wanted)
    gateway = _within(pool.gateway, subnet, f"invalid gateway {pool.gateway}", faults)
    auxiliary = {
        name: _within(value, subnet, f"invalid auxiliary address {name}", faults)
        for name, value in pool.auxiliary.items()
    }
    return IpamPool(subnet=str(subnet), ip_range=ip_range, gateway=gateway, auxiliary=auxiliary, chosen=pool.chosen)


def _within(text: str, subnet: Subnet, what: str, faults: list[str]) -> str:
    if not text:
        return ""
    try:
        address = ip_address(text.split("/")[0])
    except ValueError:
        faults.append(f"{what}: invalid address")
        return text
    if address.version != subnet.version:
        faults.append(f"{what}: parent subnet is an IPv{subnet.version} block")
    elif address not in subnet:
        faults.append(f"{what}: parent subnet {subnet} doesn't contain this address")
    return str(address)


def check_reserved(pools: Sequence[IpamPool]) -> None:
    """Gateways and auxiliary addresses can be had, each once.

    Raises: Forbidden (Docker's sentences) for one that is the network's or broadcast address, or taken by another.
    """
    for pool in pools:
        subnet = ip_network(pool.subnet)
        low, high = usable(IpamPool(subnet=pool.subnet))
        taken: set[int] = set()
        wanted = [(f"failed to allocate gateway ({pool.gateway})", pool.gateway)] if pool.gateway else []
        wanted += [(f"failed to allocate secondary ip address ({name}:{text})", text)
                   for name, text in pool.auxiliary.items() if name not in _OTHER_GATEWAYS]
        for what, text in wanted:
            number = int(ip_address(text))
            if number in taken or (subnet.version == 4 and not low <= number <= high):
                raise Forbidden(f"{what}: Address already in use")
            taken.add(number)


def check_overlap(subnet: Subnet, taken: Iterable[SubnetLedger]) -> None:
    """Raises: Forbidden (Docker's sentence) when `subnet` overlaps a subnet of another network."""
    if any(ledger.overlaps(subnet) for ledger in taken):
        raise Forbidden("Pool overlaps with other one on this address space")


def overlaps(one: Subnet, other: Subnet) -> bool:
    """True when the two share an address; never across families."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def choose_subnet(
    bases: Sequence[PoolBase], version: int, taken: Sequence[SubnetLedger], routed: SubnetLedger
) -> Subnet:
    """The first subnet of the pools that meets neither another network nor a route of the host.

    When routes cover everything (a VPN with 10/8, 172.16/12 and 192.168/16) the first one free of networks
    is used: a more specific route wins over the VPN's, and failing would leave the user without any.

    Raises: Invalid (Docker's sentence) when every subnet is taken by a network.
    """
    found = _first_free_subnet(bases, version, (*taken, routed)) or _first_free_subnet(bases, version, taken)
    if found is not None:
        return found
    raise Invalid(
        "all predefined address pools have been fully subnetted"
        f" ({sum(map(len, taken))} networks in use; see --default-address-pool)"
    )


def _first_free_subnet(bases: Sequence[PoolBase], version: int, taken: Sequence[SubnetLedger]) -> Subnet | None:
    """Jumps over what is taken instead of walking it."""
    for pool in bases:
        if pool.base.version != version:
            continue
        width = 1 << (pool.base.max_prefixlen - pool.size)
        position, end = int(pool.base.network_address), int(pool.base.broadcast_address)
        while position + width - 1 <= end:
            ends = [one.beyond(version, position, position + width - 1) for one in taken]
            beyond = max((one for one in ends if one is not None), default=None)
            if beyond is None:
                return IPv4Network((position, pool.size)) if version == 4 else IPv6Network((position, pool.size))
            position += -(-(beyond - position) // width) * width
    return None


def first_usable(subnet: Subnet) -> Address:
    """The address a gateway gets when none was asked for: the first host of the subnet."""
    offset = 0 if subnet.prefixlen >= subnet.max_prefixlen - 1 else 1
    return subnet.network_address + offset


def choose_gateway(pool: IpamPool) -> Address:
    """The gateway of a pool without one.

    The first host of the ip-range when the range starts above the subnet, as Docker does, else of the subnet,
    stepping over auxiliary addresses. Raises: Invalid when nothing is left.
    """
    subnet = ip_network(pool.subnet)
    aux = {int(ip_address(text)) for text in pool.auxiliary.values()}
    low, high = usable(pool)
    start = max(int(first_usable(subnet)), low)
    for number in range(start, high + 1):
        if number not in aux:
            return _address(subnet, number)
    raise Invalid(f"no available IPv{subnet.version} addresses on this network's address pools: {pool.subnet}")


def usable(pool: IpamPool) -> tuple[int, int]:
    """First and last address number that may be handed out dynamically, both included.

    Network and broadcast addresses are kept out except in /31 and /32 (RFC 3021), as is the IPv6
    subnet-router anycast address (RFC 4291, 2.6.1).
    """
    subnet = ip_network(pool.subnet)
    low, high = int(subnet.network_address), int(subnet.broadcast_address)
    if subnet.prefixlen < subnet.max_prefixlen - 1:
        low += 1
        if subnet.version == 4:
            high -= 1
    if pool.ip_range:
        span = ip_network(pool.ip_range)
        low = max(low, int(span.network_address))
        high = min(high, int(span.broadcast_address))
    return low, high


def next_address(pool: IpamPool, taken: Set[int], after: int) -> Address:
    """The next free address of `pool` following number `after`, wrapping once.

    Serial allocation, so that an address just freed is not handed to somebody else at once (stale ARP
    entries and clients). Raises: Invalid with Docker's sentence when the pool is full.
    """
    subnet = ip_network(pool.subnet)
    low, high = usable(pool)
    reserved = {int(ip_address(text)) for text in (*pool.auxiliary.values(), pool.gateway) if text}
    start = after + 1 if low <= after < high else low
    free = _first_free(start, high, taken, reserved)
    if free is None:
        free = _first_free(low, min(start - 1, high), taken, reserved)
    if free is None:
        raise Invalid(f"no available IPv{subnet.version} addresses on this network's address pools: {pool.subnet}")
    return _address(subnet, free)


def _first_free(low: int, high: int, taken: Set[int], reserved: Set[int]) -> int | None:
    number = low
    while number <= high:
        if number not in taken and number not in reserved:
            return number
        number += 1
    return None


def fixed_address(
    text: str, pools: Sequence[IpamPool], is_taken: Callable[[Address], bool]
) -> tuple[Address, IpamPool]:
    """An address the user asked for, and the pool it lies in.

    Raises: Invalid when no pool's subnet holds it, Forbidden ("Address already in use") when it is taken: by an
    endpoint, by the gateway, as an auxiliary address, or as the address of the network itself or of all in it.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise Invalid(f"invalid IPv4 address: {text}" if ":" not in text else f"invalid IPv6 address: {text}") from None
    for pool in pools:
        subnet = ip_network(pool.subnet)
        if address.version == subnet.version and address in subnet:
            if is_taken(address) or str(address) == pool.gateway or not _may_be_held(address, pool):
                raise Forbidden("Address already in use")
            return address, pool
    raise Invalid(f"invalid config for network: no configured subnet contains IP address {text}")


def _may_be_held(address: Address, pool: IpamPool) -> bool:
    low, high = usable(IpamPool(subnet=pool.subnet))
    kept = {ip_address(text) for name, text in pool.auxiliary.items() if name not in _OTHER_GATEWAYS}
    return low <= int(address) <= high and address not in kept


def _address(subnet: Subnet, number: int) -> Address:
    return IPv4Address(number) if subnet.version == 4 else IPv6Address(number)


def ula_prefix(seed: str) -> str:
    """A /48 of unique local addresses (RFC 4193, 3.2): ``fd`` and 40 bits derived from the host's own id."""
    digest = hashlib.sha256(seed.encode()).digest()[-5:]
    return str(IPv6Network((int.from_bytes(b"\xfd" + digest + bytes(10), "big"), 48)))
