"""Container ports and host bindings: parsing of user text, nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from landbridge.errors import Invalid

PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A port inside a container."""

    number: int
    proto: str = "tcp"

    def __str__(self) -> str:
        return f"{self.number}/{self.proto}"


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Host ports `first` to `last`, both included; 0 to 0 means: any free one."""

    first: int
    last: int

    @property
    def dynamic(self) -> bool:
        """True when the engine is free to choose."""
        return self.first == 0

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """What the user asked for one container port, as text: ``HostIp`` and ``HostPort`` of Docker's API."""

    host_ip: str = ""
    host_port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A binding that exists: `count` host ports from `host_port` on lead to as many container ports from `port` on.

    `host_port` 0: no port of the host, clients come to the container's own address (a routed network). Ten thousand
    ports published by one flag are one of these, and so one element, one hold and a few bytes on disk.
    """

    port: Port
    host_ip: str
    host_port: int
    count: int = 1

    @property
    def last(self) -> int:
        """The last host port."""
        return self.host_port + self.count - 1

    def singles(self) -> "Iterator[Binding]":
        """The same, a port each."""
        if self.count == 1:
            yield self
            return
        for offset in range(self.count):
            port = Port(self.port.number + offset, self.port.proto)
            yield Binding(port=port, host_ip=self.host_ip, host_port=self.host_port and self.host_port + offset)

    def at(self, host_port: int) -> "Binding":
        """The binding of one host port of the run."""
        port = Port(self.port.number + host_port - self.host_port, self.port.proto)
        return Binding(port=port, host_ip=self.host_ip, host_port=host_port)


def parse_port(text: str) -> Port:
    """``80``, ``80/tcp`` → Port.

    Raises: Invalid when it is no number from 1 to 65535 or the protocol is unknown.
    """
    number, _, proto = text.partition("/")
    proto = (proto or "tcp").lower()
    if proto not in PROTOCOLS:
        raise Invalid(f"invalid proto: {proto}")
    return Port(_number(number, text), proto)


def parse_exposed(text: str) -> tuple[Port, ...]:
    """``80``, ``8000-8010/udp`` → ports. Raises: Invalid."""
    numbers, _, proto = text.partition("/")
    proto = (proto or "tcp").lower()
    if proto not in PROTOCOLS:
        raise Invalid(f"invalid proto: {proto}")
    span = parse_range(numbers)
    if span.dynamic:
        raise Invalid(f"invalid port: {text}")
    return tuple(Port(number, proto) for number in range(span.first, span.last + 1))


def parse_range(text: str) -> PortRange:
    """Host port text: ````, ``0``, ``8080`` or ``8000-8010``. Raises: Invalid."""
    if text in ("", "0"):
        return PortRange(0, 0)
    first, dash, last = text.partition("-")
    low = _number(first, text)
    high = _number(last, text) if dash else low
    if high < low:
        raise Invalid(f"invalid port range: {text}")
    return PortRange(low, high)


def check_host_ip(text: str) -> str:
    """The host address of a binding, bare and in canonical form; empty stays empty. Raises: Invalid."""
    if not text:
        return ""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        raise Invalid(f"invalid IP address: {text}") from None
    if isinstance(address, IPv6Address):
        if address.scope_id:
            raise Invalid(f"invalid IP address: {text}")
        if address.ipv4_mapped is not None:  # Go's net.IP does not tell the two apart
            return str(address.ipv4_mapped)
    return str(address)


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 0 < int(text) < 65536:
        raise Invalid(f"invalid port specification: \"{whole}\"")
    return int(text)
