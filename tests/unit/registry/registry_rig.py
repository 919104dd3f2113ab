"""An engine's registry part over a store in memory, talking to a registry of `registry_kit` by the real HTTP client."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from images_in_memory import Engine

from landbridge.api.registries import message_view
from landbridge.model.image import Message
from landbridge.model.settings import Settings
from landbridge.registry.blob_records import BlobRecords
from landbridge.registry.registries import Credentials, Registries
from landbridge.system.registry_http import HttpClient
from landbridge.system.registry_proxy import Proxies

NOBODY = Credentials()


class Rig:
    """`slept` are the seconds the engine wanted to wait; it does not. Use as a context manager."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Engine()
        self.settings = Settings(**settings)
        # Whatever is not on loopback is refused at once, without a question to any name server.
        self.http = HttpClient(agent="test", proxies=Proxies({"HTTPS_PROXY": "http://127.0.0.1:1"}))
        self.slept: list[float] = []
        self.registries = self._assemble()

    def _assemble(self) -> Registries:
        self.blobs = BlobRecords(self.engine.db)
        return Registries(self.engine.images.parts, self.blobs, self.http, self.settings, sleep=self._sleep)

    def restart(self) -> None:
        """As a daemon's restart: what is not in the database is forgotten."""
        self.engine.restart()
        self.registries = self._assemble()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    async def pull(self, name: str, tag: str = "", *, as_: Credentials = NOBODY, platform: str = "") -> list[str]:
        """Pull; what was said, as a client without a terminal shows it."""
        return await said(self.registries.pull(name, tag, credentials=as_, platform=platform))

    async def push(self, name: str, tag: str = "", *, as_: Credentials = NOBODY) -> list[str]:
        return await said(self.registries.push(name, tag, credentials=as_))

    def kept(self) -> list[bytes]:
        """The plain layers on the shelf."""
        return sorted(self.engine.layers.kept.values())

    def clean(self) -> bool:
        """Nothing but what belongs to images is left."""
        wanted = {diff_id for image in self.engine.images.parts.records.every() for diff_id in image.diff_ids}
        known = {layer.diff_id for layer in self.engine.images.parts.records.layers()}
        return self.engine.quiet() and known == wanted and len(self.engine.layers.kept) == len(wanted)


async def said(messages: AsyncGenerator[Message, None]) -> list[str]:
    """The lines without the counts: ``id: status``, JSON for what only programs read."""
    lines: list[str] = []
    async with aclosing(messages):
        async for message in messages:
            shown = message_view(message)
            if "aux" in shown:
                lines.append(json.dumps(shown["aux"]))
            elif "progress" not in shown:
                lines.append(f"{shown['id']}: {shown['status']}" if "id" in shown else shown["status"])
    return lines
