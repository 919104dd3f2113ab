"""One repository of a registry: manifests, blobs down and blobs up.

A download that breaks off goes on where it stopped (Range, RFC 9110, 14.2); a server that cannot do that sends all
of it again and the known part is passed over.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit

from landbridge.errors import Internal, LandbridgeError, Unavailable
from landbridge.oci.challenge import repository_scope
from landbridge.oci.image import parse_json
from landbridge.oci.layers import digest as digest_of
from landbridge.oci.manifest import ACCEPT, MANIFEST_MOST, Descriptor
from landbridge.registry.client import Call, Registry
from landbridge.registry.effects import Reply
from landbridge.registry.errors import Refused, WrongContent, delay_before_retry

PROGRESS = 64 * 1024  # so many new bytes make a broken download count as the first failure again
TAGS_MOST = 8 << 20
UPLOAD_PATIENCE = 900.0  # a registry hashes a large blob before it answers

Seen = Callable[[int], None]
"""Told how many bytes have arrived so far."""
Waiting = Callable[[float], None]
"""Told how many seconds it takes until the next try."""


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as it came."""

    raw: bytes
    media_type: str
    digest: str


class Repository:
    """`actions`: what a token is asked for (``pull``, ``push``); `sources`: repositories blobs are mounted from."""

    def __init__(self, registry: Registry, name: str, *actions: str, sources: tuple[str, ...] = ()) -> None:
        self.registry = registry
        self.name = name
        scopes = [repository_scope(name, *actions), *(repository_scope(source, "pull") for source in sources)]
        self._scopes = frozenset(scopes)

    def __repr__(self) -> str:
        return f"<Repository {self.name} at {self.registry.endpoint.url}>"

    def _call(self, method: str, rest: str, **more: object) -> Call:
        url = rest if "://" in rest else f"/v2/{self.name}/{rest}"
        return Call(method=method, url=url, scopes=self._scopes, **more)  # type: ignore[arg-type]

    # Manifests.

    async def manifest_digest(self, tag: str) -> str:
        """The digest `tag` has now, without fetching; empty when the registry does not say.

        Raises: what calls raise; a refusal with a text in its body is left to `manifest`, which can read it.
        """
        try:
            reply, _ = await self.registry.read(
                self._call("HEAD", f"manifests/{tag}", headers={"Accept": ", ".join(ACCEPT)}), 0
            )
        except Refused as error:
            if error.refusal.status >= 500:
                raise
            return ""
        found = reply.header("docker-content-digest")
        return found if found.startswith("sha256:") else ""

    async def manifest(self, reference: str) -> Document:
        """By tag or digest. Raises: Refused, WrongContent when the digest is another, and what calls raise."""
        reply, raw = await self.registry.read(
            self._call("GET", f"manifests/{reference}", headers={"Accept": ", ".join(ACCEPT)}), MANIFEST_MOST
        )
        wanted = reference if ":" in reference else ""
        found = digest_of(raw)
        if wanted and hashlib.new(wanted.partition(":")[0], raw).hexdigest() != wanted.partition(":")[2]:
            raise WrongContent(f"manifest verification failed for digest {wanted}")
        return Document(raw, reply.header("content-type"), wanted or found)

    async def put_manifest(self, reference: str, raw: bytes, media_type: str) -> None:
        """Raises: Refused and what calls raise."""
        headers = {"Content-Type": media_type}
        call = self._call("PUT", f"manifests/{reference}", headers=headers, body=raw, good=(200, 201, 202))
        await self.registry.read(call, MANIFEST_MOST)

    async def tags(self) -> tuple[str, ...]:
        """Every tag. Raises: Refused and what calls raise."""
        found: list[str] = []
        url = "tags/list"
        for _ in range(1000):
            reply, raw = await self.registry.read(self._call("GET", url), TAGS_MOST)
            found += _tags(raw)
            following = _next_page(reply.header("link"))
            if not following:
                break
            url = urljoin(f"{self.registry.endpoint.url}/v2/{self.name}/tags/list", following)
        return tuple(dict.fromkeys(found))

    # Blobs down.

    async def document(self, wanted: Descriptor, most: int) -> bytes:
        """A small blob, whole. Raises: WrongContent, Refused and what calls raise."""
        if wanted.size > most:
            raise WrongContent(f"{wanted.digest} is {wanted.size} bytes, at most {most} are taken")
        _, raw = await self.registry.read(self._call("GET", f"blobs/{wanted.digest}"), most)
        if digest_of(raw) != wanted.digest or len(raw) != wanted.size:
            raise WrongContent(f"image config verification failed for digest {wanted.digest}")
        return raw

    async def blob(self, wanted: Descriptor, seen: Seen, waiting: Waiting) -> AsyncGenerator[bytes, None]:
        """A blob's bytes, as many as the descriptor says; the digest is for the caller to compare.

        Raises: WrongContent when there are more, Refused and Unavailable when the tries are used up.
        """
        offset = failures = 0
        while True:
            before = offset
            try:
                async with aclosing(self._from(wanted, offset)) as chunks:
                    async for chunk in chunks:
                        offset += len(chunk)
                        if offset > wanted.size:
                            raise WrongContent(f"{wanted.digest} is longer than the {wanted.size} bytes it should have")
                        seen(offset)
                        yield chunk
                if offset == wanted.size:
                    return
                raise Unavailable(f"{wanted.digest}: unexpected EOF")
            except (Unavailable, Refused) as error:
                failures = 1 if offset - before >= PROGRESS else failures + 1
                delay = delay_before_retry(error, failures)
                if delay is None:
                    raise
            waiting(delay)
            await self.registry.sleep(delay)

    async def _from(self, wanted: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        call = self._call("GET", f"blobs/{wanted.digest}", headers=headers, good=(200, 206))
        async with self.registry.call(call) as reply, aclosing(reply.chunks()) as chunks:
            known = _known_part(reply, wanted, offset)
            async for chunk in chunks:
                if known:
                    passed = min(known, len(chunk))
                    known -= passed
                    chunk = chunk[passed:]
                if chunk:
                    yield chunk

    # Blobs up.

    async def has_blob(self, digest: str) -> int:
        """The size of a blob the repository has; -1: it has none. Raises: Refused for other trouble, as `call`."""
        try:
            reply, _ = await self.registry.read(self._call("HEAD", f"blobs/{digest}"), 0)
        except Refused as error:
            if error.refusal.status == 404:
                return -1
            raise
        length = reply.header("content-length")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def mount(self, digest: str, source: str) -> str:
        """Take a blob over from another repository: empty when done, else the address of an upload begun instead.

        Raises: Refused and what calls raise.
        """
        query = urlencode({"mount": digest, "from": source})
        call = self._call("POST", f"blobs/uploads/?{query}", good=(201, 202))
        reply, _ = await self.registry.read(call, MANIFEST_MOST)
        return "" if reply.status == 201 else self._location(reply)

    async def begin_upload(self) -> str:
        """The address to send a blob to. Raises: Refused and what calls raise."""
        reply, _ = await self.registry.read(self._call("POST", "blobs/uploads/", good=(202,)), MANIFEST_MOST)
        return self._location(reply)

    async def upload(self, address: str, chunks: AsyncIterable[bytes]) -> str:
        """Send a blob as one stream of unknown length; the address to finish at. Not repeated. Raises: as `call`."""
        headers = {"Content-Type": "application/octet-stream"}
        call = self._call(
            "PATCH", address, headers=headers, body=chunks, good=(202, 204, 200), patience=UPLOAD_PATIENCE
        )
        async with self.registry.call(call) as reply:
            await reply.read(MANIFEST_MOST)
            return self._location(reply)

    async def finish_upload(self, address: str, digest: str, data: bytes = b"") -> None:
        """Name what was sent, and `data` as its end (or all of it). Raises: Refused and what calls raise."""
        parts = urlsplit(address)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("digest", digest)])
        headers = {"Content-Type": "application/octet-stream"}
        call = self._call("PUT", parts._replace(query=query).geturl(), headers=headers, body=data, good=(201, 204),
                          patience=UPLOAD_PATIENCE)  # fmt: skip
        async with self.registry.call(call) as reply:
            await reply.read(MANIFEST_MOST)

    async def cancel_upload(self, address: str) -> None:
        """Best effort: a registry forgets unfinished uploads by itself, too."""
        try:
            async with asyncio.timeout(5), self.registry.call(self._call("DELETE", address, good=range(600))):
                pass
        except (LandbridgeError, TimeoutError):
            pass  # see above

    def _location(self, reply: Reply) -> str:
        location = reply.header("location")
        if not location:
            raise Internal(f"{self.registry.endpoint.url} gives no address to upload to")
        base = f"{self.registry.endpoint.url}/v2/{self.name}/blobs/uploads/"
        return urljoin(base, quote(location, "/:?&=%~+,;@!$'()*"))


def _known_part(reply: Reply, wanted: Descriptor, offset: int) -> int:
    """How many bytes of an answer are ones we have. Raises: WrongContent for other bytes than were asked for."""
    start = offset if reply.status == 206 else 0
    shown = reply.header("content-range").removeprefix("bytes ").partition("-")[0].strip()
    if reply.status == 206 and shown and shown != str(offset):
        raise WrongContent(f"the registry answered with bytes from {shown} on instead of {offset}")
    length = reply.header("content-length")
    if length.isascii() and length.isdigit() and int(length) != wanted.size - start:
        has = f"the registry has {int(length) + start} bytes for {wanted.digest}"
        raise WrongContent(f"{has} instead of the {wanted.size} it should have")
    return offset - start


def _tags(raw: bytes) -> list[str]:
    document = parse_json(raw, "invalid list of tags")
    tags = document.get("tags") if isinstance(document, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _next_page(link: str) -> str:
    """The target of a ``Link: <…>; rel="next"`` header (RFC 8288); empty on the last page."""
    target, _, rest = link.partition(";")
    return target.strip().removeprefix("<").removesuffix(">") if "next" in rest else ""
