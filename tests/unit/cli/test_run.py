"""`run`, `exec`, `attach` and `start -a` against a daemon played over real sockets: order, streams, signals, endings."""

import io
import os
import pty
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from capture import CONTAINER, CaptureServer

from landbridge.cli.main import main

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n\r\n"
C = f"/containers/{CONTAINER}"


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Daemon:
    """Plays one container. `conversation(reader, socket)` runs once the container is started, then it ends with `code`."""

    def __init__(self, path: Path, conversation: Any, code: int = 0, base: str = C) -> None:
        self.started, self.ended = threading.Event(), threading.Event()
        self.conversation, self.code = conversation, code
        self.server = CaptureServer(path)
        self.server.streams[("POST", f"{base}/attach")] = self._attach
        self.server.streams[("POST", f"{base}/wait")] = self._wait
        self.server.streams[("POST", f"{base}/start")] = self._start

    def _attach(self, reader: Any, connection: socket.socket) -> None:
        connection.sendall(UPGRADED)
        self.started.wait(10)
        self.conversation(reader, connection)
        self.ended.set()
        connection.shutdown(socket.SHUT_RDWR)

    def _wait(self, reader: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.ended.wait(10)
        text = b'{"StatusCode":%d}' % self.code
        connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text))

    def _start(self, reader: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        self.started.set()

    def paths(self) -> list[str]:
        return [request.path.removeprefix(C) for request in self.server.requests]


def say(*pieces: bytes) -> Any:
    def conversation(reader: Any, connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return conversation


@contextmanager
def stdin_of(data: bytes) -> Iterator[Any]:
    reader, writer = os.pipe()
    feeder = threading.Thread(target=lambda: (os.write(writer, data), os.close(writer)))
    feeder.start()
    with os.fdopen(reader, "rb") as file:
        yield file
    feeder.join()


def run(daemon: Daemon, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, bytes, str]:
    out, err = io.BytesIO(), io.BytesIO()
    with daemon.server, stdin_of(stdin) as source:
        host = f"unix://{daemon.server.path}"
        status = main(list(argv), {"HOME": "/nonexistent", "LANDBRIDGE_HOST": host, **(env or {})}, source, out, err)
    return status, out.getvalue(), err.getvalue().decode()


def test_foreground_run_attaches_waits_and_starts_in_this_order(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say(frame(1, b"out\n"), frame(2, b"err\n")), code=3)
    assert run(daemon, "run", "img") == (3, b"out\n", "err\n")
    assert daemon.paths() == ["/containers/create", "/attach", "/wait", "/start"]
    attach, wait = daemon.server.requests[1:3]
    assert attach.query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert attach.headers["upgrade"] == "tcp"
    assert wait.query == {"condition": "next-exit"}


def test_run_rm_waits_for_the_removal(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say())
    assert run(daemon, "run", "--rm", "img")[0] == 0
    assert daemon.server.requests[2].query == {"condition": "removed"}


def test_frames_split_at_any_byte_come_out_whole(tmp_path: Path) -> None:
    data = frame(1, b"hello ") + frame(2, b"oops") + frame(1, b"world")
    daemon = Daemon(tmp_path / "s", say(*(data[i : i + 1] for i in range(len(data)))))
    assert run(daemon, "run", "img") == (0, b"hello world", "oops")


def test_stdin_is_passed_on_and_its_end_closes_only_that_direction(tmp_path: Path) -> None:
    def echo_after_the_end(reader: Any, connection: socket.socket) -> None:
        connection.sendall(frame(1, reader.read()[::-1]))

    daemon = Daemon(tmp_path / "s", echo_after_the_end)
    assert run(daemon, "run", "-i", "img", stdin=b"abc") == (0, b"cba", "")


def test_more_data_than_any_buffer_holds_flows_both_ways_at_once(tmp_path: Path) -> None:
    def echo(reader: Any, connection: socket.socket) -> None:
        while data := reader.read1(65536):
            connection.sendall(frame(1, data))

    data = os.urandom(4_000_000)
    daemon = Daemon(tmp_path / "s", echo)
    out = io.BytesIO()
    source = tmp_path / "data"
    source.write_bytes(data)
    with daemon.server, source.open("rb") as stdin:
        assert main(["run", "-i", "img"], {"LANDBRIDGE_HOST": f"unix://{tmp_path}/s"}, stdin, out, io.BytesIO()) == 0
    assert out.getvalue() == data


def test_with_a_terminal_the_stream_is_raw(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say(b"\x01raw \x02bytes"))
    assert run(daemon, "run", "-t", "img")[1] == b"\x01raw \x02bytes"


def test_interactive_terminal_without_one_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say())
    assert run(daemon, "run", "-it", "img") == (1, b"", "the input device is not a TTY\n")
    assert daemon.paths() == []


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ('exec: "/x": stat /x: no such file or directory', 127),
        ('exec: "/tmp": is a directory', 126),
        ('exec: "/x": permission denied', 126),
        ("driver failed programming external connectivity: port is already allocated", 125),
    ],
)
@pytest.mark.parametrize("detach", [(), ("-d",)])
def test_a_start_that_fails_has_the_status_of_a_shell(
    tmp_path: Path, message: str, status: int, detach: tuple[str, ...]
) -> None:
    daemon = Daemon(tmp_path / "s", say())
    del daemon.server.streams["POST", f"{C}/start"]
    daemon.server.answers["POST", f"{C}/start"] = (500, {"message": message})
    daemon.started.set()
    code, _, err = run(daemon, "run", *detach, "img")
    assert code == status
    assert (
        err
        == f"landbridge: Error response from daemon: {message}\n\nRun 'landbridge run --help' for more information\n"
    )


