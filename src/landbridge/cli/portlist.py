"""The PORTS column: bindings to the text Docker shows, neighbours joined to ranges. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def join_host(address: str, port: object) -> str:
    """`address:port`, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _group(address: str, protocol: str, first: int, last: int) -> str:
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{join_host(address, numbers)}->{numbers}/{protocol}" if address else f"{numbers}/{protocol}"


def displayable_ports(ports: list[dict[str, Any]]) -> str:
    """`0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:32768->80/tcp, 81/tcp`.

    Only bindings whose two numbers are equal join to ranges, per address and protocol; the others come after them.
    """
    ordered = sorted(
        ports, key=lambda p: (p.get("PrivatePort", 0), p.get("IP", ""), p.get("PublicPort", 0), p.get("Type", ""))
    )
    open_groups: dict[tuple[str, str], list[int]] = {}
    done: list[str] = []
    mapped: list[str] = []
    for port in ordered:
        private, address, protocol = port.get("PrivatePort", 0), port.get("IP", ""), port.get("Type", "")
        if address and port.get("PublicPort", 0) != private:
            mapped.append(f"{join_host(address, port.get('PublicPort', 0))}->{private}/{protocol}")
            continue
        key = (address, protocol)
        group = open_groups.get(key)
        if group is None:
            open_groups[key] = [private, private]
        elif private == group[1] + 1:
            group[1] = private
        else:
            done.append(_group(*key, *group))
            open_groups[key] = [private, private]
    return ", ".join([*done, *(_group(*key, *group) for key, group in open_groups.items()), *mapped])
