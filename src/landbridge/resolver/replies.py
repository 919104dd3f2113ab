"""The cache of upstream replies.

Keyed by the client's whole message without its id, so that a hit is the reply to exactly this message (flags, EDNS
options, letter case) and nothing of a reply needs to be understood but its TTLs.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable

from landbridge.dns import wire

MAX_SECONDS = 300
MAX_REPLY = 8192
MAX_BYTES = 8 << 20
_OVERHEAD = 400  # of one entry, its key and offsets, about


class Replies:
    """Replies for as long as their TTLs allow, 5 minutes at most; the oldest go when memory is up."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, tuple[float, int, tuple[int, ...], bytes]] = OrderedDict()
        self._used = 0

    def get(self, key: Hashable) -> bytes | None:
        """The reply with its TTLs lowered by its age, and the id of the query it once answered."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        since, ttl, offsets, reply = entry
        seconds = int(time.monotonic() - since)
        if seconds >= ttl:
            self._drop(key)
            return None
        return wire.age(reply, offsets, seconds) if seconds else reply

    def put(self, key: Hashable, reply: bytes, response: wire.Response) -> None:
        """Keep a reply if it may be kept."""
        if response.ttl <= 0 or response.truncated or len(reply) > MAX_REPLY:
            return
        self._drop(key)
        ttl = min(response.ttl, MAX_SECONDS)
        self._entries[key] = (time.monotonic(), ttl, response.ttl_offsets, reply)
        self._used += len(reply) + _OVERHEAD
        while self._used > MAX_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= len(entry[3]) + _OVERHEAD

    def __len__(self) -> int:
        return len(self._entries)
