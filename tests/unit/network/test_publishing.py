"""Which host ports a container gets."""

import pytest

from landbridge.errors import Conflict, Invalid
from landbridge.model.config import Config, HostConfig
from landbridge.model.ports import Binding, Port, PortBinding
from landbridge.network import publishing
from landbridge.network.portledger import PortLedger
from landbridge.network.publishing import Ephemeral, PortTaken, Wanted

RANGE = Ephemeral(low=32768, high=32770, last=0)


def taken(*runs: tuple[str, str, int, int, str]) -> PortLedger:
    """What others have: (protocol, host address, first port, how many, owner)."""
    ledger = PortLedger()
    for proto, ip, first, count, owner in runs:
        ledger.add([Binding(port=Port(1, proto), host_ip=ip, host_port=first, count=count)], owner)
    return ledger


def wants(*bindings: tuple[str, str, str], ipv6: bool = True, **host: object) -> tuple[Wanted, ...]:
    grouped: dict[str, tuple[PortBinding, ...]] = {}
    for port, ip, number in bindings:
        grouped[port] = (*grouped.get(port, ()), PortBinding(host_ip=ip, host_port=number))
    config = HostConfig(port_bindings=grouped, **host)  # type: ignore[arg-type]
    exposed = {"81/udp": {}, "80/tcp": {}}
    return publishing.wanted(Config(exposed_ports=exposed), config, "0.0.0.0", ipv6=ipv6)


def choose(found: tuple[Wanted, ...], ledger=None, sticky=None, busy=frozenset()):  # type: ignore[no-untyped-def]
    return publishing.choose(found, ledger or PortLedger(), sticky or {}, RANGE, busy)


def test_a_dynamic_port_is_the_same_on_both_families() -> None:
    assert choose(wants(("80/tcp", "", ""))) == (
        Binding(port=Port(80), host_ip="0.0.0.0", host_port=32768),
        Binding(port=Port(80), host_ip="::", host_port=32768),
    )


def test_without_ipv6_there_is_only_one_binding() -> None:
    assert [one.host_ip for one in choose(wants(("80/tcp", "", "8080"), ipv6=False))] == ["0.0.0.0"]


def test_a_specific_address_binds_only_there() -> None:
    assert choose(wants(("80/tcp", "127.0.0.1", "8080"))) == (
        Binding(port=Port(80), host_ip="127.0.0.1", host_port=8080),
    )


def test_publish_all_takes_every_exposed_port_not_bound_otherwise() -> None:
    found = choose(wants(("80/tcp", "", "8080"), publish_all_ports=True), busy=frozenset())
    assert {(str(one.port), one.host_port) for one in found} == {("80/tcp", 8080), ("81/udp", 32768)}


def test_a_taken_fixed_port_is_refused_in_dockers_words() -> None:
    with pytest.raises(PortTaken, match=r"Bind for 0\.0\.0\.0:8080 failed: port is already allocated") as caught:
        choose(wants(("80/tcp", "", "8080")), taken(("tcp", "0.0.0.0", 8080, 1, "web")))
    assert caught.value.owner == "web"


@pytest.mark.parametrize(
    ("asked", "there", "clash"),
    [
        ("127.0.0.1", "127.0.0.2", False), ("127.0.0.1", "0.0.0.0", True), ("0.0.0.0", "127.0.0.1", True),
        ("::", "0.0.0.0", False), ("::1", "::", True), ("127.0.0.1", "::", False), ("::1", "::1", True),
    ],
)  # fmt: skip
def test_different_addresses_share_a_port_and_wildcards_do_not(asked: str, there: str, clash: bool) -> None:  # noqa: FBT001
    found = taken(("tcp", there, 8080, 1, "web")).clash("tcp", asked, 8080, 8080)
    assert found == ((8080, "web") if clash else None)


def test_ten_thousand_neighbours_are_one_binding_an_address() -> None:
    asked = wants(*((f"{port}/udp", "", str(port)) for port in range(20000, 30000)))
    assert choose(asked) == tuple(
        Binding(port=Port(20000, "udp"), host_ip=ip, host_port=20000, count=10000) for ip in ("0.0.0.0", "::")
    )


