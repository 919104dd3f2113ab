"""Opening host sockets: the options that make a port ours alone, and ours again at once after a restart.

Only socket calls; who wants the port and what happens on it is decided elsewhere. The rule: TCP listens at once
(a bound socket that does not listen can be shared by anyone else with SO_REUSEADDR), UDP never sets
SO_REUSEADDR (that alone would let a second program share the port).
"""

import errno
import socket
import struct

from landbridge.errors import HoldFailed
from landbridge.model.hold import Hold

BACKLOG = 4096
# Missing from the socket module of Python 3.11; values from linux/in.h.
IP_PKTINFO = 8
IP_FREEBIND = 15
IPPROTO_SCTP = 132

_LINGER_RESET = struct.pack("ii", 1, 0)


def open_port(hold: Hold, index: int = 0) -> socket.socket:
    """Bind the `index`-th port of `hold`, and listen where the protocol listens. Non-blocking.

    Raises: HoldFailed with the errno name as reason; the holder is looked up by whoever answers the user.
    """
    port = hold.host_port + index
    try:
        return _open(hold, port)
    except OSError as error:
        code = error.errno or errno.EINVAL
        reason = errno.errorcode.get(code, str(code))
        text = f"{hold.proto} {hold.host_ip} port {port}: {error.strerror or error}"
        if hold.proto == "sctp" and code == errno.EPROTONOSUPPORT:
            text = "this kernel has no SCTP (module sctp)"
        raise HoldFailed(text, reason=reason, key=hold.key, port=port) from error


def _open(hold: Hold, port: int) -> socket.socket:
    proto, host_ip = hold.proto, hold.host_ip
    family = family_of(host_ip)
    kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
    sock = socket.socket(family, kind, IPPROTO_SCTP if proto == "sctp" else 0)
    try:
        sock.settimeout(0.0)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hold.early:
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)  # of IPv6 sockets too (ipv6(7))
        if proto == "udp":
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            sock.bind((host_ip, port))
        else:
            # Connections of the last holder in TIME_WAIT must not keep us out (ip(7), SO_REUSEADDR).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host_ip, port))
            sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def family_of(address: str) -> socket.AddressFamily:
    """The family of a literal address. Raises: OSError(EINVAL) for anything else, names included."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except OSError:
            continue
        return family
    raise OSError(errno.EINVAL, f"not a literal address: {address!r}")


def reset_on_close(sock: socket.socket) -> None:
    """Make the coming close send RST instead of FIN: the peer learns that it was refused or cut off."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
    except OSError:
        pass  # already dead: it was reset by the other side
