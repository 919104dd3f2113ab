"""The netlink conversation: send requests, collect acknowledgements, walk dumps. Any netlink family.

No message content here (`rtnl`, `conntrack` have that), no policy and no retry of requests that change
something. One channel is one socket, bound for good to the network namespace it was created in; calls
are serialised by a lock, so a channel may be shared between threads.

Stale replies (a call ended by an exception half way) are recognised by their sequence number and dropped.
"""

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from landbridge.errors import Internal
from landbridge.system import nlwire

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_NLMSGERR_ATTR_MSG = 1

_BUFFER = 1 << 18  # a link with many virtual functions answers with more than 64 KiB
_RECEIVE_QUEUE = 1 << 20
_BATCH = 64  # acknowledgements of one batch must fit the receive queue
_DUMP_ATTEMPTS = 10


class NetlinkError(Internal):
    """The kernel refused a request; `errno` says why, the message adds the kernel's own explanation."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.errno = number


class _Interrupted(Exception):
    """A dump was torn by a concurrent change, or part of it was lost: read it again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One message to be acknowledged. `what` names it in errors; an errno in `forgive` is no error."""

    what: str
    kind: int
    body: bytes
    flags: int = 0
    forgive: tuple[int, ...] = ()


class Channel:
    """A netlink socket with request/acknowledge and dump on top. Close it, or use it in `with`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._sequence = 0
        self._buffer = bytearray(_BUFFER)
        self.sent = 0  # messages sent so far; a cost that tests hold constant
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_QUEUE)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            sock.setsockopt(_SOL_NETLINK, option, 1)

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *requests: Request) -> None:
        """Send all requests in one write, wait for every acknowledgement.

        The kernel executes all of a batch even if one fails, so a request that must not run without its
        predecessor belongs in a call of its own.
        Raises: NetlinkError for the first request refused with an errno it does not forgive.
        """
        for start in range(0, len(requests), _BATCH):
            self._ask(requests[start : start + _BATCH])

    def get(self, request: Request) -> bytes | None:
        """The body of the single answer, None when refused with a forgiven errno.

        Raises: NetlinkError.
        """
        with self._lock:
            first = self._send([request], nlwire.NLM_F_REQUEST)
            for kind, _, sequence, body in self._receive():
                if sequence != first:
                    continue
                if kind != nlwire.NLMSG_ERROR:
                    return body
                _raise_refusal(request, body)
                return None
        raise AssertionError("unreachable: _receive() never ends by itself")

    def dump(self, request: Request) -> list[bytes]:
        """The bodies of all parts of a dump, consistent: torn dumps (NLM_F_DUMP_INTR) are read again.

        Raises: NetlinkError; errno EINTR when the table kept changing for ten attempts.
        """
        with self._lock:
            for _ in range(_DUMP_ATTEMPTS):
                try:
                    return self._dump(request)
                except _Interrupted:
                    continue
        raise NetlinkError(f"{request.what}: the table changed during every attempt to read it", errno.EINTR)

    def _ask(self, requests: Sequence[Request]) -> None:
        refused: NetlinkError | None = None
        with self._lock:
            first = self._send(requests, nlwire.NLM_F_REQUEST | nlwire.NLM_F_ACK)
            waiting = len(requests)
            for kind, _, sequence, body in self._receive():
                index = sequence - first
                if kind != nlwire.NLMSG_ERROR or not 0 <= index < len(requests):
                    continue
                try:
                    _raise_refusal(requests[index], body)
                except NetlinkError as error:
                    refused = refused or error
                waiting -= 1
                if not waiting:
                    break
        if refused:
            raise refused

    def _dump(self, request: Request) -> list[bytes]:
        first = self._send([request], nlwire.NLM_F_REQUEST | nlwire.NLM_F_DUMP)
        found: list[bytes] = []
        torn = False
        try:
            for kind, flags, sequence, body in self._receive():
                if sequence != first:
                    continue
                torn = torn or bool(flags & nlwire.NLM_F_DUMP_INTR)
                if kind in (nlwire.NLMSG_DONE, nlwire.NLMSG_ERROR):
                    _raise_refusal(request, body)
                    break
                found.append(body)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            raise _Interrupted from error
        if torn:
            raise _Interrupted
        return found

    def _send(self, requests: Sequence[Request], flags: int) -> int:
        first = self._sequence + 1
        self._sequence += len(requests)
        self.sent += len(requests)
        parts = [
            nlwire.message(request.kind, request.flags | flags, first + index, request.body)
            for index, request in enumerate(requests)
        ]
        self._socket.send(b"".join(parts))
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Messages as (type, flags, sequence, body), for ever; the reader knows when to stop."""
        view = memoryview(self._buffer)
        while True:
            size = self._socket.recv_into(view, 0, socket.MSG_TRUNC)
            if size > len(view):
                raise OSError(errno.EMSGSIZE, f"a netlink answer of {size} bytes")
            offset = 0
            while offset + nlwire.HEADER.size <= size:
                length, kind, flags, sequence, _ = nlwire.HEADER.unpack_from(view, offset)
                yield kind, flags, sequence, bytes(view[offset + nlwire.HEADER.size : offset + length])
                offset += (length + 3) & ~3


def _raise_refusal(request: Request, body: bytes) -> None:
    """Raise what an NLMSG_ERROR or NLMSG_DONE body says; return when it says success or a forgiven errno."""
    number = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if number == 0 or number in request.forgive:
        return
    # With NETLINK_CAP_ACK the original request is cut to its header: attributes start right behind it.
    explained = nlwire.attributes(body, 4 + nlwire.HEADER.size).get(_NLMSGERR_ATTR_MSG, b"")
    detail = f" ({nlwire.as_text(explained)})" if explained else ""
    raise NetlinkError(f"{request.what}: {os.strerror(number)}{detail}", number)


def open_channel(family: int = socket.NETLINK_ROUTE) -> Channel:
    """A channel of `family` in the calling thread's network namespace."""
    return Channel(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family))
