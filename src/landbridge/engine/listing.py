"""Which containers and networks a list shows: Docker's filters, read once, then asked per record. Pure.

Values of one filter are alternatives, except of ``label``, all of which must hold; different filters must all
hold. Texts of errors are Docker's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from landbridge.engine.state import State
from landbridge.errors import Invalid, LandbridgeError
from landbridge.model.container import Container, Phase
from landbridge.model.filters import Filters, flag
from landbridge.model.network import PREDEFINED, Network

CONTAINERS = frozenset({
    "ancestor", "before", "exited", "id", "isolation", "label", "name", "status", "health", "since", "volume",
    "network", "is-task", "publish", "expose",
})  # fmt: skip
NETWORKS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
NETWORKS_PRUNE = frozenset({"label", "label!", "until"})
CONTAINERS_PRUNE = frozenset({"label", "label!", "until"})

_STATUSES = frozenset(phase.value for phase in Phase)
_HEALTH = frozenset({"starting", "healthy", "unhealthy", "none"})


def check_known(filters: Filters, known: frozenset[str]) -> None:
    """Raises: Invalid for a filter Docker does not have."""
    for name in filters:
        if name not in known:
            raise Invalid(f"invalid filter '{name}'")


def labelled(labels: Mapping[str, str], wanted: str) -> bool:
    """``key`` or ``key=value``."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def has_labels(labels: Mapping[str, str], filters: Filters) -> bool:
    """All of ``label``, and not all of ``label!``."""
    unwanted = filters.get("label!", ())
    if unwanted and all(labelled(labels, one) for one in unwanted):
        return False
    return all(labelled(labels, one) for one in filters.get("label", ()))


