"""`-p` and `--expose`: port text to Docker's PortBindings and ExposedPorts. Pure.

Forms: `80`, `8080:80`, `IP:8080:80`, `IP::80`, ranges on both sides (pairwise, or a host range for one port), IPv6 in
brackets or bare, `/tcp` `/udp` `/sctp`, and `published=8080,target=80,protocol=tcp`.
"""

from __future__ import annotations

from landbridge.cli.outcome import CommandError
from landbridge.cli.quantities import csv_fields, unsigned
from landbridge.cli.values import is_ip

PROTOCOLS = ("tcp", "udp", "sctp")


def split_protocol(text: str) -> tuple[str, str]:
    """`80/udp` to (`80`, `udp`); tcp when none is named, nothing at all when there is no port."""
    port, _, rest = text.partition("/")
    protocol = rest.partition("/")[0]
    return (port, protocol or "tcp") if port else ("", "")


def port_range(text: str) -> tuple[int, int]:
    """`80` or `80-90`. Raises: ValueError."""
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    start = unsigned(first, 16)
    end = unsigned(last, 16) if dash else start
    if end < start:
        raise ValueError(f"invalid range specified for port: {text}")
    return start, end


def _range_or(message: str, text: str) -> tuple[int, int]:
    try:
        return port_range(text)
    except ValueError:
        raise CommandError(message + text) from None


def long_form(text: str) -> str:
    """`published=…,target=…` to `published:target/protocol`."""
    try:
        fields = dict(field.partition("=")[::2] for field in csv_fields(text))
    except ValueError as error:
        raise CommandError(str(error)) from None
    published, target = fields.get("published", ""), fields.get("target", "")
    port = f"{published}:{target}" if published else target
    return f"{port}/{fields.get('protocol', 'tcp')}"


def _host_address(text: str) -> str:
    address = text
    if text.startswith("["):
        if not text.endswith("]"):
            raise CommandError(f"invalid IP address {text}: address {text}:: missing ']' in address")
        address = text[1:-1]
    if address and not is_ip(address):
        raise CommandError(f"invalid IP address: {address}")
    return address


def parse_publish(text: str) -> list[tuple[str, dict[str, str]]]:
    """(`80/tcp`, {HostIp, HostPort}) for every port of one `-p`. Raises: CommandError with Docker's words."""
    spec = long_form(text) if "=" in text else text
    parts = spec.split(":")
    container = parts[-1]
    host = parts[-2] if len(parts) > 1 else ""
    address = ":".join(parts[:-2])
    container, protocol = split_protocol(container)
    if not container:
        raise CommandError(f"no port specified: {spec}<empty>")
    protocol = protocol.lower()
    if protocol not in PROTOCOLS:
        raise CommandError(f"invalid proto: {protocol}")
    address = _host_address(address)
    start, end = _range_or("invalid containerPort: ", container)
    host_start, host_end = _range_or("invalid hostPort: ", host) if host else (0, 0)
    if host and end != start and end - start != host_end - host_start:
        raise CommandError(f"invalid ranges specified for container and host Ports: {container} and {host}")
    found = []
    for offset in range(end - start + 1):
        number = str(host_start + offset) if host else ""
        if host and start == end and host_end > host_start:
            number = f"{host_start}-{host_end}"
        found.append((f"{start + offset}/{protocol}", {"HostIp": address, "HostPort": number}))
    return found


def port_bindings(publish: list[str]) -> dict[str, list[dict[str, str]]]:
    """PortBindings of all `-p` flags."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in publish:
        for port, binding in parse_publish(text):
            bindings.setdefault(port, []).append(binding)
    return bindings


def exposed_ports(expose: list[str], bindings: dict[str, list[dict[str, str]]]) -> dict[str, dict[str, str]]:
    """ExposedPorts: what is published and what `--expose` adds. Raises: CommandError."""
    exposed: dict[str, dict[str, str]] = {port: {} for port in bindings}
    for text in expose:
        if ":" in text:
            raise CommandError(f"invalid port format for --expose: {text}")
        port, protocol = split_protocol(text)
        try:
            start, end = port_range(port)
        except ValueError as error:
            raise CommandError(f"invalid range format for --expose: {text}, error: {error}") from None
        exposed.update({f"{number}/{protocol.lower()}": {} for number in range(start, end + 1)})
    return exposed
