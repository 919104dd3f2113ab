"""Values to JSON and back, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from landbridge.resolver import protocol

TEXT = st.text(max_size=8)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
NETWORKS = st.builds(NetworkNames, id=TEXT, name=TEXT)
RECORDS = st.builds(NameRecord, endpoint=TEXT, network=TEXT, names=TEXTS, addresses=TEXTS)
ASKERS = st.builds(
    Asker,
    sandbox=TEXT,
    netns=TEXT,
    networks=TEXTS,
    links=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=2).map(tuple),
    servers=TEXTS,
    external=st.booleans(),
    options=TEXTS,
)
CHANGES = st.one_of(
    st.builds(SetNetwork, NETWORKS),
    st.builds(RemoveNetwork, TEXT),
    st.builds(SetRecord, RECORDS),
    st.builds(RemoveRecord, TEXT),
    st.builds(SetAsker, ASKERS),
    st.builds(RemoveAsker, TEXT),
)


def over_the_wire(message: protocol.Message) -> protocol.Message:
    line = json.dumps(message)
    assert "\n" not in line
    result: protocol.Message = json.loads(line)
    return result


@given(CHANGES)
def test_a_change_arrives_as_it_was(change: Change) -> None:
    assert protocol.message_to_change(over_the_wire(protocol.change_to_message(change))) == change


@given(st.lists(NETWORKS, max_size=3), st.lists(RECORDS, max_size=3), st.lists(ASKERS, max_size=3))
def test_a_table_arrives_as_it_was(
    networks: list[NetworkNames], records: list[NameRecord], askers: list[Asker]
) -> None:
    message = over_the_wire(protocol.table_to_message(networks, records, askers))
    assert protocol.message_to_table(message) == (networks, records, askers)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"op": "unheard_of"},
        {"op": "record_remove"},
        {"op": "record_set", "record": []},
        {"op": "record_set", "record": {"endpoint": "e", "network": "n", "names": "web", "addresses": []}},
        {"op": "network_set", "network": {"id": 7, "name": "n"}},
        {"op": "asker_set", "asker": {"sandbox": "s", "netns": "/x", "links": [["n", "alias"]]}},
        {"op": "asker_set", "asker": {"sandbox": "s", "netns": "/x", "links": "no"}},
    ],
)
def test_what_is_refused(message: protocol.Message) -> None:
    with pytest.raises(Invalid):
        protocol.message_to_change(message)


def test_a_table_must_be_lists_of_objects() -> None:
    with pytest.raises(Invalid):
        protocol.message_to_table({"networks": [], "records": ["web"], "askers": []})
    with pytest.raises(Invalid):
        protocol.message_to_table({"networks": [], "records": []})