def matches(text: str, patterns: Sequence[str]) -> bool:
    """True when no pattern is given or one is found in `text` (a regular expression, as in Docker, else plain text)."""
    return not patterns or any(_found(pattern, text) for pattern in patterns)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What ``ps`` wants beside filters: `limit` 0 is no limit, `everything` includes stopped ones."""

    everything: bool = False
    limit: int = 0
    since: str = ""
    before: str = ""


Resolve = Callable[[str], frozenset[str]]
"""An image as typed → ids of the images that are it or are made from it."""


def select_containers(
    state: State, filters: Filters, page: Page, ancestors: Resolve, exposed: Callable[[Container], Sequence[str]]
) -> list[Container]:
    """Containers to show, newest first. Raises: Invalid, NotFound (``before`` and ``since``)."""
    check_known(filters, CONTAINERS)
    tests = _container_tests(state, filters, ancestors, exposed)
    before = [*filters.get("before", ()), *([page.before] if page.before else ())]
    since = [*filters.get("since", ()), *([page.since] if page.since else ())]
    until = min((state.container(text).created for text in before), default=None)
    after = max((state.container(text).created for text in since), default=None)
    # Docker: of the filters only ``status`` reaches those that do not run, unless all are asked for.
    everything = page.everything or page.limit > 0 or "status" in filters
    found: list[Container] = []
    for one in sorted(state.containers, key=lambda one: one.created, reverse=True):
        if page.limit > 0 and len(found) == page.limit:
            break
        if not everything and not (one.state.running or one.state.phase is Phase.RESTARTING):
            continue
        if (until is not None and one.created >= until) or (after is not None and one.created <= after):
            continue
        if all(test(one) for test in tests):
            found.append(one)
    return found


def _container_tests(
    state: State, filters: Filters, ancestors: Resolve, exposed: Callable[[Container], Sequence[str]]
) -> list[Callable[[Container], bool]]:
    """One test per filter that is there. Raises: Invalid for values Docker refuses."""
    statuses = filters.get("status", ())
    for text in statuses:
        if text not in _STATUSES:
            raise Invalid(f"invalid filter 'status={text}'")
    health = filters.get("health", ())
    for text in health:
        if text not in _HEALTH:
            raise Invalid(f"unrecognized filter value for health: {text}")
    codes = {_code(text) for text in filters.get("exited", ())}
    images = frozenset().union(*(ancestors(text) for text in filters.get("ancestor", ())))
    networks = _network_ids(state, filters.get("network", ()))
    ports = _Ports.read(filters)
    volumes = filters.get("volume", ())
    tests: list[tuple[object, Callable[[Container], bool]]] = [
        (filters.get("id"), lambda one: any(one.id.startswith(text) for text in filters["id"])),
        (filters.get("name"), lambda one: any(matches(name, filters["name"]) for name in (one.name, f"/{one.name}"))),
        (filters.get("label"), lambda one: has_labels(one.config.labels, filters)),
        (statuses, lambda one: one.state.phase.value in statuses),
        (health, lambda one: (one.state.health.status if one.state.health else "none") in health),
        (codes, lambda one: bool(one.state.finished_at) and not one.state.running and one.state.exit_code in codes),
        (filters.get("ancestor"), lambda one: one.image in images),
        (filters.get("network"), lambda one: bool(networks & _attached(state, one))),
        (volumes, lambda one: any(text in (m.name, m.source, m.destination) for m in one.mounts for text in volumes)),
        (filters.get("publish"), lambda one: ports.published(state, one)),
        (filters.get("expose"), lambda one: ports.exposed(exposed(one))),
        (filters.get("is-task"), lambda one: flag(filters, "is-task") is False),
    ]
    return [test for wanted, test in tests if wanted]


def _code(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid(f"invalid filter 'exited={text}': strconv.Atoi: parsing \"{text}\": invalid syntax") from None


def _network_ids(state: State, texts: Sequence[str]) -> frozenset[str]:
    found = set(texts)
    for text in texts:
        try:
            found.add(state.network(text).id)
        except LandbridgeError:
            continue  # no such network: nothing is attached to it
    return frozenset(found)


def _attached(state: State, container: Container) -> frozenset[str]:
    """Ids and names of the networks a container has."""
    found: set[str] = set()
    for config in container.endpoints:
        network = state.networks.find(config.network)
        found |= {config.network} if network is None else {network.id, network.name}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Ports:
    """``publish`` (the host's ports) and ``expose`` (the container's): ``80``, ``80/udp``, ``8000-8010/tcp``."""

    publish: frozenset[str]
    expose: frozenset[str]

    @classmethod
    def read(cls, filters: Filters) -> "_Ports":
        return cls(cls._texts(filters, "publish"), cls._texts(filters, "expose"))

    @staticmethod
    def _texts(filters: Filters, name: str) -> frozenset[str]:
        found: set[str] = set()
        for text in filters.get(name, ()):
            numbers, _, proto = text.partition("/")
            first, _, last = numbers.partition("-")
            for number in (first, last or first):
                if not number.isdecimal():
                    raise Invalid(f'error while looking up for {name} {text}: strconv.ParseUint: parsing "{number}":'
                                  " invalid syntax")
            if max(int(first), int(last or first)) > 65535 or proto not in ("", "tcp", "udp", "sctp"):
                raise Invalid(f"invalid filter '{name}={text}'")
            found |= {f"{number}/{proto or 'tcp'}" for number in range(int(first), int(last or first) + 1)}
        return frozenset(found)

    def published(self, state: State, container: Container) -> bool:
        sandbox = state.sandbox(container.id)
        bound = sandbox.published if sandbox is not None else ()
        found = (one for run in bound for one in run.singles())
        return any(f"{one.host_port}/{one.port.proto}" in self.publish for one in found)

    def exposed(self, ports: Sequence[str]) -> bool:
        return not self.expose.isdisjoint(ports)


def select_networks(state: State, filters: Filters) -> list[Network]:
    """Networks to show, in the order of their making. Raises: Invalid."""
    check_known(filters, NETWORKS)
    try:
        dangling = flag(filters, "dangling")
    except Invalid:
        words = 'must be "true" (or "1"), or "false" (or "0")'
        raise Invalid(f"invalid value for filter 'dangling', {words}") from None
    for text in filters.get("type", ()):
        if text not in ("custom", "builtin"):
            raise Invalid(f"invalid filter: 'type'='{text}'")
    scopes, drivers, kinds = filters.get("scope", ()), filters.get("driver", ()), filters.get("type", ())
    found = []
    for one in state.networks:
        kind = "builtin" if one.name in PREDEFINED else "custom"
        if (
            (not kinds or kind in kinds)
            and (not scopes or one.scope in scopes)
            and (not drivers or one.driver in drivers)
            and matches(one.name, filters.get("name", ()))
            and matches(one.id, filters.get("id", ()))
            and has_labels(one.labels, filters)
            and (dangling is None or dangling is (kind == "custom" and not state.in_use(one.id)))
        ):
            found.append(one)
    return sorted(found, key=lambda one: one.created)
