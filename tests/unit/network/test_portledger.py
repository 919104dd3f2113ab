"""The ledger of published ports against the plain table it stands for: a port at a time."""

from hypothesis import given
from hypothesis import strategies as st

from landbridge.model.ports import Binding, Port
from landbridge.network.portledger import PortLedger, overlap

ADDRESSES = ["0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1"]

runs = st.builds(
    lambda proto, ip, first, count: Binding(port=Port(1, proto), host_ip=ip, host_port=first, count=count),
    st.sampled_from(["tcp", "udp"]), st.sampled_from(ADDRESSES), st.integers(1, 30), st.integers(1, 12),
)  # fmt: skip


@given(asked=st.lists(runs, max_size=12), gone=st.sets(st.integers(0, 11)), query=runs)
def test_it_answers_as_a_table_of_single_ports_would(asked: list[Binding], gone: set[int], query: Binding) -> None:
    ledger = PortLedger()
    kept: list[tuple[Binding, str]] = []
    for number, run in enumerate(asked):
        if ledger.clash(run.port.proto, run.host_ip, run.host_port, run.last) is None:
            ledger.add([run], f"c{number}")
            kept.append((run, f"c{number}"))
    for run, owner in [one for number, one in enumerate(kept) if number in gone]:
        ledger.remove([run], owner)
        kept.remove((run, owner))
    table: dict[int, set[str]] = {}
    for run, owner in kept:
        if run.port.proto == query.port.proto and overlap(run.host_ip, query.host_ip):
            for port in range(run.host_port, run.last + 1):
                table.setdefault(port, set()).add(owner)
    hits = [port for port in range(query.host_port, query.last + 1) if port in table]
    found = ledger.clash(query.port.proto, query.host_ip, query.host_port, query.last)
    if found is None:
        assert not hits
    else:
        assert found[0] == hits[0]
        assert found[1] in table[hits[0]]


def test_removing_what_is_not_there_is_no_error_and_takes_nothing_of_others() -> None:
    ledger = PortLedger()
    run = Binding(port=Port(80), host_ip="0.0.0.0", host_port=8000, count=10)
    ledger.add([run], "web")
    ledger.remove([run], "other")
    ledger.remove([Binding(port=Port(80), host_ip="0.0.0.0", host_port=8000)], "web")
    assert ledger.clash("tcp", "127.0.0.1", 1, 65535) == (8000, "web")
    ledger.remove([run], "web")
    ledger.remove([run], "web")
    assert list(ledger) == []
