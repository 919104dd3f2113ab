"""Which host ports a container gets. Pure: what is taken comes in, bindings or a clear refusal go out.

Docker's rules (reference section 1.5): no host address means every IPv4 and IPv6 address with the same
number; a fixed port is taken or refused; dynamic ports are handed out serially from the ephemeral range.
A container's dynamic ports are remembered (`sticky`) and used again as long as nobody else took them.
Neighbouring fixed ports become one run: clients write a range of 10,000 as 10,000 bindings.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, groupby

from landbridge.errors import Conflict, Invalid
from landbridge.model.config import Config, HostConfig
from landbridge.model.ports import Binding, Port, PortRange, check_host_ip, parse_port, parse_range
from landbridge.network.gateways import LOOPBACK
from landbridge.network.portledger import ANY4, ANY6, PortLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One publication asked for: `port` on each of `host_ips`, at a host port within `span`.

    `count` is more than 1 for neighbouring ports at neighbouring fixed host ports: `span` is where the first goes.
    """

    port: Port
    host_ips: tuple[str, ...]
    span: PortRange
    count: int = 1

    @property
    def key(self) -> str:
        """Names this publication in a container's sticky ports."""
        return f"{self.port}|{','.join(self.host_ips)}"

    @property
    def chosen(self) -> bool:
        """True when the user left the host port to the engine, wholly or within a range."""
        return self.span.dynamic or len(self.span) > 1


class PortTaken(Conflict):
    """A port or range asked for is taken; `owner` is the container that has it, empty when it is none of ours."""

    def __init__(self, message: str, owner: str = "") -> None:
        super().__init__(message)
        self.owner = owner


def wanted(config: Config, host: HostConfig, default_ip: str, *, ipv6: bool) -> tuple[Wanted, ...]:
    """Everything a container wants published, fixed ports first so that dynamic ones avoid them.

    Raises: Invalid on a malformed port, address or range.
    """
    found: list[Wanted] = []
    bound: set[Port] = set()
    ips: dict[str, tuple[str, ...]] = {}
    for text, bindings in (host.port_bindings or {}).items():
        port = parse_port(text)
        bound.add(port)
        for binding in bindings or ():
            if binding.host_ip not in ips:
                ips[binding.host_ip] = _host_ips(binding.host_ip, default_ip, ipv6=ipv6)
            found.append(Wanted(port=port, host_ips=ips[binding.host_ip], span=parse_range(binding.host_port)))
    if host.publish_all_ports:
        for text in config.exposed_ports or {}:
            port = parse_port(text)
            if port not in bound:
                everywhere = _host_ips("", default_ip, ipv6=ipv6)
                found.append(Wanted(port=port, host_ips=everywhere, span=PortRange(0, 0)))
    fixed = _runs(one for one in found if not one.chosen)
    chosen = sorted((one for one in found if one.chosen), key=lambda one: (one.span.dynamic, one.port))
    return (*fixed, *chosen)


def _runs(fixed: Iterable[Wanted]) -> list[Wanted]:
    """Fixed publications, neighbours on both sides joined."""

    def lane(one: Wanted) -> tuple[str, tuple[str, ...], int]:
        return one.port.proto, one.host_ips, one.span.first - one.port.number

    runs: list[Wanted] = []
    for _, group in groupby(sorted(fixed, key=lambda one: (*lane(one), one.port.number)), lane):
        several = list(group)
        begin = 0
        for at, one in enumerate(several, 1):
            if at == len(several) or several[at].port.number != one.port.number + 1:
                runs.append(replace(several[begin], count=at - begin))
                begin = at
    return sorted(runs, key=lambda one: one.port)


