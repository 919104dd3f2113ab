"""New images: from the tar of a root filesystem (``docker import``) and from a container's changes (``commit``)."""

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, replace

from landbridge.errors import Internal
from landbridge.images.effects import Layers, Staged
from landbridge.images.feed import in_thread
from landbridge.images.layers import LayerShelf
from landbridge.images.records import ImageRecords
from landbridge.model.config import Config
from landbridge.model.image import History, Image
from landbridge.model.stamp import format_ns
from landbridge.oci.archive import Platform
from landbridge.oci.image import parse_image, render_image
from landbridge.oci.layers import opaque_name, place, whiteout_name

# The digest of an archive without members (1024 zero bytes): such a layer is left out, as Docker does.
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What ``docker commit`` is told. `upper` is the container's overlay upper directory, `parent` its image.

    `config` is the container's own.
    """

    upper: str
    parent: Image | None
    config: Config
    container: str
    created_by: str = ""
    author: str = ""
    comment: str = ""


class ImageMaker:
    """Makes the layer, writes the configuration, records the image. Naming it is the caller's."""

    def __init__(
        self,
        records: ImageRecords,
        shelf: LayerShelf,
        layers: Layers,
        *,
        platform: Platform,
        version: str,
        clock: Callable[[], int],
    ) -> None:
        self._records = records
        self._shelf = shelf
        self._layers = layers
        self._platform = platform
        self._version = version
        self._clock = clock

    async def from_archive(
        self, stream: AsyncIterable[bytes], config: Config, message: str, platform: Platform | None
    ) -> str:
        """An image of one layer; returns its id. Raises: Internal when the archive is damaged or hostile."""
        target = platform or self._platform
        created = format_ns(self._clock())
        staged = await in_thread(stream, lambda chunks: self._layers.stage(chunks, place), lambda lost: lost.drop())
        raw = render_image(
            config=config,
            diff_ids=(staged.diff_id,),
            history=(History(created=created, comment=message),),
            created=created,
            architecture=target.architecture,
            os=target.os,
            variant=target.variant,
            comment=message,
            docker_version=self._version,
        )
        return await self._keep(staged, raw)

    async def from_container(self, commit: Commit, config: Config) -> str:
        """The container's image with what the container changed on top, and `config`; returns the new image's id."""
        created = format_ns(self._clock())
        staged = await asyncio.to_thread(self._stage_upper, commit.upper)
        parent = commit.parent
        empty = staged.diff_id == EMPTY_LAYER
        line = History(
            created=created,
            created_by=commit.created_by,
            author=commit.author,
            comment=commit.comment,
            empty_layer=empty,
        )
        raw = render_image(
            config=config,
            diff_ids=(parent.diff_ids if parent else ()) + (() if empty else (staged.diff_id,)),
            history=(*(parent.history if parent else ()), line),
            created=created,
            architecture=parent.architecture if parent else self._platform.architecture,
            os=parent.os if parent else self._platform.os,
            variant=parent.variant if parent else self._platform.variant,
            author=commit.author,
            comment=commit.comment,
            container=commit.container,
            container_config=commit.config,
            docker_version=self._version,
        )
        return await self._keep(staged, raw, parent)

    def _stage_upper(self, upper: str) -> Staged:
        try:
            return self._layers.stage(self._layers.pack_diff(upper, whiteout_name, opaque_name), place)
        except OSError as error:
            raise Internal(f"cannot read the container's changes: {error}") from error

    async def _keep(self, staged: Staged, raw: bytes, parent: Image | None = None) -> str:
        image = parse_image(raw)
        async with self._shelf.holding() as hold:
            for diff_id in image.diff_ids:
                hold(diff_id)
            if staged.diff_id in image.diff_ids:
                await self._shelf.keep(staged)
            else:
                await asyncio.to_thread(staged.drop)
            size = sum(layer.size for layer in self._shelf.layers_of(image))
            # Docker calls the container's image the parent as long as it is known here.
            known = parent.id if parent and self._records.is_visible(parent.id) else ""
            self._records.put(replace(image, size=size, parent=known))
        return image.id
