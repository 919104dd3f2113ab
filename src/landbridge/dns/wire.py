"""DNS messages: bytes to a query, answers to bytes (RFC 1035, EDNS per RFC 6891).

Pure. Only what a server of local names needs: the first question is read, never a resource
record except the client's OPT; replies compress owner names against the question. Nothing that
arrives is trusted: every length is checked, and whatever does not parse is `Invalid` or nothing.
The rule: a name is text in lower case with dots between labels, wherever it is compared.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.errors import Invalid

HEADER = struct.Struct("!6H")
RR_FIXED = struct.Struct("!HHIH")  # type, class, ttl, rdata length

TYPE_A = 1
TYPE_SOA = 6
TYPE_PTR = 12
TYPE_AAAA = 28
TYPE_OPT = 41
TYPE_ANY = 255
CLASS_IN = 1

QR = 0x8000
OPCODE = 0x7800
TC = 0x0200
RD = 0x0100
RA = 0x0080
RCODE = 0x000F

NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4
REFUSED = 5
BADVERS = 16

PLAIN_UDP_SIZE = 512
TCP_SIZE = 65535
# What we say we take over UDP. Queries arrive over loopback, so fragments are no concern.
OUR_UDP_SIZE = 4096

OWNER_POINTER = b"\xc0\x0c"  # the question's name always starts right after the header


@dataclass(frozen=True, slots=True)
class Rdata:
    """One answer without its owner: the type and the wire form of the data."""

    type: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """A well-formed question. `question` is its wire form, case as the client wrote it (RFC 1035 4.1.2).

    `udp_size` is the client's EDNS payload size, None without OPT; `edns_version` likewise.
    """

    id: int
    flags: int
    question: bytes
    name: str
    qtype: int
    qclass: int
    udp_size: int | None = None
    edns_version: int | None = None

    @property
    def opcode(self) -> int:
        """0 is a plain query."""
        return (self.flags & OPCODE) >> 11

    def limit(self) -> int:
        """The largest reply this client takes over UDP."""
        return max(PLAIN_UDP_SIZE, self.udp_size or 0)


def fold(name: str) -> str:
    """The form in which names are compared: lower case, no trailing dot."""
    return name.lower().removesuffix(".")


def parse_query(message: bytes) -> Query | None:
    """Read a client's message; None when no reply is due (too short, a reply, no question).

    Raises: Invalid when the sender should be told FORMERR. More than one question is one such
    case (RFC 9619).
    """
    if len(message) < HEADER.size:
        return None
    ident, flags, questions, answers, authorities, additional = HEADER.unpack_from(message)
    if flags & QR or questions == 0:
        return None
    if questions != 1:
        raise Invalid("more than one question")
    name, end = read_name(message, HEADER.size)
    if end + 4 > len(message):
        raise Invalid("question cut short")
    qtype, qclass = struct.unpack_from("!HH", message, end)
    end += 4
    size = version = None
    if additional:
        size, version = _find_opt(message, end, answers + authorities, additional)
    return Query(ident, flags, message[HEADER.size : end], name, qtype, qclass, size, version)


def read_name(message: bytes, start: int) -> tuple[str, int]:
    """Read an uncompressed name: its folded text and the offset after it.

    A dot inside a label is written ``\\.`` so that it never equals a real boundary.
    Raises: Invalid, also for compression pointers: there is nothing a first name could point to.
    """
    labels = []
    here = start
    while True:
        if here >= len(message):
            raise Invalid("name cut short")
        length = message[here]
        here += 1
        if length == 0:
            break
        label = message[here : here + length]
        here += length
        if length > 63 or len(label) < length or here - start > 254:
            raise Invalid("bad label")
        labels.append(label.replace(b".", b"\\.") if b"." in label else label)
    return b".".join(labels).decode("utf-8", "surrogateescape").lower(), here


def skip_name(message: bytes, start: int) -> int:
    """The offset after a possibly compressed name.

    Raises: Invalid.
    """
    here = start
    while here < len(message):
        length = message[here]
        if length == 0:
            return here + 1
        if length >= 0xC0:
            return here + 2
        if length > 63:
            break
        here += 1 + length
    raise Invalid("bad name")


def _find_opt(message: bytes, start: int, before: int, additional: int) -> tuple[int | None, int | None]:
    """Payload size and version of the client's OPT record, (None, None) without one."""
    here = start
    for index in range(before + additional):
        here = skip_name(message, here)
        if here + RR_FIXED.size > len(message):
            raise Invalid("record cut short")
        rtype, rclass, ttl, length = RR_FIXED.unpack_from(message, here)
        if rtype == TYPE_OPT and index >= before:
            return rclass, (ttl >> 16) & 0xFF
        here += RR_FIXED.size + length
    return None, None


def encode_name(name: str) -> bytes:
    """The wire form of a dotted name, not compressed.

    Raises: Invalid when it does not fit (a label over 63 bytes, 255 in all, an empty label).
    """
    wire = bytearray()
    for label in name.removesuffix(".").encode("utf-8", "surrogateescape").split(b"."):
        if not 0 < len(label) <= 63:
            raise Invalid(f"{name!r} cannot be a DNS name")
        wire.append(len(label))
        wire += label
    wire.append(0)
    if len(wire) > 255:
        raise Invalid(f"{name!r} is too long for a DNS name")
    return bytes(wire)


