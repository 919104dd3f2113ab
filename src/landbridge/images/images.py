"""Images as the rest of the engine sees them: find, list, name, load and mount.

The work is in the modules beside this one (`image_load`, `image_remove`, …); this class holds them together.
Reads answer from memory. Whatever takes long runs in worker threads; the event loop's thread alone writes records.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import aclosing

from landbridge.errors import Invalid, NotFound
from landbridge.images.effects import EmitImage, Layers, Users
from landbridge.images.feed import from_thread, in_thread
from landbridge.images.filters import LIST, PRUNE, Wanted, read_filters
from landbridge.images.history import history_lines
from landbridge.images.layers import LayerShelf
from landbridge.images.load import ImageLoader
from landbridge.images.make import Commit, ImageMaker
from landbridge.images.names import ImageNames
from landbridge.images.parts import ImageParts
from landbridge.images.records import ImageRecords
from landbridge.images.remove import ImageRemover
from landbridge.images.save import ImageSaver
from landbridge.model.config import Config
from landbridge.model.filters import Filters
from landbridge.model.image import HistoryLine, Image, ImageView, Progress, Removed
from landbridge.model.layer import Layer
from landbridge.model.reference import parse_repo_tag
from landbridge.model.stamp import parse_ns
from landbridge.oci.archive import Platform
from landbridge.oci.changes import apply_changes
from landbridge.oci.merge import completed_config
from landbridge.oci.platforms import parse_platform, satisfies, show_platform
from landbridge.oci.saved import SavedImage


class Images:
    """`in_use` tells which containers stand on an image; `emit` tells the world what happened. `version` is
    written into the images made here."""

    def __init__(
        self,
        records: ImageRecords,
        layers: Layers,
        *,
        emit: EmitImage,
        in_use: Users,
        platform: Platform,
        version: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._records = records
        self._layers = layers
        self._clock = clock
        self._in_use = in_use
        self._platform = platform
        self._names = ImageNames(records, emit, clock)
        self._shelf = LayerShelf(records, layers)
        self._loader = ImageLoader(records, self._names, self._shelf, layers, platform)
        self._maker = ImageMaker(records, self._shelf, layers, platform=platform, version=version, clock=clock)
        self._saver = ImageSaver(records, self._names, self._shelf)
        self._remover = ImageRemover(records, self._names, in_use)
        self.parts = ImageParts(
            records=records, names=self._names, shelf=self._shelf, layers=layers, platform=platform
        )

    def __repr__(self) -> str:
        return f"<Images {self._records!r}>"

    async def start(self) -> None:
        """Once, before anything else: remove what a crash left and images only removed containers stood on."""
        await asyncio.to_thread(self._shelf.sweep)
        await self.release()
        await self._shelf.collect()

    async def release(self) -> None:
        """Call after containers were removed: removed images that nobody stands on any more go, with their layers."""
        hidden = self._records.hidden()
        if not hidden:
            return
        for identity in hidden:
            if not self._in_use(identity):
                self._records.remove(identity)
        await self._shelf.collect()

    def resolve(self, text: str, platform: str = "") -> Image:
        """The image a user means by name, digest, id or beginning of an id; it must be for `platform`, if one is given.

        Raises: Invalid, NotFound (``No such image: x:latest``).
        """
        wanted = parse_platform(platform, self._platform) if platform else None
        image = self._names.resolve(text)
        if wanted and not satisfies(found := Platform(image.os, image.architecture, image.variant), wanted):
            raise NotFound(
                f"image with reference {text} was found but does not match the specified platform:"
                f" wanted {show_platform(wanted)}, actual: {show_platform(found)}"
            )
        return image

    def get(self, identity: str) -> Image:
        """By full id, also one that was removed while containers stand on it. Raises: NotFound."""
        image = self._records.get(identity)
        if image is None:
            raise NotFound(f"No such image: {identity}")
        return image

    def lower_dirs(self, image: Image) -> tuple[str, ...]:
        """The image's layers as absolute overlayfs lower directories, top first."""
        return self._shelf.lower_dirs(image)

    def layers(self, image: Image) -> tuple[Layer, ...]:
        """The image's layers as they are stored, bottom first."""
        return tuple(self._shelf.layers_of(image))

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
        wanted = self._read_filters(filters, LIST)
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

    def _read_filters(self, filters: Filters | None, allowed: frozenset[str]) -> Wanted:
        return read_filters(filters or {}, allowed, lambda text: parse_ns(self.resolve(text).created), self._clock())

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
        archive = await in_thread(stream, self._layers.spool, lambda lost: lost.close())
        try:
            async with aclosing(self._loader.load(archive)) as messages:
                async for message in messages:
                    if message.stream or not quiet:
                        yield message
        finally:
            archive.close()

    async def import_(
        self,
        stream: AsyncIterable[bytes],
        *,
        repo: str = "",
        tag: str = "",
        changes: Sequence[str] = (),
        message: str = "Imported from -",
        platform: str = "",
    ) -> str:
        """Make an image of one layer from a root filesystem's tar, plain or compressed; returns its id.

        `platform` is what the image will be for, this machine's when empty. Raises: Invalid before anything is read
        when name, changes or platform are wrong; Internal for a bad archive.
        """
        reference = parse_repo_tag(repo, tag) if repo else None
        wanted = parse_platform(platform, self._platform) if platform else None
        if wanted and wanted.os != "linux":
            raise Invalid("operating system is not supported")
        config = apply_changes(Config(), changes)
        identity = await self._maker.from_archive(stream, config, message, wanted)
        if reference:
            self._names.give(reference, identity)
        self._names.emit("import", identity, identity)
        return identity

    async def commit(
        self,
        commit: Commit,
        *,
        repo: str = "",
        tag: str = "",
        changes: Sequence[str] = (),
        config: Config | None = None,
    ) -> str:
        """Make an image of a container's changes; returns its id.

        `config` is what the request asks for instead of ``commit.config``, the container's, which completes it;
        `changes` as in `import_`. The caller has paused the container if that was wanted, and emits its event.

        Raises: Invalid before anything is done when name or changes are wrong.
        """
        reference = parse_repo_tag(repo, tag) if repo else None
        wanted = completed_config(commit.config, apply_changes(config or commit.config, changes))
        identity = await self._maker.from_container(commit, wanted)
        if reference:
            self._names.give(reference, identity)
        return identity

    def save(self, names: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """The archive of images as ``docker save`` writes it. Not found is said at once, before the first byte.

        Raises: Invalid, NotFound here; Internal while iterating when a layer on disk is damaged.
        """
        images = self._saver.choose(names)
        for item in images:
            self._names.emit("save", item.image.id, item.image.id)
        return self._save(images)

    async def _save(self, images: Sequence[SavedImage]) -> AsyncGenerator[bytes, None]:
        async with self._shelf.holding() as hold, aclosing(from_thread(lambda: self._saver.archive(images))) as chunks:
            for item in images:
                for layer in item.layers:
                    hold(layer.diff_id)
            async for chunk in chunks:
                yield chunk

    async def remove(self, text: str, *, force: bool = False, noprune: bool = False) -> tuple[Removed, ...]:
        """Remove a name or an image with Docker's rules; see `image_remove`. Raises: Invalid, NotFound, Conflict."""
        gone = self._remover.remove(text, force=force, noprune=noprune)
        await self._shelf.collect()
        return gone

    async def prune(self, filters: Filters | None = None) -> tuple[tuple[Removed, ...], int]:
        """Remove unused images; returns what went and the bytes that freed. The event's name is that number.

        Raises: Invalid, Internal for filters that cannot be understood.
        """
        gone = self._remover.prune(self._read_filters(filters, PRUNE))
        freed = await self._shelf.collect()
        self._names.emit("prune", "", str(freed))
        return gone, freed
