"""Volumes of the driver ``local``: records, the directories behind them, and who uses them.

A volume is in use while any container's record names it; it is *held* while a container with it is being
started or runs. Options of the driver (tmpfs, nfs, bind) are mounted for the first holder and unmounted after
the last. Records change in the event loop's thread only; what may take long on disk runs on a worker thread.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from landbridge.engine.effects import Files
from landbridge.engine.effects_volumes import VolumeDisk
from landbridge.engine.events import Events
from landbridge.engine.locks import Locks
from landbridge.engine.mountplan import MountPlan, named_volumes
from landbridge.engine.state import State
from landbridge.engine.tables import Table
from landbridge.engine.volume_filters import read_list_filters, read_prune_filters
from landbridge.errors import Conflict, Invalid, LandbridgeError, NotFound
from landbridge.model import ids
from landbridge.model.container import Container, MountPoint
from landbridge.model.filters import Filters
from landbridge.model.volume import ANONYMOUS_LABEL, LOCAL, Volume, VolumeRequest, check_volume_name

Blocking = Callable[..., Awaitable[object]]
Push = Callable[[Callable[[], Awaitable[None]]], None]

_MANDATORY = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """`size` in bytes, `references` how many containers name the volume."""

    size: int
    references: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Names of the removed volumes and the bytes they held."""

    names: tuple[str, ...]
    reclaimed: int


