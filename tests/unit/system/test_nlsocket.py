"""The netlink conversation against a scripted kernel: torn dumps, lost answers, stale answers, refusals.

The real kernel does these things only under load; everything else about the channel is tested against it.
"""

import errno
import os
import struct
from collections.abc import Callable

import pytest

from landbridge.errors import Internal
from landbridge.system import nlwire
from landbridge.system.nlsocket import Channel, NetlinkError, Request

ASK = Request("make it so", 16, b"")
LIST = Request("list them", 18, b"")

Answer = Callable[[int], bytes]  # sequence number of the request -> datagram


class ScriptedKernel:
    """Stands where the socket is: answers every request with the next entry of its script."""

    def __init__(self, *script: list[Answer | OSError]) -> None:
        self._script = list(script)
        self._queue: list[Answer | OSError] = []
        self._sequence = 0
        self.requests = 0

    def setsockopt(self, *_: int) -> None: ...

    def send(self, data: bytes) -> int:
        self._sequence = nlwire.HEADER.unpack_from(data)[3]
        self.requests += 1
        self._queue += self._script.pop(0)
        return len(data)

    def recv_into(self, view: memoryview, _size: int, _flags: int) -> int:
        answer = self._queue.pop(0)
        if isinstance(answer, OSError):
            raise answer
        data = answer(self._sequence)
        view[: len(data)] = data
        return len(data)


def channel(kernel: ScriptedKernel) -> Channel:
    return Channel(kernel)  # type: ignore[arg-type]


def part(body: bytes, flags: int = 0) -> Answer:
    return lambda sequence: nlwire.message(20, flags, sequence, body)


def done(number: int = 0) -> Answer:
    return lambda sequence: nlwire.message(nlwire.NLMSG_DONE, 0, sequence, struct.pack("=i", -number))


def verdict(number: int = 0, said: str = "", offset: int = 0) -> Answer:
    def answer(sequence: int) -> bytes:
        body = struct.pack("=i", -number) + nlwire.HEADER.pack(16, 16, 0, sequence, 0)
        return nlwire.message(nlwire.NLMSG_ERROR, 0, sequence + offset, body + (nlwire.text(1, said) if said else b""))

    return answer


def test_a_torn_dump_is_read_again_and_only_the_whole_one_is_returned() -> None:
    kernel = ScriptedKernel(
        [part(b"old1"), part(b"old2", nlwire.NLM_F_DUMP_INTR), done()],
        [part(b"new1"), part(b"new2"), done()],
    )
    assert channel(kernel).dump(LIST) == [b"new1", b"new2"]
    assert kernel.requests == 2


def test_a_dump_whose_end_is_marked_torn_is_read_again() -> None:
    def torn_end(sequence: int) -> bytes:
        return nlwire.message(nlwire.NLMSG_DONE, nlwire.NLM_F_DUMP_INTR, sequence, struct.pack("=i", 0))

    kernel = ScriptedKernel([part(b"old"), torn_end], [part(b"new"), done()])
    assert channel(kernel).dump(LIST) == [b"new"]


def test_a_dump_that_lost_answers_is_read_again() -> None:
    kernel = ScriptedKernel(
        [part(b"old"), OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))],
        [part(b"new"), done()],
    )
    assert channel(kernel).dump(LIST) == [b"new"]


def test_a_table_that_never_holds_still_is_an_error_in_the_end() -> None:
    kernel = ScriptedKernel(*[[part(b"x", nlwire.NLM_F_DUMP_INTR), done()]] * 20)
    with pytest.raises(NetlinkError) as caught:
        channel(kernel).dump(LIST)
    assert caught.value.errno == errno.EINTR
    assert kernel.requests == 10


def test_answers_to_an_abandoned_request_are_not_taken_for_ours() -> None:
    def stale(_sequence: int) -> bytes:
        return nlwire.message(20, 0, 0, b"stale")

    kernel = ScriptedKernel([stale, part(b"fresh"), done()])
    assert channel(kernel).dump(LIST) == [b"fresh"]


def test_a_refusal_carries_errno_and_the_kernels_own_words() -> None:
    kernel = ScriptedKernel([verdict(errno.EINVAL, "Device is not a bridge port")])
    with pytest.raises(Internal, match=r"make it so: Invalid argument \(Device is not a bridge port\)") as caught:
        channel(kernel).ask(ASK)
    assert isinstance(caught.value, NetlinkError)
    assert caught.value.errno == errno.EINVAL


def test_a_dump_refused_at_its_end_is_an_error() -> None:
    kernel = ScriptedKernel([part(b"x"), done(errno.EPERM)])
    with pytest.raises(NetlinkError) as caught:
        channel(kernel).dump(LIST)
    assert caught.value.errno == errno.EPERM


def test_all_acknowledgements_of_a_batch_are_read_before_the_first_refusal_is_raised() -> None:
    # The scripted sequence is that of the first message: three answers with offsets 0, 1, 2.
    batch = [verdict(0), verdict(errno.EBUSY, offset=1), verdict(errno.EPERM, offset=2)]
    kernel = ScriptedKernel(batch, [verdict(0)])
    calls = channel(kernel)
    with pytest.raises(NetlinkError) as caught:
        calls.ask(ASK, ASK, ASK)
    assert caught.value.errno == errno.EBUSY
    calls.ask(ASK)  # nothing of the batch is left to confuse this one
    assert calls.sent == 4


def test_a_forgiven_errno_is_success() -> None:
    request = Request("remove it", 17, b"", forgive=(errno.ENODEV,))
    kernel = ScriptedKernel([verdict(errno.ENODEV)], [verdict(errno.ENODEV)])
    calls = channel(kernel)
    calls.ask(request)
    assert calls.get(request) is None


def test_an_answer_larger_than_the_buffer_is_an_error_not_a_cut() -> None:
    class Huge(ScriptedKernel):
        def recv_into(self, view: memoryview, _size: int, _flags: int) -> int:
            return len(view) + 1

    with pytest.raises(OSError, match="netlink answer"):
        channel(Huge([])).dump(LIST)
