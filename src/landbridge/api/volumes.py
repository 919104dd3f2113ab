"""Handlers of ``/volumes``."""

from typing import Any

from landbridge.api.clock import SECOND, stamp
from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Response
from landbridge.api.router import Route
from landbridge.api.schema_requests import volume_request
from landbridge.engine.engine import Engine
from landbridge.errors import Invalid
from landbridge.model.volume import Volume


def volume_view(volume: Volume) -> dict[str, Any]:
    """A volume as every endpoint shows it. Docker gives its time in whole seconds."""
    return {
        "CreatedAt": stamp(volume.created // SECOND * SECOND),
        "Driver": volume.driver,
        "Labels": dict(volume.labels) if volume.labels is not None else None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": dict(volume.options) if volume.options is not None else None,
        "Scope": volume.scope,
    }


class VolumeHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._volumes = engine.volumes

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/volumes", self.list),
            Route("POST", "/volumes/create", self.create),
            Route("POST", "/volumes/prune", self.prune),
            Route("GET", "/volumes/{name:.*}", self.inspect),
            Route("DELETE", "/volumes/{name:.*}", self.remove),
        ]

    async def list(self, request: Request) -> Response:
        try:
            filters = request.filters()
        except Invalid as error:
            raise Invalid(f"error reading volume filters: {error.message}") from None
        found = self._volumes.list(filters)
        return JSON({"Volumes": [volume_view(one) for one in found], "Warnings": None})

    async def inspect(self, request: Request) -> Response:
        return JSON(volume_view(self._volumes.get(request.params["name"])))

    async def create(self, request: Request) -> Response:
        volume = self._volumes.create(volume_request(await request.json_object(may_be_empty=True)))
        return JSON(volume_view(volume), status=201)

    async def remove(self, request: Request) -> Response:
        await self._volumes.remove(request.params["name"], force=request.query_bool("force"))
        return Empty()

    async def prune(self, request: Request) -> Response:
        filters = dict(request.filters())
        if request.version < (1, 42):
            filters.setdefault("all", ("true",))  # older engines removed named volumes too
        pruned = await self._volumes.prune(filters)
        return JSON({"VolumesDeleted": list(pruned.names), "SpaceReclaimed": pruned.reclaimed})
