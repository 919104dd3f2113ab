"""What the engine needs of plugins, as a Protocol; `system.plugins` satisfies it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Plugins(Protocol):
    """Programs that speak Docker's plugin protocol. No call takes longer than it was given."""

    async def call(self, name: str, method: str, body: Mapping[str, object], *, seconds: float) -> dict[str, Any]:
        """Raises: NotFound (no such plugin, or no such method), Unavailable (no answer), Internal (its error)."""
        ...
