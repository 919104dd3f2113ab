"""The daemon's command line as values."""

from landbridge.options import parse


def test_a_host_without_a_scheme_is_tcp() -> None:
    found = parse(["-H", "0.0.0.0:2375", "--host", "unix:///run/x.sock", "-H", "tcp://[::1]:1"])
    assert found.hosts == ("tcp://0.0.0.0:2375", "unix:///run/x.sock", "tcp://[::1]:1")
