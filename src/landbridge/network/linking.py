"""What ``--link`` opens on a default bridge whose containers may not talk to each other (``--icc=false``). Pure.

A link lets its owner come to the ports the other container exposes, over the host (their bridge ports are isolated);
answers are let through as those of any connection. Elsewhere a link opens nothing: nothing is closed.
"""

from collections.abc import Iterable, Iterator, Mapping

from landbridge.errors import Invalid
from landbridge.model.container import Container
from landbridge.model.network import Network
from landbridge.model.ports import Port, parse_exposed
from landbridge.network import options
from landbridge.network.steps import Element


def filtered(network: Network) -> bool:
    """Whether links are all that leads from one container of the network to another."""
    return options.flag(network.options, options.DEFAULT_BRIDGE, default=False) and not options.icc(network)


def exposed_ports(container: Container) -> list[Port]:
    """Ports a container exposes, TCP first, then by number."""
    found: set[Port] = set()
    for text in container.config.exposed_ports or {}:
        try:
            found.update(parse_exposed(text))
        except Invalid:
            continue  # an image may expose nonsense
    return sorted(found, key=lambda port: (port.proto != "tcp", port.proto, port.number))


def elements(containers: Mapping[str, Container], addresses: Mapping[str, str]) -> Iterator[Element]:
    """All that is open; `addresses` are the bare IPv4 ones of those that are up, by container."""
    for container in containers.values():
        yield from _opened(container, containers, addresses)


def elements_of(
    identity: str, containers: Mapping[str, Container], addresses: Mapping[str, str]
) -> tuple[Element, ...]:
    """What is open because one container is up: by its own links, and by those of others to it."""
    found = dict.fromkeys(_opened(containers[identity], containers, addresses)) if identity in containers else {}
    for other in containers.values():
        if any(link.target == identity for link in other.links):
            found |= dict.fromkeys(_opened(other, containers, addresses, only=identity))
    return tuple(found)


def _opened(
    container: Container, containers: Mapping[str, Container], addresses: Mapping[str, str], only: str = ""
) -> Iterable[Element]:
    source = addresses.get(container.id)
    for link in container.links:
        target, address = containers.get(link.target), addresses.get(link.target)
        if source and target and address and only in ("", target.id):
            for port in exposed_ports(target):
                yield Element("linked", f"{port.proto} . {source} . {address} . {port.number}")
