"""Machines that tests play, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TwoHosts:
    """Two namespaces on one wire (192.0.2.0/24, 2001:db8::/64); the test's thread is in `host`."""

    host: str
    outside: str
    host_link: str = "uplink"
    host4: str = "192.0.2.1"
    host6: str = "2001:db8::1"
    outside4: str = "192.0.2.2"
    outside6: str = "2001:db8::2"
