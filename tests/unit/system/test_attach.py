"""Our side of conmon's attach socket, with the other side played by a socket pair."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from landbridge.system.attach import Attachment


def attached(test: Callable[[Attachment, socket.socket], Awaitable[None]]) -> Callable[[], None]:
    """Make a pytest test of a coroutine that is given an attachment and conmon's end of it."""

    def run() -> None:
        async def go() -> None:
            ours, conmon = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)  # noqa: FBT003 (the standard library's signature)
            with conmon:
                async with Attachment(ours) as attachment:
                    await test(attachment, conmon)

        asyncio.run(go())

    run.__doc__ = test.__doc__
    return run


@attached
async def test_streams_are_told_apart(attachment: Attachment, conmon: socket.socket) -> None:
    for packet in (b"\x02out", b"\x03err", b"\x09nonsense", b"\x02"):
        conmon.send(packet)
    conmon.close()
    assert [(one.stream, one.data) async for one in attachment] == [("stdout", b"out"), ("stderr", b"err")]


@attached
async def test_output_is_not_lost_when_input_was_not_read(attachment: Attachment, conmon: socket.socket) -> None:
    """The kernel reports the reset before it hands out what was sent."""
    await attachment.write(b"nobody reads this")
    conmon.send(b"\x02first")
    conmon.send(b"\x02second")
    conmon.close()
    assert [one.data async for one in attachment] == [b"first", b"second"]


@attached
async def test_an_end_without_output(attachment: Attachment, conmon: socket.socket) -> None:
    await attachment.write(b"nobody reads this")
    conmon.close()
    assert await attachment.receive() is None
    assert await attachment.receive() is None
