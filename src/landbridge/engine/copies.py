"""``docker cp``: files in and out of containers, running or not.

A running container is looked at through its process, so that volumes and whatever it mounted itself are seen.
A stopped one's root is mounted for the occasion; a path on one of its volumes is looked up there. What lies on
a volume further down than the path asked for is not seen then.
"""

import posixpath
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace

from landbridge.engine.apply import Apply
from landbridge.engine.contents import Contents
from landbridge.engine.effects_copy import Copying, Owner
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.state import State
from landbridge.errors import Conflict, Internal, Invalid, NotFound
from landbridge.images.feed import from_thread, in_thread
from landbridge.model.container import Container, MountPoint, Phase
from landbridge.model.path import PathStat, base_name


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOptions:
    """`keep_kinds`: nothing changes between directory and file; `as_user`: files belong to its user, if it has one."""

    keep_kinds: bool = False
    as_user: bool = False


class Copies:
    """Each call holds the container's lock while its root is mounted for it."""

    def __init__(self, state: State, lifecycle: Lifecycle, contents: Contents, apply: Apply, copying: Copying) -> None:
        self.state = state
        self.lifecycle = lifecycle
        self.contents = contents
        self.apply = apply
        self._copying = copying

    async def stat(self, text: str, path: str) -> PathStat:
        """What is at a path. Raises: NotFound (container, path), Invalid."""
        container = self._container(text, path)
        async with self._root(container, path) as (root, inner):
            found = await self._said(self._copying.stat, text, path, root, inner)
        assert isinstance(found, PathStat)
        return replace(found, name=base_name(path))

    async def get(self, text: str, path: str) -> tuple[PathStat, AsyncGenerator[bytes, None]]:
        """What is at a path and its archive. Raises: as `stat`."""
        container = self._container(text, path)
        async with self._root(container, path) as (root, inner):
            found = await self._said(self._copying.stat, text, path, root, inner)
            chunks = await self._said(self._copying.get, text, path, root, inner, base_name(path))
        assert isinstance(found, PathStat) and isinstance(chunks, Iterator)
        self.lifecycle.emit("archive-path", container)
        return replace(found, name=base_name(path)), _sent(chunks)

    async def put(self, text: str, path: str, stream: AsyncIterable[bytes], options: PutOptions) -> None:
        """Unpack an archive below a directory. Raises: as `stat`; Internal (read-only, no directory, bad archive)."""
        container = self._container(text, path)
        mount = _mount_of(container, path)
        if mount is not None and not mount.rw:
            raise Internal("mounted volume is marked read-only")
        if mount is None and container.host.readonly_rootfs:
            raise Internal("container rootfs is marked read-only")
        # Received before anything is held: a slow client must not keep the container from starting.
        directory = self.lifecycle.launch.settings.data_root
        archive = await in_thread(
            stream, lambda chunks: self._copying.keep(chunks, directory), lambda kept: kept.close()
        )
        with closing(archive):
            await self._put(container, text, path, archive, options)
        self.lifecycle.emit("extract-to-dir", container)

    async def _put(
        self, container: Container, text: str, path: str, archive: Generator[bytes, None, None], options: PutOptions
    ) -> None:
        async with self._root(container, path) as (root, inner):
            # Without a user the owners the archive names stay, as in Docker.
            as_user = options.as_user and container.config.user
            owner = await self._owner(container, root) if as_user else None

            def put(root: str, inner: str) -> None:
                self._copying.put(root, inner, archive, owner=owner, keep_kinds=options.keep_kinds)

            await self._said(put, text, path, root, inner)

    def _container(self, text: str, path: str) -> Container:
        container = self.state.container(text)
        if not path:
            raise Invalid("bad parameter: path cannot be empty")
        if container.state.phase in (Phase.DEAD, Phase.REMOVING):
            raise Conflict(f"container {container.id} is {container.state.phase.value}")
        return container

    async def _said(self, call: Callable[..., object], text: str, path: str, *arguments: str) -> object:
        try:
            return await self.apply.blocking(call, *arguments)
        except NotFound:
            raise NotFound(f"Could not find the file {path} in container {text}") from None

    async def _owner(self, container: Container, root: str) -> Owner:
        machine = self.lifecycle.launch.machine
        found = await self.apply.blocking(lambda: machine.user(root, container.config.user, ()))
        return found.uid, found.gid  # type: ignore[attr-defined]

    @asynccontextmanager
    async def _root(self, container: Container, path: str) -> AsyncIterator[tuple[str, str]]:
        """(what is ``/``, the path below it). Descriptors opened meanwhile stay good afterwards."""
        roots, identity = self.lifecycle.launch.roots, container.id
        async with self.lifecycle.locks.holding(identity):
            container = self.state.containers[identity]
            if container.state.running:
                yield f"/proc/{container.state.pid}/root", path
                return
            mount = _mount_of(container, path)
            if mount is not None and mount.source:
                below = posixpath.normpath("/" + path.lstrip("/")).removeprefix(mount.destination)
                yield mount.source, (below or "/") + ("/" if path.endswith(("/", "/.")) else "")
                return
            root = await self.apply.blocking(roots.mount, identity, self.contents.lowers(container))
            assert isinstance(root, str)
            try:
                if not container.state.started_at:
                    await self.apply.blocking(self._furnish, root, container)
                yield root, path
            finally:
                await self.apply.blocking(roots.unmount, identity)

    def _furnish(self, root: str, container: Container) -> None:
        """Docker makes the working directory at create; a client that copies before the first start may count on it."""
        machine = self.lifecycle.launch.machine
        with suppress(Invalid):  # the start will say what is wrong
            machine.prepare_root(root, container, machine.user(root, "", ()))


async def _sent(chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    async with aclosing(from_thread(lambda: chunks)) as packed:
        async for chunk in packed:
            yield chunk


def _mount_of(container: Container, path: str) -> MountPoint | None:
    """The deepest mount at or above a path, by its name."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    above = [
        mount for mount in container.mounts if clean == mount.destination or clean.startswith(mount.destination + "/")
    ]
    return max(above, key=lambda mount: len(mount.destination), default=None)
