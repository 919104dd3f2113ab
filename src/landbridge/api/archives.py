"""Handlers of ``/containers/{name}/archive``: files in and out of containers."""

import base64
import json
import stat

from landbridge.api.request import Request
from landbridge.api.response import TAR, Empty, Response, Stream
from landbridge.api.router import Route
from landbridge.engine.copies import PutOptions
from landbridge.engine.engine import Engine
from landbridge.model.path import PathStat
from landbridge.model.stamp import format_ns

# Go's os.FileMode: its own bits for kinds of files, beside the nine permission bits.
_KINDS = {
    stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
    stat.S_IFBLK: 1 << 26, stat.S_IFCHR: 1 << 26 | 1 << 21,
}  # fmt: skip
_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """A mode of stat(2) as Go writes it."""
    special = sum(bit for unix, bit in _BITS.items() if mode & unix)
    return (mode & 0o777) | _KINDS.get(stat.S_IFMT(mode), 0) | special


def stat_header(found: PathStat) -> tuple[str, str]:
    """What clients of `cp` read before they decide what to do."""
    shown = {
        "name": found.name, "size": found.size, "mode": go_mode(found.mode), "mtime": format_ns(found.mtime),
        "linkTarget": found.link_target,
    }  # fmt: skip
    text = json.dumps(shown, separators=(",", ":"))
    return "X-Docker-Container-Path-Stat", base64.b64encode(text.encode()).decode()


class ArchiveHandlers:
    """One method per route."""

    def __init__(self, engine: Engine) -> None:
        self._copies = engine.copies

    def routes(self) -> list[Route]:
        one = "/containers/{name:.*}/archive"
        return [Route("HEAD", one, self.head), Route("GET", one, self.get), Route("PUT", one, self.put)]

    async def head(self, request: Request) -> Response:
        found = await self._copies.stat(request.params["name"], request.query_str("path"))
        return Empty(status=200, headers=(stat_header(found),))

    async def get(self, request: Request) -> Response:
        found, chunks = await self._copies.get(request.params["name"], request.query_str("path"))
        return Stream(chunks, content_type=TAR, headers=(stat_header(found),))

    async def put(self, request: Request) -> Response:
        options = PutOptions(
            keep_kinds=request.query_bool("noOverwriteDirNonDir"), as_user=request.query_bool("copyUIDGID")
        )
        await self._copies.put(request.params["name"], request.query_str("path"), request.body(), options)
        return Empty(status=200)
