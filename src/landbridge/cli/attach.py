"""Being connected to a container: what `run`, `start -a`, `exec` and `attach` have in common, and `attach` itself."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out

from landbridge.cli.client import Response
from landbridge.cli.flags import Flag
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, ExitWith
from landbridge.cli.runflags import DETACH_KEYS
from landbridge.cli.settings import read_settings
from landbridge.cli.signals import PASSED, SignalPipe, names
from landbridge.cli.streams import DetachKeys, Output, pump
from landbridge.cli.terminal import DEFAULT_DETACH_KEYS, RawTerminal, parse_detach_keys, window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from landbridge.cli.client import Connection
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

PATIENCE = 3  # this many interrupts end the client itself


def check_terminal(session: Session, *, stdin: bool, tty: bool) -> None:
    """Raises: ExitWith when a terminal is asked for and stdin is none."""
    if stdin and tty and not session.is_terminal(session.stdin):
        raise ExitWith(1, "the input device is not a TTY")


def detach_keys(session: Session, given: str) -> str:
    """The detach keys to use: the flag's, or the user's settings'."""
    configured = given or read_settings(session.env).get("detachKeys", "")
    return configured if isinstance(configured, str) else ""


class Attached:
    """A session with a container's streams.

    `resize_path` is where the terminal's size goes; `kill_path`, if any, where signals go.
    """

    def __init__(
        self, session: Session, *, tty: bool, stdin: bool, keys: str, resize_path: str, kill_path: str = ""
    ) -> None:
        self.session, self.tty, self.stdin = session, tty, stdin
        self.keys = parse_detach_keys(keys) if keys else DEFAULT_DETACH_KEYS
        self.resize_path, self.kill_path = resize_path, kill_path
        self.interrupts = 0
        self.size = (0, 0)
        self.signal_names = names()

    def __repr__(self) -> str:
        return f"<Attached {self.resize_path} tty={self.tty} stdin={self.stdin}>"

    def resize(self, *, redraw: bool = False) -> None:
        """Tell the container the terminal's size; `redraw` changes it twice so that programs paint again."""
        rows, columns = window_size(self.session.fileno(self.session.stdout))
        if not self.tty or (rows, columns) in ((0, 0), self.size):
            return
        self.size = (rows, columns)
        sizes = [(rows + 1, columns + 1), (rows, columns)] if redraw else [(rows, columns)]
        for height, width in sizes:
            try:
                self.session.client.post(self.resize_path, {"h": str(height), "w": str(width)})
            except CommandError:  # the process may have ended already; its output still matters
                return

    def on_signal(self, number: int) -> None:
        if number == _signal.SIGWINCH:
            self.resize()
            return
        if number in (_signal.SIGINT, _signal.SIGTERM):
            self.interrupts += 1
            if self.interrupts >= PATIENCE:
                raise ExitWith(1, "got 3 SIGTERM/SIGINTs, forcefully exiting")
        if self.kill_path and number in self.signal_names:
            try:
                self.session.client.post(self.kill_path, {"signal": self.signal_names[number]})
            except CommandError:  # the container has just ended
                return

    def run(self, connection: Connection, started: Callable[[], None] | None = None) -> bool:
        """Call `started`, then move bytes until the end (True) or the detach keys (False)."""
        stdin = self.session.fileno(self.session.stdin) if self.stdin else -1
        raw = self.stdin and self.tty and self.session.is_terminal(self.session.stdin)
        numbers: tuple[int, ...] = PASSED if self.kill_path else ()
        if self.tty and self.session.is_terminal(self.session.stdout):
            numbers = (*numbers, _signal.SIGWINCH)
        self.session.stdout.flush()
        output = Output(self.session, framed=not self.tty)
        with SignalPipe(numbers) as signals, RawTerminal(stdin) if raw else _Nothing():
            if started is not None:
                started()
            self.resize()
            keys = DetachKeys(self.keys) if raw else None
            return pump(connection, output, stdin=stdin, keys=keys, signals=signals, on_signal=self.on_signal)


class _Nothing:
    """Stands in where there is no terminal to put in raw mode."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def open_stream(session: Session, name: str, streams: dict[str, bool], keys: str) -> Connection:
    """The raw stream of a container's standard streams."""
    query: dict[str, str | bool] = {"stream": True, **streams, "detachKeys": keys}
    return session.client.hijack(container_path(name, "/attach"), query)[0]


def begin_wait(session: Session, name: str, condition: str = "") -> Response:
    """Ask for the container's end; the daemon has noted the question when this returns."""
    path = container_path(name, "/wait")
    connection = session.client.send("POST", path, {"condition": condition})
    return session.client.finish(connection, "POST", path)


def end_wait(response: Response) -> int:
    """The exit code, once the container ends. Raises: ExitWith when waiting failed."""
    answer = response.json() or {}
    problem = answer.get("Error")
    if problem and problem.get("Message"):
        raise ExitWith(125, f"Error waiting for container: {problem['Message']}")
    return int(answer.get("StatusCode", 0))


def attach(session: Session, flags: Parsed) -> int:
    """Connect to a running container; ends with its exit code when it ends."""
    name = flags.args[0]
    facts = session.client.get(container_path(name, "/json"))
    state, config = facts["State"], facts["Config"]
    for key, words in (
        ("Paused", "cannot attach to a paused container, unpause it first"),
        ("Restarting", "cannot attach to a restarting container, wait until it is running"),
    ):
        if state.get(key):
            raise CommandError(words)
    if not state.get("Running"):
        raise CommandError("cannot attach to a stopped container, start it first")
    stdin = bool(config.get("OpenStdin")) and not flags["no-stdin"]
    check_terminal(session, stdin=stdin, tty=config["Tty"])
    keys = detach_keys(session, flags["detach-keys"])
    waiting = begin_wait(session, name)
    attached = Attached(
        session, tty=config["Tty"], stdin=stdin, keys=keys, resize_path=container_path(name, "/resize"),
        kill_path=container_path(name, "/kill") if flags["sig-proxy"] else "",
    )  # fmt: skip
    stream = open_stream(session, name, {"stdin": stdin, "stdout": True, "stderr": True}, keys)
    if not attached.run(stream, lambda: attached.resize(redraw=True)):
        raise CommandError("read escape sequence")
    return end_wait(waiting)


COMMANDS = {
    "container attach": (
        (
            DETACH_KEYS,
            Flag("no-stdin", "", "bool", "Do not attach STDIN"),
            Flag("sig-proxy", "", "bool", "Pass received signals to the process", default=True),
        ),
        attach,
    ),
}
