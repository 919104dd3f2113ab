"""A registry for tests that does what it is told, faults included: the distribution API from memory, on a loopback port.

`RegistryServer` runs in the test's own event loop, `serving` in a thread of its own (in whatever namespace the
thread that calls it is in). A `Fault` is used up after so many requests. Nothing of landbridge's client is used here.
"""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import re
import socket
import ssl
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
GZIP_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclass(kw_only=True)
class Fault:
    """What to do with requests whose ``METHOD /path`` matches `where`, `times` of them.

    `do`: status (answer `status`, `headers`, `body`), cut (reset after `after` bytes of the body), truncate (end the
    connection after `after` bytes), stall (send `after` bytes, then nothing), corrupt (one byte is another), replace
    (send `body` instead), unsized (that, without a length), trickle (a few bytes at a time), norange (ignore Range), hangup (no answer at all).
    """

    where: str
    do: str
    times: int = 1
    after: int = 0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Seen:
    """A request as it came, and how it was answered."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]
    status: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Cut(Exception):
    """The connection ends here."""


class RegistryServer:
    """`users` are names with passwords. `auth`: none, basic or token (then `/token` is its token server)."""

    def __init__(self, *, auth: str = "none", users: Mapping[str, str] | None = None, page: int = 1000) -> None:
        self.auth = auth
        self.users = dict(users or {})
        self.page = page
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.uploads: dict[str, bytes] = {}
        self.tokens: dict[str, set[str]] = {}
        self.refresh = "refresh-me"
        self.index: list[dict[str, Any]] = []  # what /v1/search knows
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.stalled = asyncio.Event()
        self.port = 0
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._made = 0

    # Life.

    async def start(self, *, tls: ssl.SSLContext | None = None, sock: socket.socket | None = None) -> "RegistryServer":
        sock = sock or socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=sock, ssl=tls)
        return self

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._closing.set()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> "RegistryServer":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def requests(self, pattern: str = "") -> list[str]:
        """What was asked so far, as ``METHOD /path status``."""
        return [str(one) for one in self.seen if re.search(pattern, f"{one.method} {one.path}")]

    def of(self, pattern: str) -> list[Seen]:
        return [one for one in self.seen if re.search(pattern, f"{one.method} {one.path}")]

    async def until(self, pattern: str, count: int = 1) -> None:
        """Wait until so many requests of the kind have come."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests(pattern)) >= count)

    # Content.

    def blob(self, repository: str, data: bytes) -> str:
        self.blobs.setdefault(repository, {})[digest(data)] = data
        return digest(data)

    def manifest(self, repository: str, tag: str, document: Mapping[str, Any], media: str = MANIFEST) -> dict[str, Any]:
        """Put a manifest; the descriptor for a list."""
        raw = json.dumps(document).encode()
        kept = self.manifests.setdefault(repository, {})
        kept[digest(raw)] = (media, raw)
        if tag:
            kept[tag] = (media, raw)
        return {"mediaType": media, "digest": digest(raw), "size": len(raw)}

    def image(
        self,
        repository: str,
        tag: str,
        layers: Sequence[bytes],
        *,
        architecture: str = "amd64",
        media: str = MANIFEST,
        layer_media: str = GZIP_LAYER,
        packed: Sequence[bytes] | None = None,
        **document: Any,
    ) -> dict[str, Any]:
        """Put an image of plain `layers` (compressed to `packed`, by gzip when not given); its descriptor."""
        sent = [gzip.compress(layer, mtime=0) for layer in layers] if packed is None else packed
        config = json.dumps({
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}, **document,
        }).encode()  # fmt: skip
        return self.manifest(
            repository,
            tag,
            {
                "schemaVersion": 2,
                "mediaType": media,
                "config": {"mediaType": CONFIG, "digest": self.blob(repository, config), "size": len(config)},
                "layers": [
                    {"mediaType": layer_media, "digest": self.blob(repository, data), "size": len(data)} for data in sent
                ],
            },
            media,
        )

    # Requests.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        talk = h11.Connection(h11.SERVER)
        try:
            while True:
                request = await self._next(talk, reader)
                if not isinstance(request, h11.Request):
                    break
                await self._exchange(talk, reader, writer, request)
                if talk.our_state is not h11.DONE or talk.their_state is not h11.DONE:
                    break
                talk.start_next_cycle()
        except (Cut, ConnectionError, h11.RemoteProtocolError):
            pass  # either side had enough
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _next(self, talk: h11.Connection, reader: asyncio.StreamReader) -> Any:
        while (event := talk.next_event()) is h11.NEED_DATA:
            talk.receive_data(await reader.read(65536))
        return event

    async def _exchange(
        self, talk: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request
    ) -> None:
        parts = urlsplit(request.target.decode())
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        query = {key: " ".join(values) for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        seen = Seen(request.method.decode(), parts.path, headers, query)
        async with self._arrived:
            self.seen.append(seen)
            self._arrived.notify_all()
        fault = next(
            (one for one in self.faults if one.times > 0 and re.search(one.where, f"{seen.method} {seen.path}")), None
        )
        if fault:
            fault.times -= 1
            if fault.do == "hangup":
                raise Cut
        body = b""
        while isinstance(event := await self._next(talk, reader), h11.Data):
            body += bytes(event.data)
            if fault and fault.do == "cut" and seen.method in ("PATCH", "PUT") and len(body) >= fault.after:
                _reset(writer)
                raise Cut
        if fault and fault.do == "status":
            answer = Answer(fault.status, dict(fault.headers), fault.body)
        else:
            answer = self._answer(seen, body, ranges=not (fault and fault.do == "norange"))
        seen.status = answer.status
        await self._send(talk, writer, seen, answer, fault)

    async def _send(
        self, talk: h11.Connection, writer: asyncio.StreamWriter, seen: Seen, answer: Answer, fault: Fault | None
    ) -> None:
        body = answer.body
        if fault and fault.do == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault and fault.do in ("replace", "unsized"):
            body = fault.body
        length = {"Transfer-Encoding": "chunked"} if fault and fault.do == "unsized" else {"Content-Length": str(len(body))}
        headers = {**length, **answer.headers}
        writer.write(talk.send(h11.Response(status_code=answer.status, headers=list(headers.items()))) or b"")
        if seen.method == "HEAD":
            body = b""
        if fault and fault.do in ("cut", "truncate", "stall"):
            writer.write(talk.send(h11.Data(data=body[: fault.after])) or b"")
            await writer.drain()
            if fault.do == "stall":
                self.stalled.set()
                await self._closing.wait()
            if fault.do == "cut":
                _reset(writer)
            else:
                writer.close()
                await writer.wait_closed()
            raise Cut
        step = 100 if fault and fault.do == "trickle" else 1 << 20
        for start in range(0, len(body), step):
            writer.write(talk.send(h11.Data(data=body[start : start + step])) or b"")
            await writer.drain()
            if step == 100:
                await asyncio.sleep(0)
        writer.write(talk.send(h11.EndOfMessage()) or b"")
        await writer.drain()

    def _answer(self, seen: Seen, body: bytes, *, ranges: bool) -> Answer:
        if seen.path == "/token":
            return self._token(seen, body)
        refused = self._refused(seen)
        if refused:
            return refused
        if seen.path == "/v1/search" and self.index:
            hits = [one for one in self.index if seen.query["q"] in one["name"]][: int(seen.query["n"])]
            return Answer(200, {}, json.dumps({"query": seen.query["q"], "num_results": len(hits), "results": hits}).encode())
        if seen.path == "/v2/":
            return Answer(200, body=b"{}")
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags)/(.*)", seen.path)
        if not found:
            return _error(404, "UNSUPPORTED")
        repository, kind, rest = found.groups()
        if kind == "manifests":
            return self._manifests(seen, repository, rest, body)
        if kind == "tags":
            return self._tags(seen, repository)
        if rest.startswith("uploads/"):
            return self._uploads(seen, repository, rest.removeprefix("uploads/"), body)
        return self._blobs(seen, repository, rest, ranges=ranges)

    def _refused(self, seen: Seen) -> Answer | None:
        given = seen.headers.get("authorization", "")
        if self.auth == "none":
            return None
        if self.auth == "basic":
            if self._user(given):
                return None
            return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="lab"'})
        scopes = self.tokens.get(given.removeprefix("Bearer "))
        found = re.fullmatch(r"/v2/(.+?)/(?:manifests|blobs|tags)/.*", seen.path)
        action = "pull" if seen.method in ("GET", "HEAD") else "push"
        needed = f"repository:{found[1]}:{action}" if found else ""
        if scopes is not None and (not needed or needed in scopes):
            return None
        challenge = f'Bearer realm="http://{seen.headers["host"]}/token",service="lab"'
        if scopes is not None:
            challenge += f',scope="{needed}",error="insufficient_scope"'
        return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": challenge})

    def _user(self, header: str) -> str:
        try:
            name, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            return ""
        return name if name and self.users.get(name) == password else ""

    def _token(self, seen: Seen, body: bytes) -> Answer:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if form:
            asks_well = form.get("grant_type") == "refresh_token" and form.get("client_id") and form.get("service")
            user = "alice" if asks_well and form.get("refresh_token") == self.refresh else ""
            asked = form.get("scope", "").split()
        else:
            user = self._user(seen.headers.get("authorization", ""))
            asked = seen.query.get("scope", "").split()
        if (form or "authorization" in seen.headers) and not user:
            return Answer(401, body=json.dumps({"details": "incorrect username or password"}).encode())
        granted = set()
        for scope in asked:
            kind, name, actions = scope.split(":")
            for action in actions.split(","):
                if user or name.startswith("public/"):
                    granted.add(f"{kind}:{name}:{action}")
        self._made += 1
        token = f"token{self._made}"
        self.tokens[token] = granted
        document = {"token": token, "expires_in": 300}
        if seen.query.get("offline_token") == "true":
            document["refresh_token"] = self.refresh
        return Answer(200, body=json.dumps(document).encode())

    def _manifests(self, seen: Seen, repository: str, reference: str, body: bytes) -> Answer:
        kept = self.manifests.setdefault(repository, {})
        if seen.method == "PUT":
            document = json.loads(body)
            blobs = self.blobs.get(repository, {})
            if any(one["digest"] not in blobs for one in (document["config"], *document["layers"])):
                return _error(400, "MANIFEST_BLOB_UNKNOWN")
            kept[reference] = kept[digest(body)] = (seen.headers["content-type"], body)
            return Answer(201, {"Docker-Content-Digest": digest(body)})
        if reference not in kept:
            return _error(404, "MANIFEST_UNKNOWN")
        media, raw = kept[reference]
        return Answer(200, {"Content-Type": media, "Docker-Content-Digest": digest(raw)}, raw)

    def _tags(self, seen: Seen, repository: str) -> Answer:
        if repository not in self.manifests:
            return _error(404, "NAME_UNKNOWN")
        tags = sorted(tag for tag in self.manifests[repository] if ":" not in tag)
        rest = [tag for tag in tags if tag > seen.query.get("last", "")]
        body = json.dumps({"name": repository, "tags": rest[: self.page]}).encode()
        if len(rest) <= self.page:
            return Answer(200, body=body)
        return Answer(200, {"Link": f'</v2/{repository}/tags/list?last={rest[self.page - 1]}>; rel="next"'}, body)

    def _uploads(self, seen: Seen, repository: str, upload: str, body: bytes) -> Answer:
        where = {"Location": f"/v2/{repository}/blobs/uploads/{upload}?state=x"}
        if seen.method == "POST":
            wanted = self.blobs.get(seen.query.get("from", ""), {}).get(seen.query.get("mount", ""))
            if wanted is not None:
                self.blob(repository, wanted)
                return Answer(201)
            self._made += 1
            self.uploads[f"u{self._made}"] = b""
            return Answer(202, {"Location": f"/v2/{repository}/blobs/uploads/u{self._made}?state=x"})
        if upload not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if seen.method == "DELETE":
            del self.uploads[upload]
            return Answer(204)
        self.uploads[upload] += body
        if seen.method == "PATCH":
            return Answer(202, where)
        data = self.uploads.pop(upload)
        if digest(data) != seen.query.get("digest"):
            return _error(400, "DIGEST_INVALID")
        self.blob(repository, data)
        return Answer(201)

    def _blobs(self, seen: Seen, repository: str, wanted: str, *, ranges: bool) -> Answer:
        data = self.blobs.get(repository, {}).get(wanted)
        if data is None:
            return _error(404, "BLOB_UNKNOWN")
        start = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
        if start and ranges:
            first = int(start[1])
            shown = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return Answer(206, {"Content-Range": shown}, data[first:])
        return Answer(200, body=data)


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    messages = {
        "UNAUTHORIZED": "authentication required", "MANIFEST_UNKNOWN": "manifest unknown",
        "NAME_UNKNOWN": "repository name not known to registry", "BLOB_UNKNOWN": "blob unknown to registry",
    }  # fmt: skip
    body = json.dumps({"errors": [{"code": code, "message": messages.get(code, code.lower())}]}).encode()
    return Answer(status, dict(headers or {}), body)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def serving(server: RegistryServer, port: int = 0) -> Iterator[RegistryServer]:
    """Serve from a thread of its own. The socket is made here: in the caller's network namespace."""
    sock = socket.create_server(("127.0.0.1", port))
    ready, stop = threading.Event(), []

    async def run() -> None:
        end = asyncio.Event()
        stop.append((asyncio.get_running_loop(), end))
        await server.start(sock=sock)
        ready.set()
        await end.wait()
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="registry")
    thread.start()
    try:
        assert ready.wait(10), "the registry did not start"
        yield server
    finally:
        loop, end = stop[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
