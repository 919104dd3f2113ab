"""``docker push``: an image's layers, its configuration, then its manifest, under a tag or under all of a repository's.

A layer the registry has is not sent: it is looked for as the blob it was seen as before, and taken over from other
repositories of the same registry where that is possible. Layers are compressed while they are sent.
"""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from landbridge.errors import Internal, LandbridgeError
from landbridge.images.feed import from_thread
from landbridge.images.parts import ImageParts
from landbridge.model.image import Image, Message, Progress, Pushed, Reference
from landbridge.model.layer import Layer
from landbridge.oci.layers import digest as digest_of
from landbridge.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    GZIPPED_LAYERS,
    Descriptor,
    render_manifest,
)
from landbridge.registry.auth import Credentials
from landbridge.registry.blob_records import BlobRecords, KnownBlob
from landbridge.registry.board import Board
from landbridge.registry.client import Connector, Registry
from landbridge.registry.errors import Refused, delay_before_retry, for_push
from landbridge.registry.pull import together
from landbridge.registry.repository import Repository
from landbridge.registry.transfers import TICK, short

_SOURCES_MOST = 4  # repositories a blob is tried to be taken over from
_LOOKED_FOR_MOST = 4  # blobs of one layer, by digest
_LEVEL = 6  # of compression; what Docker uses


