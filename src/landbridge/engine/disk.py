"""How much disk everything takes: the source of ``docker system df``."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from landbridge.engine.contents import Contents, Sizes
from landbridge.engine.state import State
from landbridge.engine.volumes import Usage, Volumes
from landbridge.images.images import Images
from landbridge.model.container import Container
from landbridge.model.image import ImageView


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUsage:
    """`shared` bytes of the image are in other images, too; `containers` stand on it."""

    view: ImageView
    shared: int
    containers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """`layers` is the size of all layers, each counted once; `volumes` by name."""

    layers: int
    images: tuple[ImageUsage, ...]
    containers: tuple[tuple[Container, Sizes], ...]
    volumes: Mapping[str, Usage]


class Disk:
    """Measures; reads every container's and volume's directory."""

    def __init__(self, state: State, images: Images, volumes: Volumes, contents: Contents) -> None:
        self.state = state
        self.images = images
        self.volumes = volumes
        self.contents = contents

    async def usage(self) -> DiskUsage:
        layers, images = self.image_usage()
        containers = [
            (one, await self.contents.sizes(one))
            for one in sorted(self.state.containers, key=lambda one: one.created, reverse=True)
        ]
        return DiskUsage(
            layers=layers, images=images, containers=tuple(containers), volumes=await self.volumes.usage()
        )

    def image_usage(self) -> tuple[int, tuple[ImageUsage, ...]]:
        """The size of all layers, and every image's share."""
        views = self.images.list(intermediate=True)
        # A layer is the same only above the same layers (Docker: chain ids).
        chains = {
            view.image.id: [
                (view.image.diff_ids[: depth + 1], layer.size)
                for depth, layer in enumerate(self.images.layers(view.image))
            ]
            for view in views
        }
        users = Counter(chain for layers in chains.values() for chain, _ in layers)
        standing = Counter(one.image for one in self.state.containers)
        usage = tuple(
            ImageUsage(
                view=view, containers=standing[view.image.id],
                shared=sum(size for chain, size in chains[view.image.id] if users[chain] > 1),
            )
            for view in views
        )
        sizes = {chain: size for layers in chains.values() for chain, size in layers}
        return sum(sizes.values()), usage
