"""What the registry part of the engine needs from the machine, as Protocols; `system.registry_http` satisfies them."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from typing import Protocol, Self

Sleep = Callable[[float], Awaitable[None]]


class Reply(Protocol):
    """An answer whose body is still on its way; leaving its context early drops the connection."""

    status: int

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    def header(self, name: str) -> str: ...
    def header_list(self, name: str) -> tuple[str, ...]: ...
    def chunks(self) -> AsyncGenerator[bytes, None]: ...
    async def read(self, most: int) -> bytes: ...
    def close(self) -> None: ...


class Http(Protocol):
    """Raises: Unreachable when there is nobody to talk to, Unavailable when the talk broke off."""

    async def addresses(self, host: str) -> tuple[str, ...]: ...

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        verify: bool = True,
        patience: float = 60.0,
    ) -> Reply: ...