def test_only_neighbours_on_both_sides_are_joined() -> None:
    asked = [("80/tcp", "", "8080"), ("81/tcp", "", "8081"), ("82/tcp", "", "8090"), ("83/udp", "", "8091"),
             ("84/udp", "127.0.0.1", "8092"), ("85/udp", "", "")]  # fmt: skip
    found = choose(wants(*asked, ipv6=False))
    assert {(str(one.port), one.host_ip, one.host_port, one.count) for one in found} == {
        ("80/tcp", "0.0.0.0", 8080, 2), ("82/tcp", "0.0.0.0", 8090, 1), ("83/udp", "0.0.0.0", 8091, 1),
        ("84/udp", "127.0.0.1", 8092, 1), ("85/udp", "0.0.0.0", 32768, 1),
    }  # fmt: skip


def test_a_port_in_the_middle_of_a_range_is_named_with_its_holder() -> None:
    asked = wants(*((f"{port}/tcp", "", str(port)) for port in range(20000, 30000)))
    others = taken(("tcp", "127.0.0.1", 25007, 3, "late"), ("tcp", "0.0.0.0", 25003, 1, "web"))
    with pytest.raises(PortTaken, match=r"Bind for 0\.0\.0\.0:25003 failed: port is already allocated") as caught:
        choose(asked, others)
    assert caught.value.owner == "web"


def test_one_port_asked_for_twice_is_refused() -> None:
    with pytest.raises(PortTaken, match=r"Bind for 0\.0\.0\.0:8080 failed"):
        choose(wants(("80/tcp", "", "8080"), ("80/tcp", "", "8080")))


def test_a_range_gives_the_first_free_port_and_ends() -> None:
    others = taken(("tcp", "0.0.0.0", 8000, 2, "a"))
    assert choose(wants(("80/tcp", "", "8000-8002")), others)[0].host_port == 8002
    with pytest.raises(Conflict):
        choose(wants(("80/tcp", "", "8000-8001")), others)


def test_a_remembered_port_comes_back_unless_it_was_lost() -> None:
    found = wants(("80/tcp", "", ""))
    sticky = {found[0].key: 32769}
    assert choose(found, sticky=sticky)[0].host_port == 32769
    assert choose(found, sticky=sticky, busy={("tcp", 32769)})[0].host_port == 32768


def test_serial_allocation_goes_on_and_wraps() -> None:
    found = wants(("80/tcp", "", ""))
    after = publishing.choose(found, PortLedger(), {}, Ephemeral(low=32768, high=32770, last=32769), set())
    assert after[0].host_port == 32770
    wrapped = publishing.choose(found, PortLedger(), {}, Ephemeral(low=32768, high=32770, last=32770), set())
    assert wrapped[0].host_port == 32768


def test_when_no_dynamic_port_is_left_it_says_so() -> None:
    with pytest.raises(Conflict, match="all ports are allocated"):
        choose(wants(("80/tcp", "", "")), busy={("tcp", port) for port in range(32768, 32771)})


def test_two_dynamic_ports_of_one_container_differ() -> None:
    found = choose(wants(("80/tcp", "", ""), ("81/tcp", "", "")))
    assert len({one.host_port for one in found}) == 2


@pytest.mark.parametrize("port", ["0/tcp", "70000/tcp", "x/tcp", "80/icmp", "-1/tcp"])
def test_malformed_ports_are_refused_at_create(port: str) -> None:
    with pytest.raises(Invalid):
        publishing.check(Config(), HostConfig(port_bindings={port: (PortBinding(),)}))


@pytest.mark.parametrize(("ip", "number"), [("300.1.1.1", ""), ("", "99999"), ("", "9-8"), ("", "a")])
def test_malformed_bindings_are_refused_at_create(ip: str, number: str) -> None:
    binding = PortBinding(host_ip=ip, host_port=number)
    with pytest.raises(Invalid):
        publishing.check(Config(), HostConfig(port_bindings={"80/tcp": (binding,)}))
