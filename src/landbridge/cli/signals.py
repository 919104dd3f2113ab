"""Signals as readable bytes: while a stream is pumped, each arriving signal is one byte on a pipe.

Uses `_signal`, the part of `signal` in C: the rest wraps numbers in enums and takes 8 ms to import.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

# What `docker run` passes on: everything a process may catch except those the kernel and the terminal use themselves.
NEVER_PASSED = (
    "CHLD", "PIPE", "URG", "WINCH", "KILL", "STOP", "SEGV", "BUS", "FPE", "ILL", "TSTP", "TTIN", "TTOU", "CONT", "TRAP",
    "ABRT", "IOT", "CLD", "PROF", "VTALRM", "ALRM",
)  # fmt: skip


def names() -> dict[int, str]:
    """Number to name, without the SIG (`TERM`)."""
    return {
        getattr(_signal, name): name[3:]
        for name in dir(_signal)
        if name.startswith("SIG") and not name.startswith("SIG_") and name not in ("SIGRTMIN", "SIGRTMAX")
    }


PASSED = tuple(number for number, name in names().items() if name not in NEVER_PASSED)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The byte on the pipe is the message."""


class SignalPipe:
    """`with SignalPipe(numbers) as pipe:` — poll `pipe.fileno()`, then `pipe.read()`. Only in the main thread."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self.numbers = numbers
        self.saved: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> SignalPipe:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.saved_fd = _signal.set_wakeup_fd(self.writer)
        for number in self.numbers:
            self.saved[number] = _signal.signal(number, _nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.saved.items():
            _signal.signal(number, handler)
        _signal.set_wakeup_fd(self.saved_fd)
        os.close(self.reader)
        os.close(self.writer)

    def fileno(self) -> int:
        return self.reader

    def read(self) -> list[int]:
        """The signals that came."""
        try:
            return list(os.read(self.reader, 512))
        except BlockingIOError:
            return []
