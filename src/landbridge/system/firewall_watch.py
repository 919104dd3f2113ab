"""Notices when somebody takes our nft table, or a rule of it, away.

The kernel tells every listener of one multicast group about every committed transaction, our own included, and not
reliably who made it. So nobody is suspected: a transaction after which the table lacks something it had (fewer rules,
a chain, a set, or the table itself gone and not made again) is a loss, whoever committed it. Operations of ours never
look like that: they change elements, and a full render puts back as many rules as it flushes.

Elements are not watched: firewall programs sweep rules and tables, nobody sweeps other people's sets.
"""

import errno
import socket
from collections import Counter

from landbridge.system import nlwire

LOST = "lost"
USER = "user"
DOCKER_USER = "docker-user"

_NETLINK_NETFILTER = 12  # missing from the socket module
_NFNLGRP_NFTABLES = 7
_NFNL_SUBSYS_NFTABLES = 10 << 8
_NEWTABLE, _DELTABLE, _NEWCHAIN, _DELCHAIN, _NEWRULE, _DELRULE = 0, 2, 3, 5, 6, 8
_NEWSET, _DELSET, _NEWSETELEM, _DELSETELEM, _NEWGEN = 9, 11, 12, 14, 15
_COUNTED = {
    _NEWTABLE: ("table", 1), _DELTABLE: ("table", -1), _NEWCHAIN: ("chain", 1), _DELCHAIN: ("chain", -1),
    _NEWRULE: ("rule", 1), _DELRULE: ("rule", -1), _NEWSET: ("set", 1), _DELSET: ("set", -1),
}  # fmt: skip
_NFGENMSG = 4
_INET, _IP, _IP6 = 1, 2, 10  # NFPROTO_…
_TABLE = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE: the same number in each
_RULE_CHAIN = 2
_SET = 2
_CHAIN_NAME = 3
_RECEIVE_QUEUE = 1 << 20
_BUFFER = 1 << 16


class FirewallWatch:
    """Satisfies `engine.effects.FirewallWatch` for one table of family inet of the calling thread's namespace.

    `user_chain` and `user_set` belong to the user: changes there are no loss and reported as their own kind.
    """

    def __init__(self, table: str, *, user_chain: str, user_set: str) -> None:
        self._table = table.encode() + b"\0"
        self._user_chain = user_chain.encode() + b"\0"
        self._user_set = user_set.encode() + b"\0"
        self._transaction = _Transaction()
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, flags, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_QUEUE)
        self._socket.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no more; twice is fine."""
        self._socket.close()

    def drain(self) -> frozenset[str]:
        """What happened since the last call: any of `LOST`, `USER` and `DOCKER_USER`. Never blocks."""
        found: set[str] = set()
        while True:
            try:
                data = self._socket.recv(_BUFFER)
            except BlockingIOError:
                return frozenset(found)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # More was said than the queue holds: who knows what. Putting everything back is cheap.
                self._transaction = _Transaction()
                found.add(LOST)
                continue
            found |= self.read(data)

    def read(self, data: bytes) -> set[str]:
        """What the transactions that end in these bytes did. A transaction may go on in the next ones."""
        found: set[str] = set()
        offset = 0
        while offset + nlwire.HEADER.size <= len(data):
            length, kind, _, _, _ = nlwire.HEADER.unpack_from(data, offset)
            if length < nlwire.HEADER.size:
                break
            if kind & 0xFF00 == _NFNL_SUBSYS_NFTABLES:
                if kind & 0xFF == _NEWGEN:
                    found |= self._transaction.outcome()
                    self._transaction = _Transaction()
                else:
                    self._note(kind & 0xFF, data[offset + nlwire.HEADER.size : offset + length])
            offset += (length + 3) & ~3
        return found

    def _note(self, kind: int, body: bytes) -> None:
        if not body or body[0] != _INET:
            self._note_iptables(kind, body)
            return
        if self._table not in body:
            return
        names = nlwire.attributes(body, _NFGENMSG)
        if names.get(_TABLE) != self._table:
            return
        now = self._transaction
        if kind in (_NEWSETELEM, _DELSETELEM):
            now.user = now.user or names.get(_SET) == self._user_set
        elif kind in (_NEWRULE, _DELRULE) and names.get(_RULE_CHAIN) == self._user_chain:
            now.user = True
        elif kind in _COUNTED:
            what, step = _COUNTED[kind]
            now.balance[what] += step


    def _note_iptables(self, kind: int, body: bytes) -> None:
        """The chain of Docker's users has come, or rules of the chain that leads there have gone."""
        if kind not in (_NEWCHAIN, _DELRULE) or b"filter\0" not in body or body[0] not in (_IP, _IP6):
            return
        names = nlwire.attributes(body, _NFGENMSG)
        if names.get(_TABLE) != b"filter\0":
            return
        came = kind == _NEWCHAIN and names.get(_CHAIN_NAME) == b"DOCKER-USER\0"
        went = kind == _DELRULE and names.get(_RULE_CHAIN) == b"FORWARD\0"
        self._transaction.docker_user = self._transaction.docker_user or came or went


class _Transaction:
    """What one committed transaction has done to the table so far: things made less things removed."""

    def __init__(self) -> None:
        self.balance: Counter[str] = Counter()
        self.user = self.docker_user = False

    def outcome(self) -> set[str]:
        if min(self.balance.values(), default=0) < 0:
            return {LOST}  # which includes the rest
        return {word for word, so in ((USER, self.user), (DOCKER_USER, self.docker_user)) if so}
