"""Netlink bytes: headers and attributes, in both directions. Pure; shared by rtnetlink and ctnetlink.

Nothing here knows what a link or a flow is, and nothing here does I/O. A message is a header, a fixed
body and attributes padded to four bytes (netlink(7)); integers are host order unless a name says `be`.
The one rule: encoders return bytes, decoders return a dict of attribute number -> payload.
"""

import struct
from collections.abc import Iterator

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP_INTR = 0x010
NLM_F_ACK_TLVS = 0x200
NLM_F_CAPPED = 0x100
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """One whole message; `body` is the fixed part and the attributes, already padded."""
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message in what one read gave."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _, _, _ = HEADER.unpack_from(data, offset)
        yield kind, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + b"\0" * (-size & 3)


def nested(kind: int, *children: bytes) -> bytes:
    """An attribute holding attributes, marked as such (strict parsers in the kernel insist on the mark)."""
    return attribute(kind | NLA_F_NESTED, b"".join(children))


def u8(kind: int, value: int) -> bytes:
    """An 8 bit attribute."""
    return attribute(kind, struct.pack("=B", value))


def u16(kind: int, value: int) -> bytes:
    """A 16 bit attribute in host order."""
    return attribute(kind, struct.pack("=H", value))


def u32(kind: int, value: int) -> bytes:
    """A 32 bit attribute in host order."""
    return attribute(kind, struct.pack("=I", value))


def be16(kind: int, value: int) -> bytes:
    """A 16 bit attribute in network order (ports in ctnetlink)."""
    return attribute(kind, struct.pack("!H", value))


def be32(kind: int, value: int) -> bytes:
    """A 32 bit attribute in network order (everything numeric in nfnetlink)."""
    return attribute(kind, struct.pack("!I", value))


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes in `data` from `offset`, by number without the nested and byte-order marks.

    A truncated tail ends the walk: the kernel never sends one, and a shorter answer is handled by
    whoever misses the attribute.
    """
    found: dict[int, bytes] = {}
    end = len(data)
    while offset + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < 4 or offset + size > end:
            break
        found[kind & _NLA_TYPE_MASK] = data[offset + 4 : offset + size]
        offset += (size + 3) & ~3
    return found


def as_text(payload: bytes) -> str:
    """A string attribute without its NUL."""
    return payload.rstrip(b"\0").decode(errors="replace")


def as_u32(payload: bytes) -> int:
    """A 32 bit attribute in host order."""
    return int.from_bytes(payload[:4], "little" if struct.pack("=H", 1)[0] else "big")
