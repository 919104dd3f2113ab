"""Identifiers and names as users type them."""

import re
import secrets

from landbridge.errors import Invalid

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_HEX = re.compile(r"[0-9a-f]{1,64}")

# Two short word lists for containers nobody named; they only need to be easy to say and type.
_QUALITIES = (
    "amber brisk calm civil clear deft eager early fair fleet fond frank fresh gentle glad golden "
    "grand green keen kind lively loyal lucid mellow merry neat noble patient plain prompt proud "
    "quick quiet ready round sharp silver smooth sound steady still sunny swift tidy true warm wise"
).split()
_PLACES = (
    "anchor atoll basin bay beacon bight breeze buoy canal cape cove current delta dock estuary ferry "
    "fjord ford gulf harbor haven inlet islet isthmus jetty keel lagoon lock marina mast mole narrows "
    "oar pier port quay reef rudder sail shoal slip sound spit strait tide wharf"
).split()


def new_id() -> str:
    """A fresh 64-digit hexadecimal id."""
    return secrets.token_hex(32)


def short(full: str) -> str:
    """The 12-digit form shown to users and used as a DNS name."""
    return full[:12]


def is_hex(text: str) -> bool:
    """True when `text` could be an id or the beginning of one."""
    return _HEX.fullmatch(text) is not None


def check_container_name(name: str) -> str:
    """Return the bare container name (one leading slash allowed).

    Raises: Invalid, with Docker's sentence.
    """
    bare = name.removeprefix("/")
    if not _NAME.fullmatch(bare):
        raise Invalid(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare


def check_network_name(name: str) -> str:
    """Return `name`. Raises: Invalid when it is empty, blank or could be taken for a path."""
    if not name or not name.strip():
        raise Invalid("invalid network name: name is empty")
    if "/" in name or not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.\- :+@]*", name):
        raise Invalid(f"{name} includes invalid characters for a network name")
    return name


def random_name() -> str:
    """A name for a container that was given none, such as ``quiet_harbor``."""
    return f"{secrets.choice(_QUALITIES)}_{secrets.choice(_PLACES)}"


def random_mac() -> str:
    """A locally administered unicast address (IEEE 802: bit 1 set, bit 0 clear of the first octet)."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = (octets[0] | 0x02) & 0xFE
    return octets.hex(":")
