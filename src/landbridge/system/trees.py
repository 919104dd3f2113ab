"""Directory trees of containers: compared, packed, measured."""

import os
from collections.abc import Generator, Sequence

from landbridge.model.layer import Change
from landbridge.system import overlay_diff
from landbridge.system.files import Files
from landbridge.system.pack import pack_tree


class HostTrees:
    """Satisfies `engine.effects_usage.Trees`. Blocking."""

    def changes(self, upper: str, lowers: Sequence[str]) -> tuple[Change, ...]:
        """As `overlay_diff.changes`."""
        return overlay_diff.changes(upper, lowers)

    def pack(self, root: str) -> Generator[bytes, None, None]:
        """The archive of a tree. The root is open when this returns: unmounting or renaming it does no harm then.

        Raises: OSError.
        """
        chunks = _pack(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        next(chunks)
        return chunks

    def size(self, path: str) -> int:
        """As `files.Files.size`."""
        return Files().size(path)


def _pack(fd: int) -> Generator[bytes, None, None]:
    try:
        yield b""
        yield from pack_tree(f"/proc/self/fd/{fd}/.")
    finally:
        os.close(fd)
