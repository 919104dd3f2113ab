"""What the daemon and the resolver say to each other: JSON, one message a line, over a unix socket.

The resolver greets with ``{"hello": "landbridge-resolver", "version": 1, "pid": …}``; every message from the daemon
has ``seq`` and ``op`` and is acknowledged ``{"ack": seq}``, with ``error`` when something of it failed and
``failed`` naming which sandboxes. Here: both directions of translation between those and `model.names`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

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

HELLO = "landbridge-resolver"
VERSION = 1
MAX_LINE = 256 << 20  # a whole table of some 500,000 records; the socket is the daemon's only

Message = dict[str, Any]


def change_to_message(change: Change) -> Message:
    """``{"op": "record_set", "record": {…}}`` and its five siblings."""
    match change:
        case SetNetwork(network):
            return {"op": "network_set", "network": network_to_message(network)}
        case RemoveNetwork(ident):
            return {"op": "network_remove", "id": ident}
        case SetRecord(record):
            return {"op": "record_set", "record": record_to_message(record)}
        case RemoveRecord(endpoint):
            return {"op": "record_remove", "endpoint": endpoint}
        case SetAsker(asker):
            return {"op": "asker_set", "asker": asker_to_message(asker)}
        case RemoveAsker(sandbox):
            return {"op": "asker_remove", "sandbox": sandbox}


def message_to_change(message: Message) -> Change:
    """The reverse of `change_to_message`.

    Raises: Invalid.
    """
    match message.get("op"):
        case "network_set":
            return SetNetwork(message_to_network(_mapping(message, "network")))
        case "network_remove":
            return RemoveNetwork(_text(message, "id"))
        case "record_set":
            return SetRecord(message_to_record(_mapping(message, "record")))
        case "record_remove":
            return RemoveRecord(_text(message, "endpoint"))
        case "asker_set":
            return SetAsker(message_to_asker(_mapping(message, "asker")))
        case "asker_remove":
            return RemoveAsker(_text(message, "sandbox"))
    raise Invalid(f"unknown op {message.get('op')!r}")


def table_to_message(
    networks: Iterable[NetworkNames], records: Iterable[NameRecord], askers: Iterable[Asker]
) -> Message:
    """``{"op": "replace", …}``: everything there is."""
    return {
        "op": "replace",
        "networks": [network_to_message(network) for network in networks],
        "records": [record_to_message(record) for record in records],
        "askers": [asker_to_message(asker) for asker in askers],
    }


def message_to_table(message: Message) -> tuple[list[NetworkNames], list[NameRecord], list[Asker]]:
    """The reverse of `table_to_message`.

    Raises: Invalid.
    """
    return (
        [message_to_network(item) for item in mappings(message, "networks")],
        [message_to_record(item) for item in mappings(message, "records")],
        [message_to_asker(item) for item in mappings(message, "askers")],
    )


def network_to_message(network: NetworkNames) -> Message:
    """Field by field."""
    return {"id": network.id, "name": network.name}


def message_to_network(message: Mapping[str, object]) -> NetworkNames:
    """Raises: Invalid."""
    return NetworkNames(id=_text(message, "id"), name=_text(message, "name"))


def record_to_message(record: NameRecord) -> Message:
    """Field by field."""
    return {
        "endpoint": record.endpoint,
        "network": record.network,
        "names": record.names,
        "addresses": record.addresses,
    }


def message_to_record(message: Mapping[str, object]) -> NameRecord:
    """Raises: Invalid."""
    return NameRecord(
        endpoint=_text(message, "endpoint"),
        network=_text(message, "network"),
        names=_texts(message, "names"),
        addresses=_texts(message, "addresses"),
    )


def asker_to_message(asker: Asker) -> Message:
    """Field by field."""
    return {
        "sandbox": asker.sandbox,
        "netns": asker.netns,
        "networks": asker.networks,
        "links": asker.links,
        "servers": asker.servers,
        "external": asker.external,
        "options": asker.options,
    }


def message_to_asker(message: Mapping[str, object]) -> Asker:
    """Raises: Invalid."""
    return Asker(
        sandbox=_text(message, "sandbox"),
        netns=_text(message, "netns"),
        networks=_texts(message, "networks"),
        links=_links(message.get("links", [])),
        servers=_texts(message, "servers"),
        external=message.get("external") is not False,
        options=_texts(message, "options"),
    )


def mappings(message: Message, key: str) -> list[Message]:
    """A list of objects.

    Raises: Invalid.
    """
    value = message.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Invalid(f"{key} is not a list of objects")
    return value


def _mapping(message: Message, key: str) -> Message:
    value = message.get(key)
    if not isinstance(value, dict):
        raise Invalid(f"{key} is not an object")
    return value


def _text(message: Mapping[str, object], key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str):
        raise Invalid(f"{key} is not a text")
    return value


def _texts(message: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = message.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"{key} is not a list of texts")
    return tuple(value)


def _links(value: object) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(value, list):
        raise Invalid("links is not a list")
    links = []
    for item in value:
        match item:
            case [str(network), str(alias), str(container)]:
                links.append((network, alias, container))
            case _:
                raise Invalid("a link is not [network, alias, container]")
    return tuple(links)