class ImagePusher:
    """Pushes images, `most` layers at once."""

    def __init__(self, parts: ImageParts, connector: Connector, blobs: BlobRecords, *, most: int) -> None:
        self._records = parts.records
        self._names = parts.names
        self._shelf = parts.shelf
        self._connector = connector
        self._blobs = blobs
        self._slots = asyncio.Semaphore(most)

    def push(self, reference: Reference, credentials: Credentials) -> AsyncGenerator[Message, None]:
        """Push a tag; without one every tag of the repository.

        Raises: Internal with Docker's sentences, the first message having been told.
        """
        board = Board()
        return board.follow(lambda: self._push(board, reference, credentials))

    async def _push(self, board: Board, reference: Reference, credentials: Credentials) -> None:
        repository_name = f"{reference.registry}/{reference.repository}"
        board.post(Progress(status=f"The push refers to repository [{repository_name}]"))
        wanted = self._wanted(reference)

        async def to_registry(registry: Registry) -> None:
            for name, image in wanted:
                async with self._shelf.holding() as hold:
                    for diff_id in image.diff_ids:
                        hold(diff_id)
                    await self._push_one(board, registry, name, image)

        try:
            await self._connector.first(reference.registry, credentials, to_registry, mirrors=False)
        except LandbridgeError as error:
            raise for_push(error) from error

    def _wanted(self, reference: Reference) -> list[tuple[Reference, Image]]:
        """The names to push and what they mean. Raises: Internal with Docker's sentences."""
        found = []
        for identity, names in self._records.names_by_image().items():
            image = self._records.get(identity)
            found += [
                (name, image)
                for name in names
                if image and name.tag and (name.registry, name.repository) == (reference.registry, reference.repository)
            ]
        if not found:
            raise Internal(f"An image does not exist locally with the tag: {reference.familiar}")
        if not reference.tag:
            return sorted(found, key=lambda item: item[0].tag)
        chosen = [item for item in found if item[0].tag == reference.tag]
        if not chosen:
            raise Internal(f"tag does not exist: {reference}")
        return chosen

    async def _push_one(self, board: Board, registry: Registry, name: Reference, image: Image) -> None:
        layers = self._shelf.layers_of(image)
        different = {layer.diff_id: layer for layer in reversed(layers)}  # top first, as Docker shows them
        sources = self._sources(name, tuple(different))
        repository = Repository(registry, name.repository, "pull", "push", sources=sources)
        uploads = {
            diff_id: _Upload(self, board, repository, name.registry, layer) for diff_id, layer in different.items()
        }
        for upload in uploads.values():
            upload.tell("Preparing")
        await together(upload.run(self._slots) for upload in uploads.values())
        raw = image.raw.encode()
        config = Descriptor(DOCKER_CONFIG, digest_of(raw), len(raw))
        if await repository.has_blob(config.digest) < 0:
            await registry.again(lambda: _send_whole(repository, config.digest, raw))
        manifest = render_manifest(config, [uploads[layer.diff_id].done for layer in layers])
        await repository.put_manifest(name.tag, manifest, DOCKER_MANIFEST)
        digest = digest_of(manifest)
        self._name(replace(name, tag="", digest=digest), image)
        board.post(Progress(status=f"{name.tag}: digest: {digest} size: {len(manifest)}"))
        board.post(Pushed(name.tag, digest, len(manifest)))
        self._names.emit("push", str(name), name.familiar)

    def _sources(self, name: Reference, diff_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Other repositories of the registry that layers may be taken over from."""
        found: dict[str, None] = {}
        for diff_id in diff_ids:
            for blob in self.usable(diff_id, name.registry):
                if blob.repository != name.repository:
                    found[blob.repository] = None
        return tuple(found)[:_SOURCES_MOST]

    def _name(self, by_digest: Reference, image: Image) -> None:
        if self._records.is_visible(image.id):  # it may have been removed meanwhile
            self._records.set_name(by_digest, image.id, self._records.last_tagged(image.id))

    # For `_Upload`.

    def usable(self, diff_id: str, registry: str) -> tuple[KnownBlob, ...]:
        """Blobs at `registry` a schema 2 manifest may name for a layer."""
        return tuple(
            blob for blob in self._blobs.of(diff_id) if blob.registry == registry and blob.media_type in GZIPPED_LAYERS
        )

    def remember(self, diff_id: str, blob: KnownBlob) -> None:
        self._blobs.add(diff_id, blob)

    def forget(self, diff_id: str, blob: KnownBlob) -> None:
        self._blobs.drop(diff_id, blob)

    def archive(self, layer: Layer) -> Iterator[bytes]:
        """The layer's plain tar. Blocking."""
        return self._shelf.archive(layer)


class _Upload:
    """One layer on its way into one repository. `done` is what the manifest says of it, after `run`."""

    def __init__(self, pusher: ImagePusher, board: Board, repository: Repository, registry: str, layer: Layer) -> None:
        self._pusher = pusher
        self._board = board
        self._repository = repository
        self._registry = registry
        self._layer = layer
        self.done = Descriptor(DOCKER_LAYER, "", 0)

    def tell(self, status: str, current: int = -1, total: int = -1) -> None:
        self._board.post(Progress(id=short(self._layer.diff_id), status=status, current=current, total=total))

    async def run(self, slots: asyncio.Semaphore) -> None:
        """Raises: Refused, AuthFailed, Unavailable, Internal."""
        if slots.locked():
            self.tell("Waiting")
        async with slots:
            failures = 0
            while True:
                try:
                    await self._once()
                    return
                except LandbridgeError as error:
                    failures += 1
                    delay = delay_before_retry(error, failures)
                    if delay is None:
                        raise
                shown = max(1, round(delay))
                self.tell(f"Retrying in {shown} second{'s' if shown != 1 else ''}")
                await self._repository.registry.sleep(delay)

    async def _once(self) -> None:
        known = self._pusher.usable(self._layer.diff_id, self._registry)
        for digest in tuple(dict.fromkeys(one.digest for one in known))[:_LOOKED_FOR_MOST]:
            size = await self._repository.has_blob(digest)
            for blob in known:
                if blob.digest == digest and size >= 0:
                    self._finish(replace(blob, size=size or blob.size), "Layer already exists")
                    return
                if blob.digest == digest and blob.repository == self._repository.name:
                    self._pusher.forget(self._layer.diff_id, blob)
        address = ""
        elsewhere = [one for one in known if one.repository != self._repository.name]
        for blob in elsewhere[:_SOURCES_MOST]:
            if address:
                await self._repository.cancel_upload(address)
            address = await self._mount(blob)
            if not address:
                self._finish(blob, f"Mounted from {blob.repository}")
                return
        await self._send(address or await self._repository.begin_upload())

    async def _mount(self, blob: KnownBlob) -> str:
        try:
            return await self._repository.mount(blob.digest, blob.repository)
        except Refused:
            return await self._repository.begin_upload()  # not allowed to read there: no reason to fail

    async def _send(self, address: str) -> None:
        packed = _Packed(self._pusher.archive(self._layer), self._layer)
        sending = asyncio.ensure_future(self._stream(address, packed))
        try:
            shown = -1
            while not (await asyncio.wait({sending}, timeout=TICK))[0]:
                if packed.taken != shown:
                    shown = packed.taken
                    self.tell("Pushing", shown, self._layer.archive_size)
        finally:
            sending.cancel()  # nothing when it is done
            await asyncio.wait({sending})
        sending.result()
        self.tell("Pushing", self._layer.archive_size, self._layer.archive_size)
        blob = KnownBlob(self._registry, self._repository.name, packed.digest, packed.size, DOCKER_LAYER)
        self._finish(blob, "Pushed")

    async def _stream(self, address: str, packed: "_Packed") -> None:
        try:
            async with aclosing(from_thread(lambda: iter(packed))) as chunks:
                address = await self._repository.upload(address, chunks)
            await self._repository.finish_upload(address, packed.digest)
        except BaseException:
            await asyncio.shield(self._repository.cancel_upload(address))
            raise

    def _finish(self, blob: KnownBlob, status: str) -> None:
        here = replace(blob, repository=self._repository.name)
        self._pusher.remember(self._layer.diff_id, here)
        self.done = Descriptor(DOCKER_LAYER, blob.digest, blob.size)
        self.tell(status)


class _Packed:
    """A layer's archive, compressed as it is read: `taken` bytes so far, and what came out of them.

    Iterating blocks. Raises: Internal at the end when the archive is not what it was.
    """

    def __init__(self, archive: Iterator[bytes], layer: Layer) -> None:
        self._archive = archive
        self._layer = layer
        self._out = hashlib.sha256()
        self.taken = 0
        self.size = 0

    @property
    def digest(self) -> str:
        """Of the compressed stream so far."""
        return "sha256:" + self._out.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        plain = hashlib.sha256()
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
        try:
            for chunk in self._archive:
                plain.update(chunk)
                self.taken += len(chunk)
                yield from self._put(packer.compress(chunk))
        except OSError as error:
            raise Internal(f"layer {self._layer.diff_id} is damaged: {error}") from error
        if f"sha256:{plain.hexdigest()}" != self._layer.diff_id:
            raise Internal(f"layer {self._layer.diff_id} is damaged: its files have changed since it was unpacked")
        yield from self._put(packer.flush())

    def _put(self, data: bytes) -> Iterator[bytes]:
        if data:
            self._out.update(data)
            self.size += len(data)
            yield data


async def _send_whole(repository: Repository, digest: str, data: bytes) -> None:
    await repository.finish_upload(await repository.begin_upload(), digest, data)
