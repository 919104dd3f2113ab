"""Layers as the engine counts them: added once per diff id, kept while an image is made of them or somebody is at it.

`held` protects layers of an operation in progress; `collect` removes what neither an image nor an operation needs.
Order on disk: a layer's directory exists before its record, and its record goes before its directory, so a
crash leaves only directories without a record, which `sweep` removes at the next start.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from landbridge.errors import Internal
from landbridge.images.effects import Layers, Staged
from landbridge.images.records import ImageRecords
from landbridge.model.image import Image
from landbridge.model.layer import Layer


class LayerShelf:
    """The one user of the layer store."""

    def __init__(self, records: ImageRecords, store: Layers) -> None:
        self._records = records
        self._store = store
        self._held: Counter[str] = Counter()
        self._lock = asyncio.Lock()  # between "is it there" and "now it is"

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[Callable[[str], None]]:
        """Layers named to the callable given stay at least until the end of the block; then the rest is collected."""
        held: list[str] = []

        def hold(diff_id: str) -> None:
            held.append(diff_id)
            self._held[diff_id] += 1

        try:
            yield hold
        finally:
            self._held.subtract(held)
            self._held += Counter()  # drops what is at zero
            await self.collect()

    async def keep(self, staged: Staged) -> Layer:
        """Put a staged layer on the shelf, unless one of the same content is there. Hold its diff id before."""
        async with self._lock:
            known = self._records.layer(staged.diff_id)
            if known is not None:
                await asyncio.to_thread(staged.drop)
                return known
            layer = await asyncio.to_thread(staged.keep)
            self._records.put_layer(layer)
            return layer

    async def collect(self) -> int:
        """Remove layers nobody needs; returns the bytes that frees (by the sizes of their files)."""
        needed = self._records.used_layers() | set(self._held)
        gone = [layer for layer in self._records.layers() if layer.diff_id not in needed]
        for layer in gone:
            self._records.remove_layer(layer.diff_id)
        for layer in gone:  # without a record nobody finds them any more, so nobody has to wait
            await asyncio.to_thread(self._store.remove, layer.directory)
        return sum(layer.size for layer in gone)

    def layers_of(self, image: Image) -> tuple[Layer, ...]:
        """The image's layers, bottom first. Raises: Internal when one is not there."""
        found = []
        for diff_id in image.diff_ids:
            layer = self._records.layer(diff_id)
            if layer is None:
                raise Internal(f"layer {diff_id} of image {image.id} does not exist")
            found.append(layer)
        return tuple(found)

    def lower_dirs(self, image: Image) -> tuple[str, ...]:
        """Directories for overlayfs, top first."""
        return tuple(self._store.path(layer.directory) for layer in reversed(self.layers_of(image)))

    def archive(self, layer: Layer) -> Iterator[bytes]:
        """The layer's plain tar. Blocking."""
        return self._store.archive(layer.directory)

    def sweep(self) -> tuple[str, ...]:
        """At start, before anything else: remove directories no record names. Blocking."""
        return self._store.sweep({layer.directory for layer in self._records.layers()})
