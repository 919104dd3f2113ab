"""Handlers of ``/images``; what needs a registry is in `api.registries`."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from landbridge.api import streams
from landbridge.api.clock import SECOND
from landbridge.api.request import Request, Version
from landbridge.api.response import JSON, TAR, Empty, Response, Stream
from landbridge.api.router import Route
from landbridge.api.schema import encode
from landbridge.engine.engine import Engine
from landbridge.errors import Invalid, LandbridgeError, Unsupported
from landbridge.model.image import Image, ImageView, Progress, Removed
from landbridge.model.stamp import ZERO, format_ns, parse_ns

Object = dict[str, Any]


def seconds(stamp: str) -> int:
    """Unix time of a document's time; that of Go's zero time when it has none."""
    return parse_ns(stamp) // SECOND


def progress_view(message: Progress) -> Object:
    """One line of a progress stream."""
    if message.stream:
        return {"stream": message.stream}
    shown: Object = {"status": message.status}
    if message.current >= 0:
        shown["progressDetail"] = {"current": message.current, "total": message.total}
        shown["progress"] = progress_bar(message.current, message.total)
    elif message.id:
        shown["progressDetail"] = {}
    if message.id:
        shown["id"] = message.id
    return shown


def progress_bar(current: int, total: int) -> str:
    """``[====>   ]  1.5MB/3MB``, fifty characters and the arrow wide."""
    if total <= 0:
        return _size(current)
    bar = "=" * min(50, current * 50 // total) + ">"
    counts = f"{_size(current):>8}" + (f"/{_size(total)}" if current <= total else "")
    return f"[{bar:<51}] {counts}"


def _size(count: float) -> str:
    """As go-units' HumanSize: four digits, decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"


def summary_view(view: ImageView, containers: int, version: Version) -> Object:
    """One of ``GET /images/json``."""
    image = view.image
    return {
        "Containers": containers,
        "Created": seconds(image.created),
        "Id": image.id,
        "Labels": dict(image.config.labels) or None,
        "ParentId": image.parent,
        "RepoDigests": list(view.digests),
        "RepoTags": list(view.tags),
        "SharedSize": -1,
        "Size": image.size,
        **_virtual_size(image, version),
    }


