"""Which host ports a container gets. Pure: what is taken comes in, bindings or a clear refusal go out.

Docker's rules (reference section 1.5): no host address means every IPv4 and IPv6 address with the same
number; a fixed port is taken or refused; dynamic ports are handed out serially from the ephemeral range.
A container's dynamic ports are remembered (`sticky`) and used again as long as nobody else took them.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from itertools import chain

from landbridge.errors import Conflict, Invalid
from landbridge.model.config import Config, HostConfig
from landbridge.model.ports import Binding, Port, PortRange, check_host_ip, parse_port, parse_range

Holders = Callable[[str, int], Mapping[str, str]]  # (proto, host port) → {host ip: owner}

ANY4, ANY6 = "0.0.0.0", "::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One publication asked for: `port` on each of `host_ips`, at a host port within `span`."""

    port: Port
    host_ips: tuple[str, ...]
    span: PortRange

    @property
    def key(self) -> str:
        """Names this publication in a container's sticky ports."""
        return f"{self.port}|{','.join(self.host_ips)}"


def wanted(config: Config, host: HostConfig, default_ip: str, *, ipv6: bool) -> tuple[Wanted, ...]:
    """Everything a container wants published, fixed ports first so that dynamic ones avoid them.

    Raises: Invalid on a malformed port, address or range.
    """
    found: list[Wanted] = []
    bound: set[Port] = set()
    for text, bindings in (host.port_bindings or {}).items():
        port = parse_port(text)
        bound.add(port)
        for binding in bindings or ():
            span = parse_range(binding.host_port)
            found.append(Wanted(port=port, host_ips=_host_ips(binding.host_ip, default_ip, ipv6=ipv6), span=span))
    if host.publish_all_ports:
        for text in config.exposed_ports or {}:
            port = parse_port(text)
            if port not in bound:
                ips = _host_ips("", default_ip, ipv6=ipv6)
                found.append(Wanted(port=port, host_ips=ips, span=PortRange(0, 0)))
    return tuple(sorted(found, key=lambda one: (one.span.dynamic, len(one.span) > 1, one.port)))


def _host_ips(text: str, default_ip: str, *, ipv6: bool) -> tuple[str, ...]:
    address = check_host_ip(text) or check_host_ip(default_ip) or ANY4
    if not text and address == ANY4:
        return (ANY4, ANY6) if ipv6 else (ANY4,)
    return (address,)


def clash(host_ip: str, holders: Mapping[str, str]) -> str | None:
    """The owner whose binding of the same port keeps `host_ip` from being bound, if any."""
    version = ip_address(host_ip).version
    for other, owner in holders.items():
        if ip_address(other).version == version and (other == host_ip or {other, host_ip} & {ANY4, ANY6}):
            return owner
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """The host's dynamic range (ip_local_port_range) and the number handed out last."""

    low: int
    high: int
    last: int


def choose(
    wants: Sequence[Wanted],
    holders: Holders,
    sticky: Mapping[str, int],
    ephemeral: Ephemeral,
    busy: Set[tuple[str, int]],
) -> tuple[Binding, ...]:
    """Bindings for all of `wants`, host ports chosen where the user left a choice.

    `busy` are (proto, port) found held by somebody else on the host. Raises: Conflict (Docker's sentence)
    when a fixed port or a whole range is taken.
    """
    made: list[Binding] = []
    last = ephemeral.last
    for want in wants:
        free = partial(_is_free, want, made, holders, busy)
        number = _pick(want, free, sticky.get(want.key, 0), ephemeral, last)
        if number is None:
            raise Conflict(_refusal(want))
        if want.span.dynamic:
            last = number
        made += [Binding(port=want.port, host_ip=ip, host_port=number) for ip in want.host_ips]
    return tuple(made)


def _is_free(
    want: Wanted, made: Sequence[Binding], holders: Holders, busy: Set[tuple[str, int]], number: int
) -> bool:
    proto = want.port.proto
    if (proto, number) in busy:
        return False
    own = {one.host_ip: "" for one in made if one.host_port == number and one.port.proto == proto}
    taken = {**holders(proto, number), **own}
    return all(clash(ip, taken) is None for ip in want.host_ips)


def _pick(want: Wanted, free: Callable[[int], bool], remembered: int, ephemeral: Ephemeral, last: int) -> int | None:
    if not want.span.dynamic:
        if want.span.first <= remembered <= want.span.last and free(remembered):
            return remembered
        return next((number for number in range(want.span.first, want.span.last + 1) if free(number)), None)
    if remembered and free(remembered):
        return remembered
    start = last + 1 if ephemeral.low <= last < ephemeral.high else ephemeral.low
    numbers = chain(range(start, ephemeral.high + 1), range(ephemeral.low, start))
    return next((number for number in numbers if free(number)), None)


def _refusal(want: Wanted) -> str:
    if want.span.dynamic:
        return "all ports are allocated"
    where = f"[{want.host_ips[0]}]" if ":" in want.host_ips[0] else want.host_ips[0]
    return f"Bind for {where}:{want.span.first} failed: port is already allocated"


def check(config: Config, host: HostConfig) -> None:
    """Refuse malformed ports at create, as Docker does. Raises: Invalid."""
    for text in config.exposed_ports or {}:
        parse_port(text)
    for text, bindings in (host.port_bindings or {}).items():
        parse_port(text)
        for binding in bindings or ():
            check_host_ip(binding.host_ip)
            try:
                parse_range(binding.host_port)
            except Invalid:
                raise Invalid(f"invalid port specification: \"{binding.host_port}\"") from None
