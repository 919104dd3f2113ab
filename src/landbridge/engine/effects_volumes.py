"""What volumes need from the machine, as a Protocol; `system.volumes` satisfies it. All methods block."""

from collections.abc import Mapping
from typing import Protocol


class VolumeDisk(Protocol):
    """The directories of volumes and the mounts on them."""

    def make(self, path: str) -> None:
        """The directory of a new volume, root's, open to every user of the container."""
        ...

    def found(self, root: str) -> Mapping[str, int]:
        """The volumes that have a directory below `root`, with the time it was last changed (nanoseconds)."""
        ...

    def discard(self, root: str, name: str) -> str:
        """Put a volume's directory aside at once, so that the name is free; where it is now."""
        ...

    def discarded(self, root: str) -> tuple[str, ...]:
        """What `discard` put aside and nobody has removed yet."""
        ...

    def exists(self, path: str) -> bool: ...
    def is_directory(self, path: str) -> bool: ...

    def make_source(self, path: str) -> None:
        """A directory for a bind whose source is missing. Raises: Internal."""
        ...

    def mount(self, path: str, options: Mapping[str, str]) -> None:
        """Mount what the local driver's options name; mounted already is no error. Raises: Internal."""
        ...

    def unmount(self, path: str) -> None: ...

    def bind_beneath(self, volume: str, subpath: str, target: str) -> None:
        """Make what is at `subpath` in the directory `volume` visible at `target` too.

        Raises: NotFound, Invalid when a symlink leads out, Internal.
        """
        ...

    def release_beneath(self, target: str) -> None:
        """Undo `bind_beneath`; twice is no error."""
        ...

    def copy_up(self, root: str, destination: str, volume: str) -> None:
        """What `root` has at `destination` goes into the directory `volume`, if that is empty. Raises: Internal."""
        ...
