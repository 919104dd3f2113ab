"""The wire against a transport that takes everything at once, which no real client does reliably."""

import asyncio
from typing import Any

from landbridge.api.wire import OUTPUT_LIMIT, Wire


class Bottomless(asyncio.Transport):
    """Takes whatever is written and never asks to pause."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.taken += len(data)

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def test_a_fast_reader_does_not_starve_the_loop() -> None:
    async def main() -> int:
        transport = Bottomless()
        wire = Wire(lambda _: None)
        wire.connection_made(transport)
        others_turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(others_turn.set)
        while not others_turn.is_set() and transport.taken < 10 * OUTPUT_LIMIT:
            await wire.write(b"x" * 1000)
        return transport.taken

    assert asyncio.run(main()) <= OUTPUT_LIMIT + 1000
