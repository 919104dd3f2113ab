"""`network create`: which range, gateway and reserved address belongs to which subnet. Pure."""

from __future__ import annotations

import _socket

from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _number(text: str) -> tuple[int, int] | None:
    """Address as (bits, number)."""
    for family, bits in ((_socket.AF_INET, 32), (_socket.AF_INET6, 128)):
        try:
            return bits, int.from_bytes(_socket.inet_pton(family, text), "big")
        except (OSError, ValueError):
            continue
    return None


def contains(subnet: str, other: str) -> bool:
    """Whether the subnet holds the address, or the first of the range, `other`; False if either is malformed."""
    base, _, length = subnet.partition("/")
    network, address = _number(base), _number(other.partition("/")[0])
    if network is None or address is None or network[0] != address[0] or not length.isdigit():
        return False
    shift = network[0] - int(length)
    return shift >= 0 and network[1] >> shift == address[1] >> shift


def ipam_config(
    subnets: list[str], ranges: list[str], gateways: list[str], reserved: dict[str, str]
) -> list[dict[str, Any]]:
    """One entry per subnet. Raises: CommandError for overlaps and for what lies in none of the subnets."""
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise CommandError("every ip-range or gateway must have a corresponding subnet")
    entries: dict[str, dict[str, Any]] = {}
    for subnet in subnets:
        if any(contains(subnet, other) or contains(other, subnet) for other in entries):
            raise CommandError("multiple overlapping subnet configuration is not supported")
        entries[subnet] = {"Subnet": subnet}
    _assign(entries, ranges, "IPRange", "range", "cannot configure multiple ranges ({}, {}) on the same subnet ({})")
    _assign(
        entries, gateways, "Gateway", "gateway", "cannot configure multiple gateways ({}, {}) for the same subnet ({})"
    )
    for name, address in reserved.items():
        holder = next((subnet for subnet in entries if contains(subnet, address)), None)
        if holder is None:
            raise CommandError(f"no matching subnet for aux-address {address}")
        entries[holder].setdefault("AuxiliaryAddresses", {})[name] = address
    return list(entries.values())


def _assign(entries: dict[str, dict[str, Any]], values: list[str], key: str, word: str, twice: str) -> None:
    for value in values:
        holders = [subnet for subnet in entries if contains(subnet, value)]
        if not holders:
            raise CommandError(f"no matching subnet for {word} {value}")
        for subnet in holders:
            if key in entries[subnet]:
                raise CommandError(twice.format(value, entries[subnet][key], subnet))
            entries[subnet][key] = value
