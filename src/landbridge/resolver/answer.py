"""From one client message to what must be done about it; no sockets here.

The same for UDP and TCP but for the size limit. Local answers come as several rotated replies for a name of several
addresses: callers hand them out in turn, which is how load is spread over containers with one alias.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

from landbridge.dns import wire
from landbridge.dns.zone import Verdict, Zone
from landbridge.errors import Invalid

# Seconds. Long enough for a cache inside the container to be of use, short enough that nobody
# talks for long to an address whose container is gone (Docker says 600).
TTL = 5
# Replies kept per question: rotations of a longer list are spread evenly.
ROTATIONS = 16


@dataclass(frozen=True, slots=True)
class Local:
    """Replies to hand out in turn, each complete with the id of the query; `lasting` while the zone does not change.

    They are encoded as they are asked for: most questions come once. `size` is about what all take in memory.
    """

    replies: Iterable[bytes]
    size: int
    lasting: bool = False


def decide(zone: Zone, sandbox: str, message: bytes, limit: int | None) -> Local | wire.Query | None:
    """Answer from the zone, or return the query to forward, or None: say nothing.

    `limit` is the transport's reply size, None for UDP, where the client says.
    """
    try:
        query = wire.parse_query(message)
    except Invalid:
        return once(wire.format_error(message))
    if query is None:
        return None
    if limit is None:
        limit = query.limit()
    if query.opcode != 0:
        return once(failure(query, wire.NOTIMP))
    if query.edns_version:
        return once(failure(query, wire.BADVERS))
    answer = zone.lookup(sandbox, query.name, query.qtype)
    if answer.verdict is Verdict.FORWARD:
        return query
    if answer.verdict is Verdict.NXDOMAIN:
        reply = failure(query, wire.NXDOMAIN)
        return Local((reply,), len(reply), lasting=True)
    return _turns(query, answer.data, limit)


def _turns(query: wire.Query, data: tuple[wire.Rdata, ...], limit: int) -> Local:
    """The answer once, or as many rotations as are worth keeping."""
    count = len(data)
    if count < 2:
        reply = wire.reply(query, data, ttl=TTL, limit=limit)
        return Local((reply,), len(reply), lasting=True)
    turns = min(count, ROTATIONS)
    # Each question starts its turns somewhere else, or clients that never repeat one would all get the first.
    first = random.randrange(count)
    offsets = [(first + turn * count // turns) % count for turn in range(turns)]
    replies = (wire.reply(query, data[at:] + data[:at], ttl=TTL, limit=limit) for at in offsets)
    return Local(replies, turns * min(limit, 64 + 28 * count), lasting=True)


def once(reply: bytes) -> Local:
    """A reply not to be kept."""
    return Local((reply,), 0)


def failure(query: wire.Query, rcode: int = wire.SERVFAIL) -> bytes:
    """A reply that says no: for SERVFAIL, nobody upstream could answer."""
    return wire.reply(query, (), ttl=0, limit=wire.TCP_SIZE, rcode=rcode)