def _host_ips(text: str, default_ip: str, *, ipv6: bool) -> tuple[str, ...]:
    if not text and default_ip == LOOPBACK:
        return ("127.0.0.1", "::1") if ipv6 else ("127.0.0.1",)
    address = check_host_ip(text) or check_host_ip(default_ip) or ANY4
    if not text and address == ANY4:
        return (ANY4, ANY6) if ipv6 else (ANY4,)
    return (address,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """The host's dynamic range (ip_local_port_range) and the number handed out last."""

    low: int
    high: int
    last: int


def choose(
    wants: Sequence[Wanted],
    taken: PortLedger,
    sticky: Mapping[str, int],
    ephemeral: Ephemeral,
    busy: Set[tuple[str, int]],
    *,
    owner: str = "",
) -> tuple[Binding, ...]:
    """Bindings for all of `wants`, in their order, host ports chosen where the user left a choice.

    `taken` are the ports of all containers (those of `owner` are its own), `busy` are (proto, port) found held by
    somebody else on the host. Raises: PortTaken (Docker's sentence) when a fixed port or a whole range is taken.
    """
    made: list[Binding] = []
    own = PortLedger()
    last = ephemeral.last
    for want in wants:
        number = _pick(want, _Obstacles(want, (own, taken), busy, owner), sticky.get(want.key, 0), ephemeral, last)
        if want.span.dynamic:
            last = number
        bindings = [Binding(port=want.port, host_ip=ip, host_port=number, count=want.count) for ip in want.host_ips]
        own.add(bindings, "itself")
        made += bindings
    return tuple(made)


class _Obstacles:
    """What is in the way of one publication at a host port."""

    def __init__(
        self, want: Wanted, ledgers: Sequence[PortLedger], busy: Set[tuple[str, int]], forgive: str
    ) -> None:
        self._want = want
        self._ledgers = ledgers
        self._busy = busy
        self._forgive = forgive

    def at(self, number: int) -> tuple[str, int, str] | None:
        """(host address, port, owner) of the lowest obstacle when the first port goes to `number`."""
        want = self._want
        if (want.port.proto, number) in self._busy:
            return want.host_ips[0], number, ""
        for ip in want.host_ips:
            for ledger in self._ledgers:
                hit = ledger.clash(want.port.proto, ip, number, number + want.count - 1, forgive=self._forgive)
                if hit is not None:
                    return ip, *hit
        return None

    def free(self, number: int) -> bool:
        return self.at(number) is None


def _pick(want: Wanted, obstacles: _Obstacles, remembered: int, ephemeral: Ephemeral, last: int) -> int:
    """The first host port of a publication. Raises: PortTaken."""
    if want.span.dynamic:
        start = last + 1 if ephemeral.low <= last < ephemeral.high else ephemeral.low
        numbers = chain(range(start, ephemeral.high + 1), range(ephemeral.low, start))
        allowed = remembered > 0
    else:
        numbers = chain(range(want.span.first, want.span.last + 1))
        allowed = want.span.first <= remembered <= want.span.last
    if allowed and obstacles.free(remembered):
        return remembered
    number = next((number for number in numbers if obstacles.free(number)), None)
    if number is not None:
        return number
    if want.span.dynamic:
        raise PortTaken("all ports are allocated")
    ip, port, owner = obstacles.at(want.span.first) or (want.host_ips[0], want.span.first, "")
    where = f"[{ip}]" if ":" in ip else ip
    raise PortTaken(f"Bind for {where}:{port} failed: port is already allocated", owner)


def routed(
    wants: Iterable[Wanted], *, four: bool, six: bool, dual: bool
) -> tuple[tuple[Wanted, ...], tuple[Binding, ...]]:
    """What is left to publish on the host where a family's network is routed, and what is open at the container itself.

    `dual`: the container has an IPv6 address; without one an IPv6 host address would lead to IPv4.
    """
    left: list[Wanted] = []
    opened: list[Binding] = []
    for want in wants:
        kept = []
        for ip in want.host_ips:
            if six if ":" in ip and dual else four:
                if dual or ":" not in ip:
                    opened.append(Binding(port=want.port, host_ip=_any_like(ip), host_port=0, count=want.count))
            else:
                kept.append(ip)
        if kept:
            left.append(replace(want, host_ips=tuple(kept)))
    return tuple(left), tuple(dict.fromkeys(opened))


def _any_like(ip: str) -> str:
    return ANY6 if ":" in ip else ANY4


def carried(bindings: Iterable[Binding], four: str, six: str) -> tuple[Binding, ...]:
    """Those of `bindings` that can lead to a container with these addresses (empty: none of that family).

    An IPv6 host address also leads to a container that has IPv4 alone, through the proxy; not the other way round.
    """
    return tuple(one for one in bindings if (six or four if ":" in one.host_ip else four))


def check(config: Config, host: HostConfig) -> None:
    """Refuse malformed ports at create, as Docker does. Raises: Invalid."""
    for text in config.exposed_ports or {}:
        parse_port(text)
    for text, bindings in (host.port_bindings or {}).items():
        parse_port(text)
        for binding in bindings or ():
            if binding.host_ip:
                check_host_ip(binding.host_ip)
            try:
                parse_range(binding.host_port)
            except Invalid:
                raise Invalid(f"invalid port specification: \"{binding.host_port}\"") from None
