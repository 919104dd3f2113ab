"""``docker load``: an archive to images. Everything is checked before an image gets its record.

The archive is first held on disk, since its manifest may come last. What fails leaves no image, no name and
no layer behind, except images of the same archive that were loaded whole before.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace

from landbridge.errors import Internal
from landbridge.images.effects import Archive, Layers, Staged
from landbridge.images.layers import LayerShelf
from landbridge.images.names import ImageNames
from landbridge.images.records import ImageRecords
from landbridge.model.image import Image, Progress
from landbridge.oci.archive import DOCUMENT_MOST, PlannedImage, PlannedLayer, Platform, plan
from landbridge.oci.layers import place

_TICK = 0.1  # seconds between two progress messages of one layer


class _Counted:
    """How much of a member has been read so far."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.bytes += len(chunk)
            yield chunk


class ImageLoader:
    """Loads the images of one held archive after the other."""

    def __init__(
        self, records: ImageRecords, names: ImageNames, shelf: LayerShelf, layers: Layers, platform: Platform
    ) -> None:
        self._records = records
        self._names = names
        self._shelf = shelf
        self._layers = layers
        self._platform = platform

    async def load(self, archive: Archive) -> AsyncGenerator[Progress, None]:
        """Load every image of `archive`, telling what happens.

        Raises: Internal or Invalid with Docker's text where Docker has one.
        """
        planned = await asyncio.to_thread(self._plan, archive)
        for item in planned:
            async with aclosing(self._load_one(archive, item)) as messages:
                async for message in messages:
                    yield message

    def _plan(self, archive: Archive) -> tuple[PlannedImage, ...]:
        return plan(archive.names, lambda name: archive.read(name, DOCUMENT_MOST), self._platform)

    async def _load_one(self, archive: Archive, item: PlannedImage) -> AsyncGenerator[Progress, None]:
        size = 0
        async with self._shelf.holding() as hold:
            for number, (layer, diff_id) in enumerate(zip(item.layers, item.image.diff_ids, strict=True)):
                hold(diff_id)
                if self._records.layer(diff_id) is None:
                    async with aclosing(self._load_layer(archive, layer, diff_id, number)) as messages:
                        async for message in messages:
                            yield message
                found = self._records.layer(diff_id)
                size += found.size if found else 0
            self._keep(replace(item.image, size=size), item)
        for message in self._name(item):
            yield message

    def _keep(self, image: Image, item: PlannedImage) -> None:
        if not self._records.is_visible(image.id):
            self._records.put(replace(image, parent=self._parent(item.parent)))

    def _parent(self, named: str) -> str:
        """The parent the archive names, when it is an image here."""
        found = re.search("[0-9a-f]{64}", named)
        identity = f"sha256:{found[0]}" if found else ""
        return identity if self._records.is_visible(identity) else ""

    async def _load_layer(
        self, archive: Archive, layer: PlannedLayer, diff_id: str, number: int
    ) -> AsyncGenerator[Progress, None]:
        total = archive.size(layer.member)
        counted = _Counted(archive.chunks(layer.member))
        short = diff_id.removeprefix("sha256:")[:12]
        yield Progress(id=short, status="Loading layer", current=0, total=total)
        work = asyncio.ensure_future(asyncio.to_thread(self._layers.stage, counted, place))
        try:
            while not (await asyncio.wait({work}, timeout=_TICK))[0]:
                yield Progress(id=short, status="Loading layer", current=counted.bytes, total=total)
        except BaseException:
            await asyncio.wait({work})  # the thread cannot be stopped; what it made must go
            if work.exception() is None:
                await asyncio.to_thread(work.result().drop)
            raise
        staged = work.result()
        if problem := _problem(staged, layer, diff_id, number):
            await asyncio.to_thread(staged.drop)
            raise Internal(problem)
        await self._shelf.keep(staged)
        yield Progress(id=short, status="Loading layer", current=total, total=total)

    def _name(self, item: PlannedImage) -> Iterable[Progress]:
        for reference in item.names:
            before = self._records.named(reference)
            if before not in (None, item.image.id):
                yield Progress(
                    stream=f"The image {reference} already exists, renaming the old one with ID {before}"
                    " to empty string\n"
                )
            self._names.give(reference, item.image.id, when=self._records.last_tagged(item.image.id))  # no tagging
            yield Progress(stream=f"Loaded image: {reference}\n")
        if not item.names:
            yield Progress(stream=f"Loaded image ID: {item.image.id}\n")
        self._names.emit("load", item.image.id, item.image.id)


def _problem(staged: Staged, layer: PlannedLayer, diff_id: str, number: int) -> str:
    """What is wrong with the layer's content against what was promised; empty: nothing."""
    if layer.blob.startswith("sha256:") and staged.blob != layer.blob:
        return f"{layer.member}: digest mismatch: expected {layer.blob}, got {staged.blob}"
    if staged.diff_id != diff_id:
        return f'invalid diffID for layer {number}: expected "{diff_id}", got "{staged.diff_id}"'
    return ""
