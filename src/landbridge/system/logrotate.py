"""Logs in several files: a log that has grown to its size becomes ``LOG.1``, what that was ``LOG.2``, and so on.

The files are conmon's. The old one gets a second name, then conmon is told by its control FIFO to go on in a new file,
which it renames to the log's name. Nothing is lost in between and nothing is copied. All is done in the event loop
without waiting, so that who reads the files there never sees half of a turn.
"""

import asyncio
import logging
import os
from dataclasses import dataclass

from landbridge.errors import Internal
from landbridge.system import inotify

log = logging.getLogger(__name__)

# A log that is written all the time is looked at so often.
PAUSE_SECONDS = 0.1
# Where the kernel does not tell of writes.
_POLL_SECONDS = 1.0
_REOPEN = b"2 0 0\n"  # conmon's REOPEN_LOGS_EVENT


@dataclass(frozen=True, slots=True)
class Rotated:
    """A log, conmon's control FIFO, the size at which it turns, and how many files there are, this one included."""

    path: str
    control: str
    size: int
    files: int


def numbered(path: str, number: int) -> str:
    """``LOG``, ``LOG.1``, ``LOG.2``: the higher the older."""
    return f"{path}.{number}" if number else path


def turn(rotated: Rotated) -> bool:
    """Turn a log that has reached its size; True when that is not needed, False until its writer is in the new file.

    A log that is not there, or whose container has ended, is left alone.
    """
    try:
        found = os.stat(rotated.path)
    except FileNotFoundError:
        return True
    if found.st_size < rotated.size:
        return True
    try:
        if os.stat(numbered(rotated.path, 1)).st_ino == found.st_ino:
            return False
    except FileNotFoundError:
        pass  # the first turn
    try:
        control = os.open(rotated.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True  # nobody writes any more
    try:
        for number in range(rotated.files - 2, 0, -1):
            if os.path.exists(numbered(rotated.path, number)):
                os.replace(numbered(rotated.path, number), numbered(rotated.path, number + 1))
        first = numbered(rotated.path, 1)
        if rotated.files == 2 and os.path.exists(first):
            os.unlink(first)
        os.link(rotated.path, first)
        os.write(control, _REOPEN)
    finally:
        os.close(control)
    return False


class LogRotation:
    """Turns the logs it watches, with one task and one inotify for all."""

    def __init__(self) -> None:
        self._logs: dict[str, Rotated] = {}
        self._watches: dict[int, str] = {}
        self._notify: inotify.Inotify | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, key: str, rotated: Rotated) -> None:
        """Keep a log to its size from now on; a turn that its writer's end cut short is taken back."""
        self._logs[key] = rotated
        first = numbered(rotated.path, 1)
        if os.path.exists(first) and os.path.exists(rotated.path) and os.path.samefile(first, rotated.path):
            os.unlink(first)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._notify is not None:
            self._arm(key)

    def unwatch(self, key: str) -> None:
        """Leave a log alone. Twice is no error."""
        self._logs.pop(key, None)

    def close(self) -> None:
        """Leave all alone."""
        self._logs.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    async def _run(self) -> None:
        try:
            self._notify = inotify.Inotify()
        except Internal:
            self._notify = None  # the user's instances are used up
        pending = set(self._logs)
        while True:
            # The watch comes before the look: what is written after the look is told.
            for key in tuple(pending):
                self._arm(key)
            pending = {key for key in pending if not self._turned(key)}
            if self._notify is None:
                await asyncio.sleep(_POLL_SECONDS)
                pending = set(self._logs)
                continue
            if not pending:
                pending = await self._written()
            await asyncio.sleep(PAUSE_SECONDS)

    def _turned(self, key: str) -> bool:
        try:
            return key not in self._logs or turn(self._logs[key])
        except OSError as error:
            log.warning("%s is not turned any more: %s", self._logs.pop(key).path, error.strerror)
            return True

    async def _written(self) -> set[str]:
        assert self._notify is not None
        events = await self._notify.events()
        keys = {self._watches.pop(event.watch, "") for event in events if event.mask & inotify.MODIFY}
        return keys & self._logs.keys()

    def _arm(self, key: str) -> None:
        """Ask to be told of one write to a log, its present file."""
        if key not in self._logs or self._notify is None:
            return
        try:
            self._watches[self._notify.add(self._logs[key].path, inotify.MODIFY | inotify.ONESHOT)] = key
        except OSError:
            del self._logs[key]  # no log, or no watch to be had: its monitor bounds it
