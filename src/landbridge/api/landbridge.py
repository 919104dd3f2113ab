"""Handlers of what Docker has no word for: why a connection arrives, or does not."""

from landbridge.api.request import Request
from landbridge.api.response import JSON, Response
from landbridge.api.router import Route
from landbridge.engine.engine import Engine


class LandbridgeHandlers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [Route("GET", "/landbridge/explain", self.explain)]

    async def explain(self, request: Request) -> Response:
        found = await self._engine.explain.target(request.query_str("target"), request.query_str("from"))
        return JSON({
            "hops": [{"what": hop.what, "detail": hop.detail} for hop in found.hops],
            "reachable": found.reachable,
            "summary": found.summary,
        })
