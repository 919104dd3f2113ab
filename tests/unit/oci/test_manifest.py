"""Manifests and lists: what is read, what is refused, and that writing gives Docker's bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import Internal, Invalid, LandbridgeError
from landbridge.oci.archive import Platform
from landbridge.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    check_manifest,
    choose,
    parse_manifest,
    render_manifest,
)

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
HOST = Platform("linux", "amd64")

# What Docker 26.1 pushed.
DOCKERS = b"""{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 895,
      "digest": "sha256:51f90633868e62beee7088566d3ae0a57ec31e27afde2241c87a6b92872a4f80"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 1064745,
         "digest": "sha256:377953fbbbd2316c2d27e53ca50268769b61b29a21864194d6f51cc0cb101f60"
      }
   ]
}"""


def manifest(**more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "config": {"mediaType": DOCKER_CONFIG, "digest": A, "size": 10},
        "layers": [{"mediaType": DOCKER_LAYER, "digest": B, "size": 20}],
        **more,
    }


def entry(architecture: str, variant: str = "", digest: str = A, **more: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {}), **more}
    return {"mediaType": DOCKER_MANIFEST, "digest": digest, "size": 1, "platform": platform}


def read(document: Any, media: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(document).encode(), media)


def test_dockers_manifest_is_read_and_written_back_byte_for_byte() -> None:
    found = parse_manifest(DOCKERS)
    assert isinstance(found, Manifest)
    assert render_manifest(found.config, found.layers) == DOCKERS


def test_the_documents_own_word_wins_over_the_header() -> None:
    assert read(manifest(mediaType=DOCKER_MANIFEST), "text/plain").media_type == DOCKER_MANIFEST
    assert read(manifest(), f"{OCI_MANIFEST}; charset=utf-8").media_type == OCI_MANIFEST
    assert isinstance(read({"schemaVersion": 2, "manifests": []}, "application/json"), Index)
    assert isinstance(read({"schemaVersion": 2, "manifests": None}, OCI_INDEX), Index)


@pytest.mark.parametrize(
    "document",
    [
        [], "x", {}, {"config": []}, manifest(layers={}), manifest(layers=[1]), manifest(config={"digest": A}),
        manifest(config={"digest": "sha256:short", "size": 1}), manifest(config={"digest": "md5:" + "a" * 32, "size": 1}),
        manifest(config={"digest": A, "size": -1}), manifest(config={"digest": A, "size": True}),
        manifest(layers=[{"mediaType": DOCKER_LAYER, "digest": B, "size": 1}] * 5000),
    ],
)  # fmt: skip
def test_what_is_no_manifest(document: Any) -> None:
    with pytest.raises(Invalid):
        read(document)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["config", "layers", "manifests", "digest", "size", "platform", "mediaType", "schemaVersion"]), x,
)))  # fmt: skip
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        found = read(document)
        if isinstance(found, Manifest):
            check_manifest(found)
        else:
            choose(found, HOST)
    except LandbridgeError:
        pass  # in words: the property


@pytest.mark.parametrize(("layer", "words"), [
    ({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}, "foreign layer"),
    ({"mediaType": DOCKER_LAYER, "urls": ["https://elsewhere/"]}, "foreign layer"),
    ({"mediaType": "application/vnd.wasm.content.layer.v1+wasm"}, "unsupported media type"),
    ({"mediaType": DOCKER_LAYER, "digest": "sha512:" + "a" * 128}, "unsupported digest algorithm"),
])  # fmt: skip
def test_layers_that_cannot_be_used(layer: dict[str, Any], words: str) -> None:
    found = read(manifest(layers=[{"digest": B, "size": 20} | layer]))
    assert isinstance(found, Manifest)
    with pytest.raises(Internal, match=words):
        check_manifest(found)


@pytest.mark.parametrize("media", [
    DOCKER_LAYER, "application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd",
])  # fmt: skip
def test_layers_that_can(media: str) -> None:
    found = read(manifest(layers=[{"mediaType": media, "digest": B, "size": 20}]))
    assert isinstance(found, Manifest)
    check_manifest(found)
    assert found.layers == (Descriptor(media, B, 20),)


def chosen(wanted: Platform, *entries: dict[str, Any]) -> str:
    found = read({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": list(entries)})
    assert isinstance(found, Index)
    platform = choose(found, wanted).platform
    return "/".join((platform.architecture, platform.variant)).rstrip("/") if platform else "any"


def test_the_best_that_fits_is_taken_whatever_the_order() -> None:
    arms = [entry("arm", "v5"), entry("arm", "v7"), entry("arm", "v6"), entry("arm64", "v8"), entry("amd64")]
    assert chosen(HOST, *arms) == "amd64"
    assert chosen(Platform("linux", "arm64"), *arms) == "arm64/v8"
    assert chosen(Platform("linux", "arm64"), *arms[:3]) == "arm/v7"
    assert chosen(Platform("linux", "arm", "v6"), *arms) == "arm/v6"
    assert chosen(Platform("linux", "arm", "v6"), *arms[:2]) == "arm/v5"
    assert chosen(Platform("linux", "amd64", "v3"), entry("amd64"), entry("amd64", "v2"), entry("amd64", "v4")) == "amd64/v2"
    assert chosen(HOST, entry("386"), entry("amd64", "v2")) == "386"
    assert chosen(HOST, {"digest": A, "size": 1}, entry("amd64")) == "amd64"
    assert chosen(HOST, {"digest": A, "size": 1}, entry("s390x")) == "any"


@pytest.mark.parametrize(("wanted", "shown"), [
    (HOST, "linux/amd64"), (Platform("linux", "arm64", "v8"), "linux/arm64/v8"), (Platform("windows", "amd64"), "windows/amd64"),
])  # fmt: skip
def test_none_that_fits(wanted: Platform, shown: str) -> None:
    with pytest.raises(Internal) as caught:
        chosen(wanted, entry("s390x"), entry("unknown", os="unknown"))
    assert caught.value.message == f"no matching manifest for {shown} in the manifest list entries"
