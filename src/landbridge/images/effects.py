"""What the image part of the engine needs from the machine, as Protocols; `system.layers` satisfies them.

All methods block and are called from worker threads, except `path`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from landbridge.model.layer import Layer, Member, Placement

Place = Callable[[Member], Placement]
Rename = Callable[[str], str]


class Staged(Protocol):
    """An unpacked layer that is not yet kept. `blob` is the digest of the stream as it came."""

    diff_id: str
    blob: str
    length: int
    size: int

    def keep(self) -> Layer: ...
    def drop(self) -> None: ...


class Archive(Protocol):
    """A tar archive held on disk, read by member name. `close` forgets it."""

    @property
    def names(self) -> Collection[str]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str, most: int) -> bytes: ...
    def chunks(self, name: str) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Layers(Protocol):
    """The layers on disk."""

    def stage(self, chunks: Iterable[bytes], place: Place) -> Staged: ...
    def spool(self, chunks: Iterable[bytes]) -> Archive: ...
    def path(self, directory: str) -> str: ...
    def archive(self, directory: str) -> Iterator[bytes]: ...
    def remove(self, directory: str) -> None: ...
    def sweep(self, known: Collection[str]) -> tuple[str, ...]: ...
    def pack_diff(self, upper: str, whiteout: Rename, opaque: Rename) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container made from an image."""

    container: str
    running: bool


Users = Callable[[str], Sequence[ImageUser]]
EmitImage = Callable[[str, str, str], None]
"""(action, image id, name): `name` is what the event's attribute ``name`` shows."""
