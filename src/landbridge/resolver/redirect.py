"""Port 53 at 127.0.0.11 made to lead to our port, in the sandbox's own nft table.

One nfnetlink batch, encoded here: constant bytes but for the port, 0.4 ms and no `nft` process. The rewriting is
stateless (payload set, then notrack) in the output hook before conntrack, so that no entry is made and a
container may bind 0.0.0.0:53 itself. Numbers are those of linux/netfilter/nf_tables.h.

In nft's words:

    table ip landbridge-dns {
      chain rewrite {
        type filter hook output priority -400;
        oif != 1 accept                                             # lo is always 1
        ip daddr 127.0.0.11 udp dport 53 udp dport set PORT notrack # and tcp
        ip saddr 127.0.0.11 udp sport PORT udp sport set 53 notrack # and tcp
      }
    }
"""

import os
import socket
import struct

TABLE = "landbridge-dns"
CHAIN = "rewrite"
ADDRESS = bytes((127, 0, 0, 11))

NETLINK_NETFILTER = 12
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_APPEND = 0x1, 0x4, 0x400, 0x800
NLMSG_ERROR = 2
SUBSYS = 10  # NFNL_SUBSYS_NFTABLES
BATCH_BEGIN, BATCH_END = 16, 17
NEWTABLE, NEWCHAIN, NEWRULE, DELRULE = 0, 3, 6, 8

NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
META_OIF, META_L4PROTO = 5, 16
CMP_EQ, CMP_NEQ = 0, 1
REG = 1
SADDR, DADDR = 12, 16  # offsets in the IPv4 header
SPORT, DPORT = 0, 2  # offsets in the UDP and TCP headers
LAST = 1  # the sequence number of the one message whose acknowledgement we wait for; all others have 0
CHECKSUM = {socket.IPPROTO_UDP: 6, socket.IPPROTO_TCP: 16}


def install(port: int) -> socket.socket:
    """Create the table, or bring an old one up to date, in the calling thread's namespace.

    The netlink socket is returned for its close belongs into another thread: where there was an old table (of a
    resolver that died) it waits some 15 ms until the kernel has freed the old rules.

    Raises: OSError when the kernel refuses (no nf_tables, no right).
    """
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    try:
        netlink.bind((0, 0))
        _commit(netlink, batch(port))
    except OSError:
        netlink.close()
        raise
    return netlink


def _commit(netlink: socket.socket, transaction: bytes) -> None:
    netlink.sendto(transaction, (0, 0))
    # The commit happened inside sendto: the acknowledgement waits already. Errors come before it.
    while not _is_done(netlink.recv(65536, socket.MSG_DONTWAIT)):
        pass


def _is_done(data: bytes) -> bool:
    here = 0
    while here + 20 <= len(data):
        length, kind, _, sequence, _, error = struct.unpack_from("=IHHIIi", data, here)
        if kind == NLMSG_ERROR and error:
            raise OSError(-error, f"nft table {TABLE}: {os.strerror(-error)}")
        if kind == NLMSG_ERROR and sequence == LAST:
            return True
        here += max(16, (length + 3) & ~3)
    return False


def batch(port: int) -> bytes:
    """The transaction after which our chain holds exactly our rules, whether or not it was there.

    An old chain is emptied, not deleted, and creation is never tried first: for the removal of a hook
    and for a transaction that fails the kernel waits some 15 ms on the spot.
    """
    hook = _attr(4, _attr(1, _u32(3)) + _attr(2, struct.pack("!i", -400)))  # NF_INET_LOCAL_OUT
    chain = _table() + _attr(3, _text(CHAIN)) + hook + _attr(5, _u32(1)) + _attr(7, _text("filter"))
    ours, dns = struct.pack("!H", port), struct.pack("!H", 53)
    tcp, udp = socket.IPPROTO_TCP, socket.IPPROTO_UDP
    return b"".join(
        (
            _message(BATCH_BEGIN, 0, b"", subsystem=0, resource=SUBSYS),
            _message(NEWTABLE, NLM_F_CREATE, _table()),
            _message(NEWCHAIN, NLM_F_CREATE, chain),
            _message(DELRULE, 0, _table() + _attr(2, _text(CHAIN))),
            _rule(_meta(META_OIF), _compare(CMP_NEQ, struct.pack("=I", 1)), _accept()),
            _rewrite(udp, DADDR, DPORT, dns, ours),
            _rewrite(udp, SADDR, SPORT, ours, dns),
            _rewrite(tcp, DADDR, DPORT, dns, ours),
            _rewrite(tcp, SADDR, SPORT, ours, dns, sequence=LAST),
            _message(BATCH_END, 0, b"", subsystem=0, resource=SUBSYS),
        )
    )


def _table() -> bytes:
    return _attr(1, _text(TABLE))


def _rewrite(protocol: int, address_at: int, port_at: int, old: bytes, new: bytes, *, sequence: int = 0) -> bytes:
    return _rule(
        _load(NETWORK_HEADER, address_at, 4),
        _compare(CMP_EQ, ADDRESS),
        _meta(META_L4PROTO),
        _compare(CMP_EQ, bytes((protocol,))),
        _load(TRANSPORT_HEADER, port_at, 2),
        _compare(CMP_EQ, old),
        _expression("immediate", _attr(1, _u32(REG)) + _attr(2, _attr(1, new))),
        _store(port_at, 2, CHECKSUM[protocol]),
        _expression("notrack", b""),
        sequence=sequence,
    )


def _message(
    kind: int, flags: int, body: bytes, *, subsystem: int = SUBSYS, resource: int = 0, sequence: int = 0
) -> bytes:
    flags |= NLM_F_REQUEST | (NLM_F_ACK if sequence else 0)
    head = struct.pack("=IHHII", 20 + len(body), subsystem << 8 | kind, flags, sequence, 0)
    return head + struct.pack("!BBH", socket.AF_INET, 0, resource) + body


def _rule(*expressions: bytes, sequence: int = 0) -> bytes:
    listed = b"".join(_attr(1, expression) for expression in expressions)
    body = _table() + _attr(2, _text(CHAIN)) + _attr(4, listed)
    return _message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, body, sequence=sequence)


def _expression(name: str, data: bytes) -> bytes:
    return _attr(1, _text(name)) + _attr(2, data)


def _load(base: int, offset: int, length: int) -> bytes:
    data = _attr(1, _u32(REG)) + _attr(2, _u32(base)) + _attr(3, _u32(offset)) + _attr(4, _u32(length))
    return _expression("payload", data)


def _store(offset: int, length: int, checksum: int) -> bytes:
    data = _attr(5, _u32(REG)) + _attr(2, _u32(TRANSPORT_HEADER)) + _attr(3, _u32(offset)) + _attr(4, _u32(length))
    return _expression("payload", data + _attr(6, _u32(1)) + _attr(7, _u32(checksum)))  # NFT_PAYLOAD_CSUM_INET


def _meta(key: int) -> bytes:
    return _expression("meta", _attr(1, _u32(REG)) + _attr(2, _u32(key)))


def _compare(operator: int, value: bytes) -> bytes:
    return _expression("cmp", _attr(1, _u32(REG)) + _attr(2, _u32(operator)) + _attr(3, _attr(1, value)))


def _accept() -> bytes:
    return _expression("immediate", _attr(1, _u32(0)) + _attr(2, _attr(2, _attr(1, _u32(1)))))


def _attr(kind: int, data: bytes) -> bytes:
    # The kernel does not insist on NLA_F_NESTED for nf_tables.
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _u32(number: int) -> bytes:
    return struct.pack("!I", number)
