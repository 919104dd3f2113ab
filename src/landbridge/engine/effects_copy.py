"""What copying files in and out of containers needs from the machine, as a Protocol. Blocking."""

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

from landbridge.model.path import PathStat

Owner = tuple[int, int]


class Copying(Protocol):
    """`root` is a directory that is ``/`` to the container. NotFound carries the path only."""

    def stat(self, root: str, path: str) -> PathStat: ...
    def get(self, root: str, path: str, name: str) -> Iterator[bytes]:
        """All that is needed is open when this returns."""
        ...

    def put(
        self, root: str, path: str, chunks: Iterable[bytes], *, owner: Owner | None, keep_kinds: bool
    ) -> None: ...
    def keep(self, chunks: Iterable[bytes], directory: str) -> Generator[bytes, None, None]:
        """Everything of a stream in a nameless file, to be read once; closed by who does not."""
        ...
