"""``docker pull``: from a name to an image here, by tag, by digest or all tags of a repository.

The order: manifest (of the platform, when it is a list), configuration, then the layers that are not here yet, at
once; the image gets its record and its names after all of them. What fails or is cancelled leaves no layer and no
name. Messages and their order are Docker's.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from landbridge.errors import Internal, Invalid, LandbridgeError, NotFound
from landbridge.images.parts import ImageParts
from landbridge.model.image import Headline, Image, Message, Progress, Reference
from landbridge.model.reference import check_digest
from landbridge.oci.archive import DOCUMENT_MOST, Platform
from landbridge.oci.image import parse_image
from landbridge.oci.manifest import Index, Manifest, check_manifest, choose, parse_manifest
from landbridge.oci.platforms import satisfies, show_platform
from landbridge.registry.auth import Credentials
from landbridge.registry.blob_records import BlobRecords, KnownBlob
from landbridge.registry.board import Board
from landbridge.registry.client import Connector, Registry
from landbridge.registry.errors import for_pull
from landbridge.registry.repository import Document, Repository
from landbridge.registry.transfers import LayerTransfers, short

_DEPTH_MOST = 4  # of lists within lists


class ImagePuller:
    """Pulls images; `transfers` and `blobs` are shared by all pulls."""

    def __init__(
        self, parts: ImageParts, connector: Connector, transfers: LayerTransfers, blobs: BlobRecords
    ) -> None:
        self._records = parts.records
        self._names = parts.names
        self._shelf = parts.shelf
        self._host = parts.platform
        self._connector = connector
        self._transfers = transfers
        self._blobs = blobs

    def pull(
        self, reference: Reference, credentials: Credentials, platform: Platform | None = None
    ) -> AsyncGenerator[Message, None]:
        """Pull `reference`; without tag and digest every tag of the repository.

        Raises: NotFound and Internal with Docker's sentences.
        """
        board = Board()
        return board.follow(lambda: self._pull(board, reference, credentials, platform))

    async def _pull(
        self, board: Board, reference: Reference, credentials: Credentials, platform: Platform | None
    ) -> None:
        if reference.familiar == "sha256":
            raise Invalid("refusing to create an ambiguous tag using digest algorithm as name")

        async def from_registry(registry: Registry) -> bool:
            repository = Repository(registry, reference.repository, "pull")
            if reference.tag or reference.digest:
                return await _Pull(self, board, repository, reference, platform).run()
            changed = False
            for tag in await repository.tags():
                one = replace(reference, tag=tag)
                changed |= await _Pull(self, board, repository, one, platform).run()
            return changed

        try:
            changed = await self._connector.first(reference.registry, credentials, from_registry)
        except LandbridgeError as error:
            raise for_pull(error, reference) from error
        news = "Downloaded newer image" if changed else "Image is up to date"
        board.post(Progress(status=f"Status: {news} for {reference}"))
        self._names.emit("pull", str(reference), reference.familiar)

    # For `_Pull`: what is here, and what becomes of it.

    def here(self, identity: str) -> Image | None:
        """An image that can be used as it is: not removed, with all its layers."""
        image = self._records.get(identity)
        if image is None or not self._records.is_visible(identity):
            return None
        return image if all(self._records.layer(diff_id) for diff_id in image.diff_ids) else None

    def known(self, reference: Reference) -> Image | None:
        """The image a name means here."""
        identity = self._records.named(reference)
        return self.here(identity) if identity else None

    def name(self, reference: Reference, digest: str, image: Image) -> bool:
        """Give the image its tag and its digest; whether that is news.

        A digest that names another image already (a list, pulled for another platform) goes on naming it, unless it
        was asked for by digest: Docker's rule.
        """
        by_digest = replace(reference, tag="", digest=digest)
        asked = by_digest if reference.digest else reference
        before = self._records.named(asked)
        stamp = self._records.last_tagged(image.id)  # a pull is no tagging
        if reference.digest or self._records.named(by_digest) in (None, image.id):
            self._records.set_name(by_digest, image.id, stamp)
        if not reference.digest:
            self._records.set_name(reference, image.id, stamp)
        return before != image.id

    async def take(self, board: Board, repository: Repository, manifest: Manifest, image: Image, origin: str) -> Image:
        """Get the layers of an image, then make it known. `origin` is the registry's name."""
        layers = dict(zip(image.diff_ids, manifest.layers, strict=True))  # the same layer twice comes once
        async with self._shelf.holding() as hold:
            missing = []
            for diff_id, wanted in layers.items():
                hold(diff_id)
                here = self._records.layer(diff_id) is not None
                if not here:
                    missing.append((diff_id, wanted))
                board.post(
                    Progress(id=short(wanted.digest), status="Already exists" if here else "Pulling fs layer")
                )
            await together(
                self._transfers.bring(repository, wanted, diff_id, board.post) for diff_id, wanted in missing
            )
            for diff_id, wanted in missing:  # only these are known to be what the manifest says
                blob = KnownBlob(origin, repository.name, wanted.digest, wanted.size, wanted.media_type)
                self._blobs.add(diff_id, blob)
            size = sum(layer.size for layer in map(self._records.layer, image.diff_ids) if layer)
            whole = replace(image, size=size)
            self._records.put(whole)
        return whole

    @property
    def host(self) -> Platform:
        return self._host


