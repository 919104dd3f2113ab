"""Handlers of ``/containers``: made, listed, looked at, changed, removed. Streams are in `container_streams`."""

import time
from dataclasses import replace

from landbridge.api.container_views import inspect_view, summary_view
from landbridge.api.elders import as_meant
from landbridge.api.port_views import PortTexts, exposed
from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Response
from landbridge.api.router import Route
from landbridge.api.schema_requests import create_request
from landbridge.engine.engine import Engine
from landbridge.engine.listing import Page, select_containers
from landbridge.errors import Conflict, Invalid, LandbridgeError, NotFound
from landbridge.model.container import Container


class ContainerHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ports = PortTexts(engine.state)

    def routes(self) -> list[Route]:
        one = "/containers/{name:.*}"
        return [
            Route("GET", "/containers/json", self.list),
            Route("POST", "/containers/create", self.create),
            Route("GET", f"{one}/json", self.inspect),
            Route("POST", f"{one}/start", self.start),
            Route("POST", f"{one}/stop", self.stop),
            Route("POST", f"{one}/restart", self.restart),
            Route("POST", f"{one}/kill", self.kill),
            Route("POST", f"{one}/pause", self.pause),
            Route("POST", f"{one}/unpause", self.unpause),
            Route("POST", f"{one}/rename", self.rename),
            Route("POST", f"{one}/resize", self.resize),
            Route("DELETE", one, self.remove),
        ]

    async def list(self, request: Request) -> Response:
        state, now = self._engine.state, time.time_ns()
        page = Page(
            everything=request.query_bool("all"),
            limit=request.query_int("limit", default=0),
            since=request.query_str("since"),
            before=request.query_str("before"),
        )
        found = select_containers(state, request.filters(), page, self._ancestors, exposed)
        linked = self._engine.containers.links.names()
        shown = [
            summary_view(
                state, one, request.version, self._image_name(one), now,
                ports=self._ports.listing(one), linked=linked.get(one.id, ()),
            )
            for one in found
        ]
        if request.query_bool("size"):
            for one, summary in zip(found, shown, strict=True):
                summary |= await self._sizes(one)
        return JSON(shown)

    async def _sizes(self, container: Container) -> dict[str, int]:
        sizes = await self._engine.contents.sizes(container)
        written = {"SizeRw": sizes.written} if sizes.written else {}
        return written | {"SizeRootFs": sizes.whole}

    def _image_name(self, container: Container) -> str:
        """The image as the user named it, or its id when that name means another image by now."""
        try:
            if self._engine.images.resolve(container.config.image).id == container.image:
                return container.config.image
        except LandbridgeError:
            pass  # the name is gone
        return container.image

    def _ancestors(self, text: str) -> frozenset[str]:
        """Ids of the image named `text` and of all images made from it."""
        try:
            wanted = self._engine.images.resolve(text).id
        except LandbridgeError:
            return frozenset()
        found = {wanted}
        images = [view.image for view in self._engine.images.list(intermediate=True)]
        while more := {image.id for image in images if image.parent in found} - found:
            found |= more
        return frozenset(found)

    async def create(self, request: Request) -> Response:
        document = await request.json_object()
        wanted = replace(
            create_request(document, request.query_str("name")), platform=request.query_str("platform")
        )
        wanted = as_meant(wanted, request.version)
        old_mac = wanted.config.mac_address if request.version < (1, 44) else ""
        if old_mac and _shares_network(wanted.host.network_mode):
            raise Invalid("conflicting options: mac-address and the network mode")
        container, warnings = await self._engine.containers.create(wanted)
        # Clients of before 1.44 know no other place for the address.
        told = [text for text in warnings if not (old_mac and "MacAddress" in text)]
        return JSON({"Id": container.id, "Warnings": told}, status=201)

    async def inspect(self, request: Request) -> Response:
        engine = self._engine
        container = engine.state.container(request.params["name"])
        launch = engine.lifecycle.launch
        directory = launch.directory(container.id)
        files = {
            "ResolvConfPath": f"{directory}/resolv.conf",
            "HostnamePath": f"{directory}/hostname",
            "HostsPath": f"{directory}/hosts",
            "LogPath": launch.log_path(container.id),
        }
        if not container.state.started_at:
            files = dict.fromkeys(files, "")
        shown = inspect_view(
            engine.state, container, request.version,
            files=files, driver=self._driver(container), execs=engine.execs.of(container.id),
            ports=self._ports.mapping(container),
        )  # fmt: skip
        if request.query_bool("size"):
            shown |= {"SizeRw": 0, **await self._sizes(container)}
        return JSON(shown)

    def _driver(self, container: Container) -> dict[str, object]:
        """Where the overlay's directories are (Docker: GraphDriver)."""
        root = f"{self._engine.settings.data_root}/overlay/{container.id}"
        images = self._engine.images
        try:
            lowers = images.lower_dirs(images.get(container.image))
        except NotFound:
            lowers = ()
        data = {
            "LowerDir": ":".join(lowers),
            "MergedDir": f"{root}/merged",
            "UpperDir": f"{root}/diff",
            "WorkDir": f"{root}/work",
        }
        return {"Data": data, "Name": "overlay2"}

    async def start(self, request: Request) -> Response:
        if request.query_str("checkpoint"):
            raise Invalid("checkpoint is only supported in experimental mode")  # Docker's words; here there are none
        await self._engine.lifecycle.start(request.params["name"])
        return Empty()

    async def stop(self, request: Request) -> Response:
        await self._engine.lifecycle.stop(
            request.params["name"], timeout=_timeout(request), signame=request.query_str("signal")
        )
        return Empty()

    async def restart(self, request: Request) -> Response:
        await self._engine.lifecycle.restart(
            request.params["name"], timeout=_timeout(request), signame=request.query_str("signal")
        )
        return Empty()

    async def kill(self, request: Request) -> Response:
        name = request.params["name"]
        try:
            await self._engine.lifecycle.kill(name, request.query_str("signal"))
        except (NotFound, Invalid, Conflict) as error:
            prefix = f"cannot kill container: {name}: "
            raise type(error)(prefix + error.message.removeprefix(prefix)) from error
        return Empty()

    async def pause(self, request: Request) -> Response:
        await self._engine.lifecycle.pause(request.params["name"])
        return Empty()

    async def unpause(self, request: Request) -> Response:
        await self._engine.lifecycle.unpause(request.params["name"])
        return Empty()

    async def rename(self, request: Request) -> Response:
        await self._engine.containers.rename(request.params["name"], request.query_str("name"))
        return Empty()

    async def resize(self, request: Request) -> Response:
        rows, columns = terminal_size(request)
        self._engine.streams.resize(request.params["name"], rows=rows, columns=columns)
        return Empty(status=200)

    async def remove(self, request: Request) -> Response:
        if request.query_bool("link"):
            await self._engine.containers.unlink(request.params["name"])
            return Empty()
        await self._engine.containers.remove(
            request.params["name"], force=request.query_bool("force"), volumes=request.query_bool("v")
        )
        return Empty()


def _shares_network(mode: str) -> bool:
    return mode == "host" or mode.startswith("container:")


def _timeout(request: Request) -> int | None:
    return request.query_int("t") if request.query_str("t") else None


def terminal_size(request: Request) -> tuple[int, int]:
    """``h`` and ``w``. Raises: Invalid."""
    rows, columns = request.query_int("h"), request.query_int("w")
    if not (0 <= rows < 65536 and 0 <= columns < 65536):
        raise Invalid(f"invalid terminal size {rows}x{columns}")
    return rows, columns
