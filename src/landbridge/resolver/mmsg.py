"""recvmmsg(2) and sendmmsg(2) through ctypes: up to 64 datagrams per system call, without copying replies.

The layout is that of 64-bit Linux. One `Batch` serves all sockets, since each is emptied before the next. The reply
to slot i goes out of slot i: its header, address and first two bytes (the id, taken
from the query) never move, only the pointer to the rest of the reply changes. Runs of neighbouring
slots are sent with one call.
"""

import ctypes
import os

SIZE = 64  # datagrams per call
SLOT = 4096  # bytes per datagram; a longer query is cut and will not parse
MSG_DONTWAIT = 0x40

_HEADER = 64  # sizeof(struct mmsghdr)
_NAME = 16  # sizeof(struct sockaddr_in)

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Batch:
    """Buffers for one round of receive, answer, send."""

    def __init__(self) -> None:
        self._memory = bytearray(SIZE * SLOT)
        self._names = bytearray(SIZE * _NAME)
        self._in_headers = bytearray(SIZE * _HEADER)
        self._out_headers = bytearray(SIZE * _HEADER)
        in_vectors = bytearray(SIZE * 16)
        # Two pieces per reply: the id where the query lies, then the body in the cache.
        out_vectors = bytearray(SIZE * 32)
        self._owned = (in_vectors, out_vectors)
        self._in_at = _address(self._in_headers)
        self._out_at = _address(self._out_headers)
        memory, names = _address(self._memory), _address(self._names)
        incoming, outgoing = memoryview(in_vectors).cast("Q"), memoryview(out_vectors).cast("Q")
        for i in range(SIZE):
            incoming[2 * i], incoming[2 * i + 1] = memory + i * SLOT, SLOT
            outgoing[4 * i], outgoing[4 * i + 1] = memory + i * SLOT, 2
            name = names + i * _NAME
            _write_header(self._in_headers, i, name, _address(in_vectors) + i * 16, 1)
            _write_header(self._out_headers, i, name, _address(out_vectors) + i * 32, 2)
        self.queries = memoryview(self._memory)
        self._lengths = memoryview(self._in_headers).cast("I")
        self._bodies = outgoing

    @property
    def lengths(self) -> memoryview:
        """Slot i's datagram is ``queries[i * SLOT : i * SLOT + lengths[i * 16 + 14]]``."""
        return self._lengths

    @property
    def bodies(self) -> memoryview:
        """Slot i's reply after its id: address in ``bodies[4 * i + 2]``, length in ``bodies[4 * i + 3]``."""
        return self._bodies

    def receive(self, fd: int) -> int:
        """Fill the slots from a socket; how many came, 0 when none waits or the socket failed."""
        count: int = _recvmmsg(fd, self._in_at, SIZE, MSG_DONTWAIT, None)
        return max(0, count)

    def sender(self, slot: int) -> tuple[str, int]:
        """Address and port of the client in a slot."""
        name = self._names[slot * _NAME : slot * _NAME + 8]
        return ".".join(map(str, name[4:8])), int.from_bytes(name[2:4], "big")

    def send(self, fd: int, start: int, end: int) -> None:
        """Send the replies of slots start..end-1. What the kernel refuses is lost, as datagrams may be."""
        while start < end:
            sent: int = _sendmmsg(fd, self._out_at + start * _HEADER, end - start, MSG_DONTWAIT)
            # -1 is about the first one only: a filter inside the container, a full buffer.
            start += sent if sent > 0 else 1


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _write_header(headers: bytearray, slot: int, name: int, vector: int, pieces: int) -> None:
    """struct msghdr: name, namelen, iov, iovlen, control, controllen, flags."""
    view = memoryview(headers)[slot * _HEADER : (slot + 1) * _HEADER].cast("Q")
    view[0], view[1], view[2], view[3] = name, _NAME, vector, pieces


def body_address(reply: bytes) -> int:
    """Where the bytes after the id of a reply lie; valid while `reply` lives."""
    pointer = ctypes.cast(ctypes.c_char_p(reply), ctypes.c_void_p).value
    assert pointer is not None
    return pointer + 2


if ctypes.sizeof(ctypes.c_void_p) != 8:
    raise OSError(os.strerror(38))  # the layout above is wrong anywhere else
