"""A path inside a container, and what is there."""

import posixpath
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """`mode` as stat(2) has it, `mtime` in nanoseconds since the epoch, `link_target` in the container's terms."""

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str = ""


def base_name(path: str) -> str:
    """The last component as Go's filepath.Base gives it, so that clients find it again; ``/.`` counts as one."""
    if path.endswith("/."):
        return "."
    return posixpath.basename(posixpath.normpath("/" + path.lstrip("/"))) or "/"
