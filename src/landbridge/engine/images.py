"""Images as the rest of the engine sees them: find, list, name, load and mount.

The work is in the modules beside this one (`image_load`, `image_remove`, …); this class holds them together.
Reads answer from memory. Whatever takes long runs in worker threads; the event loop's thread alone writes records.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing

from landbridge.engine.effects_images import EmitImage, Layers, Users
from landbridge.engine.feed import in_thread
from landbridge.engine.image_filters import LIST, Filters, read_filters
from landbridge.engine.image_history import history_lines
from landbridge.engine.image_layers import LayerShelf
from landbridge.engine.image_load import ImageLoader
from landbridge.engine.image_names import ImageNames
from landbridge.engine.image_records import ImageRecords
from landbridge.errors import NotFound
from landbridge.model.image import HistoryLine, Image, ImageView, Progress
from landbridge.model.reference import parse_repo_tag
from landbridge.model.stamp import parse_ns
from landbridge.oci.archive import Platform


class Images:
    """`in_use` tells which containers stand on an image; `emit` tells the world what happened."""

    def __init__(
        self,
        records: ImageRecords,
        layers: Layers,
        *,
        emit: EmitImage,
        in_use: Users,
        platform: Platform,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._records = records
        self._layers = layers
        self._clock = clock
        self._in_use = in_use
        self._names = ImageNames(records, emit, clock)
        self._shelf = LayerShelf(records, layers)
        self._loader = ImageLoader(records, self._names, self._shelf, layers, platform)

    def __repr__(self) -> str:
        return f"<Images {self._records!r}>"

    async def start(self) -> None:
        """Once, before anything else: remove what a crash left and images only removed containers stood on."""
        await asyncio.to_thread(self._shelf.sweep)
        await self.release()

    async def release(self) -> None:
        """Call after containers were removed: removed images that nobody stands on any more go, with their layers."""
        for identity in self._records.hidden():
            if not self._in_use(identity):
                self._records.remove(identity)
        await self._shelf.collect()

    def resolve(self, text: str) -> Image:
        """The image a user means by name, digest, id or beginning of an id.

        Raises: Invalid, NotFound (``No such image: x:latest``).
        """
        return self._names.resolve(text)

    def get(self, identity: str) -> Image:
        """By full id, also one that was removed while containers stand on it. Raises: NotFound."""
        image = self._records.get(identity)
        if image is None:
            raise NotFound(f"No such image: {identity}")
        return image

    def lower_dirs(self, image: Image) -> tuple[str, ...]:
        """The image's layers as absolute overlayfs lower directories, top first."""
        return self._shelf.lower_dirs(image)

    def inspect(self, text: str) -> ImageView:
        """Raises: as `resolve`."""
        return self._view(self.resolve(text))

    def _view(self, image: Image) -> ImageView:
        names = self._records.names_of(image.id)
        return ImageView(
            image=image,
            tags=tuple(str(name) for name in names if not name.digest),
            digests=tuple(str(name) for name in names if name.digest),
            last_tagged=self._records.last_tagged(image.id),
        )

    def list(self, filters: Filters | None = None, *, intermediate: bool = False) -> tuple[ImageView, ...]:
        """Images, newest first. `intermediate`: also those without names that others were made from.

        With a ``reference`` filter only the names that fit are shown, as Docker does.

        Raises: Invalid, NotFound, Internal for filters that cannot be understood.
        """
        wanted = read_filters(
            filters or {}, LIST, lambda text: parse_ns(self.resolve(text).created), self._clock()
        )
        names = self._records.names_by_image()
        images = self._records.visible()
        parents = {image.parent for image in images}
        found = []
        for image in images:
            if not wanted.accepts(image):
                continue
            every = names.get(image.id, [])
            shown = [name for name in every if wanted.names(name)]
            if every:
                if not shown or wanted.dangling:
                    continue
            elif wanted.dangling is False or wanted.references or (image.id in parents and not intermediate):
                continue
            tags = tuple(str(name) for name in shown if not name.digest)
            digests = tuple(str(name) for name in shown if name.digest)
            last = self._records.last_tagged(image.id)
            found.append(ImageView(image=image, tags=tags, digests=digests, last_tagged=last))
        return tuple(sorted(found, key=lambda view: parse_ns(view.image.created), reverse=True))

    def history(self, text: str) -> tuple[HistoryLine, ...]:
        """How the image was made, newest first. Raises: as `resolve`."""
        image = self.resolve(text)
        known = [image]  # the image and those it was made from, as far as they are here
        while (parent := self._records.get(known[-1].parent)) is not None:
            known.append(parent)
        sizes = [layer.size for layer in self._shelf.layers_of(image)]
        return history_lines(image, sizes, [(one.id, self._view(one).tags) for one in known])

    def tag(self, text: str, repo: str, tag: str = "") -> str:
        """Give the image another name; returns the name in full familiar form. Raises: Invalid, NotFound."""
        image = self.resolve(text)
        reference = parse_repo_tag(repo, tag)
        self._names.give(reference, image.id)
        return str(reference)

    async def load(self, stream: AsyncIterable[bytes], *, quiet: bool = False) -> AsyncGenerator[Progress, None]:
        """Load an archive of ``docker save`` or an OCI layout, plain or compressed, telling what happens.

        Raises: Internal or Invalid with Docker's text where Docker has one; what was not loaded leaves nothing.
        """
        archive = await in_thread(stream, self._layers.spool)
        try:
            async with aclosing(self._loader.load(archive)) as messages:
                async for message in messages:
                    if message.stream or not quiet:
                        yield message
        finally:
            archive.close()
