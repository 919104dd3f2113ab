"""A server on a unix socket that accepts any request of a command line, remembers it and answers something plausible.

Used twice: `record_docker.py` points the real docker command at it to write the golden files, and the tests point ours at it
and compare. It knows no container: answers are constants, so what is compared is what the command line *sends*.
"""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import listings

CONTAINER = "4f1c" * 16
PULL = (
    b'{"status":"Pulling from library/img","id":"latest"}\r\n{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}\r\n'
    b'{"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"[==>  ]","id":"abc"}\r\n'
    b'{"status":"Pull complete","progressDetail":{},"id":"abc"}\r\n{"status":"Status: Downloaded newer image"}\r\n'
)
EVENT = {
    "Type": "container", "Action": "die",
    "Actor": {"ID": "4f1c", "Attributes": {"exitCode": "0", "image": "img", "name": "web"}},
    "scope": "local", "time": 1714558830, "timeNano": 1714558830123456789,
}  # fmt: skip
LOG = b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n"
STREAM_TYPE = "application/vnd.docker.multiplexed-stream"
ANSWERS: dict[tuple[str, str], tuple[int, Any]] = {
    ("POST", "/containers/create"): (201, {"Id": CONTAINER, "Warnings": []}),
    ("POST", "/networks/create"): (201, {"Id": "9a7e" * 16, "Warning": ""}),
    ("POST", "/volumes/create"): (201, {"Name": "vol", "Driver": "local", "Mountpoint": "/v", "Scope": "local"}),
    ("GET", "/containers/json"): (200, listings.containers),
    ("GET", "/images/json"): (200, listings.images),
    ("GET", "/networks"): (200, listings.networks),
    ("GET", "/volumes"): (200, listings.volumes),
    ("GET", "/images/img/history"): (200, []),
    ("DELETE", "/images/img"): (200, [{"Untagged": "img:latest"}]),
    ("POST", "/auth"): (200, {"Status": "Login Succeeded"}),
    ("POST", "/images/create"): (200, PULL),
    ("POST", "/images/load"): (200, b'{"stream":"Loaded image: img:latest\\n"}\r\n'),
    ("POST", "/images/docker.io/library/img/push"): (200, PULL),
    ("POST", "/images/reg.example:5000/x/y/push"): (200, PULL),
    ("GET", "/events"): (200, json.dumps(EVENT).encode() + b"\n"),
    ("GET", "/volumes/v"): (
        200,
        {
            "CreatedAt": "2024-05-01T10:20:30Z",
            "Driver": "local",
            "Labels": None,
            "Mountpoint": "/v",
            "Name": "v",
            "Options": None,
            "Scope": "local",
        },
    ),
    ("GET", "/containers/c/logs"): (200, LOG),
    ("GET", f"/containers/{CONTAINER}/logs"): (200, LOG),
    ("POST", "/commit"): (201, {"Id": "sha256:" + "c0de" * 16}),
    ("POST", "/containers/c/exec"): (201, {"Id": "e5ec" * 16}),
    ("GET", f"/exec/{'e5ec' * 16}/json"): (200, {"ExitCode": 0, "Running": False}),
    ("GET", "/containers/c/changes"): (
        200,
        [{"Path": "/a", "Kind": 0}, {"Path": "/b", "Kind": 1}, {"Path": "/c", "Kind": 2}],
    ),
    ("GET", "/containers/c/top"): (200, {"Titles": ["PID", "CMD"], "Processes": [["1", "sleep 1000"], ["17", "sh"]]}),
    ("GET", "/images/i/history"): (200, listings.history),
    ("DELETE", "/images/i"): (200, [{"Untagged": "i:latest"}, {"Deleted": "sha256:" + "ab" * 32}]),
    ("GET", "/containers/c/json"): (
        200,
        {
            "Id": CONTAINER,
            "Name": "/c",
            "Created": "2024-05-01T10:20:30.123456789Z",
            "Path": "sh",
            "Args": [],
            "State": {
                "Status": "running",
                "Running": True,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": False,
                "Dead": False,
                "Pid": 42,
                "ExitCode": 0,
                "Error": "",
                "StartedAt": "2024-05-01T10:20:31Z",
                "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "Config": {
                "Tty": False,
                "OpenStdin": False,
                "Image": "img",
                "Cmd": ["sh"],
                "Env": ["A=1"],
                "Labels": {"x": "y"},
            },
            "HostConfig": {
                "NetworkMode": "n",
                "AutoRemove": False,
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": ""}]},
            },
            "NetworkSettings": {
                "Ports": {
                    "443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8443"}, {"HostIp": "::", "HostPort": "8443"}],
                    "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}],
                    "80/udp": [{"HostIp": "127.0.0.1", "HostPort": "999"}],
                    "81/tcp": None,
                },
                "Networks": {"n": {"IPAddress": "10.0.0.2", "Aliases": ["a"]}},
            },
        },
    ),
}


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    def comparable(self) -> dict[str, Any]:
        return {"method": self.method, "path": self.path, "query": self.query, "body": self.body}


def without_version(path: str) -> str:
    head, _, rest = path.lstrip("/").partition("/")
    return f"/{rest}" if head.startswith("v1.") else path


@dataclass
class CaptureServer:
    """`with CaptureServer(path) as server:` — then `server.requests` holds what arrived, in order.

    A path in `streams` is answered by its function, which gets the connection for itself (a hijacked stream, a wait).
    """

    path: Path
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    streams: dict[tuple[str, str], Callable[[Any, socket.socket], None]] = field(default_factory=dict)

    def __enter__(self) -> "CaptureServer":
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._workers: list[tuple[threading.Thread, socket.socket]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for worker, connection in self._workers:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # already gone
                pass
            worker.join()
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed by __exit__
                return
            worker = threading.Thread(target=self._serve_all, args=(connection,), daemon=True)
            self._workers.append((worker, connection))
            worker.start()

    def _serve_all(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:  # the client went away: its right
            pass

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        while line := stream.readline():
            method, target, _ = line.decode().split(" ")
            headers: dict[str, str] = {}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            raw = self._body(stream, headers)
            parts = urlsplit(target)
            path = without_version(parts.path)
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw.decode("latin-1")
            if path != "/_ping":
                self.requests.append(
                    Request(method, path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)
                )
            if (method, path) in self.streams:
                self.streams[method, path](stream, connection)
                connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(connection, method, path)

    @staticmethod
    def _body(stream: Any, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return bytes(stream.read(int(headers.get("content-length", "0"))))
        whole = b""
        while size := int(stream.readline(), 16):
            whole += stream.read(size)
            stream.readline()
        stream.readline()
        return whole

    def _answer(self, connection: socket.socket, method: str, path: str) -> None:
        status, value = {**ANSWERS, **self.answers}.get(
            (method, path), (204, None) if method == "DELETE" else (200, {})
        )
        if method == "POST" and path.endswith(("/start", "/kill", "/stop")) and (method, path) not in self.answers:
            status, value = 204, None
        value = value() if callable(value) else value
        if path == "/_ping":
            body = b"OK"
        elif status == 204:
            body = b""
        else:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} X", "Api-Version: 1.51", "Ostype: linux"]
        lines.append(f"Content-Type: {STREAM_TYPE if path.endswith('/logs') else 'application/json'}")
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
