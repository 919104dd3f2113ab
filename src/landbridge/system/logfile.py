"""Reading a container's log: forwards, the last lines of a file of any size, and on as it grows.

Records are lines; what is in them is the caller's `parse`. Memory is bounded by one block however long the log:
the tail is found by reading blocks from the end. Older parts of the log are in ``LOG.1``, ``LOG.2`` … (`logrotate`). A
log replaced by its writer is noticed by its inode and read on from the next file's start, after the old one's rest.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from landbridge.errors import Internal
from landbridge.model.process import LogEntry
from landbridge.system import inotify
from landbridge.system.logrotate import numbered

Parse = Callable[[bytes], LogEntry | None]

_BLOCK = 64 * 1024
# A record longer than this is no record of conmon's (its buffer is 8 KiB).
_LONGEST = 1024 * 1024
_POLL_SECONDS = 1.0


def entries(path: str, parse: Parse, *, tail: int | None = None, since: int = 0, until: int = 0) -> Iterator[LogEntry]:
    """The log's entries, oldest first: those at or after `since` and not after `until` (nanoseconds, 0 for no bound).

    `tail` keeps the last so many lines of the log (a line in parts counts once); None is all. A missing file is empty.
    """
    fds = _open_all(path)
    try:
        for fd, start in _starts(fds, tail, parse):
            for _, line in _lines(fd, start):
                entry = parse(line)
                if entry and _wanted(entry, since, until):
                    yield entry
    finally:
        for fd in fds:
            os.close(fd)


async def follow(
    path: str,
    parse: Parse,
    *,
    ended: Awaitable[object],
    tail: int | None = None,
    since: int = 0,
    until: int = 0,
) -> AsyncIterator[LogEntry]:
    """Like `entries`, then what is added until `ended` is done (the container's end) and all was read.

    Stops as well at the first entry after `until`.
    """
    over = asyncio.ensure_future(ended)
    watcher = _watcher(path)
    try:
        async for line in _growing(path, parse, tail, over, watcher):
            entry = parse(line)
            if entry is None:
                continue
            if until and entry.time > until:
                return
            if entry.time >= since:
                yield entry
    finally:
        over.cancel()
        if watcher:
            watcher.close()


async def _growing(
    path: str, parse: Parse, tail: int | None, over: "asyncio.Future[object]", watcher: inotify.Inotify | None
) -> AsyncIterator[bytes]:
    fds = _open_all(path)
    fd, offset = (fds[0] if fds else None), 0
    try:
        for one, start in _starts(fds, tail, parse):
            if one == fd:
                offset = start
                continue
            for _, line in _lines(one, start):
                yield line
    finally:
        for one in fds[1:]:
            os.close(one)
    try:
        while True:
            # Both asked before reading: what was written until then must not be missed.
            last, replaced = over.done(), fd is None or _replaced(path, fd)
            if fd is not None:
                for after, line in _lines(fd, offset):
                    offset = after
                    yield line
            if replaced and (new := _next(path, fd)) is not None:
                if fd is not None:
                    os.close(fd)
                fd, offset = new, 0
                continue
            if last:
                return
            if fd is not None and os.fstat(fd).st_size < offset:
                offset = 0  # cut short in place
                continue
            await _change(over, watcher)
    finally:
        if fd is not None:
            os.close(fd)


async def _change(over: "asyncio.Future[object]", watcher: inotify.Inotify | None) -> None:
    """Wait until the log may have grown, or the container has ended."""
    if watcher is None:
        await asyncio.wait((over,), timeout=_POLL_SECONDS)
        return
    event = asyncio.ensure_future(watcher.events())
    try:
        await asyncio.wait((over, event), return_when=asyncio.FIRST_COMPLETED)
    finally:
        event.cancel()
        await asyncio.gather(event, return_exceptions=True)


def _watcher(path: str) -> inotify.Inotify | None:
    """Watch the log's directory: the file itself may not be there yet, or be replaced. None: poll instead."""
    watcher = None
    try:
        watcher = inotify.Inotify()
        watcher.add(os.path.dirname(path) or ".", inotify.MODIFY | inotify.CREATE | inotify.MOVED_TO)
    except (OSError, Internal):
        # The user's inotify instances or watches are used up, or the file system has none: poll.
        if watcher:
            watcher.close()
        return None
    return watcher


def _lines(fd: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from `start` on as (offset after the line, line); an unfinished last line is left for later."""
    rest = b""
    position = start
    while block := os.pread(fd, _BLOCK, position + len(rest)):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            position += len(line) + 1
            yield position, line
        if len(rest) > _LONGEST:
            position, rest = position + len(rest), b""


def _starts(fds: Sequence[int], tail: int | None, parse: Parse) -> Sequence[tuple[int, int]]:
    """Where to read the files from (newest first), oldest first, for the last `tail` lines of them all.

    Records in parts belong to the line they end in, at the end of the log to one that has no end.
    """
    if tail is None:
        return [(fd, 0) for fd in reversed(fds)]
    starts: list[tuple[int, int]] = []
    found = 0
    for fd in fds:
        offset, found, enough = _tail_offset(fd, tail, found, parse)
        starts.append((fd, offset))
        if enough:
            break
    return starts[::-1]


def _tail_offset(fd: int, count: int, found: int, parse: Parse) -> tuple[int, int, bool]:
    """Where the last `count` lines begin when `found` of them are in newer files; how many there are then, and whether
    that is all."""
    size = os.fstat(fd).st_size
    if count <= 0:
        return size, 0, True
    offset = size
    for start, line in _lines_backwards(fd, size):
        entry = parse(line)
        if entry and (not entry.partial or not found):
            if found == count:
                return offset, found, True
            found += 1
        offset = start
    return offset, found, False


def _lines_backwards(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from the end as (offset of the line, line). A last line without newline is not yet one."""
    position, rest, inside = size, b"", False
    while position > 0:
        length = min(_BLOCK, position)
        position -= length
        data = os.pread(fd, length, position) + rest
        offset = position + len(data)
        pieces = data.split(b"\n")
        for piece in reversed(pieces[1:]):
            offset -= len(piece)
            if inside:
                yield offset, piece
            inside = True
            offset -= 1
        rest = pieces[0] if len(pieces[0]) <= _LONGEST else b""
    if inside:
        yield 0, rest


def _wanted(entry: LogEntry, since: int, until: int) -> bool:
    return entry.time >= since and not (until and entry.time > until)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _open_all(path: str) -> list[int]:
    """The log's files, newest first, each once: in the middle of a turn one has two names."""
    fds: list[int] = []
    seen: set[int] = set()
    number = 0
    while (fd := _open(numbered(path, number))) is not None:
        inode = os.fstat(fd).st_ino
        if inode in seen:
            os.close(fd)
        else:
            seen.add(inode)
            fds.append(fd)
        number += 1
    return fds


def _replaced(path: str, fd: int) -> bool:
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    return now.st_ino != os.fstat(fd).st_ino


def _next(path: str, fd: int | None) -> int | None:
    """The file after the one being read; the oldest there is when that one has gone. None: there is none."""
    if fd is None:
        return _open(path)
    inode = os.fstat(fd).st_ino
    fds = _open_all(path)
    inodes = [os.fstat(one).st_ino for one in fds]
    wanted = inodes.index(inode) - 1 if inode in inodes else len(fds) - 1
    for index, one in enumerate(fds):
        if index != wanted:
            os.close(one)
    return fds[wanted] if wanted >= 0 else None
