"""The raw half-open stream a hijacked connection becomes.

All a handler of attach or exec sees of the client. Bytes the client sent right behind its request
are delivered first. There is no HTTP here any more.
"""

from landbridge.api.wire import INPUT_LIMIT, Wire


class Duplex:
    """Read the client's input and write its output, each direction ending on its own."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._head_taken = False

    def __repr__(self) -> str:
        return f"<Duplex on {self._wire!r}>"

    async def read(self, limit: int = INPUT_LIMIT) -> bytes:
        """The next input, at most `limit` bytes; `b""` when the client has shut its side (stdin is at its end).

        Read only when the input can be used: what is not read waits in the client.
        """
        return await self._wire.read(limit)

    def discard_input(self) -> None:
        """Say that the input is not wanted (stdin not attached); else a client that left silently goes unnoticed."""
        self._wire.discard_input()

    async def write(self, data: bytes) -> None:
        """Send output; waits while the client is slow, so memory stays bounded.

        To give up on a stalled reader, wrap it in `asyncio.timeout`. Raises: ClientGone.
        """
        if not self._head_taken:
            # docker-py reads the head through a buffer and the rest past it, so output that arrives
            # together with the head is lost to it. By the first output the head has usually been read.
            await self._wire.wait_taken()
            self._head_taken = True
        await self._wire.write(data)

    def write_eof(self) -> None:
        """End the output while input goes on. Returning from the handler does it too."""
        self._wire.write_eof()
