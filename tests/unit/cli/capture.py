"""A server on a unix socket that accepts any request of a command line, remembers it and answers something plausible.

Used twice: `record.py` points the real docker command at it to write the golden files, and the tests point ours at it
and compare. It knows no container: answers are constants, so what is compared is what the command line *sends*.
"""

import json
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CONTAINER = "4f1c" * 16
ANSWERS: dict[tuple[str, str], tuple[int, Any]] = {
    ("POST", "/containers/create"): (201, {"Id": CONTAINER, "Warnings": []}),
    ("POST", "/networks/create"): (201, {"Id": "9a7e" * 16, "Warning": ""}),
    ("POST", "/volumes/create"): (201, {"Name": "vol", "Driver": "local", "Mountpoint": "/v", "Scope": "local"}),
    ("GET", "/containers/json"): (200, []),
    ("GET", "/images/json"): (200, []),
    ("GET", "/networks"): (200, []),
    ("GET", "/volumes"): (200, {"Volumes": [], "Warnings": None}),
    ("POST", "/auth"): (200, {"Status": "Login Succeeded"}),
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
    """`with CaptureServer(path) as server:` — then `server.requests` holds what arrived, in order."""

    path: Path
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> "CaptureServer":
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        self._workers: list[tuple[threading.Thread, socket.socket]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
            while (header := stream.readline().decode().strip()):
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
                self.requests.append(Request(method, path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body))
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
        status, value = {**ANSWERS, **self.answers}.get((method, path), (204, None) if method == "DELETE" else (200, {}))
        if method == "POST" and path.endswith(("/start", "/kill", "/stop")) and (method, path) not in self.answers:
            status, value = 204, None
        body = b"OK" if path == "/_ping" else b"" if status == 204 else value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} X", "Api-Version: 1.51", "Ostype: linux", "Content-Type: application/json"]
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
