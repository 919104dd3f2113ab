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
