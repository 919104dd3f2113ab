"""Plugins of Docker's protocol: found by name in a few directories, spoken to over HTTP.

A plugin is a socket ``NAME.sock``, or a file ``NAME.spec`` (its address) or ``NAME.json`` (address and TLS files), in
one of the directories or in one called NAME below it. Everything is a POST of JSON to ``/Method``, answered by JSON.
No policy: which method and how long to wait is the caller's business. A call never takes longer than it was given.
"""

import asyncio
import json
import re
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11

from landbridge.errors import Internal, NotFound, Unavailable

DIRECTORIES = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # one component of a path
_TYPE = "application/vnd.docker.plugins.v1.2+json"
_MOST = 1 << 20  # bytes of an answer
_FIRST_PAUSE, _MOST_PAUSE = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a plugin listens: a socket's `path`, or `host` and `port`, with TLS when there is a context."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"unix {self.path}" if self.path else f"tcp {self.host}:{self.port}"


class Plugins:
    """Satisfies `engine.effects_plugins.Plugins`."""

    def __init__(self, directories: Sequence[str] = DIRECTORIES) -> None:
        self._directories = tuple(Path(one) for one in directories)

    async def call(self, name: str, method: str, body: Mapping[str, object], *, seconds: float) -> dict[str, Any]:
        """The answer to `method`, an object. A plugin nobody listens for is tried again until `seconds` are over.

        Raises: NotFound when there is no such plugin, or it has no such method; Unavailable when nobody answers in
        time; Internal when it answers with an error or with what is no JSON object.
        """
        refusals: list[str] = []
        try:
            async with asyncio.timeout(seconds):
                return await self._call(name, method, json.dumps(body).encode(), refusals)
        except TimeoutError:
            said = refusals[-1] if refusals else f"plugin {name} did not answer within {seconds:g} s"
            raise Unavailable(f"{method}: {said}") from None

    async def _call(self, name: str, method: str, body: bytes, refusals: list[str]) -> dict[str, Any]:
        address = self._find(name)
        reader, writer = await _connect(address, refusals)
        try:
            status, answer = await _exchange(reader, writer, method, body)
        except (OSError, EOFError, h11.RemoteProtocolError) as error:
            raise Unavailable(f"{method}: plugin {name}: {error}") from error
        finally:
            writer.close()
        return _read(method, status, answer)

    def _find(self, name: str) -> _Address:
        if _NAME.fullmatch(name):
            for directory in self._directories:
                for base in (directory / name, directory / name / name):
                    found = _socket(Path(f"{base}.sock")) or _spec(Path(f"{base}.spec")) or _json(Path(f"{base}.json"))
                    if found:
                        return found
        raise NotFound(f'plugin "{name}" not found')


async def _connect(address: _Address, refusals: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Tried until it works: nothing has been asked before, and the caller's deadline ends it. Notes what went wrong."""
    pause = _FIRST_PAUSE
    while True:
        try:
            if address.path:
                return await asyncio.open_unix_connection(address.path)
            return await asyncio.open_connection(address.host, address.port, ssl=address.tls)
        except OSError as error:
            refusals[:] = [f"dial {address}: connect: {(error.strerror or str(error)).lower()}"]
        await asyncio.sleep(pause)
        pause = min(pause * 2, _MOST_PAUSE)


def _socket(path: Path) -> _Address | None:
    try:
        return _Address(path=str(path)) if stat.S_ISSOCK(path.stat().st_mode) else None
    except OSError:
        return None


def _spec(path: Path) -> _Address | None:
    try:
        return _parse(path, path.read_text().strip(), None)
    except OSError:
        return None


def _json(path: Path) -> _Address | None:
    try:
        found = json.loads(path.read_text())
        files = found.get("TLSConfig") or {}
        return _parse(path, str(found["Addr"]), _tls(files) if files else None)
    except OSError:
        return None
    except (ValueError, KeyError, AttributeError) as error:
        raise Internal(f"plugin file {path}: {error}") from error


def _tls(files: Mapping[str, Any]) -> ssl.SSLContext:
    """As Docker: without a CA file of its own a plugin's certificate is not looked at."""
    context = ssl.create_default_context(cafile=files.get("CAFile") or None)
    if files.get("InsecureSkipVerify") or not files.get("CAFile"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if files.get("CertFile"):
        context.load_cert_chain(files["CertFile"], files.get("KeyFile") or None)
    return context


def _parse(path: Path, text: str, tls: ssl.SSLContext | None) -> _Address:
    parts = urlsplit(text)
    if parts.scheme == "unix":
        return _Address(path=parts.path)
    if parts.scheme in ("tcp", "http", "https") and parts.hostname:
        secure = tls or (_tls({}) if parts.scheme == "https" else None)
        return _Address(host=parts.hostname, port=parts.port or (443 if secure else 80), tls=secure)
    raise Internal(f"plugin file {path}: Unknown protocol")


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, body: bytes
) -> tuple[int, bytes]:
    """One request on a connection of its own: (status, body). Raises: OSError, EOFError, h11.RemoteProtocolError."""
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", "plugin"), ("Accept", _TYPE), ("Content-Type", _TYPE), ("Content-Length", str(len(body))),
               ("Connection", "close")]  # fmt: skip
    for event in (h11.Request(method="POST", target=f"/{method}", headers=headers), h11.Data(data=body),
                  h11.EndOfMessage()):  # fmt: skip
        writer.write(connection.send(event) or b"")
    await writer.drain()
    status, answer = 0, bytearray()
    while True:
        got = connection.next_event()
        if got is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(got, h11.Response):
            status = got.status_code
        elif isinstance(got, h11.Data):
            answer += got.data
            if len(answer) > _MOST:
                raise EOFError("the answer is too long")
        elif isinstance(got, h11.EndOfMessage):
            return status, bytes(answer)
        elif isinstance(got, h11.ConnectionClosed):
            raise EOFError("EOF")


def _read(method: str, status: int, answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer or b"{}")
    except ValueError:
        found = None
    if status != 200:
        said = found.get("Err") if isinstance(found, dict) else ""
        kind = NotFound if status == 404 else Internal
        raise kind(f"{method}: {said or answer.decode(errors='replace').strip()}")
    if not isinstance(found, dict):
        raise Internal(f"{method}: the plugin's answer is no JSON object")
    said = found.get("Err") or found.get("Error")
    if said:
        raise Internal(f"remote: {said}")
    return found
