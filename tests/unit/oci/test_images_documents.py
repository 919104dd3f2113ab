"""Image configurations there and back, the archive `save` writes, and patterns."""

import io
import json
import tarfile

import pytest

from landbridge.errors import Internal
from landbridge.model.config import Config, Healthcheck
from landbridge.model.image import History, Image
from landbridge.model.layer import Layer
from landbridge.model.reference import parse
from landbridge.model.stamp import parse_ns
from landbridge.oci.archive import Platform, plan
from landbridge.oci.glob import compile_glob
from landbridge.oci.image import parse_config, parse_image, render_config, render_image
from landbridge.oci.layers import digest
from landbridge.oci.saved import END, SavedImage, saved

FULL = Config(
    hostname="h",
    domainname="d",
    user="u",
    attach_stdout=True,
    tty=True,
    exposed_ports={"80/tcp": {}},
    env=("A=1",),
    cmd=("x", "y"),
    healthcheck=Healthcheck(test=("CMD", "a"), interval=1, timeout=2, retries=3, start_period=4, start_interval=5),
    args_escaped=True,
    image="base",
    volumes={"/v": {}},
    working_dir="/w",
    entrypoint=(),
    on_build=("RUN x",),
    labels={"k": "v"},
    stop_signal="SIGINT",
    stop_timeout=7,
    shell=("/bin/bash", "-c"),
)


@pytest.mark.parametrize("config", [FULL, Config()])
def test_a_configuration_survives_its_document(config: Config) -> None:
    assert parse_config(json.loads(json.dumps(render_config(config)))) == config


def make(layer: bytes) -> Image:
    history = (History(created="2026-01-01T00:00:00Z", created_by="x", comment="c"), History(empty_layer=True))
    raw = render_image(
        config=FULL, diff_ids=(digest(layer),), history=history, created="2026-01-02T00:00:00Z",
        architecture="arm64", os="linux", variant="v8", author="me", comment="hi", container="c" * 64,
        docker_version="1",
    )  # fmt: skip
    image = parse_image(raw, size=5)
    assert image.raw.encode() == raw
    assert image.history == history
    return image


def test_an_image_survives_its_document() -> None:
    image = make(b"x")
    assert (image.architecture, image.variant, image.author, image.comment) == ("arm64", "v8", "me", "hi")
    assert (image.config, image.labels, image.size, image.container) == (FULL, FULL.labels, 5, "c" * 64)
    assert image.id == digest(image.raw.encode())


def test_what_is_saved_is_an_image_archive_of_both_kinds() -> None:
    layer = b"layer" * 200
    image = make(layer)
    names = (parse("app:1"), parse("ex.com/app:2"))
    item = SavedImage(image, (Layer(digest(layer), "dir", 5, len(layer)),), names)
    pieces = saved([item, item])
    data = b"".join(piece.data + (layer + piece.padding if piece.layer else b"") for piece in pieces) + END
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names_in_it = [member.name for member in tar]
        members = {m.name: f.read() for m in tar if (f := tar.extractfile(m)) is not None}
        times = {m.name: m.mtime for m in tar}
    made = parse_ns(image.created) // 1_000_000_000
    for name in (image.id, digest(layer)):
        assert times[f"blobs/{name.replace(':', '/')}"] == made > 0
    assert times["manifest.json"] == 0
    assert len(set(names_in_it)) == len(names_in_it)
    for chosen in (members, {name: value for name, value in members.items() if name != "manifest.json"}):
        found = plan(chosen, chosen.__getitem__, Platform("linux", "arm64"))
        assert {one.image.id for one in found} == {image.id}
        assert found[0].names == names
        assert members[found[0].layers[0].member] == layer
    assert json.loads(members["repositories"]) == {
        "app": {"1": digest(layer)[7:]},
        "ex.com/app": {"2": digest(layer)[7:]},
    }


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("b*", ["b", "busybox"], ["ab", "b/c"]),
        ("*/app", ["a/app"], ["app", "a/b/app"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]x", ["bx"], ["dx"]),
        ("[^a-c]x", ["dx"], ["ax"]),
        ("a.c", ["a.c"], ["abc"]),
        ("\\*", ["*"], ["x"]),
        ("[\\]]", ["]"], ["["]),
        ("[b-a]", [], ["a", "b"]),
    ],
)
def test_patterns(pattern: str, fits: list[str], fails: list[str]) -> None:
    compiled = compile_glob(pattern)
    assert all(compiled.fullmatch(text) for text in fits)
    assert not any(compiled.fullmatch(text) for text in fails)


@pytest.mark.parametrize("pattern", ["[", "[a", "[]", "[-a]", "[a-", "\\", "[\\"])
def test_patterns_refused(pattern: str) -> None:
    with pytest.raises(Internal, match="syntax error in pattern"):
        compile_glob(pattern)
