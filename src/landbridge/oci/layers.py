"""Rules of image layers: where a tar member goes, what a whiteout means, how layers are named.

Pure. The rules are those of the OCI image specification (layer.md) as Docker applies them: a name is taken
as rooted in the layer whatever dots or slashes it begins with, so nothing is outside by its name; symlinks
are resolved by the kernel inside the layer when the member is made (`system.unpack`). Error texts are Docker's.
"""

import hashlib
from collections.abc import Iterable

from landbridge.errors import Internal
from landbridge.model.layer import OPAQUE_MARK, WHITEOUT, Member, Placement

_MADE = frozenset("0123456")
_OVERLAY_XATTRS = "trusted.overlay."


def clean(name: str) -> str:
    """`name` as a path inside the layer: ``/a/./b/../c`` and ``../a/c`` both become ``a/c``."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    return "/".join(parts)


def place(member: Member) -> Placement:
    """Decide what `member` does to the layer.

    Extended attributes of overlayfs itself are left out: they would let an image steer the mount (redirects,
    metacopy); whiteouts and opaque marks are ours to write.

    Raises: Internal (as Docker: a server error) for types that are no files and names that cannot be made.
    """
    if member.type == "g":
        return Placement("skip")
    if member.type not in _MADE:
        raise Internal(f"unhandled tar header type {ord(member.type)}")
    path = clean(member.name)
    if not path:
        if ".." in member.name.split("/"):
            raise Internal(f"{member.name!r} names the root of the layer")
        return Placement("skip")  # the root directory keeps the attributes the engine gave it
    parent, _, base = path.rpartition("/")
    if base == OPAQUE_MARK:
        return Placement("opaque", parent)
    if base.startswith(WHITEOUT):
        hidden = base.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            raise Internal(f'failed to mknod("/{parent}", S_IFCHR, 0): file exists')
        return Placement("whiteout", f"{parent}/{hidden}" if parent else hidden)
    kept = tuple((name, value) for name, value in member.xattrs if not name.startswith(_OVERLAY_XATTRS))
    return Placement("make", path, kept)


def whiteout_name(path: str) -> str:
    """The member name that says `path` is deleted: ``a/b`` becomes ``a/.wh.b``."""
    parent, slash, base = path.rpartition("/")
    return f"{parent}{slash}{WHITEOUT}{base}"


def opaque_name(path: str) -> str:
    """The member name that says directory `path` shows nothing from below."""
    return f"{path}/{OPAQUE_MARK}" if path else OPAQUE_MARK


def digest(data: bytes) -> str:
    """``sha256:…`` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first (OCI image spec, config.md: Layer ChainID)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
