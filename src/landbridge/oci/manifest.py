"""Manifests and lists of manifests, as registries keep them: Docker's schema 2 and the OCI image specification's.

Pure: bytes to values and back. Sizes, digests and media types are checked here, so that whoever downloads can rely
on them. What Docker cannot run (artifacts, plugins, schema 1, foreign layers) is refused with a sentence.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landbridge.errors import Internal, Invalid
from landbridge.model.reference import check_digest
from landbridge.oci.archive import Platform
from landbridge.oci.image import parse_json
from landbridge.oci.platforms import accepted, rank, show_platform

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

ACCEPT = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)
MANIFEST_MOST = 4 << 20  # bytes; what registries accept
_ENTRIES_MOST = 4096

_SCHEMA1 = ("application/vnd.docker.distribution.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws")  # fmt: skip
_PLUGIN = "application/vnd.docker.plugin.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_LAYERS = frozenset({
    DOCKER_LAYER, "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.zstd",
    _OCI_LAYER, f"{_OCI_LAYER}+gzip", f"{_OCI_LAYER}+zstd",
})  # fmt: skip
GZIPPED_LAYERS = frozenset({DOCKER_LAYER, f"{_OCI_LAYER}+gzip"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob or manifest by digest. `platform` and `foreign` only where a list or a layer says so."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its configuration and its layers, bottom first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, or of further lists."""

    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_manifest(raw: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest; `media_type` is what the registry called it, the document's own word wins.

    Raises: Invalid (not a manifest), Internal (one this engine cannot use).
    """
    document = parse_json(raw, "invalid manifest")
    if not isinstance(document, dict):
        raise Invalid("invalid manifest: not an object")
    media = document.get("mediaType") or media_type.partition(";")[0].strip()
    if media in _SCHEMA1 or document.get("schemaVersion") == 1:
        raise Internal(
            "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported: push the image"
            " again with a newer Docker, to be kept as schema 2 or in the OCI format"
        )
    if media in (DOCKER_LIST, OCI_INDEX) or ("manifests" in document and "config" not in document):
        return Index(str(media or OCI_INDEX), tuple(_descriptor(item) for item in _objects(document, "manifests")))
    config = document.get("config")
    if not isinstance(config, dict):
        raise Invalid("invalid manifest: config is missing")
    return Manifest(
        str(media or OCI_MANIFEST), _descriptor(config), tuple(_descriptor(x) for x in _objects(document, "layers"))
    )


def _objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > _ENTRIES_MOST or not all(isinstance(item, dict) for item in found):
        raise Invalid(f"invalid manifest: {key} is not a list of objects")
    return found


def _descriptor(item: Mapping[str, Any]) -> Descriptor:
    digest, size = item.get("digest"), item.get("size")
    if not isinstance(digest, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Invalid("invalid manifest: a descriptor has no digest or no size")
    media = item.get("mediaType")
    urls = item.get("urls")
    return Descriptor(
        media if isinstance(media, str) else "", check_digest(digest), size, _platform(item.get("platform")), bool(urls)
    )


def _platform(value: Any) -> Platform | None:
    if not isinstance(value, dict):
        return None
    parts = (value.get("os"), value.get("architecture"), value.get("variant") or "")
    return Platform(*(part if isinstance(part, str) else "" for part in parts))


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The entry of a list for a platform: the best of those that fit; an entry without a platform fits last.

    Raises: Internal with Docker's sentence when there is none.
    """
    order = accepted(wanted)
    fitting = [
        (len(order) if item.platform is None else rank(item.platform, order), item) for item in index.manifests
    ]
    found = min((place for place, _ in fitting if place >= 0), default=-1)
    if found < 0:
        raise Internal(f"no matching manifest for {show_platform(wanted)} in the manifest list entries")
    return next(item for place, item in fitting if place == found)


def check_manifest(manifest: Manifest) -> None:
    """Refuse what is no image for this engine, before anything is downloaded. Raises: Internal."""
    media = manifest.config.media_type
    if media == _PLUGIN:
        raise Internal(f'Encountered remote "{media}"(plugin) when fetching')
    if media not in (DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", "text/html", ""):
        raise Internal(f"unsupported media type {media}")
    for layer in manifest.layers:
        if layer.foreign or "foreign" in layer.media_type or "nondistributable" in layer.media_type:
            raise Internal(
                f"layer {layer.digest} is a foreign layer, kept outside of the registry ({layer.media_type}): images"
                " with such layers are not supported"
            )
        if layer.media_type not in _LAYERS:
            raise Internal(f"unsupported media type {layer.media_type}")
        if not layer.digest.startswith("sha256:"):
            raise Internal("unsupported digest algorithm")


def render_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """A schema 2 manifest, byte for byte as Docker writes it: the same image gets the same digest."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": _render(config),
        "layers": [_render(layer) for layer in layers],
    }
    return json.dumps(document, indent=3).encode()


def _render(descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "size": descriptor.size, "digest": descriptor.digest}
