"""Images from real archives on a real store: the demo's images, OCI layouts, hostile archives, many at once."""

import asyncio
import gzip
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from images_on_disk import DIR, LINK, SYM, Machine, demo_images, entry, listing, stream, tar

from landbridge.errors import LandbridgeError
from landbridge.images.make import Commit

pytestmark = pytest.mark.kernel


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, str]]:
    """(archive, id) of the demo's images that can be built here."""
    builder = demo_images()
    directory = tmp_path_factory.mktemp("demo")
    found = {}
    for name in ("busybox", "httpd", "apache"):
        if name == "apache" and not Path("/usr/sbin/apache2").exists():
            continue
        identity = builder.build(name, directory / name)
        found[name] = ((directory / name).read_bytes(), identity)
    return found


def test_the_demos_images_load_run_and_share_their_base(
    machine: Machine, demo: dict[str, tuple[bytes, str]]
) -> None:
    for name, (data, identity) in demo.items():
        assert asyncio.run(machine.load(data)) == [f"Loaded image: {name}:latest\n"]
        assert machine.images.resolve(name).id == identity
    busybox, httpd = machine.images.resolve("busybox"), machine.images.resolve("httpd")
    (base,) = machine.images.lower_dirs(busybox)
    assert machine.images.lower_dirs(httpd)[1:] == (base,)
    assert (busybox.config.cmd, httpd.config.exposed_ports) == (("sh",), {"80/tcp": {}})
    command = ["chroot", base, "/bin/sh", "-c", "id -un; wc -l </etc/group"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("root\n5\n", "")


def test_the_apache_image_has_all_its_libraries(machine: Machine, demo: dict[str, tuple[bytes, str]]) -> None:
    if "apache" not in demo:
        pytest.skip("apache2 is not installed")
    asyncio.run(machine.load(demo["apache"][0]))
    top, base = machine.images.lower_dirs(machine.images.resolve("apache"))
    root = machine.root / "root"
    for layer in (base, top):
        subprocess.run(["cp", "-aT", layer, root], check=True)
    command = ["chroot", root, "apache2", "-t", "-f", "/etc/apache2/apache2.conf"]
    (root / "proc/self/fd").mkdir(parents=True)  # where its configuration sends the logs
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=path)
    assert (ran.stderr, ran.returncode) == ("Syntax OK\n", 0)


