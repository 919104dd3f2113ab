"""What a handler sees of a request: names, query, headers, and a body that arrives while it is read.

Everything that can be wrong in the request itself is refused here with Docker's words, as `Invalid`.
The helpers parse one value each; which values a route has is the business of its handler.
"""

from collections.abc import AsyncIterator, Collection
from functools import cached_property
from typing import Any, Protocol

from landbridge.api import jsontext
from landbridge.api.query import Filters, Query, parse_bool, parse_filters, parse_int, parse_query
from landbridge.errors import Invalid

BODY_LIMIT = 16 * 1024 * 1024

Version = tuple[int, ...]


class Body(Protocol):
    """The body of one request, read from the connection piece by piece."""

    @property
    def declared_empty(self) -> bool:
        """True when the head says there is no body: no length, or zero, and not chunked."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces of any size. Raises: Invalid when it breaks off or is malformed."""
        ...


class Request:
    """One request, made by the connection and completed by the router (`params`, `version`)."""

    def __init__(
        self,
        method: str,
        path: str,
        query_text: str,
        headers: dict[str, str],
        body: Body,
        *,
        params: dict[str, str] | None = None,
        version: Version = (),
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.params = params or {}
        self.version = version
        self._query_text = query_text
        self._body = body

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    def header(self, name: str, default: str = "") -> str:
        """A header by its lower-case name; repeated ones are joined by a comma."""
        return self.headers.get(name, default)

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asked to leave HTTP (`Upgrade: tcp`), so that a hijack answers 101."""
        return "upgrade" in self.header("connection").lower() and bool(self.header("upgrade"))

    # --- the query

    @cached_property
    def query(self) -> Query:
        """All values by name, in the order given. Raises: Invalid."""
        return parse_query(self._query_text)

    def query_str(self, name: str, default: str = "") -> str:
        """The first value of `name`."""
        values = self.query.get(name)
        return values[0] if values else default

    def query_list(self, name: str) -> tuple[str, ...]:
        """All values of `name`."""
        return self.query.get(name, ())

    def query_bool(self, name: str, *, default: bool = False) -> bool:
        """`""`, 0, no, false and none are false, anything else is true; `default` when absent."""
        values = self.query.get(name)
        return parse_bool(values[0]) if values else default

    def query_int(self, name: str, *, default: int | None = None) -> int:
        """An integer; `default` when absent or empty, required without one. Raises: Invalid."""
        text = self.query_str(name)
        if not text and default is not None:
            return default
        return parse_int(text)

    def filters(self, allowed: Collection[str] | None = None) -> Filters:
        """The `filters` parameter as name -> values. Raises: Invalid, also for names outside `allowed`."""
        return parse_filters(self.query_str("filters"), allowed)

    # --- the body

    def body(self) -> AsyncIterator[bytes]:
        """`async for piece in request.body()`; nothing is read ahead of the handler beyond a small buffer."""
        return self._body.pieces()

    async def read(self, *, limit: int = BODY_LIMIT) -> bytes:
        """The whole body. Raises: Invalid beyond `limit` bytes."""
        whole = bytearray()
        async for piece in self.body():
            whole += piece
            if len(whole) > limit:
                raise Invalid("http: request body too large")
        return bytes(whole)

    async def json(self, *, limit: int = BODY_LIMIT) -> Any:
        """The JSON value of a body that must be there. Raises: Invalid (Content-Type, syntax, size)."""
        return jsontext.decode(await self._json_text(limit))

    async def json_object(self, *, may_be_empty: bool = False, limit: int = BODY_LIMIT) -> dict[str, Any]:
        """As `json` for an object. `may_be_empty`: no body at all is `{}`, as for most of Docker's routes
        (`containers/create` is the one that insists).
        """
        text = await self._json_text(limit)
        if not text and may_be_empty and self._body.declared_empty:
            return {}
        return jsontext.decode_object(text)

    async def _json_text(self, limit: int) -> bytes:
        if not self._body.declared_empty:
            jsontext.check_content_type(self.header("content-type"))
        return await self.read(limit=limit)
