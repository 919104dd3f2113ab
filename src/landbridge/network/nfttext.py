"""Rules as text for nft: a full render and a change. The only place that knows nft's grammar."""

from collections.abc import Iterable
from itertools import groupby

from landbridge.network.ruleset import CONTAINERS, LOCAL_PORTS, USER_CHAIN, USER_SET, Chains
from landbridge.network.steps import Element

FAMILY = "inet"


def full(
    table: str, elements: Iterable[Element], chains: Chains, local_ports: tuple[int, int] = LOCAL_PORTS
) -> str:
    """The whole table, to be applied in one transaction whatever was there before.

    `local_ports` are the host's dynamic ones, for masqueraded connections (first and last).
    Declaring is idempotent in nft, so the table is declared, emptied and filled again; only what belongs to the user
    keeps what it has. One transaction: no packet ever sees the table half-filled.
    """
    lines = declared(table, chains)
    lines += [f"flush chain {FAMILY} {table} {name}" for name in chains if name != USER_CHAIN]
    lines += [
        f"flush {kind.split()[0]} {FAMILY} {table} {name}" for name, kind in CONTAINERS.items() if name != USER_SET
    ]
    for name, (_, rules) in chains.items():
        # Not nft's own `define`: a symbol outlives its transaction and cannot be defined twice.
        written = (rule.replace("$local_ports", "{}-{}".format(*local_ports)) for rule in rules)
        lines += [f"add rule {FAMILY} {table} {name} {rule}" for rule in written]
    lines += _commands("add", table, sorted(elements))
    return "\n".join(lines) + "\n"


def declared(table: str, chains: Chains) -> list[str]:
    """The empty table with all its sets, maps and chains."""
    lines = [f"table {FAMILY} {table} {{"]
    for name, kind in CONTAINERS.items():
        what, _, spec = kind.partition(" ")
        lines.append(f"  {what} {name} {{ {spec}; }}")
    lines += [f"  chain {name} {{ {hook} }}" if hook else f"  chain {name} {{ }}" for name, (hook, _) in chains.items()]
    return [*lines, "}"]


def change(table: str, add: Iterable[Element], remove: Iterable[Element]) -> str:
    """The commands of one operation; removals first, so that a key may move to another value."""
    lines = _commands("delete", table, sorted(remove)) + _commands("add", table, sorted(add))
    return "\n".join(lines) + "\n" if lines else ""


def _commands(verb: str, table: str, elements: list[Element]) -> list[str]:
    """One command per set or map, all its elements in it."""
    return [
        f"{verb} element {FAMILY} {table} {name} {{ {', '.join(_element(verb, element) for element in group)} }}"
        for name, group in groupby(elements, key=lambda element: element.container)
    ]


def _element(verb: str, element: Element) -> str:
    return f"{element.key} : {element.value}" if element.value and verb == "add" else element.key


def removal(table: str) -> str:
    """The table goes, if it is there, and with it everything in it."""
    return f"add table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def has_content(listing: str) -> bool:
    """Whether nft's listing of a chain or set shows a rule or an element."""
    plain = ("table ", "chain ", "set ", "type ", "flags ", "}")
    return any(line.strip() and not line.strip().startswith(plain) for line in listing.splitlines())
