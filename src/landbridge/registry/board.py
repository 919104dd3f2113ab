"""Progress of work that goes on by itself, told to one reader: messages in order, counts thinned out for a slow one.

The work posts and never waits; of a step's counts only the newest is kept until the reader takes it, so what is
unread stays small. When the reader leaves, the work is cancelled and waited for.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from landbridge.model.image import Message, Progress


class Board:
    """`post` from the event loop's thread; `follow` once."""

    def __init__(self) -> None:
        self._pending: list[Message] = []
        self._newest: dict[str, int] = {}  # id → place of its last message in `pending`
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Board {len(self._pending)} unread>"

    def post(self, message: Message) -> None:
        """Add a message; a count replaces the count of the same step before it."""
        if isinstance(message, Progress) and message.id:
            place = self._newest.get(message.id, -1)
            last = self._pending[place] if place >= 0 else None
            if isinstance(last, Progress) and min(last.current, message.current) >= 0 and last.status == message.status:
                self._pending[place] = message
                self._changed.set()
                return
            self._newest[message.id] = len(self._pending)
        self._pending.append(message)
        self._changed.set()

    async def follow(self, work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[Message, None]:
        """Do `work`, telling what it posts. Raises: what it raises, after everything it posted."""
        task = asyncio.ensure_future(work())
        task.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                taken, self._pending = self._pending, []
                self._newest.clear()
                for message in taken:
                    yield message
                if task.done() and not self._pending:
                    task.result()
                    return
        finally:
            task.cancel()
            await asyncio.wait({task})
