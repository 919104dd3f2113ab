"""Runs scenarios on an engine behind a unix socket, with a docker command, and writes down what it answered.

An answer is a small JSON object: {exit, stdout, stderr} for command lines, {status, type, body} for requests,
normalised. Nothing here knows which engine it is talking to.
"""

import base64
import http.client
import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import normal
from corpus import Scenario, Step

API_VERSION = "1.45"
PREFIX = "pt-"
OURS = frozenset({"ptbox", "ptweb", "ptfull"})
Answer = dict[str, Any]

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9]*)(?::(\d+))?\}|\$([A-Z][A-Z0-9]*)")
_TIMEOUT = 30


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


@dataclass(frozen=True, slots=True)
class Reply:
    """A raw answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Engine:
    """An engine and the docker command used with it. `client` may be empty when only requests are made."""

    def __init__(self, socket_path: str, client: str, directory: Path) -> None:
        self.socket_path = socket_path
        self.directory = directory
        bin_directory = directory / "bin"
        bin_directory.mkdir(parents=True, exist_ok=True)
        (directory / "config").mkdir(exist_ok=True)
        link = bin_directory / "docker"
        link.unlink(missing_ok=True)
        if client:
            link.symlink_to(client)
        self.client = str(link)
        self.environment = {
            "PATH": f"{bin_directory}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(directory), "DOCKER_CONFIG": str(directory / "config"), "DOCKER_CLI_HINTS": "false",
            "DOCKER_HOST": f"unix://{socket_path}", "LANDBRIDGE_HOST": f"unix://{socket_path}", "LC_ALL": "C",
            "TZ": "UTC", "DOCKER_API_VERSION": min(API_VERSION, _cli_api(client), key=_number),
        }  # fmt: skip
        self.root = self.request("GET", "/info").json()["DockerRootDir"]

    def request(self, method: str, path: str, body: bytes | None = None, type_: str = "application/json") -> Reply:
        """One request; the connection is closed afterwards."""
        connection = _UnixConnection(self.socket_path)
        try:
            connection.request(method, path, body, {"Content-Type": type_} if body else {})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def play(self, scenario: Scenario) -> list[Answer]:
        """Run every line; the answers of those that count. What the scenario made is removed."""
        directory = self.directory / "tmp"
        directory.mkdir(exist_ok=True)
        variables = {"TMP": str(directory)}
        answers: list[Answer] = []
        try:
            for step in scenario.steps:
                answer = self._step(step, variables, (str(directory), self.root))
                if step.counts:
                    answers.append({"line": step.line, **answer})
        finally:
            self.tidy()
            subprocess.run(["rm", "-rf", str(directory)], check=True)
        return answers

    def _step(self, step: Step, variables: dict[str, str], roots: tuple[str, ...]) -> Answer:
        def fill(text: str) -> str:
            return _VARIABLE.sub(lambda match: _value(match, variables), text)

        if step.kind == "api":
            reply = self._ask(step, fill)
            if step.variable:
                variables[step.variable] = reply.json()["Id"]
            return reply_view(step, reply, roots)
        words = ["bash", "-c", fill(step.text)] if step.kind == "sh" else [self.client, *shlex.split(fill(step.text))]
        done = subprocess.run(
            words, input=fill(step.stdin).encode(), capture_output=True, env=self.environment, check=False,
            cwd=variables["TMP"], timeout=_TIMEOUT,
        )  # fmt: skip
        if step.variable:
            variables[step.variable] = done.stdout.decode().strip()
            if step.kind == "sh":
                return {"exit": done.returncode}  # a moment, or something else that is never twice the same
        return {
            "exit": done.returncode,
            "stdout": normal.output(done.stdout.decode(errors="replace"), roots),
            "stderr": normal.output(done.stderr.decode(errors="replace"), roots),
        }

    def _ask(self, step: Step, fill: Any) -> Reply:
        path = fill(step.path)
        if path.startswith("="):
            path = path[1:]
        elif not path.startswith("/v1.") and not re.match(r"/v\d", path):
            path = f"/v{API_VERSION}{path}"
        body = fill(step.body).encode() if step.body else (b"" if step.method == "POST" else None)
        return self.request(step.method, quote(path, safe="/?&=%:,+~@;"), body or None)

    def tidy(self) -> None:
        """Remove every container, network, volume and image whose name begins with pt-, and what runs our images."""
        for one in self.request("GET", "/containers/json?all=1").json():
            if one["Image"].partition(":")[0] in OURS or any(name.startswith(f"/{PREFIX}") for name in one["Names"]):
                self.request("DELETE", f"/containers/{one['Id']}?force=1&v=1")
        for one in self.request("GET", "/networks").json():
            if one["Name"].startswith(PREFIX):
                self.request("DELETE", f"/networks/{one['Id']}")
        for one in self.request("GET", "/volumes").json()["Volumes"] or ():
            if one["Name"].startswith(PREFIX):
                self.request("DELETE", f"/volumes/{one['Name']}?force=1")
        for one in self.request("GET", "/images/json").json():
            for tag in one["RepoTags"] or ():
                if tag.startswith(PREFIX):
                    self.request("DELETE", f"/images/{tag}?force=1")

    def load(self, archive: Path) -> None:
        """Load an image. Raises: RuntimeError."""
        reply = self.request("POST", "/images/load?quiet=1", archive.read_bytes(), "application/x-tar")
        if reply.status != 200 or b'"error"' in reply.body:
            raise RuntimeError(f"{archive}: {reply.status} {reply.body!r}")

    @contextmanager
    def images(self, archives: list[Path], names: list[str]) -> Iterator[None]:
        """The corpus' images are there inside."""
        self.tidy()
        for archive in archives:
            self.load(archive)
        try:
            yield
        finally:
            for name in names:
                self.request("DELETE", f"/images/{name}?force=1")


