"""Rules as text for nft: a full render and a change. The only place that knows nft's grammar."""

from collections.abc import Iterable
from itertools import groupby

from landbridge.network.ruleset import CHAINS, CONTAINERS, USER_CHAIN
from landbridge.network.steps import Element

FAMILY = "inet"


def full(table: str, elements: Iterable[Element]) -> str:
    """The whole table, to be applied in one transaction whatever was there before.

    Declaring is idempotent in nft, so the table is declared, emptied and filled again; only the user's own
    chain keeps what it has. One transaction: no packet ever sees the table half-filled.
    """
    lines = [f"table {FAMILY} {table} {{"]
    for name, kind in CONTAINERS.items():
        what, _, spec = kind.partition(" ")
        lines.append(f"  {what} {name} {{ {spec}; }}")
    for name, (hook, _) in CHAINS.items():
        lines.append(f"  chain {name} {{ {hook} }}" if hook else f"  chain {name} {{ }}")
    lines.append("}")
    lines += [f"flush chain {FAMILY} {table} {name}" for name in CHAINS if name != USER_CHAIN]
    lines += [f"flush {kind.split()[0]} {FAMILY} {table} {name}" for name, kind in CONTAINERS.items()]
    for name, (_, rules) in CHAINS.items():
        lines += [f"add rule {FAMILY} {table} {name} {rule}" for rule in rules]
    lines += _commands("add", table, sorted(elements))
    return "\n".join(lines) + "\n"


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
