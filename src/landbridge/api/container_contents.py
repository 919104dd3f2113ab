"""Handlers about what containers use and hold: top, stats, changes, export, commit, update, prune."""

import asyncio
from collections.abc import AsyncGenerator

from landbridge.api import streams
from landbridge.api.elders import limits_as_meant
from landbridge.api.request import Request
from landbridge.api.response import JSON, TAR, Response, Stream
from landbridge.api.router import Route
from landbridge.api.schema import decode
from landbridge.api.schema_requests import with_any_port
from landbridge.api.streaming import started
from landbridge.api.usage_views import stats_view
from landbridge.engine.contents import CommitRequest
from landbridge.engine.engine import Engine
from landbridge.engine.usage import Sample
from landbridge.errors import Invalid, LandbridgeError
from landbridge.model.config import Config, HostConfig

# How Docker numbers the kinds of a change.
_KINDS = {"C": 0, "A": 1, "D": 2}
_INTERVAL_SECONDS = 1.0


class ContentHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        one = "/containers/{name:.*}"
        return [
            Route("GET", f"{one}/top", self.top),
            Route("GET", f"{one}/stats", self.stats),
            Route("GET", f"{one}/changes", self.changes),
            Route("GET", f"{one}/export", self.export),
            Route("POST", f"{one}/update", self.update),
            Route("POST", "/containers/prune", self.prune),
            Route("POST", "/commit", self.commit),
        ]

    async def top(self, request: Request) -> Response:
        table = await self._engine.usage.top(request.params["name"], request.query_str("ps_args"))
        self._engine.lifecycle.emit("top", self._engine.state.container(request.params["name"]))
        return JSON({"Processes": [list(row) for row in table.rows], "Titles": list(table.titles)})

    async def stats(self, request: Request) -> Response:
        stream = request.query_bool("stream", default=True)
        one_shot = request.query_bool("one-shot")
        if stream and one_shot:
            raise Invalid("cannot have stream=true and one-shot=true")
        messages = self._samples(request.params["name"], stream=stream, one_shot=one_shot)
        return Stream(await started(messages))

    async def _samples(self, name: str, *, stream: bool, one_shot: bool) -> AsyncGenerator[bytes, None]:
        engine = self._engine
        container = engine.state.container(name)
        facts = engine.info.facts()
        before = Sample()
        sample = await engine.usage.sample(container.id)
        yield b""
        if not stream and not one_shot and container.state.running:
            await asyncio.sleep(_INTERVAL_SECONDS)
            before, sample = sample, await engine.usage.sample(container.id)
        while True:
            shown = stats_view(container, sample, before, cpus=facts.cpus, cgroup_version=facts.cgroup_version)
            yield streams.event_line(shown)
            if not stream:
                return
            await asyncio.sleep(_INTERVAL_SECONDS)
            before = sample
            try:
                sample = await engine.usage.sample(container.id)
            except LandbridgeError:
                return  # removed: there is nothing left to measure

    async def changes(self, request: Request) -> Response:
        found = await self._engine.contents.changes(request.params["name"])
        return JSON([{"Path": one.path, "Kind": _KINDS[one.kind]} for one in found] or None)

    async def export(self, request: Request) -> Response:
        return Stream(self._engine.contents.export(request.params["name"]), content_type=TAR)

    async def update(self, request: Request) -> Response:
        document = await request.json_object()
        wanted = limits_as_meant(decode(HostConfig, document, "UpdateConfig"), request.version)
        # Not Docker's: all ports to be published from now on.
        named = any(name.lower() == "portbindings" for name in document)
        ports = with_any_port(wanted.port_bindings or {}) if named else None
        warnings = await self._engine.updates.update(request.params["name"], wanted, ports)
        return JSON({"Warnings": list(warnings) or None})

    async def prune(self, request: Request) -> Response:
        pruned = await self._engine.prune.containers(request.filters())
        return JSON({"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.reclaimed})

    async def commit(self, request: Request) -> Response:
        document = await request.json_object(may_be_empty=True)
        identity = await self._engine.contents.commit(
            CommitRequest(
                container=request.query_str("container"),
                repo=request.query_str("repo"),
                tag=request.query_str("tag"),
                author=request.query_str("author"),
                comment=request.query_str("comment"),
                pause=request.query_bool("pause", default=True),
                changes=request.query_list("changes"),
                config=decode(Config, document) if document else None,
            )
        )
        return JSON({"Id": identity}, status=201)