class _Pull:
    """One tag or digest from one repository."""

    def __init__(
        self, puller: ImagePuller, board: Board, repository: Repository, reference: Reference, platform: Platform | None
    ) -> None:
        self._puller = puller
        self._board = board
        self._repository = repository
        self._reference = reference
        self._platform = platform

    async def run(self) -> bool:
        """Whether the name now means another image than before."""
        reference = self._reference
        digest = reference.digest or await self._repository.manifest_digest(reference.tag)
        image = self._puller.known(replace(reference, tag="", digest=digest)) if digest else None
        if image is not None and self._fits(image):
            self._headline()
        else:
            top = await self._repository.manifest(digest or reference.tag)
            self._headline()
            digest = top.digest
            image = await self._image(top)
        changed = self._puller.name(reference, digest, image)
        self._board.post(Progress(status=f"Digest: {digest}"))
        return changed

    def _headline(self) -> None:
        reference = self._reference
        self._board.post(Headline(f"Pulling from {reference.repository}", reference.tag or str(reference)))

    def _fits(self, image: Image) -> bool:
        """Whether an image is of the platform that is wanted; an image that is here, of the host's when none is."""
        wanted = self._platform or self._puller.host
        return satisfies(Platform(image.os, image.architecture, image.variant), wanted)

    async def _image(self, top: Document) -> Image:
        found = parse_manifest(top.raw, top.media_type)
        listed = isinstance(found, Index)
        for _ in range(_DEPTH_MOST):
            if isinstance(found, Manifest):
                break
            entry = choose(found, self._platform or self._puller.host)
            document = await self._repository.manifest(entry.digest)
            found = parse_manifest(document.raw, document.media_type or entry.media_type)
        if not isinstance(found, Manifest):
            raise Internal("too many manifest lists within each other")
        check_manifest(found)
        here = self._puller.here(found.config.digest)
        image = here or await self._configuration(found)
        if self._platform is not None and not listed and not self._fits(image):
            actual = show_platform(Platform(image.os, image.architecture, image.variant))
            raise NotFound(
                f"image with reference {self._reference} was found but does not match the specified platform:"
                f" wanted {show_platform(self._platform)}, actual: {actual}"
            )
        if here is not None:
            return here
        return await self._puller.take(self._board, self._repository, found, image, self._reference.registry)

    async def _configuration(self, manifest: Manifest) -> Image:
        """The image as its configuration tells it. Raises: Internal when that does not fit the manifest."""
        image = parse_image(await self._repository.document(manifest.config, DOCUMENT_MOST))
        if image.os not in ("", "linux"):
            raise Internal(f'cannot download image with operating system "{image.os}" when requesting "linux"')
        if len(image.diff_ids) != len(manifest.layers):
            raise Internal("layers from manifest don't match image configuration")
        for diff_id in image.diff_ids:
            if not check_digest(diff_id).startswith("sha256:"):
                raise Internal("unsupported digest algorithm")
        return image


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of `work` at once; when one fails the others are cancelled and waited for. Raises: what failed first."""
    tasks = [asyncio.ensure_future(one) for one in work]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        if not task.cancelled():
            task.result()