def oci_layout(*layers: bytes, compress: Any = gzip.compress) -> tuple[bytes, str, dict[str, bytes]]:
    """(an OCI layout with compressed layers below two indexes, the image's id, its members)."""
    members: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(value: Any, **more: Any) -> dict[str, Any]:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        members[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data), **more}

    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = blob({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    manifest = blob({"config": config, "layers": [blob(compress(layer)) for layer in layers]})
    index_type = "application/vnd.oci.image.index.v1+json"
    here = {"architecture": "amd64", "os": "linux"}
    inner = blob({"manifests": [{**manifest, "platform": here}]}, mediaType=index_type)
    named = {**inner, "annotations": {"io.containerd.image.name": "docker.io/library/layout:1"}}
    members["index.json"] = json.dumps({"manifests": [named]}).encode()
    return tar(*(entry(name, data=data) for name, data in members.items())), config["digest"], members


def test_an_oci_layout_with_compressed_layers(machine: Machine) -> None:
    data, identity, _ = oci_layout(tar(entry("a", data=b"a" * 5000)), tar(entry("b", data=b"b")))
    assert asyncio.run(machine.load(gzip.compress(data))) == ["Loaded image: layout:1\n"]
    image = machine.images.resolve("layout:1")
    assert (image.id, image.size) == (identity, 5001)
    assert [sorted(os.listdir(path)) for path in machine.images.lower_dirs(image)] == [["b"], ["a"]]


def test_a_changed_blob_is_found_out(machine: Machine) -> None:
    layer = tar(entry("a", data=b"a" * 5000))
    _, _, members = oci_layout(layer)
    name = next(name for name, data in members.items() if data == gzip.compress(layer) or data[:2] == b"\x1f\x8b")
    members[name] = gzip.compress(tar(entry("a", data=b"evil" * 1250)))
    with pytest.raises(LandbridgeError, match="digest mismatch"):
        asyncio.run(machine.load(tar(*(entry(key, data=data) for key, data in members.items()))))
    assert machine.on_disk() == []
    assert machine.images.list() == ()


LAYER = tar(entry("f", data=b"x"))
DIFF_ID = "sha256:" + hashlib.sha256(LAYER).hexdigest()
CONFIG = json.dumps({"os": "linux", "rootfs": {"diff_ids": [DIFF_ID]}}).encode()


def manifest(config: str = "c.json", layer: str = "l.tar") -> bytes:
    return json.dumps([{"Config": config, "RepoTags": ["evil:1"], "Layers": [layer]}]).encode()


HOSTILE = {
    "members that climb out": (
        entry("../../../../{witness}", data=b"overwritten"),
        entry("/{witness}", data=b"overwritten"),
        entry("manifest.json", data=manifest()),
    ),
    "a configuration outside": (
        entry("manifest.json", data=manifest(config="../../../../../../etc/passwd")),
        entry("l.tar", data=LAYER),
    ),
    "a configuration through a symlink": (
        entry("c.json", SYM, linkname="/etc/passwd"),
        entry("manifest.json", data=manifest()),
        entry("l.tar", data=LAYER),
    ),
    "a layer through a symlink": (
        entry("c.json", data=CONFIG),
        entry("l.tar", SYM, linkname="../../../../etc/passwd"),
        entry("manifest.json", data=manifest()),
    ),
    "links in a circle": (
        entry("c.json", LINK, linkname="d.json"),
        entry("d.json", SYM, linkname="c.json"),
        entry("manifest.json", data=manifest()),
    ),
    "a manifest that is a directory": (entry("manifest.json", DIR),),
    "a manifest without end": (entry("manifest.json", data=b"[" * (9 << 20)),),
    "a manifest nested without end": (entry("manifest.json", data=b"[" * 100_000),),
    "an archive of rubbish": (entry("README", data=b"hello"),),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(case: str, machine: Machine) -> None:
    witness = machine.root / "witness"
    witness.write_bytes(b"untouched")
    entries = []
    for info, data in HOSTILE[case]:
        name = info.name.format(witness=str(witness).lstrip("/"))
        entries.append(entry(name, info.type, data, linkname=info.linkname))
    before = listing(machine.root)
    with pytest.raises(LandbridgeError):
        asyncio.run(machine.load(tar(*entries)))
    assert listing(machine.root) == before
    assert witness.read_bytes() == b"untouched"
    assert machine.images.list() == ()


def test_links_inside_an_archive_are_followed(machine: Machine) -> None:
    """Docker before 25 wrote a layer that two images share once, and symlinks to it."""
    data = tar(
        entry("c.json", data=CONFIG),
        entry("one/layer.tar", data=LAYER),
        entry("two/layer.tar", SYM, linkname="../one/layer.tar"),
        entry("manifest.json", data=manifest(layer="two/layer.tar")),
    )
    assert asyncio.run(machine.load(data)) == ["Loaded image: evil:1\n"]


def test_what_a_container_changed_becomes_an_image_and_goes_again(
    machine: Machine, demo: dict[str, tuple[bytes, str]]
) -> None:
    async def go() -> None:
        await machine.load(demo["busybox"][0])
        base = machine.images.resolve("busybox")
        upper = machine.root / "upper"
        (upper / "etc").mkdir(parents=True)
        (upper / "etc/motd").write_text("hello")
        commit = Commit(upper=str(upper), parent=base, config=base.config, container="c" * 64)
        identity = await machine.images.commit(commit, repo="mine", changes=["CMD cat /etc/motd"])
        saved = await machine.save("mine")
        assert len(machine.on_disk()) == 4
        await machine.images.remove("mine")
        assert len(machine.on_disk()) == 2
        await machine.load(saved)
        image = machine.images.resolve("mine")
        assert image.id == identity
        assert listing(machine.images.lower_dirs(image)[0])["etc/motd"] == "-rw-r--r-- 0:0 5"
        await machine.images.remove("mine")
        await machine.images.remove("busybox")
        assert machine.on_disk() == []

    asyncio.run(go())


def test_loading_and_removing_at_once_loses_nothing(machine: Machine, demo: dict[str, tuple[bytes, str]]) -> None:
    """Loads of images with a common layer, while others that have it are removed again and again."""

    async def churn(name: str) -> None:
        for _ in range(5):
            await machine.load(demo[name][0])
            machine.images.tag(name, f"keep-{name}")
            await machine.images.remove(name)
            await machine.images.remove(f"keep-{name}")

    async def go() -> None:
        await asyncio.gather(churn("busybox"), churn("httpd"), machine.images.import_(stream(LAYER), repo="other"))
        assert [view.tags for view in machine.images.list()] == [("other:latest",)]
        assert len(machine.on_disk()) == 2
        await asyncio.gather(*(machine.load(demo[name][0]) for name in ("busybox", "httpd", "busybox", "httpd")))
        assert len(machine.on_disk()) == 6
        await machine.images.prune({"dangling": ["false"]})
        assert machine.on_disk() == []

    asyncio.run(go())
