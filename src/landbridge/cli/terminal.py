"""The terminal on this side: raw mode, its size, and the keys that leave a container."""

from __future__ import annotations

import os
import termios

from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_DETACH_KEYS = b"\x10\x11"  # ctrl-p ctrl-q
# Indices of the attribute list of termios.
IFLAG, OFLAG, CFLAG, LFLAG, CC = 0, 1, 2, 3, 6


class RawTerminal:
    """`with RawTerminal(fd):` — keys arrive one by one and unread by the kernel; the old mode comes back at the end.

    Output processing stays as it was when `output` is off: only the container's own terminal translates newlines.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.saved = termios.tcgetattr(descriptor)

    def __enter__(self) -> RawTerminal:
        mode = termios.tcgetattr(self.descriptor)
        mode[IFLAG] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
            | termios.ICRNL | termios.IXON
        )  # fmt: skip
        mode[OFLAG] &= ~termios.OPOST
        mode[LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[CFLAG] = mode[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[CC][termios.VMIN], mode[CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self.descriptor, termios.TCSANOW, mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self.descriptor, termios.TCSANOW, self.saved)


def window_size(descriptor: int) -> tuple[int, int]:
    """Rows and columns; zeros when it is no terminal."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return size.lines, size.columns


def parse_detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or single characters, separated by commas, to the bytes they send. Raises: CommandError."""
    specials = {"ctrl-@": 0, "ctrl-[": 27, "ctrl-\\": 28, "ctrl-]": 29, "ctrl-^": 30, "ctrl-_": 31, "del": 127}
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1:
            keys += word.encode()
        elif word.lower() in specials:
            keys.append(specials[word.lower()])
        elif word.lower().startswith("ctrl-") and len(word) == 6 and "a" <= word[5].lower() <= "z":
            keys.append(ord(word[5].lower()) - ord("a") + 1)
        else:
            raise CommandError(f"invalid detach keys ({text}): Unknown character: '{word}'")
    return bytes(keys)
