"""The stream of a pull, push, load or import, shown as it comes.

On a terminal each layer keeps its line; elsewhere only steps are printed, one per line, without the bars.
"""

from __future__ import annotations

from landbridge.cli import humanize
from landbridge.cli.jsontext import decode
from landbridge.cli.outcome import CommandError
from landbridge.cli.terminal import window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from landbridge.cli.client import Response
    from landbridge.cli.session import Session

BAR = 50


def bar(detail: dict[str, Any], width: int) -> str:
    """`[=====>     ]  1.2MB/3.4MB`, or just the amount when the total is unknown."""
    current, total = detail.get("current", 0), detail.get("total", 0)
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        return f"{humanize.size(current):>8}"
    percent = min(int(current / total * 100), 100) // 2
    drawn = f"[{'=' * percent}>{' ' * (BAR - percent)}] " if width > 110 else ""
    numbers = f"{humanize.size(current):>8}/{humanize.size(total)}"
    return drawn + (numbers if current <= total else f"{humanize.size(current):>8}")


class _Screen:
    """Lines by id; the cursor is always below the last."""

    def __init__(self, session: Session, out: BinaryIO) -> None:
        self.session, self.out = session, out
        self.lines: dict[str, int] = {}
        self.terminal = session.is_terminal(out)
        self.width = window_size(session.fileno(out))[1] if self.terminal else 0

    def write(self, text: str) -> None:
        self.out.write(text.encode())
        self.out.flush()

    def show(self, message: dict[str, Any]) -> None:
        identifier, status = message.get("id", ""), message.get("status", "")
        detail = message.get("progressDetail") or {}
        drawn = bar(detail, self.width)
        if not self.terminal:
            if drawn:
                return
            prefix = f"{identifier}: " if identifier else ""
            self.write(message.get("stream", f"{prefix}{status}\n"))
            return
        if "stream" in message:
            self.write(message["stream"])
        elif not identifier or "progressDetail" not in message:
            self.lines.clear()
            self.write(f"{identifier}: {status}\n" if identifier else f"{status}\n")
        else:
            known = identifier in self.lines
            if not known:
                self.lines[identifier] = len(self.lines)
                self.write("\n")
            up = len(self.lines) - self.lines[identifier]
            self.write(f"\x1b[{up}A\r\x1b[2K{identifier}: {status} {drawn}".rstrip() + f"\x1b[{up}B\r")


def show_progress(session: Session, response: Response, out: BinaryIO, *, quiet: bool = False) -> None:
    """Show every message of the stream. Raises: CommandError for an error in it."""
    screen = _Screen(session, out)
    session.stdout.flush()
    for line in response.lines():
        message = decode(line)
        problem = message.get("errorDetail") or {}
        if problem or message.get("error"):
            raise CommandError(problem.get("message") or message["error"])
        if not quiet and ("status" in message or "stream" in message):
            screen.show(message)
