"""What containers hold: changes, export, sizes, images made of them (``diff``, ``export``, ``ps -s``, ``commit``)."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from landbridge.engine.apply import Apply
from landbridge.engine.effects_usage import Trees
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.state import State
from landbridge.errors import Conflict, NotFound
from landbridge.images.feed import from_thread
from landbridge.images.images import Images
from landbridge.images.make import Commit
from landbridge.model.config import Config
from landbridge.model.container import Container, Phase
from landbridge.model.image import Image
from landbridge.model.layer import Change

_MOUNT_POINTS = frozenset({"/dev", "/proc", "/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes a container wrote, and those of everything it sees."""

    written: int
    whole: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """``POST /commit`` after parsing; `config` None keeps the container's."""

    container: str
    repo: str = ""
    tag: str = ""
    author: str = ""
    comment: str = ""
    pause: bool = True
    changes: Sequence[str] = ()
    config: Config | None = None


class Contents:
    """Reads the root file systems of containers, running or not."""

    def __init__(self, state: State, lifecycle: Lifecycle, images: Images, apply: Apply, trees: Trees) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.images = images
        self.apply = apply
        self._trees = trees

    def upper(self, container: str) -> str:
        """The directory of what the container wrote."""
        return f"{self.lifecycle.launch.settings.data_root}/overlay/{container}/diff"

    def lowers(self, container: Container) -> tuple[str, ...]:
        """The layers of its image, top first; empty when even the record of the image is gone."""
        try:
            return self.images.lower_dirs(self.images.get(container.image))
        except NotFound:
            return ()

    async def changes(self, text: str) -> tuple[Change, ...]:
        """Against the image. Raises: NotFound."""
        container = self.state.container(text)
        found = await self.apply.blocking(self._trees.changes, self.upper(container.id), self.lowers(container))
        assert isinstance(found, tuple)
        return own_changes(found)

    async def sizes(self, container: Container) -> Sizes:
        """Reads everything the container wrote."""
        written = await self.apply.blocking(self._trees.size, self.upper(container.id))
        assert isinstance(written, int)
        return Sizes(written, written + self._image_size(container))

    def _image_size(self, container: Container) -> int:
        try:
            return self.images.get(container.image).size
        except NotFound:
            return 0

    def export(self, text: str) -> AsyncGenerator[bytes, None]:
        """The archive of a container's root as it is now. Raises: NotFound at once, Conflict when it is dead."""
        container = self.state.container(text)
        if container.state.phase in (Phase.DEAD, Phase.REMOVING):
            raise Conflict(f"You cannot export container {container.id} which is Dead")
        return self._export(container)

    async def _export(self, container: Container) -> AsyncGenerator[bytes, None]:
        chunks = await self._opened(container)
        async with aclosing(from_thread(lambda: chunks)) as packed:
            async for chunk in packed:
                yield chunk
        self.lifecycle.emit("export", container)

    async def _opened(self, container: Container) -> Iterator[bytes]:
        """The packed root, opened under the container's lock; a stopped one's is mounted for that moment only."""
        roots = self.lifecycle.launch.roots
        async with self.lifecycle.locks.holding(container.id):
            root = await self.apply.blocking(roots.mount, container.id, self.lowers(container))
            assert isinstance(root, str)
            try:
                chunks = await self.apply.blocking(self._trees.pack, root)
            finally:
                if not self.state.containers[container.id].state.running:
                    await self.apply.blocking(roots.unmount, container.id)
        assert isinstance(chunks, Iterator)
        return chunks

    async def commit(self, request: CommitRequest) -> str:
        """An image of a container as it is now; the new image's id. Raises: NotFound, Conflict, Invalid."""
        container = self.state.container(request.container)
        if container.state.phase in (Phase.DEAD, Phase.REMOVING):
            raise Conflict(f"You cannot commit container {container.id} which is {container.state.phase.value.title()}")
        paused = request.pause and container.state.phase is Phase.RUNNING and await self._pause(container)
        try:
            identity = await self.images.commit(
                Commit(
                    upper=self.upper(container.id), parent=self._parent(container), config=container.config,
                    container=container.id, created_by=" ".join((container.path, *container.args)),
                    author=request.author, comment=request.comment,
                ),
                repo=request.repo, tag=request.tag, changes=request.changes, config=request.config,
            )
            reference = f"{request.repo}:{request.tag}" if request.tag else request.repo
            self.lifecycle.emit("commit", container, comment=request.comment, imageID=identity, imageRef=reference)
            return identity
        finally:
            if paused:
                with suppress(Conflict):  # its process may have been at its end when it froze
                    await self.lifecycle.unpause(container.id)

    async def _pause(self, container: Container) -> bool:
        """Freeze it for a copy; false when it ended first, which is as still."""
        try:
            await self.lifecycle.pause(container.id)
        except Conflict:
            return False
        return True

    def _parent(self, container: Container) -> Image | None:
        try:
            return self.images.get(container.image)
        except NotFound:
            return None


def own_changes(found: Sequence[Change]) -> tuple[Change, ...]:
    """Changes without the mount points the engine made for every container (Docker has them in a layer apart)."""
    kept = [one for one in found if one.kind != "A" or one.path not in _MOUNT_POINTS]
    etc = any(one.path.startswith("/etc/") for one in kept)
    return tuple(one for one in kept if etc or one.path != "/etc")
