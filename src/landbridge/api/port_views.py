"""Ports as ``inspect`` and ``ps`` show them, one by one as Docker does, however few runs they are kept as.

A container may expose or publish tens of thousands, and monitors ask for the list every second: of many ports the
JSON text is kept until they change. Pure, but for that memory.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from landbridge.engine.state import State
from landbridge.errors import Invalid
from landbridge.model.config import Config
from landbridge.model.container import Container
from landbridge.model.network import Sandbox
from landbridge.model.ports import Binding, parse_exposed

Object = dict[str, Any]

# From so many ports on the text is kept. 100 bytes of memory each; to make it anew would take a microsecond each.
MANY = 256


def exposed(container: Container) -> list[str]:
    """``80/tcp`` for every port the container's configuration exposes."""
    found: list[str] = []
    for text in container.config.exposed_ports or {}:
        number, _, proto = text.partition("/")
        if number.isascii() and number.isdecimal() and proto in ("tcp", "udp", "sctp") and 0 < int(number) < 65536:
            found.append(text)
            continue
        try:
            found += [str(port) for port in parse_exposed(text)]
        except Invalid:
            continue  # an image may expose nonsense; Docker shows none of it
    return found


def ports_view(state: State, container: Container, sandbox: Sandbox | None) -> Object:
    """``NetworkSettings.Ports``: bindings in force, null for ports that are only exposed; empty when down."""
    if not (container.state.running and sandbox) or not _has_ports(state, container):
        return {}
    return ports_object(exposed(container), sandbox.published)


def ports_object(exposed_ports: Iterable[str], published: Iterable[Binding]) -> Object:
    """``NetworkSettings.Ports`` in the order of the numbers."""
    ports: Object = dict.fromkeys(exposed_ports)
    bound: Object = {}
    for run in sorted(published, key=lambda run: (":" in run.host_ip, run.host_ip)):
        shift = run.host_port - run.port.number
        for number in range(run.port.number, run.port.number + run.count):
            # Docker: no host port where the network is routed.
            shown = {"HostIp": run.host_ip, "HostPort": str(number + shift) if run.host_port else ""}
            bound.setdefault(f"{number}/{run.port.proto}", []).append(shown)
    return dict(sorted((ports | bound).items(), key=lambda item: _port_key(item[0])))


def port_list(ports: Object) -> list[Object]:
    """``Ports`` of ``ps`` from ``NetworkSettings.Ports``."""
    shown: list[Object] = []
    for text, hosts in ports.items():
        number, proto = _port_key(text)
        if not hosts:
            shown.append({"PrivatePort": number, "Type": proto})
        for host in hosts or ():
            public = {"PublicPort": int(host["HostPort"])} if host["HostPort"] else {}
            shown.append({"IP": host["HostIp"], "PrivatePort": number, **public, "Type": proto})
    return shown


def _port_key(text: str) -> tuple[int, str]:
    number, _, proto = text.partition("/")
    return int(number), proto


def _has_ports(state: State, container: Container) -> bool:
    return any(
        one.active and (one.ipv4 or one.ipv6) for one in state.endpoints_of(container.id)
    )


class PortTexts:
    """The same as JSON text, remembered for containers with many ports."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: dict[tuple[str, str], tuple[Config, tuple[Binding, ...], msgspec.Raw]] = {}

    def __repr__(self) -> str:
        return f"<PortTexts of {len({identity for identity, _ in self._kept})} containers>"

    def mapping(self, container: Container) -> object:
        """`ports_view`, ready to be encoded."""
        return self._ready(container, "mapping", lambda ports: ports)

    def listing(self, container: Container) -> object:
        """`port_list` of it, ready to be encoded."""
        return self._ready(container, "listing", port_list)

    def _ready(self, container: Container, form: str, shape: Callable[[Object], object]) -> object:
        sandbox = self._state.sandbox(container.id)
        published = sandbox.published if sandbox is not None else ()
        many = len(container.config.exposed_ports or ()) + sum(run.count for run in published) >= MANY
        up = container.state.running and sandbox is not None and _has_ports(self._state, container)
        if not many or not up:
            self._kept.pop((container.id, form), None)
            return shape(ports_view(self._state, container, sandbox))
        found = self._kept.get((container.id, form))
        # A changed record is another object; what did not change is the same one.
        if found is None or found[0] is not container.config or found[1] is not published:
            self._kept = {key: value for key, value in self._kept.items() if key[0] in self._state.containers}
            text = msgspec.json.encode(shape(ports_object(exposed(container), published)))
            found = self._kept[container.id, form] = (container.config, published, msgspec.Raw(text))
        return found[2]