def reply(query: Query, answers: Sequence[Rdata], *, ttl: int, limit: int, rcode: int = NOERROR) -> bytes:
    """The reply to `query`: not authoritative, recursion available, as Docker's.

    Whole records are dropped from the end, and TC set, when it would exceed `limit` bytes. OPT is
    answered with OPT (RFC 6891 6.1.1).
    """
    opt = b"" if query.udp_size is None else _opt(rcode)
    room = limit - HEADER.size - len(query.question) - len(opt)
    body = bytearray()
    count = 0
    for answer in answers:
        if len(body) + 2 + RR_FIXED.size + len(answer.data) > room:
            break
        body += OWNER_POINTER
        body += RR_FIXED.pack(answer.type, CLASS_IN, ttl, len(answer.data))
        body += answer.data
        count += 1
    flags = QR | RA | (query.flags & (OPCODE | RD)) | (rcode & RCODE)
    if count < len(answers):
        flags |= TC
    header = HEADER.pack(query.id, flags, 1, count, 0, 1 if opt else 0)
    return b"".join((header, query.question, body, opt))


def _opt(rcode: int) -> bytes:
    return b"\0" + RR_FIXED.pack(TYPE_OPT, OUR_UDP_SIZE, (rcode >> 4) << 24, 0)


def format_error(message: bytes) -> bytes:
    """A bare FORMERR header for a message of at least 12 bytes that did not parse."""
    ident, flags = struct.unpack_from("!HH", message)
    return HEADER.pack(ident, QR | RA | (flags & (OPCODE | RD)) | FORMERR, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Response:
    """What a forwarder must know of an upstream's reply.

    `ttl_offsets` locate every TTL that ages (all but OPT's); `ttl` is how long the reply may be kept, 0 when
    it may not. For negative replies the SOA decides (RFC 2308 5), and without SOA nothing is kept. `negative` is
    "no such name" or "no such data".
    """

    rcode: int
    truncated: bool
    negative: bool
    ttl: int
    ttl_offsets: tuple[int, ...]


def parse_response(message: bytes, question: bytes) -> Response | None:
    """Read a reply to `question` (wire form); None when it is not a reply to it.

    A reply whose question differs is a forgery or a mistake, either way not ours (RFC 5452 4.2); one without a question
    is accepted with an error code only. Broken records are passed on but never kept.
    """
    if len(message) < HEADER.size:
        return None
    _, flags, questions, answers, authorities, additional = HEADER.unpack_from(message)
    rcode = flags & RCODE
    if not flags & QR:
        return None
    if questions == 0 and rcode not in (NOERROR, NXDOMAIN):
        return Response(rcode, bool(flags & TC), negative=False, ttl=0, ttl_offsets=())
    end = HEADER.size + len(question)
    # ASCII lower case folds labels; the type and class that follow must be equal as they are.
    asked = message[HEADER.size : end]
    if questions != 1 or asked.lower() != question.lower() or asked[-4:] != question[-4:]:
        return None
    truncated = bool(flags & TC)
    if truncated or rcode not in (NOERROR, NXDOMAIN):
        return Response(rcode, truncated, negative=False, ttl=0, ttl_offsets=())
    negative = answers == 0 or rcode == NXDOMAIN
    try:
        ttl, offsets = _ages(message, end, answers, authorities, additional, negative=negative)
    except Invalid:
        ttl, offsets = 0, ()
    return Response(rcode, truncated, negative, ttl, offsets)


def _ages(
    message: bytes, start: int, answers: int, authorities: int, additional: int, *, negative: bool
) -> tuple[int, tuple[int, ...]]:
    here = start
    offsets = []
    least: int | None = None
    from_soa: int | None = None
    for index in range(answers + authorities + additional):
        here = skip_name(message, here)
        if here + RR_FIXED.size > len(message):
            raise Invalid("record cut short")
        rtype, _, ttl, length = RR_FIXED.unpack_from(message, here)
        data_end = here + RR_FIXED.size + length
        if data_end > len(message):
            raise Invalid("record cut short")
        if rtype != TYPE_OPT:
            # RFC 2181 8: the top bit set means zero.
            ttl = 0 if ttl & 0x80000000 else ttl
            offsets.append(here + 4)
            least = ttl if least is None else min(least, ttl)
            if rtype == TYPE_SOA and answers <= index < answers + authorities and length >= 20:
                from_soa = min(ttl, int.from_bytes(message[data_end - 4 : data_end], "big"))
        here = data_end
    if least is None or (negative and from_soa is None):
        return 0, ()
    return (min(least, from_soa) if negative and from_soa is not None else least), tuple(offsets)


def age(message: bytes, offsets: Sequence[int], seconds: int) -> bytes:
    """The same reply with every TTL at `offsets` lowered by `seconds`, never below zero."""
    aged = bytearray(message)
    for offset in offsets:
        left = int.from_bytes(aged[offset : offset + 4], "big") - seconds
        aged[offset : offset + 4] = max(0, left).to_bytes(4, "big")
    return bytes(aged)
