"""What an image archive contains: ``docker save``'s manifest.json, an OCI layout, or the old ``repositories`` file.

Pure: the archive is seen through `read` (a small member's bytes by name) and `names`. The result lists images with
everything the loader must check; layer contents are not looked at here. Digests of documents are verified.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.errors import Internal, Invalid
from landbridge.model.image import Image, Reference
from landbridge.model.reference import check_digest, parse, tagged
from landbridge.oci.image import parse_image, parse_json
from landbridge.oci.layers import digest

DOCUMENT_MOST = 8 << 20  # bytes of one manifest, index or configuration
_DEPTH_MOST = 4  # of indexes within indexes
_IMAGES_MOST = 1000

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer to unpack: the member it is in and, when the archive names it by digest, that digest."""

    member: str
    blob: str = ""


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image to load. `layers` are as many as ``image.diff_ids``, bottom first."""

    image: Image
    layers: tuple[PlannedLayer, ...]
    names: tuple[Reference, ...]
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Platform:
    """What this machine runs, in Go's words (``amd64``, ``linux``)."""

    os: str
    architecture: str
    variant: str = ""


def plan(names: Collection[str], read: Read, platform: Platform) -> tuple[PlannedImage, ...]:
    """The images of an archive.

    Raises: Internal or Invalid when it is no image archive, or says something that cannot be.
    """
    if "manifest.json" in names:
        return _docker(read)
    if "index.json" in names:
        return _oci(names, read, platform)
    if "repositories" in names:
        return _legacy(read)
    raise Internal("open manifest.json: no such file or directory: the archive holds no image")


def _document(read: Read, name: str) -> Any:
    return parse_json(read(name), name)


def _blob(digest_: str) -> str:
    return "blobs/" + check_digest(digest_).replace(":", "/")


def _blob_digest(member: str) -> str:
    """The digest a member's name promises; empty when it promises none."""
    parts = member.split("/")
    return ":".join(parts[1:]) if len(parts) == 3 and parts[0] == "blobs" else ""


def _verified(read: Read, member: str, wanted: str) -> bytes:
    data = read(member)
    if wanted.startswith("sha256:") and digest(data) != wanted:
        raise Internal(f"{member}: digest mismatch: expected {wanted}, got {digest(data)}")
    return data


def _strings(value: Any, what: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"invalid manifest: {what} is not a list of strings")
    return value


def _checked(image: Image, layers: tuple[PlannedLayer, ...]) -> None:
    if len(layers) != len(image.diff_ids):
        raise Internal(f"invalid manifest, layers length mismatch: expected {len(layers)}, got {len(image.diff_ids)}")
    if image.os not in ("", "linux"):
        raise Internal(f"cannot load {image.os} image on linux")
    for diff_id in image.diff_ids:
        check_digest(diff_id)


def _docker(read: Read) -> tuple[PlannedImage, ...]:
    """``manifest.json``: a list of {Config, RepoTags, Layers, Parent}."""
    manifest = _document(read, "manifest.json")
    if not isinstance(manifest, list) or not all(isinstance(item, dict) for item in manifest):
        raise Invalid("invalid manifest: not a list of objects")
    planned = []
    for item in manifest[:_IMAGES_MOST]:
        config = item.get("Config")
        if not isinstance(config, str) or not config:
            raise Invalid("invalid manifest: Config is missing")
        image = parse_image(_verified(read, config, _blob_digest(config)))
        layers = tuple(PlannedLayer(name, _blob_digest(name)) for name in _strings(item.get("Layers"), "Layers"))
        _checked(image, layers)
        names = []
        for text in _strings(item.get("RepoTags"), "RepoTags"):
            reference = parse(text)
            if not reference.tag:
                raise Invalid(f'invalid tag "{text}"')
            names.append(reference)
        parent = item.get("Parent")
        planned.append(PlannedImage(image, layers, tuple(names), parent if isinstance(parent, str) else ""))
    return tuple(planned)


