"""``--link`` on the default bridge: another container's address in /etc/hosts, its ports in the environment.

On networks of the user's own a link is an alias that the resolver knows (`engine.presence`); here are the old
ones. A link knows its target by id, so that renames follow; a target must run when the linker starts.
"""

from collections.abc import Iterable, Mapping, Sequence

from landbridge.engine.state import State
from landbridge.engine.validate_network import parse_link
from landbridge.errors import Internal, Invalid, LandbridgeError, NotFound
from landbridge.model import ids
from landbridge.model.config import HostConfig
from landbridge.model.container import Container, Link
from landbridge.model.network import RESERVED, Endpoint
from landbridge.model.ports import Port
from landbridge.network.linking import exposed_ports

_NOT_TOLD = frozenset({"HOME", "PATH"})


class Links:
    """Decides and tells; words of errors are Docker's."""

    def __init__(self, state: State) -> None:
        self.state = state

    def resolved(self, host: HostConfig) -> tuple[Link, ...]:
        """The links a create request asks for on the default bridge; elsewhere but on a network of the user's own
        they mean nothing. Raises: Invalid.
        """
        if host.network_mode not in RESERVED:
            return ()
        found: dict[str, Link] = {}
        for text in host.links or ():
            name, alias = parse_link(text)
            target = self._target(name)
            if target.host.network_mode == "host":
                raise Invalid(
                    "conflicting options: host type networking can't be used with links."
                    " This would result in undefined behavior"
                )
            if host.network_mode != "bridge":
                continue  # it must exist, and that was all
            alias = alias.removeprefix("/")
            found.setdefault(alias, Link(target=target.id, name=target.name, alias=alias))
        return tuple(found.values())

    def _target(self, name: str) -> Container:
        """The container that has the stack: of one that joins another it is the other."""
        try:
            target = self.state.container(name)
            while target.joins:
                target = self.state.container(target.joins)
        except LandbridgeError as error:
            # Not "not found": the docker command would go and pull the image.
            raise Invalid(f"could not get container for {name}: {error.message}") from None
        return target

    def check(self, container: Container) -> None:
        """Whether the container may start as far as its links go. Raises: Internal (Docker's kind)."""
        targets = {link: self.state.containers.get(link.target) for link in container.links}
        for link, target in targets.items():
            if target is not None and not self._belongs(target):
                raise Internal(f"Cannot link to /{link.name}, as it does not belong to the default network")
        for link, target in targets.items():
            if target is None or not target.state.running:
                name = target.name if target is not None else link.name
                raise Internal(f"Cannot link to a non running container: /{name} AS /{container.name}/{link.alias}")

    def shown(self, container: Container) -> tuple[str, ...] | None:
        """``HostConfig.Links`` of inspect: ``/target:/linker/alias``."""
        found = []
        for link in container.links:
            target = self.state.containers.get(link.target)
            found.append(f"/{target.name if target else link.name}:/{container.name}/{link.alias}")
        return tuple(found) or None

    def names(self) -> dict[str, list[str]]:
        """Further names containers have by being linked to: {target id: ["/linker/alias"]}."""
        found: dict[str, list[str]] = {}
        for container in self.state.containers:
            for link in container.links:
                found.setdefault(link.target, []).append(f"/{container.name}/{link.alias}")
        return found

    def hosts(self, container: Container) -> Iterable[str]:
        """Lines of the linker's /etc/hosts: alias, host name and name of each target."""
        for link in container.links:
            target = self.state.containers.get(link.target)
            endpoint = self._endpoint(target) if target is not None else None
            if target is None or endpoint is None:
                continue
            words = [link.alias, target.config.hostname or ids.short(target.id)]
            words += [target.name] if target.name != link.alias else []
            for cidr in (endpoint.ipv4, endpoint.ipv6):
                if cidr:
                    yield f"{cidr.split('/')[0]}\t{' '.join(words)}\n"

    def environment(self, container: Container) -> tuple[str, ...]:
        """Variables of all targets that run."""
        found: list[str] = []
        for link in container.links:
            target = self.state.containers.get(link.target)
            endpoint = self._endpoint(target) if target is not None else None
            if target is not None and endpoint is not None:
                name = f"/{container.name}/{link.alias}"
                found += variables(name, endpoint.ipv4.split("/")[0], exposed_ports(target), target.config.env or ())
        return tuple(found)

    def linker(self, text: str) -> Container:
        """Whose link ``linker/alias`` is. Raises: NotFound."""
        return self.state.container(text.strip("/").partition("/")[0])

    def remove(self, text: str) -> None:
        """Forget one link, named ``linker/alias``. Raises: NotFound, Internal (Docker's kind) for a plain name."""
        if "/" not in text.strip("/"):
            raise Internal("Conflict, cannot remove the default link name of the container")
        container, alias = self.linker(text), text.strip("/").partition("/")[2]
        left = tuple(one for one in container.links if one.alias != alias)
        if left == container.links:
            raise NotFound(f"No such link: {text}")
        self.state.set_links(container.id, left)

    def _belongs(self, target: Container) -> bool:
        """Whether it has, or will have, a place on the default bridge."""
        find = self.state.networks.find
        found = [find(one.network) for one in target.endpoints]
        return any(one is not None and one.name == "bridge" for one in found)

    def _endpoint(self, target: Container) -> Endpoint | None:
        """The target's place on the default bridge, while it is up."""
        bridge = self.state.networks.by_name("bridge")
        found = self.state.endpoint_on(target.id, bridge.id) if bridge is not None else None
        return found if found is not None and found.active else None


def variables(name: str, address: str, exposed: Sequence[Port], environment: Iterable[str]) -> list[str]:
    """What a link called ``/linker/alias`` puts into the linker's environment, in Docker's order."""
    alias = name.rpartition("/")[2].upper().replace("-", "_")
    found = [f"{alias}_PORT={exposed[0].proto}://{address}:{exposed[0].number}"] if exposed else []
    for run in _runs(exposed):
        for port in run:
            found += _of_port(f"{alias}_PORT_{port.number}_{port.proto.upper()}", address, port)
        if len(run) > 1:
            prefix = f"{alias}_PORT_{run[0].number}_{run[0].proto.upper()}"
            for word, port in (("START", run[0]), ("END", run[-1])):
                found.append(f"{prefix}_{word}={port.proto}://{address}:{port.number}")
                found.append(f"{prefix}_PORT_{word}={port.number}")
    found.append(f"{alias}_NAME={name}")
    for entry in environment:
        key, equals, value = entry.partition("=")
        if equals and key not in _NOT_TOLD:
            found.append(f"{alias}_ENV_{key}={value}")
    return found


def _of_port(prefix: str, address: str, port: Port) -> list[str]:
    values: Mapping[str, object] = {
        "": f"{port.proto}://{address}:{port.number}", "_ADDR": address, "_PORT": port.number, "_PROTO": port.proto,
    }  # fmt: skip
    return [f"{prefix}{suffix}={value}" for suffix, value in values.items()]


def _runs(exposed: Sequence[Port]) -> list[list[Port]]:
    """Ports that follow one another, together."""
    found: list[list[Port]] = []
    for port in exposed:
        if found and (found[-1][-1].proto, found[-1][-1].number + 1) == (port.proto, port.number):
            found[-1].append(port)
        else:
            found.append([port])
    return found
