"""One operation at a time per container; different containers never wait for each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Locks:
    """Named locks that vanish when nobody holds or wants them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: dict[str, int] = {}

    @asynccontextmanager
    async def holding(self, *names: str) -> AsyncIterator[None]:
        """Hold the locks of `names`, taken in sorted order so that two callers cannot block each other."""
        ordered = sorted(set(names))
        taken: list[str] = []
        for name in ordered:
            self._wanted[name] = self._wanted.get(name, 0) + 1
        try:
            for name in ordered:
                await self._locks.setdefault(name, asyncio.Lock()).acquire()
                taken.append(name)
            yield
        finally:
            for name in taken:
                self._locks[name].release()
            for name in ordered:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name]
                    self._locks.pop(name, None)