def _oci(names: Collection[str], read: Read, platform: Platform) -> tuple[PlannedImage, ...]:
    """``index.json``: descriptors of manifests, or of indexes from which the fitting platform is taken."""
    index = _document(read, "index.json")
    planned: dict[str, PlannedImage] = {}
    for descriptor in _descriptors(index)[:_IMAGES_MOST]:
        manifest = _manifest(names, read, descriptor, platform, _DEPTH_MOST)
        if manifest is None:
            continue
        image_names = _annotated(descriptor)
        found = _from_manifest(read, manifest, image_names)
        if found.image.id in planned:
            image_names = tuple(dict.fromkeys(planned[found.image.id].names + image_names))
            found = PlannedImage(found.image, found.layers, image_names)
        planned[found.image.id] = found
    if not planned:
        raise Internal(f"the archive holds no image for {platform.os}/{platform.architecture}")
    return tuple(planned.values())


def _descriptors(index: Any) -> list[Mapping[str, Any]]:
    found = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Invalid("invalid index: manifests is not a list of objects")
    return found


def _annotated(descriptor: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The image's name by annotation. The OCI one is often a bare tag, which names nothing here."""
    annotations = descriptor.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    for key in _NAME_ANNOTATIONS:
        text = annotations.get(key)
        if isinstance(text, str) and (key == _NAME_ANNOTATIONS[0] or ":" in text or "/" in text):
            return (tagged(parse(text)),)
    return ()


def _manifest(
    names: Collection[str], read: Read, descriptor: Mapping[str, Any], platform: Platform, depth: int
) -> Mapping[str, Any] | None:
    """The manifest for the platform below `descriptor`; None when there is none in the archive."""
    wanted = str(descriptor.get("digest", ""))
    member = _blob(wanted)
    if member not in names:  # an archive of one platform keeps the descriptors of the others
        return None
    document = parse_json(_verified(read, member, wanted), member)
    if not isinstance(document, dict):
        raise Invalid(f"{member}: not an object")
    media = descriptor.get("mediaType") or document.get("mediaType")
    if media not in _INDEXES and "manifests" not in document:
        return document if "config" in document else None
    if not depth:
        raise Invalid("invalid index: too many indexes within each other")
    inside = sorted(_descriptors(document), key=lambda item: _unfit(item, platform))
    for item in inside:
        if _unfit(item, platform) < 2 and (found := _manifest(names, read, item, platform, depth - 1)) is not None:
            return found
    return None


def _unfit(descriptor: Mapping[str, Any], platform: Platform) -> int:
    """0 fits, 1 fits but for the variant, 2 does not. No platform given: fits."""
    wanted = descriptor.get("platform")
    if not isinstance(wanted, dict):
        return 0
    if (wanted.get("os"), wanted.get("architecture")) != (platform.os, platform.architecture):
        return 2
    return int((wanted.get("variant") or "") not in ("", platform.variant))


def _from_manifest(read: Read, manifest: Mapping[str, Any], names: tuple[Reference, ...]) -> PlannedImage:
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list) or not all(isinstance(x, dict) for x in layers):
        raise Invalid("invalid manifest: config or layers are missing")
    wanted = str(config.get("digest", ""))
    image = parse_image(_verified(read, _blob(wanted), wanted))
    planned = tuple(PlannedLayer(_blob(str(item.get("digest", ""))), str(item.get("digest", ""))) for item in layers)
    _checked(image, planned)
    return PlannedImage(image, planned, names)


def _legacy(read: Read) -> tuple[PlannedImage, ...]:
    """``repositories`` of Docker before 1.10 holds ids of another kind: no configuration has their layers' digests."""
    repositories = _document(read, "repositories")
    count = len(repositories) if isinstance(repositories, dict) else 0
    raise Invalid(
        f"the archive holds {count} repositories in the format of Docker before 1.10 (no manifest.json), which this"
        " engine does not load; save it again with a newer Docker"
    )
