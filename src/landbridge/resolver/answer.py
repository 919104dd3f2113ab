"""From one client message to what must be done about it; no sockets here.

The same for UDP and TCP but for the size limit. Local answers come as several rotated replies for a name of several
addresses: callers hand them out in turn, which is how load is spread over containers with one alias.
"""

import random
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
    """Replies to choose from, each complete with the id of the query; `lasting` while the zone does not change."""

    replies: tuple[bytes, ...]
    lasting: bool


def decide(zone: Zone, sandbox: str, message: bytes, limit: int | None) -> Local | wire.Query | None:
    """Answer from the zone, or return the query to forward, or None: say nothing.

    `limit` is the transport's reply size, None for UDP, where the client says.
    """
    try:
        query = wire.parse_query(message)
    except Invalid:
        return Local((wire.format_error(message),), lasting=False)
    if query is None:
        return None
    if limit is None:
        limit = query.limit()
    if query.opcode != 0:
        return _refuse(query, wire.NOTIMP, limit)
    if query.edns_version:
        return _refuse(query, wire.BADVERS, limit)
    answer = zone.lookup(sandbox, query.name, query.qtype)
    if answer.verdict is Verdict.FORWARD:
        return query
    if answer.verdict is Verdict.NXDOMAIN:
        return Local((wire.reply(query, (), ttl=0, limit=limit, rcode=wire.NXDOMAIN),), lasting=True)
    data = answer.data
    count = len(data)
    if count < 2:
        return Local((wire.reply(query, data, ttl=TTL, limit=limit),), lasting=True)
    turns = min(count, ROTATIONS)
    # Each question starts its turns somewhere else, or clients that never repeat one would all get the first.
    first = random.randrange(count)
    offsets = [(first + turn * count // turns) % count for turn in range(turns)]
    replies = tuple(wire.reply(query, data[at:] + data[:at], ttl=TTL, limit=limit) for at in offsets)
    return Local(replies, lasting=True)


def _refuse(query: wire.Query, rcode: int, limit: int) -> Local:
    return Local((wire.reply(query, (), ttl=0, limit=limit, rcode=rcode),), lasting=False)


def failure(query: wire.Query, rcode: int = wire.SERVFAIL) -> bytes:
    """The reply when nobody upstream could answer."""
    return wire.reply(query, (), ttl=0, limit=wire.TCP_SIZE, rcode=rcode)