class Volumes:
    """`root` is the directory of all volumes; `blocking` runs a call on a worker thread."""

    def __init__(
        self, *, state: State, events: Events, files: Files, disk: VolumeDisk, blocking: Blocking, root: str
    ) -> None:
        self.state = state
        self.events = events
        self.files = files
        self.disk = disk
        self.blocking = blocking
        self.root = root
        self.table: Table[Volume] = Table(state.store, "volume", Volume, lambda volume: volume.name)
        self._locks = Locks()
        self._holders: dict[str, set[str]] = defaultdict(set)
        for container in state.containers:
            if container.state.running:
                for name in _names(container):
                    self._holders[name].add(container.id)

    # Records.

    def create(self, request: VolumeRequest) -> Volume:
        """A volume; the one that has the name already, whatever its options, else a new one (as Docker).

        Raises: Invalid (name, options), NotFound (driver); both begin with ``create NAME:``.
        """
        name = request.name or ids.new_id()
        try:
            if request.driver not in ("", LOCAL):
                raise NotFound(
                    f'error looking up volume plugin {request.driver}: plugin "{request.driver}" not found'
                )
            existing = self.table.get(name)
            if existing is not None:
                return existing
            check_volume_name(name)
            check_options(request.options or {})
        except LandbridgeError as error:
            raise type(error)(f"create {name}: {error.message}") from error
        labels = request.labels
        if not request.name:
            labels = {**(labels or {}), ANONYMOUS_LABEL: ""}
        volume = Volume(
            name=name, mountpoint=f"{self.root}/{name}/_data", created=time.time_ns(),
            labels=labels, options=request.options,
        )
        # The directory first: a crash between the two leaves an empty volume, never a record without a place.
        self.disk.make(volume.mountpoint)
        self.table.put(volume)
        self.events.emit("volume", "create", name, {"driver": LOCAL})
        return volume

    def get(self, name: str) -> Volume:
        """Raises: NotFound."""
        volume = self.table.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def list(self, filters: Filters) -> tuple[Volume, ...]:
        """Sorted by name. Filters: dangling, driver, label, name. Raises: Invalid."""
        wanted = read_list_filters(filters)
        found = [volume for volume in self.table if wanted.accepts(volume)]
        if wanted.dangling is not None:
            used = self._users()
            found = [volume for volume in found if (volume.name not in used) is wanted.dangling]
        return tuple(sorted(found, key=lambda volume: volume.name))

    def users(self, name: str) -> tuple[str, ...]:
        """Ids of the containers, running or not, that have the volume."""
        return tuple(self._users().get(name, ()))

    def _users(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for container in self.state.containers:
            for name in _names(container):
                found[name].append(container.id)
        return found

    # Removal.

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and its content.

        Raises: NotFound unless `force`, Conflict when a container has it.
        """
        if force and name not in self.table:
            return
        self.get(name)
        users = self.users(name)
        if users or self._holders.get(name):
            everyone = users or tuple(self._holders[name])
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(everyone)}]")
        await self._destroy(name)

    async def _destroy(self, name: str) -> None:
        # Up to the event without an await since the caller's check: no container can take the volume meanwhile, and
        # whoever makes one of this name while the content is being removed gets an empty one.
        volume = self.table[name]
        if volume.options:
            self.disk.unmount(volume.mountpoint)
        aside = self.disk.discard(self.root, name)
        self.table.remove(name)
        self.events.emit("volume", "destroy", name, {"driver": volume.driver})
        await self.blocking(self.files.remove_tree, aside)

    async def remove_anonymous(self, container: Container) -> None:
        """The volumes a removed container had for itself, unless another one has them too."""
        named = named_volumes(container.host)
        for name in _names(container):
            volume = self.table.get(name)
            if volume is not None and volume.anonymous and name not in named and not self.users(name):
                await self._destroy(name)

    async def prune(self, filters: Filters) -> Pruned:
        """Remove unused volumes: anonymous ones, with ``all`` every one. Raises: Invalid."""
        wanted = read_prune_filters(filters)
        removed: list[str] = []
        reclaimed = 0
        used = self._users()
        for volume in self.table:
            if not wanted.accepts(volume) or volume.name in used or self._holders.get(volume.name):
                continue
            size = await self.blocking(self.files.size, volume.mountpoint)
            assert isinstance(size, int)
            if volume.name in self.table and not self.users(volume.name):
                await self._destroy(volume.name)
                removed.append(volume.name)
                reclaimed += size
        self.events.emit("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return Pruned(names=tuple(removed), reclaimed=reclaimed)

    async def usage(self) -> Mapping[str, Usage]:
        """Size and references of every volume; reads all of their directories."""
        users = self._users()
        found: dict[str, Usage] = {}
        for volume in self.table:
            size = await self.blocking(self.files.size, volume.mountpoint)
            assert isinstance(size, int)
            found[volume.name] = Usage(size=size, references=len(users.get(volume.name, ())))
        return found

    async def recover(self) -> None:
        """At boot: finish what a crash cut short, and take up directories that have no record.

        Content is the user's: a directory nobody knows (another engine's, a lost database) becomes a volume and
        is never removed for that.
        """
        for path in self.disk.discarded(self.root):
            await self.blocking(self.files.remove_tree, path)
        for name, changed in self.disk.found(self.root).items():
            if name not in self.table:
                self.table.put(Volume(name=name, mountpoint=f"{self.root}/{name}/_data", created=changed))
        for volume in self.table:
            self.disk.make(volume.mountpoint)
            if volume.options and not self._holders.get(volume.name):
                await self.blocking(self.disk.unmount, volume.mountpoint)

    # What containers need.

    def source_exists(self, path: str) -> bool:
        """For `mountplan.plan`."""
        return self.disk.exists(path)

    async def realise(self, container: str, planned: MountPlan, push: Push) -> tuple[MountPoint, ...]:
        """Make the volumes a new container needs; its mounts with their paths.

        Volumes made here are taken back when the creation fails. Raises: Invalid, NotFound.
        """
        points: list[MountPoint] = []
        for point in planned.points:
            request = planned.wanted.get(point.destination)
            if request is not None:
                known = request.name in self.table
                volume = self.create(request)
                if not known:
                    push(_later(self._unmake, volume.name))
                mode = point.mode or ("" if point.destination in planned.plain else "z")
                point = replace(
                    point, name=volume.name, driver=volume.driver, source=volume.mountpoint, mode=mode
                )
            points.append(point)
        return tuple(points)

    async def _unmake(self, name: str) -> None:
        if name in self.table and not self.users(name) and not self._holders.get(name):
            await self._destroy(name)

    async def acquire(self, container: Container) -> None:
        """Before the process: volumes are mounted, missing bind sources made.

        Raises: NotFound (volume gone), Invalid (source gone), Internal (the kernel's refusal).
        """
        for point in container.mounts:
            if point.type == "volume":
                await self._hold(self.get(point.name), container.id)
                if point.subpath:
                    target = self._beneath(container.id, point)
                    await self.blocking(self.disk.bind_beneath, point.source, point.subpath, target)
                self.events.emit("volume", "mount", point.name, {
                    "container": container.id, "destination": point.destination, "driver": point.driver,
                    "propagation": point.propagation, "read/write": "true" if point.rw else "false",
                })
            elif point.type == "bind":
                if point.create_source:
                    self.disk.make_source(point.source)
                elif not self.disk.exists(point.source):
                    raise Invalid(
                        f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
                    )

    async def _hold(self, volume: Volume, container: str) -> None:
        async with self._locks.holding(volume.name):
            self._holders[volume.name].add(container)
            if volume.options:
                await self.blocking(self.disk.mount, volume.mountpoint, volume.options)

    def _beneath(self, container: str, point: MountPoint) -> str:
        """Where a part of a volume is bound for a container; beside ``_data``, so it goes with the volume."""
        place = hashlib.sha256(point.destination.encode()).hexdigest()[:16]
        return f"{self.root}/{point.name}/_parts/{container}-{place}"

    def sources(self, container: Container) -> tuple[MountPoint, ...]:
        """The mounts with the paths to bind: those of `acquire` where a part of a volume is wanted."""
        return tuple(
            replace(point, source=self._beneath(container.id, point)) if point.subpath else point
            for point in container.mounts
        )

    def directories(self, container: Container) -> frozenset[str]:
        """The destinations where a directory is bound; elsewhere it is a file. Blocking; after `acquire`."""
        return frozenset(point.destination for point in self.sources(container) if self.disk.is_directory(point.source))

    async def release(self, container: Container) -> None:
        """After the process: what only this container held is unmounted. Twice is fine."""
        for point in container.mounts:
            if point.subpath:
                await self.blocking(self.disk.release_beneath, self._beneath(container.id, point))
        for name in _names(container):
            if container.id not in self._holders.get(name, ()):
                continue
            async with self._locks.holding(name):
                holders = self._holders[name]
                holders.discard(container.id)
                volume = self.table.get(name)
                if not holders:
                    del self._holders[name]
                    if volume is not None and volume.options:
                        await self.blocking(self.disk.unmount, volume.mountpoint)
            if volume is not None:
                attributes = {"container": container.id, "driver": volume.driver}
                self.events.emit("volume", "unmount", name, attributes)

    def copy_up(self, container: Container, root: str) -> None:
        """What the image has at a volume's place goes into the volume, if that is empty; at the first start only.

        Blocking; the volumes are held and `root` is the mounted root file system. Raises: Internal.
        """
        if container.state.started_at:
            return
        for point in self.sources(container):
            if point.type == "volume" and point.copy_up:
                self.disk.copy_up(root, point.destination, point.source)


def check_options(options: Mapping[str, str]) -> None:
    """Options of the local driver, as Docker checks them. Raises: Invalid."""
    for key in options:
        if key == "size":
            raise Invalid("quota size requested but no quota support")
        if key not in _MANDATORY:
            raise Invalid(f'invalid option: "{key}"')
    for key, needed in _MANDATORY.items():
        for other in needed:
            if options.get(key) and not options.get(other):
                raise Invalid(f'missing required option: "{other}"')


def _names(container: Container) -> Iterable[str]:
    """The volumes of a container, each once."""
    return dict.fromkeys(point.name for point in container.mounts if point.type == "volume")


def _later(call: Callable[[str], Awaitable[None]], name: str) -> Callable[[], Awaitable[None]]:
    return lambda: call(name)

