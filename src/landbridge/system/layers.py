"""The layers on disk: ``<root>/<name>/`` is an overlayfs lower directory, ``<root>/<name>.split`` its archive's rest.

A layer is made in ``<root>/.new-…`` and renamed when it is complete and on disk, so a name without a dot is
always a whole layer. Names are short because overlayfs takes all lower directories in one page of options.
What is not in the engine's records after a crash is removed by `sweep`. Blocking: call from a worker thread.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from landbridge.errors import Internal
from landbridge.model.layer import Change, Layer, Member, Placement
from landbridge.system.archives import SpooledArchive, spool
from landbridge.system.beneath import sync_filesystem
from landbridge.system.inflate import Hashed, Source, inflate
from landbridge.system.overlay_diff import changes
from landbridge.system.pack import Rename, pack_diff, pack_tree
from landbridge.system.split import SplitWriter, join
from landbridge.system.tar_stream import TarStream
from landbridge.system.unpack import Unpacker

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class StagedLayer:
    """A layer unpacked but not kept. Leaving the context without `keep` removes it.

    `diff_id` is the digest of the plain archive, `blob` that of the stream as it came, `length` its bytes.
    """

    def __init__(self, root: Path, work: Path) -> None:
        self._root = root
        self._work = work
        self.diff_id = self.blob = ""
        self.length = self.size = self.archive_size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def fill(self, chunks: Iterable[bytes], place: Callable[[Member], Placement]) -> None:
        """Unpack `chunks`. Raises: Internal (damaged or hostile archive, with Docker's text)."""
        blob = Hashed(chunks)
        plain = Hashed(inflate(blob))
        layer = self._work / "layer"
        layer.mkdir(mode=0o755)
        layer.chmod(0o755)
        fd = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with (self._work / "split").open("wb") as file:
                split = SplitWriter(file)
                unpacker = Unpacker(fd, TarStream(Source(plain), split.raw), split)
                unpacker.run(place)
                split.finish()
        finally:
            os.close(fd)
        self.diff_id, self.archive_size = plain.digest, plain.size
        self.blob, self.length, self.size = blob.digest, blob.size, unpacker.size

    def keep(self) -> Layer:
        """Give the layer its name, after all of it is on disk."""
        name = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_filesystem(root)
            os.rename(self._work / "split", self._root / f"{name}.split")
            os.rename(self._work / "layer", self._root / name)
            os.fsync(root)
        finally:
            os.close(root)
        self.drop()
        return Layer(self.diff_id, name, self.size, self.archive_size)

    def drop(self) -> None:
        """Remove what is not kept. Twice is fine."""
        shutil.rmtree(self._work, ignore_errors=True)  # whatever stays begins with a dot and goes with the next sweep


class LayerStore:
    """The layers below `root`, which is made when missing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o710)

    def __repr__(self) -> str:
        return f"<LayerStore {self._root}: {sum('.' not in name for name in os.listdir(self._root))} layers>"

    def stage(self, chunks: Iterable[bytes], place: Callable[[Member], Placement]) -> StagedLayer:
        """Unpack an archive, plain or compressed, and return it staged: compare digests, then `keep` it.

        Raises: Internal with nothing left behind when the archive is damaged, hostile or cannot be unpacked.
        """
        work = self._root / f".new-{secrets.token_hex(8)}"
        work.mkdir(mode=0o700)
        staged = StagedLayer(self._root, work)
        try:
            staged.fill(chunks, place)
        except OSError as error:
            staged.drop()
            raise Internal(f"cannot unpack the layer: {error}") from error
        except BaseException:
            staged.drop()
            raise
        return staged

    def spool(self, chunks: Iterable[bytes]) -> SpooledArchive:
        """Hold a whole archive on disk to read it by member name; `close` it afterwards.

        Raises: Internal when it is damaged.
        """
        return spool(chunks, self._root)

    def path(self, directory: str) -> str:
        """The absolute path of a layer's lower directory."""
        return str(self._root / directory)

    def archive(self, directory: str) -> Iterator[bytes]:
        """The plain tar the layer came as, in chunks; the caller checks its digest.

        Raises: OSError when the layer is not as it was unpacked.
        """
        return join(self._root / f"{directory}.split", self._root / directory)

    def pack_diff(self, upper: str, whiteout: Rename, opaque: Rename) -> Iterator[bytes]:
        """The layer archive of an overlay upper directory; see `pack`."""
        return pack_diff(upper, whiteout, opaque)

    def export(self, root: str) -> Iterator[bytes]:
        """The archive of a whole root filesystem (``docker export``)."""
        return pack_tree(root)

    def changes(self, upper: str, lowers: Sequence[str]) -> tuple[Change, ...]:
        """What an overlay upper directory changes against `lowers`, top first (``docker diff``)."""
        return changes(upper, lowers)

    def remove(self, directory: str) -> None:
        """Remove a layer. Twice is fine."""
        gone = self._root / f".old-{directory}"
        try:
            os.rename(self._root / directory, gone)
        except FileNotFoundError:
            pass  # removed before; the rest below may still be there
        shutil.rmtree(gone, ignore_errors=True)
        (self._root / f"{directory}.split").unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> tuple[str, ...]:
        """Remove whatever is not a layer in `known`; returns the names removed. For start-up only."""
        removed = []
        for name in sorted(os.listdir(self._root)):
            if name.removesuffix(".split") in known:
                continue
            path = self._root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            removed.append(name)
        return tuple(removed)