def _value(match: re.Match[str], variables: dict[str, str]) -> str:
    name = match.group(1) or match.group(3)
    if name not in variables:
        return match.group()
    return variables[name][: int(match.group(2))] if match.group(2) else variables[name]


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _cli_api(client: str) -> str:
    """The newest API a docker command speaks: 1.41 for 20.10; later ones all speak what is recorded."""
    return "1.41" if client and cli_version(client).startswith("20.10") else API_VERSION


def cli_version(client: str) -> str:
    """``28.2.2`` of a docker command, without the packager's suffix."""
    out = subprocess.run([client, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version ([0-9]+\.[0-9]+\.[0-9]+)", out)
    return match.group(1) if match else "unknown"


def reply_view(step: Step, reply: Reply, roots: tuple[str, ...]) -> Answer:
    """What counts of an answer over HTTP."""
    kind = reply.headers.get("content-type", "")
    shown: Answer = {"status": reply.status, "type": kind}
    if stat := reply.headers.get("x-docker-container-path-stat"):
        shown["stat"] = normal.document(json.loads(base64.b64decode(stat)), roots)
    if location := reply.headers.get("location"):
        shown["location"] = location
    body = _body(kind, reply.body)
    if step.select:
        body = {path: _pick(body, path.split(".")) for path in step.select}
    shown["body"] = normal.document(body, roots) if not isinstance(body, str) else normal.output(body, roots)
    return shown


def _body(kind: str, body: bytes) -> Any:
    if not body:
        return ""
    if "stream" in kind and "json" not in kind:
        return _frames(body)
    if "json" in kind or body[:1] in b"{[":
        found: list[Any] = []
        rest = body.decode().strip()
        while rest:
            value, end = json.JSONDecoder().raw_decode(rest)
            found.append(value)
            rest = rest[end:].lstrip()
        return found[0] if len(found) == 1 and "events" not in kind else found
    if "tar" in kind:
        return "<tar>"
    return body.decode(errors="replace")


def _frames(body: bytes) -> Any:
    """Multiplexed output as [stream, text] pairs, neighbours of one stream joined."""
    found: list[list[Any]] = []
    while len(body) >= 8 and body[0] < 4 and body[1:4] == b"\0\0\0":
        length = int.from_bytes(body[4:8], "big")
        piece = body[8 : 8 + length].decode(errors="replace")
        if found and found[-1][0] == body[0]:
            found[-1][1] += piece
        else:
            found.append([body[0], piece])
        body = body[8 + length :]
    return [*found, ["raw", body.decode(errors="replace")]] if body else found


def _pick(value: Any, path: list[str]) -> Any:
    """`Config.Image`; `[].Name` goes through a list, `*.X` through a map's values; an absent member is "absent"."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if head == "[]" and isinstance(value, list):
        return [_pick(one, rest) for one in value]
    if head == "*" and isinstance(value, dict):
        return {key: _pick(one, rest) for key, one in value.items()}
    if isinstance(value, dict) and head in value:
        return _pick(value[head], rest)
    return "absent"
