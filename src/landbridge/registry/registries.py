"""Registries as the rest of the engine sees them: pull, push, log in, look at an image from afar.

The work is in the modules beside this one (`pull`, `push`, `registry`, …); this class holds them together.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace

from landbridge.errors import Internal, Invalid, LandbridgeError, NotFound, Unauthorized, Unavailable
from landbridge.images.parts import ImageParts
from landbridge.model.image import Message, Reference
from landbridge.model.reference import parse, tagged
from landbridge.model.settings import Settings
from landbridge.oci.archive import DOCUMENT_MOST, Platform
from landbridge.oci.image import parse_image
from landbridge.oci.manifest import Descriptor, Index, parse_manifest
from landbridge.oci.platforms import parse_platform
from landbridge.oci.registry_errors import status_line
from landbridge.oci.registry_names import login_registry, parse_insecure, parse_mirror
from landbridge.registry.auth import Credentials
from landbridge.registry.blob_records import BlobRecords
from landbridge.registry.client import Call, Connector, Registry
from landbridge.registry.effects import Http, Sleep
from landbridge.registry.errors import AuthFailed, Refused
from landbridge.registry.pull import ImagePuller
from landbridge.registry.push import ImagePusher
from landbridge.registry.repository import Repository
from landbridge.registry.search import Found, Searcher, wanted
from landbridge.registry.transfers import LayerTransfers

__all__ = ["Credentials", "Distribution", "Found", "Login", "Registries", "is_login_for", "named"]


@dataclass(frozen=True, slots=True)
class Login:
    """A log-in that worked; `identity_token` replaces the password from now on, when the registry gave one."""

    status: str
    identity_token: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a registry says of an image without its layers."""

    descriptor: Descriptor
    platforms: tuple[Platform, ...]


class Registries:
    """One per engine. Raises on construction: Invalid for registries in `settings` that cannot be."""

    def __init__(
        self, parts: ImageParts, blobs: BlobRecords, http: Http, settings: Settings, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        insecure = parse_insecure(settings.insecure_registries)
        self._connector = Connector(http, insecure, [parse_mirror(one) for one in settings.registry_mirrors], sleep)
        self._searcher = Searcher(http, insecure)
        self._host = parts.platform
        transfers = LayerTransfers(parts.shelf, parts.layers, most=settings.max_concurrent_downloads)
        self._puller = ImagePuller(parts, self._connector, transfers, blobs)
        self._pusher = ImagePusher(parts, self._connector, blobs, most=settings.max_concurrent_uploads)

    def pull(
        self, name: str, tag: str = "", *, credentials: Credentials, platform: str = ""
    ) -> AsyncGenerator[Message, None]:
        """Pull what a client named; `tag` may be a digest and wins over one in `name`. No tag at all: every tag.

        Raises: Invalid at once; NotFound and Internal with Docker's sentences while iterating.
        """
        reference = named(name, tag)
        wanted = parse_platform(platform, self._host) if platform else None
        return self._puller.pull(reference, credentials, wanted)

    def push(self, name: str, tag: str = "", *, credentials: Credentials) -> AsyncGenerator[Message, None]:
        """Push a tag of a repository here, or every tag.

        Raises: Invalid at once; Internal with Docker's sentences while iterating.
        """
        reference = named(name, tag)
        if reference.digest:
            raise Invalid("cannot push a digest reference")
        return self._pusher.push(reference, credentials)

    async def login(self, server: str, credentials: Credentials) -> Login:
        """Ask a registry whether it takes these credentials.

        Raises: Unauthorized when its token server says no, Internal with Docker's sentence for everything else.
        """
        try:
            return await self._connector.first(
                login_registry(server), credentials, _log_in, mirrors=False
            )
        except Unavailable as error:
            raise Internal(error.message) from error

    async def search(
        self, term: str, limit: int, filters: Mapping[str, Sequence[str]], credentials: Credentials
    ) -> list[Found]:
        """Images whose names or descriptions hold `term`. Raises: Invalid, Internal."""
        return await self._searcher.search(term, limit, wanted(filters), credentials)

    async def distribution(self, name: str, credentials: Credentials) -> Distribution:
        """What the registry has under a name.

        Raises: Invalid, NotFound, Internal.
        """
        reference = tagged(parse(name))

        async def look(registry: Registry) -> Distribution:
            repository = Repository(registry, reference.repository, "pull")
            found = await repository.manifest(
                reference.digest or await repository.manifest_digest(reference.tag) or reference.tag
            )
            manifest = parse_manifest(found.raw, found.media_type)
            descriptor = Descriptor(manifest.media_type, found.digest, len(found.raw))
            if isinstance(manifest, Index):
                return Distribution(descriptor, tuple(one.platform for one in manifest.manifests if one.platform))
            image = parse_image(await repository.document(manifest.config, DOCUMENT_MOST))
            return Distribution(descriptor, (Platform(image.os, image.architecture, image.variant),))

        try:
            return await self._connector.first(reference.registry, credentials, look)
        except Refused as error:
            raise _looked_for_in_vain(error) from error
        except Unavailable as error:
            raise Internal(error.message) from error


def is_login_for(server: str, name: str) -> bool:
    """Whether a login stored under `server` (a key of Docker's settings) is for the registry of image `name`."""
    try:
        return login_registry(server) == parse(name).registry
    except Invalid:
        return False  # the name is refused with its own words later


def named(name: str, tag: str) -> Reference:
    """The reference from ``fromImage`` and ``tag`` (a tag or a digest). Raises: Invalid."""
    reference = parse(name.removesuffix(":"))  # old clients ask for all tags so
    if not tag:
        return reference
    if ":" in tag:
        return parse(f"{replace(reference, tag='', digest='').full}@{tag}")
    return parse(f"{replace(reference, tag='', digest='').full}:{tag}")


async def _log_in(registry: Registry) -> Login:
    url = f"{registry.endpoint.url}/v2/"
    try:
        await registry.authority.header((), offline=True)  # kept, and used below
    except Refused as error:
        raise Unauthorized(f'Get "{url}": {error.message}') from error
    except AuthFailed as error:
        raise Internal(f'Get "{url}": {error.bare}') from error
    async with registry.call(Call(method="GET", url=url, good=range(1000))) as reply:
        if reply.status != 200:
            raise Internal(f"login attempt to {url} failed with status: {status_line(reply.status)}")
    return Login("Login Succeeded", registry.authority.refresh_token)


def _looked_for_in_vain(error: Refused) -> LandbridgeError:
    if error.refusal.code in ("MANIFEST_UNKNOWN", "NAME_UNKNOWN") or error.refusal.status == 404:
        return NotFound(error.message)
    return error