class Missing:
    """Create answers 404 until the image was pulled."""

    def __init__(self, server: CaptureServer, progress: bytes, status: int = 200) -> None:
        self.pulled = False
        server.streams["POST", "/containers/create"] = self.create
        server.streams["POST", "/images/create"] = self.pull
        self.progress, self.status = progress, status

    def create(self, reader: Any, connection: socket.socket) -> None:
        text = b'{"Id":"%b"}' % CONTAINER.encode() if self.pulled else b'{"message":"No such image: img:latest"}'
        connection.sendall(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (201 if self.pulled else 404, len(text), text)
        )

    def pull(self, reader: Any, connection: socket.socket) -> None:
        self.pulled = True
        connection.sendall(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (self.status, len(self.progress), self.progress)
        )


def test_a_missing_image_is_pulled_and_the_create_repeated(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say(frame(1, b"ran\n")))
    Missing(daemon.server, b'{"status":"Pulling from library/img","id":"latest"}\r\n{"status":"Done"}\r\n')
    code, out, err = run(daemon, "run", "img")
    assert (code, out) == (0, b"ran\n")
    assert err == "Unable to find image 'img:latest' locally\nlatest: Pulling from library/img\nDone\n"
    assert daemon.paths()[:3] == ["/containers/create", "/images/create", "/containers/create"]
    assert daemon.server.requests[1].query == {"fromImage": "docker.io/library/img", "tag": "latest"}


@pytest.mark.parametrize(
    ("status", "progress", "words"),
    [
        (404, b'{"message":"pull access denied for img"}', "Error response from daemon: pull access denied for img"),
        (200, b'{"errorDetail":{"message":"no space left"},"error":"no space left"}\r\n', "no space left"),
    ],
)
def test_a_pull_that_fails_is_the_error_shown(tmp_path: Path, status: int, progress: bytes, words: str) -> None:
    daemon = Daemon(tmp_path / "s", say())
    Missing(daemon.server, progress, status)
    code, _, err = run(daemon, "run", "-d", "img")
    assert code == 125
    assert err.endswith(f"landbridge: {words}\n\nRun 'landbridge run --help' for more information\n")


def test_pull_never_does_not_pull(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say())
    Missing(daemon.server, b"")
    assert run(daemon, "run", "--pull", "never", "img")[0] == 125
    assert daemon.paths() == ["/containers/create"]


