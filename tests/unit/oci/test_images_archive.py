"""What an image archive is taken to hold, and the lies it is caught in."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.errors import Internal, Invalid, LandbridgeError
from landbridge.oci.archive import PlannedImage, PlannedLayer, Platform, plan
from landbridge.oci.image import parse_image
from landbridge.oci.layers import digest

HERE = Platform("linux", "amd64")
LAYER = digest(b"layer")
INDEX = "application/vnd.oci.image.index.v1+json"


def config(**more: Any) -> bytes:
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [LAYER]}, **more}
    return json.dumps(document).encode()


class Archive:
    """Members by name; blobs are put under their digest."""

    def __init__(self, **members: Any) -> None:
        self.members: dict[str, bytes] = {}
        for name, value in members.items():
            self.put(name.replace("_", "."), value)

    def put(self, name: str, value: Any) -> None:
        self.members[name] = value if isinstance(value, bytes) else json.dumps(value).encode()

    def blob(self, value: Any) -> dict[str, Any]:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.members["blobs/" + digest(data).replace(":", "/")] = data
        return {"digest": digest(data), "size": len(data)}

    def read(self, name: str) -> bytes:
        if name not in self.members:
            raise Internal(f"open {name}: no such file or directory")
        return self.members[name]

    def plan(self, platform: Platform = HERE) -> tuple[PlannedImage, ...]:
        return plan(self.members, self.read, platform)


def docker_archive(**item: Any) -> Archive:
    entry = {"Config": "c.json", "RepoTags": ["app:1", "other:2"], "Layers": ["l/layer.tar"], **item}
    return Archive(manifest_json=[entry], c_json=config())


def oci_manifest(archive: Archive, document: bytes, **more: Any) -> dict[str, Any]:
    layer = {"digest": LAYER, "size": 5, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}
    return archive.blob({"schemaVersion": 2, "config": archive.blob(document), "layers": [layer], **more})


def test_a_docker_archive() -> None:
    (found,) = docker_archive().plan()
    assert found.image.id == digest(config())
    assert found.layers == (PlannedLayer("l/layer.tar"),)
    assert [str(name) for name in found.names] == ["app:1", "other:2"]


def test_an_oci_layout_named_by_annotation() -> None:
    archive = Archive()
    manifest = oci_manifest(archive, config())
    named = {**manifest, "annotations": {"io.containerd.image.name": "docker.io/library/app:1"}}
    tagged = {**manifest, "annotations": {"org.opencontainers.image.ref.name": "ex.com/app:2"}}
    bare = {**manifest, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    archive.put("index.json", {"manifests": [named, tagged, bare]})
    (found,) = archive.plan()
    assert [str(name) for name in found.names] == ["app:1", "ex.com/app:2"]
    assert found.layers == (PlannedLayer("blobs/" + LAYER.replace(":", "/"), LAYER),)


@pytest.mark.parametrize(("platform", "chosen"), [(HERE, "amd64"), (Platform("linux", "arm64", "v8"), "arm64")])
def test_the_platform_is_chosen_from_a_nested_index(platform: Platform, chosen: str) -> None:
    archive = Archive()
    manifests = []
    for architecture, variant in (("arm64", "v9"), ("arm64", "v8"), ("amd64", "")):
        one = oci_manifest(archive, config(architecture=architecture, variant=variant))
        manifests.append({**one, "platform": {"os": "linux", "architecture": architecture, "variant": variant}})
    inner = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    outer = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**archive.blob(inner), "mediaType": INDEX}]}
    archive.put("index.json", {"manifests": [{**archive.blob(outer), "mediaType": INDEX}]})
    (found,) = archive.plan(platform)
    assert (found.image.architecture, found.image.variant) == (chosen, platform.variant)


def test_manifests_of_other_platforms_may_be_missing() -> None:
    archive = Archive()
    gone = {"digest": digest(b"gone"), "size": 4, "platform": {"os": "linux", "architecture": "arm64"}}
    archive.put("index.json", {"manifests": [gone, oci_manifest(archive, config())]})
    assert len(archive.plan()) == 1


def test_an_archive_for_other_machines_only() -> None:
    archive = Archive()
    foreign = {**oci_manifest(archive, config()), "platform": {"os": "linux", "architecture": "s390x"}}
    inner = archive.blob({"mediaType": INDEX, "manifests": [foreign]})
    archive.put("index.json", {"manifests": [{**inner, "mediaType": INDEX}]})
    with pytest.raises(Internal, match="no image for linux/amd64"):
        archive.plan()


def test_indexes_within_each_other_end() -> None:
    archive = Archive()
    inner = oci_manifest(archive, config())
    for _ in range(10):
        inner = {**archive.blob({"mediaType": INDEX, "manifests": [inner]}), "mediaType": INDEX}
    archive.put("index.json", {"manifests": [inner]})
    with pytest.raises(Invalid, match="too many indexes"):
        archive.plan()


def test_a_blob_that_is_not_its_digest() -> None:
    archive = Archive()
    manifest = oci_manifest(archive, config())
    archive.put("index.json", {"manifests": [manifest]})
    archive.put("blobs/" + digest(config()).replace(":", "/"), config(author="somebody else"))
    with pytest.raises(Internal, match="digest mismatch"):
        archive.plan()


def test_a_config_blob_of_a_docker_archive_is_verified_too() -> None:
    name = "blobs/" + digest(config()).replace(":", "/")
    archive = docker_archive(Config=name)
    archive.put(name, config(author="somebody else"))
    with pytest.raises(Internal, match="digest mismatch"):
        archive.plan()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"Layers": []}, "layers length mismatch: expected 0, got 1"),
        ({"Layers": ["a", "b"]}, "layers length mismatch: expected 2, got 1"),
        ({"Layers": "l"}, "Layers is not a list"),
        ({"Config": ""}, "Config is missing"),
        ({"Config": 7}, "Config is missing"),
        ({"Config": "nowhere"}, "open nowhere: no such file or directory"),
        ({"RepoTags": ["Bad Name"]}, "invalid reference format"),
        ({"RepoTags": ["app"]}, 'invalid tag "app"'),
        ({"RepoTags": [7]}, "RepoTags is not a list"),
    ],
)
def test_manifests_refused(item: dict[str, Any], message: str) -> None:
    with pytest.raises(LandbridgeError, match=message):
        docker_archive(**item).plan()


@pytest.mark.parametrize("manifest", [{}, "x", [7], [[]], None, 1])
def test_manifests_that_are_no_manifest(manifest: Any) -> None:
    with pytest.raises(Invalid):
        Archive(manifest_json=manifest).plan()


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"rootfs": 7}',
        b'{"rootfs": {"diff_ids": "x"}}',
        b'{"rootfs": {"diff_ids": [7]}}',
    ],
)
def test_configurations_that_are_none(document: bytes) -> None:
    archive = docker_archive()
    archive.put("c.json", document)
    with pytest.raises(Invalid):
        archive.plan()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            "config rootfs diff_ids history os created Env Cmd Labels Healthcheck Test Interval Volumes Config Layers"
            " RepoTags manifests digest annotations platform architecture".split()
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, JSON, JSON)
def test_any_document_is_read_or_refused(manifest: Any, index: Any, config_: Any) -> None:
    members = {
        "manifest.json": [{"Config": "c.json", "Layers": []}] if manifest is None else manifest,
        "c.json": config_,
        "index.json": index,
    }
    for names in (members, {"index.json"}):
        archive = Archive()
        for name in names:
            archive.put(name, members[name])
        try:
            archive.plan()
        except LandbridgeError:
            pass
    try:
        parse_image(json.dumps({"rootfs": {}, "config": config_, "history": index}).encode())
    except LandbridgeError:
        pass


def test_nesting_without_end_is_refused() -> None:
    for name in ("manifest.json", "index.json"):
        archive = Archive()
        archive.put(name, b"[" * 200_000)
        with pytest.raises(Invalid, match="recursion"):
            archive.plan()


def test_an_image_for_another_system() -> None:
    archive = docker_archive()
    archive.put("c.json", config(os="windows"))
    with pytest.raises(Internal, match="cannot load windows image on linux"):
        archive.plan()


def test_a_diff_id_that_is_no_digest() -> None:
    archive = docker_archive()
    archive.put("c.json", config(rootfs={"diff_ids": ["../../etc"]}))
    with pytest.raises(Invalid):
        archive.plan()


def test_archives_without_an_image() -> None:
    with pytest.raises(Internal, match=r"manifest\.json: no such file"):
        Archive(readme=b"hello").plan()
    with pytest.raises(Invalid, match=r"before 1\.10"):
        Archive(repositories={"app": {"latest": "x"}}).plan()
