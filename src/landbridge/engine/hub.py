"""Attached clients: each is a session that may begin before the container has a process.

A session made on a created container waits; `connect` gives it the streams between the runtime's create and
start, so that not a byte of output is lost and no input is read before somebody can take it.
"""

import asyncio
from collections.abc import AsyncIterator

from landbridge.engine.effects import Attachment, Runtime
from landbridge.engine.waits import Outcome
from landbridge.model.process import Chunk


class Session:
    """One client's view of a container's standard streams.

    `ended` resolves when the end of the process is on record and its networks are down: a client that saw the last of
    the output may ask for the exit code next, or remove the network.
    """

    def __init__(self, ended: asyncio.Future[Outcome]) -> None:
        self._ended = ended
        self._attached: asyncio.Future[Attachment | None] = asyncio.get_running_loop().create_future()
        self._closed = False

    @property
    def waiting(self) -> bool:
        """True until the container's streams are there."""
        return not self._attached.done()

    def give(self, attachment: Attachment | None) -> None:
        """The streams are here; None: they will never be (the start failed)."""
        if self._attached.done():
            if attachment is not None:
                attachment.close()
            return
        self._attached.set_result(attachment)

    async def output(self) -> AsyncIterator[Chunk]:
        """Output until the container has ended or the client lets go."""
        attachment = await asyncio.shield(self._attached)
        if attachment is None:
            return
        while (chunk := await attachment.receive()) is not None:
            yield chunk
        await asyncio.wait((self._ended,))

    async def write(self, data: bytes) -> None:
        """Input; waits until the container can take it. Input to an ended container is dropped, as a pipe would."""
        attachment = await asyncio.shield(self._attached)
        if attachment is not None:
            try:
                await attachment.write(data)
            except (BrokenPipeError, ConnectionError):
                pass  # the container has ended; its output tells the client

    async def end_input(self) -> None:
        """No more input."""
        attachment = await asyncio.shield(self._attached)
        if attachment is not None:
            attachment.end_input()

    def close(self) -> None:
        """The client left; the container goes on."""
        if self._closed:
            return
        self._closed = True
        self._ended.cancel()
        if not self._attached.done():
            self._attached.set_result(None)
        elif not self._attached.cancelled() and (attachment := self._attached.result()) is not None:
            attachment.close()


class Hub:
    """The sessions waiting for containers to start."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._waiting: dict[str, list[Session]] = {}

    def expect(self, container: str, ended: asyncio.Future[Outcome]) -> Session:
        """A session for a container that has no process yet."""
        session = Session(ended)
        self._waiting.setdefault(container, []).append(session)
        return session

    async def join(self, container: str, ended: asyncio.Future[Outcome]) -> Session:
        """A session for a running container. Raises: Unavailable when it has just ended."""
        try:
            attachment = await self.runtime.attach(container)
        except BaseException:
            ended.cancel()
            raise
        session = Session(ended)
        session.give(attachment)
        return session

    def expected(self, container: str) -> bool:
        """Whether anybody waits for the container's streams."""
        return container in self._waiting

    async def connect(self, container: str) -> None:
        """Give every waiting session its streams; called between create and start."""
        waiting = self._waiting.get(container, [])
        while waiting:
            session = waiting[0]
            if session.waiting:
                session.give(await self.runtime.attach(container))  # if it fails, `disappoint` tells those left
            del waiting[0]
        self._waiting.pop(container, None)

    def disappoint(self, container: str) -> None:
        """The container did not start, or is gone: waiting clients see an end of stream."""
        for session in self._waiting.pop(container, []):
            session.give(None)
