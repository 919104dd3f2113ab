"""What users write: ports, durations, signals."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Invalid
from landbridge.model.duration import parse_duration
from landbridge.model.ports import Binding, Port, PortRange, check_host_ip, parse_exposed, parse_port, parse_range
from landbridge.model.signals import signal_number


@pytest.mark.parametrize(
    ("text", "port"),
    [("80", Port(80)), ("80/tcp", Port(80)), ("53/UDP", Port(53, "udp")), ("9/sctp", Port(9, "sctp")), ("65535", Port(65535))],
)  # fmt: skip
def test_ports(text: str, port: Port) -> None:
    assert parse_port(text) == port
    assert parse_port(str(port)) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "http", "80/icmp", "80-81", "٣", "1e3", " 80"])
def test_no_ports(text: str) -> None:
    with pytest.raises(Invalid):
        parse_port(text)


def test_exposed_ranges() -> None:
    assert parse_exposed("8000-8002/udp") == tuple(Port(number, "udp") for number in (8000, 8001, 8002))
    assert parse_exposed("80") == (Port(80),)
    for text in ("", "0", "9-8", "1-2/icmp"):
        with pytest.raises(Invalid):
            parse_exposed(text)


def test_host_ports() -> None:
    assert parse_range("").dynamic
    assert parse_range("0").dynamic
    assert parse_range("80") == PortRange(80, 80)
    assert len(parse_range("8000-8010")) == 11
    for text in ("10-9", "80-", "-80", "a", "1-2-3", "70000"):
        with pytest.raises(Invalid):
            parse_range(text)


def test_host_addresses_are_canonical() -> None:
    assert check_host_ip("") == ""
    assert check_host_ip("[::1]") == check_host_ip("0:0::1") == "::1"
    for text in ("localhost", "1.2.3", "300.1.1.1"):
        with pytest.raises(Invalid, match="invalid IP address"):
            check_host_ip(text)


@given(st.integers(1, 60000), st.integers(1, 60000), st.integers(1, 200))
def test_a_run_of_ports_is_its_single_ones(inside: int, outside: int, count: int) -> None:
    run = Binding(port=Port(inside), host_ip="0.0.0.0", host_port=outside, count=count)
    singles = list(run.singles())
    assert [one.host_port for one in singles] == list(range(outside, run.last + 1))
    assert [one.port.number for one in singles] == list(range(inside, inside + count))
    assert run.at(run.last) == singles[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("5s", 5_000_000_000), ("1h15m30.918s", 4_530_918_000_000), ("300ms", 300_000_000), ("1.5h", 5_400_000_000_000),
        ("-2us", -2000), ("+.5s", 500_000_000), ("1µs", 1000), ("7ns", 7), ("2.s", 2_000_000_000),
    ],
)  # fmt: skip
def test_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "invalid duration"), ("5", "missing unit"), ("5x", 'unknown unit "x"'), ("s", "invalid duration"), (".s", "invalid"), ("1s2", "missing unit")],
)  # fmt: skip
def test_no_durations(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGTERM", 15), ("RTMIN", 34), ("rtmin+3", 37), ("SIGRTMAX-1", 63), ("IOT", signal.SIGABRT), ("64", 64)],
)  # fmt: skip
def test_signals(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "KILLED", "RTMIN+31", "RTMAX-40", "RTMIN+x", "SIG", "SIG9", "sig42"])
def test_no_signals(text: str) -> None:
    with pytest.raises(Invalid, match=f"invalid signal: {text.replace('+', '.')}"):
        signal_number(text)


def test_a_number_beyond_the_signals() -> None:
    with pytest.raises(Invalid, match="the linux daemon does not support signal 65"):
        signal_number("65")
