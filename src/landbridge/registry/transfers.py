"""Layers on their way from registries: a few at a time, each once however many pulls want it, unpacked as they come.

A layer is unpacked while it downloads; it gets its place on the shelf only after both digests, of the stream and of
the archive in it, were right. A transfer lives as long as somebody watches it: when the last pull that wants it
is cancelled, so is the transfer, and nothing of it stays.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

from landbridge.errors import Internal
from landbridge.images.effects import Layers, Staged
from landbridge.images.feed import in_thread
from landbridge.images.layers import LayerShelf
from landbridge.model.image import Progress
from landbridge.oci.layers import place
from landbridge.oci.manifest import Descriptor
from landbridge.registry.errors import AuthFailed, Refused, WrongContent
from landbridge.registry.repository import Repository

TICK = 0.1  # seconds between two counts of one layer
TRIES = 2  # of a layer whose content was wrong: a broken line or proxy is no reason to give up at once

Show = Callable[[Progress], None]


def short(digest: str) -> str:
    """How layers are shown: twelve digits."""
    return digest.partition(":")[2][:12]


class _Transfer:
    """One layer on its way, and who watches."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.watchers: list[Show] = []
        self.last: Progress | None = None
        self.task: asyncio.Task[None]

    def tell(self, status: str, current: int = -1, total: int = -1) -> None:
        self.last = Progress(id=self.id, status=status, current=current, total=total)
        for show in self.watchers:
            show(self.last)


class _Progress:
    """How far a download and its unpacking are, in bytes of the stream."""

    def __init__(self) -> None:
        self.arrived = 0
        self.unpacked = 0

    def seen(self, count: int) -> None:
        self.arrived = count

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self.unpacked += len(chunk)


class LayerTransfers:
    """`most` layers are downloaded at once. Use from one event loop."""

    def __init__(self, shelf: LayerShelf, layers: Layers, *, most: int) -> None:
        self._shelf = shelf
        self._layers = layers
        self._slots = asyncio.Semaphore(most)
        self._transfers: dict[tuple[str, str], _Transfer] = {}

    def __repr__(self) -> str:
        return f"<LayerTransfers {len(self._transfers)} under way>"

    async def bring(self, repository: Repository, wanted: Descriptor, diff_id: str, show: Show) -> None:
        """Get a layer onto the shelf, joining a transfer of the same promise (blob and diff id). Hold `diff_id` before.

        Raises: Refused, Unavailable, WrongContent, Internal.
        """
        key = (wanted.digest, diff_id)
        transfer = self._transfers.get(key)
        if transfer is None:
            transfer = _Transfer(short(wanted.digest))
            self._transfers[key] = transfer
            transfer.task = asyncio.ensure_future(self._carry(transfer, repository, wanted, diff_id))
            transfer.task.add_done_callback(lambda _: self._forget(key, transfer))
        transfer.watchers.append(show)
        if transfer.last is not None:
            show(transfer.last)
        try:
            await asyncio.wait({transfer.task})
        finally:
            transfer.watchers.remove(show)
            if not transfer.watchers and not transfer.task.done():
                self._forget(key, transfer)  # nobody may join it any more
                transfer.task.cancel()
                await asyncio.wait({transfer.task})
        transfer.task.result()

    def _forget(self, key: tuple[str, str], transfer: _Transfer) -> None:
        if self._transfers.get(key) is transfer:
            del self._transfers[key]

    async def _carry(self, transfer: _Transfer, repository: Repository, wanted: Descriptor, diff_id: str) -> None:
        if self._slots.locked():
            transfer.tell("Waiting")
        async with self._slots:
            for tries_left in reversed(range(TRIES)):
                try:
                    staged = await self._stage(transfer, repository, wanted)
                    try:
                        _check(staged, wanted, diff_id)
                        await finished(self._shelf.keep(staged))
                    except Exception:
                        await asyncio.to_thread(staged.drop)
                        raise
                    break
                except (WrongContent, _Unpacking):
                    if not tries_left:
                        raise
        transfer.tell("Pull complete")

    async def _stage(self, transfer: _Transfer, repository: Repository, wanted: Descriptor) -> Staged:
        """The layer unpacked and not yet checked. Cancelled or failed, it leaves nothing."""
        progress = _Progress()
        made: list[Staged] = []

        def unpack(chunks: Iterator[bytes]) -> None:
            made.append(self._layers.stage(progress.counted(chunks), place))

        def waiting(seconds: float) -> None:
            shown = max(1, round(seconds))
            transfer.tell(f"Retrying in {shown} second{'s' if shown != 1 else ''}")

        try:
            async with aclosing(repository.blob(wanted, progress.seen, waiting)) as chunks:
                work = asyncio.ensure_future(in_thread(chunks, unpack))
                try:
                    await _tell(transfer, work, progress, wanted.size)
                finally:
                    work.cancel()  # nothing when it is done
                    await asyncio.wait({work})
                work.result()
        except BaseException as error:
            for staged in made:
                await asyncio.to_thread(staged.drop)
            if isinstance(error, Internal) and not isinstance(error, Refused | WrongContent | AuthFailed):
                raise _Unpacking(f"failed to register layer: {error.message}") from error
            raise
        return made[0]


async def finished(work: Coroutine[Any, Any, object]) -> None:
    """Do `work` to its end even when cancelled meanwhile: a layer is not to be half on the shelf."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})


class _Unpacking(Internal):
    """The archive could not be unpacked."""


async def _tell(transfer: _Transfer, work: "asyncio.Future[None]", progress: _Progress, total: int) -> None:
    """Say how far it is until `work` ends."""
    complete = False
    shown = 0
    while not (await asyncio.wait({work}, timeout=TICK))[0]:
        if progress.arrived < total:
            if progress.arrived != shown:
                shown = progress.arrived
                transfer.tell("Downloading", shown, total)
            continue
        if not complete:
            complete = True
            _tell_complete(transfer, total)
        transfer.tell("Extracting", progress.unpacked, total)
    if progress.arrived == total:
        if not complete:
            _tell_complete(transfer, total)
        transfer.tell("Extracting", total, total)


def _tell_complete(transfer: _Transfer, total: int) -> None:
    transfer.tell("Downloading", total, total)
    transfer.tell("Verifying Checksum")
    transfer.tell("Download complete")


def _check(staged: Staged, wanted: Descriptor, diff_id: str) -> None:
    if staged.blob != wanted.digest:
        raise WrongContent(f"filesystem layer verification failed for digest {wanted.digest}")
    if staged.diff_id != diff_id:
        raise Internal("layers from manifest don't match image configuration")
