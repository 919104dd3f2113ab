"""Handlers of ``/networks``."""

from landbridge.api.network_views import network_inspect_view, network_view
from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Response
from landbridge.api.router import Route
from landbridge.api.schema_requests import connect_request, disconnect_request, network_request
from landbridge.engine.engine import Engine
from landbridge.engine.listing import select_networks
from landbridge.errors import NotFound


class NetworkHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        one = "/networks/{id:.*}"
        return [
            Route("GET", "/networks", self.list),
            Route("GET", "/networks/", self.list),
            Route("POST", "/networks/create", self.create),
            Route("POST", "/networks/prune", self.prune),
            Route("POST", f"{one}/connect", self.connect),
            Route("POST", f"{one}/disconnect", self.disconnect),
            Route("GET", one, self.inspect),
            Route("DELETE", one, self.remove),
        ]

    async def list(self, request: Request) -> Response:
        found = select_networks(self._engine.state, request.filters())
        return JSON([network_view(one, request.version) for one in found])

    async def inspect(self, request: Request) -> Response:
        scope = request.query_str("scope")
        network = self._engine.state.network(request.params["id"])
        if scope not in ("", network.scope):
            raise NotFound(f"network {request.params['id']} not found")
        return JSON(network_inspect_view(self._engine.state, network, request.version))

    async def create(self, request: Request) -> Response:
        network = await self._engine.networks.create(network_request(await request.json_object(may_be_empty=True)))
        warnings = await self._engine.networks.overlaps(network)
        return JSON({"Id": network.id, "Warning": "; ".join(warnings)}, status=201)

    async def connect(self, request: Request) -> Response:
        container, config = connect_request(await request.json_object(may_be_empty=True))
        await self._engine.containers.connect(request.params["id"], container, config)
        return Empty(status=200)

    async def disconnect(self, request: Request) -> Response:
        container, force = disconnect_request(await request.json_object(may_be_empty=True))
        await self._engine.containers.disconnect(request.params["id"], container, force=force)
        return Empty(status=200)

    async def remove(self, request: Request) -> Response:
        await self._engine.networks.remove(request.params["id"])
        return Empty()

    async def prune(self, request: Request) -> Response:
        removed = await self._engine.prune.networks(request.filters())
        return JSON({"NetworksDeleted": list(removed) or None})
