"""Who may know which name: the table of networks, endpoints and askers, and look-up in Docker's order.

Pure, no clock, no bytes but ready-made rdata. Lives here: what a name means to one sandbox. Lives elsewhere:
messages (`wire`), forwarding (`resolver`). Every change touches only what it names, so its cost does not grow
with the table; `version` moves with each, which is all a cache needs to know.

Better than Docker on purpose: link aliases ignore case, a known name is never asked upstream whatever the type, and
`x.my_net` of an attached network does not leak (see `cannot_be_public`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TypeVar

from landbridge.dns.wire import TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR, Rdata, encode_name, fold
from landbridge.errors import Invalid
from landbridge.model.names import (
    Asker,
    Change,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    RemoveNetwork,
    RemoveRecord,
    SetAsker,
    SetNetwork,
    SetRecord,
)

K = TypeVar("K")


class Verdict(Enum):
    """What to do with a question."""

    LOCAL = "local"
    NXDOMAIN = "nxdomain"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict; with LOCAL the data of every answer, none of it meaning NODATA."""

    verdict: Verdict
    data: tuple[Rdata, ...] = ()


FORWARD = Answer(Verdict.FORWARD)
NXDOMAIN = Answer(Verdict.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record made ready: folded names, packed addresses."""

    record: NameRecord
    names: frozenset[str]
    data: tuple[Rdata, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """An asker made ready: per network id the link aliases (alias -> container name)."""

    asker: Asker
    links: dict[str, dict[str, str]]


class Zone:
    """The whole table. Not thread-safe; one owner changes it and asks it."""

    def __init__(self) -> None:
        self.version = 0
        self._networks: dict[str, NetworkNames] = {}
        self._entries: dict[str, _Entry] = {}
        self._askers: dict[str, _View] = {}
        # network id -> folded name (or address) -> endpoint id -> entry, in order of arrival
        self._by_name: dict[str, dict[str, dict[str, _Entry]]] = {}
        self._by_address: dict[str, dict[bytes, dict[str, _Entry]]] = {}

    def apply(self, change: Change) -> None:
        """Make one change; removing what is not there changes nothing.

        Raises: Invalid for an address that is none; the table is unchanged then.
        """
        match change:
            case SetNetwork(network):
                self._networks[network.id] = network
            case RemoveNetwork(ident):
                self._networks.pop(ident, None)
            case SetRecord(record):
                self._set_record(record)
            case RemoveRecord(endpoint):
                self._remove_record(endpoint)
            case SetAsker(asker):
                self._askers[asker.sandbox] = _View(asker, _fold_links(asker.links))
            case RemoveAsker(sandbox):
                self._askers.pop(sandbox, None)
        self.version += 1

    def askers(self) -> Iterator[Asker]:
        """Every asker, in no order."""
        return (view.asker for view in self._askers.values())

    def asker(self, sandbox: str) -> Asker | None:
        """One asker by its sandbox id."""
        view = self._askers.get(sandbox)
        return view.asker if view else None

    def sizes(self) -> dict[str, int]:
        """How much is in the table."""
        return {"networks": len(self._networks), "records": len(self._entries), "askers": len(self._askers)}

    def _set_record(self, record: NameRecord) -> None:
        entry = _Entry(record, frozenset(map(fold, record.names)), tuple(_pack(a) for a in record.addresses))
        self._remove_record(record.endpoint)
        self._entries[record.endpoint] = entry
        by_name = self._by_name.setdefault(record.network, {})
        for name in entry.names:
            by_name.setdefault(name, {})[record.endpoint] = entry
        by_address = self._by_address.setdefault(record.network, {})
        for data in entry.data:
            by_address.setdefault(data.data, {})[record.endpoint] = entry

    def _remove_record(self, endpoint: str) -> None:
        entry = self._entries.pop(endpoint, None)
        if entry is None:
            return
        network = entry.record.network
        _unlist(self._by_name, network, entry.names, endpoint)
        _unlist(self._by_address, network, (data.data for data in entry.data), endpoint)

    def lookup(self, sandbox: str, name: str, qtype: int) -> Answer:
        """What `sandbox` is told about `name` (folded). An unknown sandbox knows nothing: FORWARD.

        The order is Docker's: the whole name on any attached network, then ``a.b`` on network ``c`` for every
        split; link aliases first; the first network that knows the name wins even without an
        address of the asked family, and addresses of different networks are not merged.
        """
        view = self._askers.get(sandbox)
        if view is None:
            return FORWARD
        address = _reverse_address(name)
        if address is not None:
            return self._lookup_address(view, address, qtype)
        networks = view.asker.networks
        found = self._find(view, name, networks)
        if found is not None:
            return _of_type(found, qtype)
        private = False
        cut = name.rfind(".")
        while cut > 0:
            suffix = name[cut + 1 :]
            named = [n for n in networks if n in self._networks and fold(self._networks[n].name) == suffix]
            if named:
                found = self._find(view, name[:cut], named)
                if found is not None:
                    return _of_type(found, qtype)
                private = private or cannot_be_public(suffix)
            cut = name.rfind(".", 0, cut)
        return NXDOMAIN if private else FORWARD

    def _find(self, view: _View, name: str, networks: Iterable[str]) -> Iterable[_Entry] | None:
        networks = tuple(networks)
        linked: set[str] = set()
        for network in networks:
            target = view.links.get(network, {}).get(name)
            if target is not None:
                linked.add(network)
                entries = self._by_name.get(network, {}).get(target)
                if entries:
                    return entries.values()
        for network in networks:
            # A link alias hides the same name on that network, even while its target is stopped.
            entries = None if network in linked else self._by_name.get(network, {}).get(name)
            if entries:
                return entries.values()
        return None

    def _lookup_address(self, view: _View, address: bytes, qtype: int) -> Answer:
        for network in view.asker.networks:
            for entry in self._by_address.get(network, {}).get(address, {}).values():
                known = self._networks.get(network)
                if not entry.record.names:
                    continue
                if qtype not in (TYPE_PTR, TYPE_ANY):
                    return Answer(Verdict.LOCAL)
                target = f"{entry.record.names[0]}.{known.name}" if known else entry.record.names[0]
                try:
                    return Answer(Verdict.LOCAL, (Rdata(TYPE_PTR, encode_name(target)),))
                except Invalid:
                    # A container name may be longer than DNS allows; it has no reverse name then.
                    return Answer(Verdict.LOCAL)
        return FORWARD


def cannot_be_public(network_name: str) -> bool:
    """Whether no public domain can be named like this network, so that ``x.<network>`` must not leave the host.

    Top-level domains are letters only, or ``xn--``. A network called ``my_net2`` or ``shop_default`` is safe to deny;
    one called ``dev``, ``app`` or ``corp.example`` is not: denying would cut its containers off from
    web.app. Those are forwarded, as Docker does for all.
    """
    return "." not in network_name and not network_name.isalpha() and not network_name.startswith("xn--")


def _of_type(entries: Iterable[_Entry], qtype: int) -> Answer:
    if qtype not in (TYPE_A, TYPE_AAAA, TYPE_ANY):
        return Answer(Verdict.LOCAL)
    data = dict.fromkeys(d for entry in entries for d in entry.data if qtype in (TYPE_ANY, d.type))
    return Answer(Verdict.LOCAL, tuple(data))


def _pack(address: str) -> Rdata:
    try:
        packed = ip_address(address).packed
    except ValueError as error:
        raise Invalid(f"{address!r} is not an address") from error
    return Rdata(TYPE_A if len(packed) == 4 else TYPE_AAAA, packed)


def _fold_links(links: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    folded: dict[str, dict[str, str]] = {}
    for network, alias, container in links:
        folded.setdefault(network, {})[fold(alias)] = fold(container)
    return folded


def _unlist(
    index: dict[str, dict[K, dict[str, _Entry]]], network: str, keys: Iterable[K], endpoint: str
) -> None:
    listed = index.get(network, {})
    for key in keys:
        entries = listed.get(key)
        if entries is not None:
            entries.pop(endpoint, None)
            if not entries:
                del listed[key]
    if not listed:
        index.pop(network, None)


def _reverse_address(name: str) -> bytes | None:
    """The address a reverse name stands for, packed; None for any other name."""
    if name.endswith(".in-addr.arpa"):
        parts = name.removesuffix(".in-addr.arpa").split(".")
        if len(parts) == 4 and all(p.isascii() and p.isdecimal() and len(p) <= 3 and int(p) < 256 for p in parts):
            return bytes(int(part) for part in reversed(parts))
    elif name.endswith(".ip6.arpa"):
        nibbles = name.removesuffix(".ip6.arpa").split(".")
        if len(nibbles) == 32 and all(len(n) == 1 and n in "0123456789abcdef" for n in nibbles):
            return bytes.fromhex("".join(reversed(nibbles)))
    return None