def test_signals_are_passed_to_the_container(tmp_path: Path) -> None:
    killed = threading.Event()

    def until_killed(reader: Any, connection: socket.socket) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        killed.wait(10)

    daemon = Daemon(tmp_path / "s", until_killed, code=138)

    def kill(reader: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")
        killed.set()

    daemon.server.streams["POST", f"{C}/kill"] = kill
    assert run(daemon, "run", "img")[0] == 138
    assert [r.query for r in daemon.server.requests if r.path.endswith("/kill")] == [{"signal": "USR1"}]


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    def own(number: int, frame: object) -> None:
        raise AssertionError(number)

    before = signal.signal(signal.SIGTERM, own)
    run(Daemon(tmp_path / "s", say()), "run", "img")
    assert signal.signal(signal.SIGTERM, before) is own


@contextmanager
def terminal(rows: int, columns: int) -> Iterator[tuple[int, Any, Any]]:
    """A terminal: our end, and its other end as stdin and stdout."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with os.fdopen(theirs, "rb", buffering=0) as stdin, os.fdopen(os.dup(theirs), "wb", buffering=0) as stdout:
        yield ours, stdin, stdout
    os.close(ours)


def test_detach_keys_leave_the_container_running(tmp_path: Path) -> None:
    seen = []
    gone = threading.Event()

    def shell(reader: Any, connection: socket.socket) -> None:
        os.write(ours, b"ls\x10x\x10\x11never")
        while data := reader.read1(100):
            seen.append(data)
        gone.set()

    daemon = Daemon(tmp_path / "s", shell)
    with terminal(40, 100) as (ours, stdin, stdout):
        import termios

        before = termios.tcgetattr(stdin.fileno())
        with daemon.server:
            status = main(
                ["run", "-it", "img"], {"LANDBRIDGE_HOST": f"unix://{tmp_path}/s"}, stdin, stdout, io.BytesIO()
            )
            assert gone.wait(10)
        assert termios.tcgetattr(stdin.fileno()) == before
    assert status == 0
    assert b"".join(seen) == b"ls\x10x"
    assert [r.query for r in daemon.server.requests if r.path.endswith("/resize")] == [{"h": "40", "w": "100"}]


def test_a_changed_window_changes_the_containers_terminal(tmp_path: Path) -> None:
    resized = threading.Event()

    def shell(reader: Any, connection: socket.socket) -> None:
        import fcntl
        import struct
        import termios

        while not any(r.path.endswith("/resize") for r in daemon.server.requests):
            time.sleep(0.001)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        resized.wait(10)

    def resize(reader: Any, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        if daemon.server.requests[-1].query == {"h": "50", "w": "120"}:
            resized.set()

    daemon = Daemon(tmp_path / "s", shell)
    daemon.server.streams["POST", f"{C}/resize"] = resize
    with terminal(40, 100) as (ours, stdin, stdout), daemon.server:
        main(["run", "-it", "img"], {"LANDBRIDGE_HOST": f"unix://{tmp_path}/s"}, stdin, stdout, io.BytesIO())
    assert resized.is_set()


def test_exec_gives_the_commands_exit_code(tmp_path: Path) -> None:
    identifier = "e5ec" * 16
    daemon = Daemon(tmp_path / "s", say())

    def start(reader: Any, connection: socket.socket) -> None:
        connection.sendall(UPGRADED + frame(1, b"in the answer's packet\n"))
        connection.sendall(frame(2, reader.read()))
        connection.shutdown(socket.SHUT_WR)

    daemon.server.streams["POST", f"/exec/{identifier}/start"] = start
    daemon.server.answers["GET", f"/exec/{identifier}/json"] = (200, {"ExitCode": 126})
    assert run(daemon, "exec", "-i", "c", "sh", stdin=b"in") == (126, b"in the answer's packet\n", "in")


def test_start_attached_gives_the_exit_code(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say(frame(1, b"again\n")), code=7, base="/containers/c")
    assert run(daemon, "start", "-a", "c") == (7, b"again\n", "")


def test_attach_to_a_running_container(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say(frame(2, b"there\n")), code=9, base="/containers/c")
    daemon.started.set()
    assert run(daemon, "attach", "c") == (9, b"", "there\n")


def test_attach_to_a_stopped_container_is_refused(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "s", say())
    facts = {"State": {"Running": False}, "Config": {"Tty": False}}
    daemon.server.answers["GET", "/containers/c/json"] = (200, facts)
    assert run(daemon, "attach", "c") == (1, b"", "cannot attach to a stopped container, start it first\n")


def test_the_cidfile_is_written_and_an_old_one_is_respected(tmp_path: Path) -> None:
    cidfile = tmp_path / "cid"
    assert run(Daemon(tmp_path / "s", say()), "run", "-d", "--cidfile", str(cidfile), "img")[0] == 0
    assert cidfile.read_text() == CONTAINER
    assert run(Daemon(tmp_path / "t", say()), "run", "-d", "--cidfile", str(cidfile), "img")[0] == 125