def named_for(shown: Object, version: Version) -> Object:
    """The names of a listed image as clients before 1.43 know them: words for none at all, null for none of a kind."""
    if version >= (1, 43):
        return shown
    tags, digests = shown["RepoTags"], shown["RepoDigests"]
    if not tags and not digests:
        return shown | {"RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]}
    return shown | {"RepoTags": tags or None, "RepoDigests": digests or None}


def _virtual_size(image: Image, version: Version) -> Object:
    """The same as the size, for clients that still ask for it by this name."""
    return {"VirtualSize": image.size} if version < (1, 44) else {}


def inspect_view(view: ImageView, lowers: tuple[str, ...], version: Version) -> Object:
    """``GET /images/{name}/json``. `lowers` are the layers' directories, top first."""
    image = view.image
    data = {"UpperDir": lowers[0]} if lowers else {}
    if lowers[1:]:
        data["LowerDir"] = ":".join(lowers[1:])
    config = encode(image.config)
    config["Labels"] = dict(image.config.labels) or None
    shown: Object = {
        "Id": image.id,
        "RepoTags": list(view.tags),
        "RepoDigests": list(view.digests),
        "Parent": image.parent,
        "Comment": image.comment,
        "Created": image.created or format_ns(ZERO),
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Config": config,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        **_virtual_size(image, version),
        "GraphDriver": {"Data": data, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": view.last_tagged or format_ns(ZERO)},
    }
    if version < (1, 45):
        ran = image.container_config
        shown |= {"Container": image.container} if image.container else {}
        shown["ContainerConfig"] = encode(ran) | {"Labels": dict(ran.labels) or None}
    if image.variant:
        shown["Variant"] = image.variant
    if image.os_version:
        shown["OsVersion"] = image.os_version
    return shown


def platform_of(text: str) -> str:
    """``linux/arm64/v8`` from an OCI platform in JSON. Raises: Invalid."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise Invalid(f"failed to parse platform: {text}") from None
    parts = [found.get(name) for name in ("os", "architecture", "variant")]
    if not isinstance(parts[0], str) or not isinstance(parts[1], str) or not parts[0] or not parts[1]:
        raise Invalid("both OS and Architecture must be provided")
    return "/".join(str(part) for part in parts if part)


def removed_view(removed: Removed) -> Object:
    return {removed.action: removed.what}


class ImageHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    def routes(self) -> list[Route]:
        one = "/images/{name:.*}"
        return [
            Route("GET", "/images/json", self.list),
            Route("GET", "/images/get", self.save),
            Route("POST", "/images/load", self.load),
            Route("POST", "/images/create", self.create),
            Route("POST", "/images/prune", self.prune),
            Route("GET", f"{one}/json", self.inspect),
            Route("GET", f"{one}/history", self.history),
            Route("GET", f"{one}/get", self.save_one),
            Route("POST", f"{one}/tag", self.tag),
            Route("DELETE", one, self.remove),
        ]

    async def list(self, request: Request) -> Response:
        filters = dict(request.filters())
        if request.version < (1, 41) and request.query_str("filter"):
            filters["reference"] = (request.query_str("filter"),)
        found = self._images.list(filters, intermediate=request.query_bool("all"))
        return JSON([named_for(summary_view(view, -1, request.version), request.version) for view in found])

    async def inspect(self, request: Request) -> Response:
        self._fitting(request)
        view = self._images.inspect(request.params["name"])
        return JSON(inspect_view(view, self._images.lower_dirs(view.image), request.version))

    def _fitting(self, request: Request) -> None:
        """Refuse an image that is not of the platform asked for. Raises: Invalid, NotFound."""
        if request.version >= (1, 48) and (text := request.query_str("platform")):
            self._images.resolve(request.params["name"], platform_of(text))

    async def history(self, request: Request) -> Response:
        self._fitting(request)
        return JSON([
            {
                "Comment": line.comment,
                "Created": seconds(line.created),
                "CreatedBy": line.created_by,
                "Id": line.id,
                "Size": line.size,
                "Tags": list(line.tags) or None,
            }
            for line in self._images.history(request.params["name"])
        ])

    async def create(self, request: Request) -> Response:
        if request.query_str("fromSrc") != "-":
            raise Unsupported("import from a URL is not supported: send the archive as the body")
        return Stream(
            self._import(request), headers_with_first_message=True, on_error=streams.progress_error
        )

    async def _import(self, request: Request) -> AsyncGenerator[bytes, None]:
        identity = await self._images.import_(
            request.body(),
            repo=request.query_str("repo"),
            tag=request.query_str("tag"),
            changes=request.query_list("changes"),
            message=request.query_str("message") or "Imported from -",
            platform=request.query_str("platform") if request.version >= (1, 32) else "",
        )
        yield streams.progress_line({"status": identity})

    async def load(self, request: Request) -> Response:
        return Stream(self._load(request), headers_with_first_message=True, on_error=streams.progress_error)

    async def _load(self, request: Request) -> AsyncGenerator[bytes, None]:
        try:
            async for message in self._images.load(request.body(), quiet=request.query_bool("quiet")):
                yield streams.progress_line(progress_view(message))
        except LandbridgeError as error:
            yield streams.progress_error(error.message)  # never in the head, unlike the error of an import (Docker)

    async def save(self, request: Request) -> Response:
        return Stream(self._images.save(request.query_list("names")), content_type=TAR)

    async def save_one(self, request: Request) -> Response:
        return Stream(self._images.save((request.params["name"],)), content_type=TAR)

    async def tag(self, request: Request) -> Response:
        self._images.tag(request.params["name"], request.query_str("repo"), request.query_str("tag"))
        return Empty(status=201)

    async def remove(self, request: Request) -> Response:
        name = request.params["name"]
        if not name.strip():
            raise Invalid("image name cannot be blank")
        platforms = request.query_list("platforms") if request.version >= (1, 50) else ()
        if len(platforms) > 1:
            raise Invalid("multiple platforms is not supported")
        for text in platforms:
            self._images.resolve(name, platform_of(text))
        gone = await self._images.remove(
            name, force=request.query_bool("force"), noprune=request.query_bool("noprune")
        )
        return JSON([removed_view(one) for one in gone])

    async def prune(self, request: Request) -> Response:
        gone, freed = await self._images.prune(request.filters())
        return JSON({"ImagesDeleted": [removed_view(one) for one in gone] or None, "SpaceReclaimed": freed})


