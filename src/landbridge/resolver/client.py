"""The daemon's side of the resolver's control socket (asyncio).

Messages are sent without waiting for each other's acknowledgements, and done in the order in which they are sent.
Starting the process is the caller's business: ``[sys.executable, "-m", "landbridge.resolver", "--socket", PATH]``.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from landbridge.errors import Internal, Unavailable
from landbridge.model.names import Asker, Change, NameRecord, NetworkNames
from landbridge.resolver import protocol

# A resolver that takes this long is stuck: its longest work, a table of thousands of sandboxes, takes a second or two.
ACK_SECONDS = 15.0


class ResolverClient:
    """One connection to a running resolver."""

    def __init__(self, on_lost: Callable[[], None] | None = None) -> None:
        """`on_lost` is called once, from the event loop, when the connection breaks without `close`."""
        self._on_lost = on_lost
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._seq = 0
        self.pid = 0

    async def connect(self, path: str) -> None:
        """Connect and check who is there; `pid` is known afterwards.

        Raises: Unavailable (nobody there, or a resolver of another version: tell it to `quit` and start ours).
        """
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(path, limit=protocol.MAX_LINE)
            hello = json.loads(await self._reader.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise Unavailable(f"resolver at {path}: {error}") from error
        self._listening = asyncio.create_task(self._listen(), name="resolver acknowledgements")
        self.pid = hello.get("pid", 0)
        if hello.get("hello") != protocol.HELLO or hello.get("version") != protocol.VERSION:
            raise Unavailable(f"resolver at {path}: not version {protocol.VERSION} of {protocol.HELLO}: {hello}")

    async def replace(
        self, networks: Iterable[NetworkNames], records: Iterable[NameRecord], askers: Iterable[Asker]
    ) -> dict[str, str]:
        """Tell the whole table. Sandboxes that could not be served, with the reason; all else is in force.

        Raises: Unavailable when the connection is gone; Internal when the table was refused (nothing changed).
        """
        ack = await self._tell(protocol.table_to_message(networks, records, askers))
        failed: dict[str, str] = ack.get("failed", {})
        if "error" in ack and not failed:
            raise Internal(f"resolver: {ack['error']}")
        return failed

    async def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes in order, in one step as far as any client of DNS can see.

        Raises: Unavailable when the connection is gone; Internal when one was refused (a sandbox that cannot be
        served counts as removed; the other changes are in force).
        """
        if not changes:
            return
        ack = await self._tell({"op": "batch", "changes": [protocol.change_to_message(change) for change in changes]})
        if "error" in ack:
            raise Internal(f"resolver: {ack['error']}")

    async def stats(self) -> dict[str, Any]:
        """Sizes and counters. Raises: Unavailable."""
        ack = await self._tell({"op": "stats"})
        stats: dict[str, Any] = ack.get("stats", {})
        return stats

    async def quit(self) -> None:
        """Make the process end, and close. Raises: Unavailable."""
        self._on_lost = None
        await self._tell({"op": "quit"})
        await self.close()

    async def close(self) -> None:
        """Disconnect; the resolver goes on serving. Twice is no error."""
        self._on_lost = None
        if self._writer is not None:
            self._writer.close()
        if self._listening is not None:
            self._listening.cancel()
            try:
                await self._listening
            except asyncio.CancelledError:
                pass  # ours
            self._listening = None

    async def _tell(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._writer is None or self._writer.is_closing():
            raise Unavailable("the resolver is not connected")
        self._seq += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._seq] = future
        self._writer.write(json.dumps({"seq": self._seq, **message}).encode() + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise Unavailable(f"the resolver is gone: {error}") from error
        try:
            return await asyncio.wait_for(future, ACK_SECONDS)
        except TimeoutError as error:
            self._writer.close()  # which ends _listen, which tells everybody
            raise Unavailable("the resolver does not answer") from error

    async def _listen(self) -> None:
        assert self._reader is not None
        try:
            while line := await self._reader.readline():
                ack = json.loads(line)
                future = self._waiting.pop(ack.get("ack"), None)
                if future is not None and not future.done():
                    future.set_result(ack)
        except (OSError, ValueError):
            pass  # the same as the end of the stream: there is nobody to talk to
        finally:
            self._lose()

    def _lose(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("the resolver is gone"))
        self._waiting.clear()
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()
