"""The archive ``docker save`` writes since version 25: an OCI layout that is a docker-archive as well. Pure.

Everything is a blob named by its digest; ``manifest.json`` and ``repositories`` tell older readers where things are.
Owners are zero, and times those of the images or zero, so the same images give the same archive.
"""

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landbridge.model.image import Image, Reference
from landbridge.model.layer import Layer
from landbridge.model.stamp import parse_ns
from landbridge.oci.layers import digest

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_INDEX = "application/vnd.oci.image.index.v1+json"

END = bytes(1024)


@dataclass(frozen=True, slots=True)
class SavedImage:
    """An image to save; `layers` bottom first, `names` the tags to save it under (none: by id only)."""

    image: Image
    layers: tuple[Layer, ...]
    names: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the archive: `data` as it is, or the plain tar of `layer` and what fills its last block."""

    data: bytes
    layer: Layer | None = None

    @property
    def padding(self) -> bytes:
        return bytes(-self.layer.archive_size % 512) if self.layer else b""


def saved(images: Sequence[SavedImage]) -> list[Piece]:
    """The archive in order; `END` follows."""
    pieces = [Piece(_header("blobs/", 0, tarfile.DIRTYPE)), Piece(_header("blobs/sha256/", 0, tarfile.DIRTYPE))]
    written: set[str] = set()
    for item in images:
        made = max(0, parse_ns(item.image.created) // 1_000_000_000)
        for layer in item.layers:
            if layer.diff_id not in written:
                written.add(layer.diff_id)
                pieces.append(Piece(_header(_blob(layer.diff_id), layer.archive_size, made=made), layer))
        for data, when in ((item.image.raw.encode(), made), (_manifest(item), 0)):
            if (name := digest(data)) not in written:
                written.add(name)
                pieces.append(_file(_blob(name), data, made=when))
    pieces += [
        _file("index.json", _index(images)),
        _file("manifest.json", _json([_legacy_manifest(item) for item in images])),
        _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
    ]
    if repositories := _repositories(images):
        pieces.append(_file("repositories", _json(repositories)))
    return pieces


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _blob(digest_: str) -> str:
    return "blobs/" + digest_.replace(":", "/")


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE, *, made: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.mtime = made
    info.size, info.type, info.mode = size, kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def _file(name: str, data: bytes, *, made: int = 0) -> Piece:
    return Piece(_header(name, len(data), made=made) + data + bytes(-len(data) % 512))


def _layer_descriptor(layer: Layer) -> dict[str, Any]:
    return {"mediaType": _LAYER, "digest": layer.diff_id, "size": layer.archive_size}


def _manifest(item: SavedImage) -> bytes:
    raw = item.image.raw.encode()
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": digest(raw), "size": len(raw)},
            "layers": [_layer_descriptor(layer) for layer in item.layers],
        }
    )


def _index(images: Sequence[SavedImage]) -> bytes:
    descriptors = []
    for item in images:
        manifest = _manifest(item)
        plain = {"mediaType": _MANIFEST, "digest": digest(manifest), "size": len(manifest)}
        for name in item.names or (None,):
            notes = {} if name is None else {"annotations": _annotations(name)}
            descriptors.append({**plain, **notes})
    return _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": descriptors})


def _annotations(name: Reference) -> dict[str, str]:
    return {"io.containerd.image.name": name.full, "org.opencontainers.image.ref.name": name.tag}


def _legacy_manifest(item: SavedImage) -> dict[str, Any]:
    return {
        "Config": _blob(item.image.id),
        "RepoTags": [str(name) for name in item.names] or None,
        "Layers": [_blob(layer.diff_id) for layer in item.layers],
        "LayerSources": {layer.diff_id: _layer_descriptor(layer) for layer in item.layers},
    }


def _repositories(images: Sequence[SavedImage]) -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in images:
        for name in item.names:
            top = item.layers[-1].diff_id if item.layers else item.image.id
            found.setdefault(name.familiar, {})[name.tag] = top.removeprefix("sha256:")
    return found
