"""The daemon's end of the control socket, on asyncio.

Knows the protocol and nothing of ports: which binding a failure belongs to and in which words the user hears of
it is the engine's business. Every call is one request and waits for its answer; calls may overlap.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from landbridge.errors import Internal, Unavailable
from landbridge.model.hold import Hold
from landbridge.proxy.protocol import (
    MAX_LINE,
    BadRequest,
    Retarget,
    decode,
    failure_from_json,
    holds_to_json,
    request,
)
from landbridge.proxy.unixsocket import short_path

RETRY = 0.02


class ProxyClient:
    """A connection to the proxy. `ProxyClient.connect` makes one; a lost one stays lost."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """`on_lost` is called once, in the event loop, when the connection breaks without `close`."""
        self._reader = reader
        self._writer = writer
        self._on_lost = on_lost
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._seq = 0
        self._lost = False
        self._receiving = asyncio.create_task(self._receive(), name="proxy client")

    @classmethod
    async def connect(
        cls, path: Path, *, patience: float = 0.0, on_lost: Callable[[], None] | None = None
    ) -> "ProxyClient":
        """Connect to the proxy at `path` and take it over from whoever had it.

        A proxy that is just starting is given `patience` seconds. Raises: Unavailable.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            try:
                with short_path(path) as name:
                    reader, writer = await asyncio.open_unix_connection(name, limit=MAX_LINE)
                break
            except OSError as error:
                if loop.time() >= deadline:
                    raise Unavailable(f"the proxy does not answer at {path}: {error}") from error
            await asyncio.sleep(RETRY)
        client = cls(reader, writer, on_lost)
        try:
            await client._call("hello")
        except BaseException:
            await client.close()
            raise
        return client

    async def hold(self, holds: Sequence[Hold]) -> None:
        """Hold all of `holds`, or none; those held already are fine.

        Raises: HoldFailed with key, reason (errno name), port and holder; Unavailable.
        """
        await self._call("hold", holds=holds_to_json(holds))

    async def release(self, keys: Iterable[str]) -> None:
        """Give up what is held under `keys` and cut its connections; unknown keys are no error.

        Raises: Unavailable.
        """
        await self._call("release", keys=list(keys))

    async def retarget(self, targets: Sequence[Retarget]) -> None:
        """Lead all of `targets` elsewhere, or none; the ports stay held, connections to the old target are cut.

        Raises: HoldFailed with reason ENOENT for a key that holds nothing; Unavailable.
        """
        listed = [
            {"key": target.key, "target_ip": target.target_ip, "target_port": target.target_port}
            for target in targets
        ]
        await self._call("retarget", targets=listed)

    async def replace(self, holds: Sequence[Hold]) -> dict[str, str]:
        """Make `holds` the whole table, without a gap for what is held already.

        Returns the keys that could not be held, with the errno name and the holder where known
        (``EADDRINUSE``, ``EADDRINUSE by pid 7 (nginx)``). Raises: Unavailable.
        """
        answer = await self._call("replace", holds=holds_to_json(holds))
        failures = [failure_from_json(item) for item in answer["failures"]]
        return {
            failure.key: f"{failure.reason} by {failure.holder}" if failure.holder else failure.reason
            for failure in failures
        }

    async def stats(self) -> dict[str, int]:
        """Counters: pid, holds, ports, descriptors, connections, accepted, flows. Raises: Unavailable."""
        answer = await self._call("stats")
        return {name: value for name, value in answer.items() if name not in ("seq", "ok")}

    async def quit(self) -> None:
        """Tell the process to end, which gives all ports up. Raises: Unavailable."""
        await self._call("quit")

    async def close(self) -> None:
        """Hang up; the proxy goes on holding. Twice is fine."""
        self._on_lost = None
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass  # it was broken already

    async def _call(self, op: str, **rest: object) -> dict[str, Any]:
        if self._lost:
            raise Unavailable("the connection to the proxy is broken")
        self._seq += 1
        seq = self._seq
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = future
        try:
            self._writer.write(request(seq, op, **rest))
            await self._writer.drain()
            answer = await future
        except OSError as error:
            raise Unavailable(f"the connection to the proxy is broken: {error}") from error
        finally:
            self._waiting.pop(seq, None)
        if answer.get("ok"):
            return answer
        error_item = answer.get("error") or {}
        if error_item.get("reason") == "EPROTO":
            raise Internal(f"the proxy does not understand: {error_item.get('message')}")
        raise failure_from_json(error_item)

    async def _receive(self) -> None:
        """Hand every answer to its caller, until the connection ends."""
        try:
            while line := await self._reader.readline():
                message = decode(line)
                future = self._waiting.get(message.get("seq", 0))
                if future is not None and not future.done():
                    future.set_result(message)
        except (OSError, ValueError, BadRequest):
            pass  # broken or not speaking the protocol: lost either way
        finally:
            self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("the connection to the proxy broke before it answered"))
        if self._on_lost is not None:
            self._on_lost()
            self._on_lost = None
