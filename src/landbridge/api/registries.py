"""Handlers of everything that asks a registry: pull, push, login, and a look at an image from afar.

Stands before `api.images` in the table of routes: ``POST /images/create`` is a pull when it has ``fromImage``.
"""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from landbridge.api import streams
from landbridge.api.images import ImageHandlers, progress_view
from landbridge.api.request import Request
from landbridge.api.response import JSON, Response, Stream
from landbridge.api.router import Route
from landbridge.engine.engine import Engine
from landbridge.model.image import Headline, Message, Pushed
from landbridge.registry.registries import Credentials, Distribution, is_login_for
from landbridge.registry.search import FILTERS

Object = dict[str, Any]


def message_view(message: Message) -> Object:
    """One line of a pull's or push's stream."""
    if isinstance(message, Headline):
        return {"status": message.status} | ({"id": message.id} if message.id else {})
    if isinstance(message, Pushed):
        pushed = {"Tag": message.tag, "Digest": message.digest, "Size": message.size}
        return {"progressDetail": {}, "aux": pushed}
    return progress_view(message)


def distribution_view(found: Distribution) -> Object:
    """``GET /distribution/{name}/json``."""
    described = found.descriptor
    return {
        "Descriptor": {"mediaType": described.media_type, "digest": described.digest, "size": described.size},
        "Platforms": [
            {"architecture": one.architecture, "os": one.os} | ({"variant": one.variant} if one.variant else {})
            for one in found.platforms
        ],
    }


def credentials(request: Request, name: str) -> Credentials:
    """Who the client is to the registry of image `name`: ``X-Registry-Auth``, or the entry in ``X-Registry-Config``.

    What cannot be read counts as nobody, as with Docker: old clients send rubbish for "no login".
    """
    found = credentials_of(_decoded(request.header("x-registry-auth")))
    if found != Credentials():
        return found
    for server, login in _decoded(request.header("x-registry-config")).items():
        if isinstance(login, dict) and is_login_for(server, name):
            return credentials_of(login)
    return found


def _decoded(header: str) -> Object:
    """JSON in base64, of the URL alphabet or the usual one, padded or not; empty when it is none."""
    text = header.strip().replace("+", "-").replace("/", "_").rstrip("=")
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def credentials_of(found: Object) -> Credentials:
    """From Docker's AuthConfig. ``auth`` is ``user:password`` in base64, for clients that send their file's entry."""

    def text(key: str) -> str:
        value = found.get(key)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if not username and text("auth"):
        try:
            username, _, password = base64.b64decode(text("auth")).decode().partition(":")
        except ValueError:
            pass  # then there is no login
    return Credentials(username, password, text("identitytoken"), text("registrytoken"))


class RegistryHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._registries = engine.registries
        self._import = ImageHandlers(engine).create

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/auth", self.login),
            Route("POST", "/images/create", self.create),
            Route("GET", "/images/search", self.search),
            Route("POST", "/images/{name:.*}/push", self.push),
            Route("GET", "/distribution/{name:.*}/json", self.distribution),
        ]

    async def create(self, request: Request) -> Response:
        name = request.query_str("fromImage")
        if not name:
            return await self._import(request)
        return _stream(
            self._registries.pull(
                name,
                request.query_str("tag"),
                credentials=credentials(request, name),
                platform=request.query_str("platform"),
            )
        )

    async def push(self, request: Request) -> Response:
        name, tag = request.params["name"], request.query_str("tag")
        return _stream(self._registries.push(name, tag, credentials=credentials(request, name)))

    async def login(self, request: Request) -> Response:
        wanted = await request.json_object()
        server = wanted.get("serveraddress")
        done = await self._registries.login(server if isinstance(server, str) else "", credentials_of(wanted))
        return JSON({"IdentityToken": done.identity_token, "Status": done.status})

    async def distribution(self, request: Request) -> Response:
        name = request.params["name"]
        found = await self._registries.distribution(name, credentials(request, name))
        return JSON(distribution_view(found))

    async def search(self, request: Request) -> Response:
        term, filters = request.query_str("term"), request.filters(FILTERS)
        login = credentials_of(_decoded(request.header("x-registry-auth")))
        found = await self._registries.search(term, request.query_int("limit", default=0), filters, login)
        return JSON([
            {"star_count": one.stars, "is_official": one.official, "name": one.name, "is_automated": one.automated,
             "description": one.description}
            for one in found
        ])  # fmt: skip


def _stream(messages: AsyncGenerator[Message, None]) -> Stream:
    """A progress stream; an error before its first message has a status of its own."""

    async def lines() -> AsyncGenerator[bytes, None]:
        async with aclosing(messages):
            async for message in messages:
                yield streams.progress_line(message_view(message))

    return Stream(lines(), headers_with_first_message=True, on_error=streams.progress_error)
