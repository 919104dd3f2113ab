"""Ports as ``inspect`` and ``ps`` show them, one by one as Docker does, however few runs they are kept as.

A container may expose or publish tens of thousands, and monitors ask for the list every second: of many ports the
JSON text is kept until they change. Pure, but for that memory.
"""

from collections.abc import Iterable
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
        if number.isdecimal() and proto in ("tcp", "udp", "sctp") and 0 < int(number) < 65536:
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
            shown = {"HostIp": run.host_ip, "HostPort": str(number + shift)}
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
            shown.append({
                "IP": host["HostIp"], "PrivatePort": number, "PublicPort": int(host["HostPort"]), "Type": proto,
            })  # fmt: skip
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
        self._kept: dict[str, tuple[Config, tuple[Binding, ...], msgspec.Raw, msgspec.Raw]] = {}

    def mapping(self, container: Container) -> object:
        """`ports_view`, ready to be encoded."""
        kept = self._text(container)
        return kept[0] if kept else ports_view(self._state, container, self._state.sandbox(container.id))

    def listing(self, container: Container) -> object:
        """`port_list` of it, ready to be encoded."""
        kept = self._text(container)
        if kept:
            return kept[1]
        return port_list(ports_view(self._state, container, self._state.sandbox(container.id)))

    def _text(self, container: Container) -> tuple[msgspec.Raw, msgspec.Raw] | None:
        """None: so few ports, or none at all, that nothing is kept."""
        sandbox = self._state.sandbox(container.id)
        published = sandbox.published if sandbox is not None else ()
        many = len(container.config.exposed_ports or ()) + sum(run.count for run in published) >= MANY
        if not many or not (container.state.running and sandbox and _has_ports(self._state, container)):
            self._kept.pop(container.id, None)
            return None
        found = self._kept.get(container.id)
        # A changed record is another object; what did not change is the same one.
        if found is None or found[0] is not container.config or found[1] is not published:
            self._kept = {key: value for key, value in self._kept.items() if key in self._state.containers}
            ports = ports_object(exposed(container), published)
            encode = msgspec.json.encode
            found = (container.config, published, msgspec.Raw(encode(ports)), msgspec.Raw(encode(port_list(ports))))
            self._kept[container.id] = found
        return found[2], found[3]
