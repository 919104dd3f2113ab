"""What the resolver is told: who exists on which network, and which sandbox may ask about what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord:
    """One running endpoint on a network that resolves names.

    `names` in Docker's order (container name, aliases, short id, hostname), compared case-insensitively;
    PTR answers with the first. `addresses` are bare IPv4/IPv6 addresses.
    """

    endpoint: str
    network: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkNames:
    """A network whose names resolve: its id and its user-visible name (the right part of ``web.my_net``)."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """One sandbox with a DNS server at 127.0.0.11.

    `netns` is the path of its pinned namespace. `networks` are ids in look-up order (gateway priority).
    `links` are per-network aliases only this asker sees: (network id, alias, container name).
    `servers` are upstreams from ``--dns``, contacted from inside the sandbox; empty means: the host's
    resolv.conf, contacted from the host's namespace. `external` false (only internal networks): host
    servers are not used. `options` are resolv.conf options that matter to answering (``ndots:5``).
    """

    sandbox: str
    netns: str
    networks: tuple[str, ...]
    links: tuple[tuple[str, str, str], ...] = ()
    servers: tuple[str, ...] = ()
    external: bool = True
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetNetwork:
    """The network exists, or was renamed."""

    network: NetworkNames


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """The network is gone; its records are removed one by one, by their endpoints."""

    id: str


@dataclass(frozen=True, slots=True)
class SetRecord:
    """The endpoint runs, or its names or addresses changed."""

    record: NameRecord


@dataclass(frozen=True, slots=True)
class RemoveRecord:
    """The endpoint with this id no longer runs."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class SetAsker:
    """The sandbox has a DNS server, or may now ask about other networks."""

    asker: Asker


@dataclass(frozen=True, slots=True)
class RemoveAsker:
    """The sandbox with this id needs no DNS server any more."""

    sandbox: str


# One step from one table of names to the next. Removing what is not there is no error.
Change = SetNetwork | RemoveNetwork | SetRecord | RemoveRecord | SetAsker | RemoveAsker
