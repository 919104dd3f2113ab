"""``docker rmi`` and ``docker image prune``: what may go, what goes with it, and Docker's words when it may not.

Rules, as in Docker: a name goes first; the image goes with its last name. Running containers and images made from this
one forbid it whatever is asked; stopped containers and names in several repositories forbid it unless forced.
An image forced away under a container is hidden, not gone: its layers stay until `Images.release`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.errors import Conflict, LandbridgeError, NotFound
from landbridge.images.effects import Users
from landbridge.images.filters import Wanted
from landbridge.images.names import ImageNames
from landbridge.images.records import ImageRecords
from landbridge.model.ids import short
from landbridge.model.image import Image, Reference, Removed
from landbridge.model.reference import parse, tagged
from landbridge.oci.layers import chain_ids


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why an image may not go. `hard`: force does not help; `used`: a container stands on it."""

    why: str
    hard: bool = False
    used: bool = False


class ImageRemover:
    """Changes records only; the caller collects layers afterwards."""

    def __init__(self, records: ImageRecords, names: ImageNames, in_use: Users) -> None:
        self._records = records
        self._names = names
        self._in_use = in_use

    def remove(self, text: str, *, force: bool = False, noprune: bool = False) -> tuple[Removed, ...]:
        """Remove the name or image `text`; parents nobody needs go too unless `noprune`.

        Raises: Invalid, NotFound, Conflict.
        """
        image = self._names.resolve(text)
        gone: list[Removed] = []
        by_name = not _is_id(image.id, text)
        if by_name:
            if not self._remove_name(image, text, gone, force=force):
                return tuple(gone)
        else:
            names = self._records.names_of(image.id)
            if _one_repository(names):
                obstacle = self._obstacle(image.id, force=force, names_matter=False)
                if obstacle:
                    raise _conflict(image.id, obstacle)
                for name in names:
                    self._untag(image.id, name, gone)
        self._delete(image, gone, force=force, prune=not noprune, quiet=by_name)
        return tuple(gone)

    def _remove_name(self, image: Image, text: str, gone: list[Removed], *, force: bool) -> bool:
        """Take the name away; True when the image now has none and may go itself."""
        users = self._in_use(image.id)
        if not force and users and _one_repository(self._records.names_of(image.id)):
            raise Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - container'
                f" {short(users[0].container)} is using its referenced image {_short_id(image.id)}"
            )
        name = parse(text)
        name = Reference(name.registry, name.repository, "", name.digest) if name.digest else tagged(name)
        self._untag(image.id, name, gone)
        left = self._records.names_of(image.id)
        if not name.digest and not any(other.tag and _same_repository(other, name) for other in left):
            for other in left:  # digests of a repository go with its last tag
                if _same_repository(other, name):
                    self._untag(image.id, other, gone)
        return not self._records.names_of(image.id)

    def _untag(self, identity: str, name: Reference, gone: list[Removed]) -> None:
        self._records.drop_name(name)
        gone.append(Removed("Untagged", str(name)))
        self._names.emit("untag", identity, identity)

    def _delete(self, image: Image, gone: list[Removed], *, force: bool, prune: bool, quiet: bool) -> None:
        obstacle = self._obstacle(image.id, force=force)
        if obstacle:
            # A name was taken, which is what was asked for; that the image stays is said only when nothing shows it.
            needed = self._has_children(image.id) or bool(self._records.names_of(image.id))
            if quiet and (needed or obstacle.used):
                return
            raise _conflict(image.id, obstacle)
        for name in self._records.names_of(image.id):
            self._untag(image.id, name, gone)
        if self._in_use(image.id):
            self._records.hide(image.id)
        else:
            self._records.remove(image.id)
        self._names.emit("delete", image.id, image.id)
        gone.append(Removed("Deleted", image.id))
        gone.extend(Removed("Deleted", chain) for chain in self._unshared_chains(image))
        parent = self._records.get(image.parent) if self._records.is_visible(image.parent) else None
        if prune and parent is not None:
            try:
                self._delete(parent, gone, force=False, prune=True, quiet=True)
            except Conflict:
                return  # the parent is needed otherwise: pruning stops there

    def _unshared_chains(self, image: Image) -> list[str]:
        """Chain ids no image is made of any more, top first: the layers that go."""
        kept = {chain for other in self._records.every() for chain in chain_ids(other.diff_ids)}
        return [chain for chain in reversed(chain_ids(image.diff_ids)) if chain not in kept]

    def _obstacle(self, identity: str, *, force: bool, names_matter: bool = True) -> _Obstacle | None:
        if self._has_children(identity):
            return _Obstacle("image has dependent child images", hard=True)
        users = self._in_use(identity)
        running = next((user for user in users if user.running), None)
        if running:
            why = f"image is being used by running container {short(running.container)}"
            return _Obstacle(why, hard=True, used=True)
        if force:
            return None
        if names_matter and self._records.names_of(identity):
            return _Obstacle("image is referenced in multiple repositories")
        if users:
            return _Obstacle(f"image is being used by stopped container {short(users[0].container)}", used=True)
        return None

    def _has_children(self, identity: str) -> bool:
        return any(image.parent == identity for image in self._records.visible())

    def prune(self, wanted: Wanted) -> tuple[Removed, ...]:
        """Remove images without names, or with ``dangling=false`` all that no container stands on."""
        gone: list[Removed] = []
        parents = {image.parent for image in self._records.visible()}
        for image in self._records.visible():
            names = self._records.names_of(image.id)
            if not wanted.accepts(image) or (not names and image.id in parents):
                continue
            if not names:
                self._try(image.id.removeprefix("sha256:"), gone)
            elif wanted.dangling is False or not any(name.tag for name in names):
                for name in names:
                    self._try(str(name), gone)
        return tuple(gone)

    def _try(self, text: str, gone: list[Removed]) -> None:
        try:
            gone.extend(self.remove(text))
        except (Conflict, NotFound):
            return  # in use, or already gone with another one: not for prune


def _is_id(identity: str, text: str) -> bool:
    return identity.startswith(text) or identity.removeprefix("sha256:").startswith(text)


def _short_id(identity: str) -> str:
    return short(identity.removeprefix("sha256:"))


def _same_repository(one: Reference, other: Reference) -> bool:
    return (one.registry, one.repository) == (other.registry, other.repository)


def _one_repository(names: Sequence[Reference]) -> bool:
    """At most one tag, and digests only of its repository."""
    if len(names) <= 1:
        return True
    return sum(bool(name.tag) for name in names) <= 1 and all(_same_repository(name, names[0]) for name in names)


def _conflict(identity: str, obstacle: _Obstacle) -> LandbridgeError:
    how = "cannot be forced" if obstacle.hard else "must be forced"
    return Conflict(f"conflict: unable to delete {_short_id(identity)} ({how}) - {obstacle.why}")
