"""What an image layer is made of: members of a tar archive, where they go, and the layer as stored.

Values only. `system.tar_stream` reads members, `oci.layers` decides where they go, `system.unpack` puts
them there. Names are text decoded as UTF-8 with surrogateescape, so any file name survives.
"""

from dataclasses import dataclass
from typing import Literal

WHITEOUT = ".wh."
OPAQUE_MARK = ".wh..wh..opq"
OPAQUE_XATTR = "trusted.overlay.opaque"
XATTR_PAX = "SCHILY.xattr."

Compression = Literal["", "gzip", "bzip2", "xz", "zstd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of a tar archive.

    `type` is the type flag of POSIX ustar as one character ("0" file, "1" hard link, "2" symlink, "3" char,
    "4" block, "5" directory, "6" fifo, "g" global header). `size` is the size of the file made,
    `stored` the bytes its payload takes in the archive; they differ only for sparse files, whose data
    areas are `sparse` as (offset, length). Times are nanoseconds since the epoch.
    """

    name: str
    type: str = "0"
    size: int = 0
    stored: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    atime_ns: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    sparse: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a member goes. `path` has no leading slash and no ``.`` or ``..``; symlinks in it are
    still to be resolved inside the layer. `xattrs` are those that may be set."""

    action: Literal["make", "whiteout", "opaque", "skip"]
    path: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in the store: `directory` is its name there, `size` the sum of its files' sizes, `archive_size`
    the length of the plain tar whose digest is `diff_id`."""

    diff_id: str
    directory: str
    size: int
    archive_size: int


@dataclass(frozen=True, slots=True)
class Change:
    """One line of ``docker diff``: `kind` is A, C or D."""

    kind: Literal["A", "C", "D"]
    path: str
