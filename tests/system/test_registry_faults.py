"""A real engine and a registry that breaks off, lies or stops: what is on disk afterwards, and whether the engine goes on."""

import asyncio
import ctypes
import gzip
import http.client
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from clients import Client
from lab import Lab
from patience import until

import leaks
from landbridge.errors import Unreachable
from landbridge.model.world import Instance
from landbridge.system import netns
from landbridge.system.registry_http import HttpClient
from registry_kit import OCI_MANIFEST, Fault, RegistryServer, digest, serving, tar

MANY = random.Random(5).randbytes(6_000_000)


@pytest.fixture
def server(lab: Lab) -> Iterator[RegistryServer]:
    """A registry of `registry_kit` on the loopback of the engine's host."""
    with netns.inside(f"/run/netns/{lab.host_ns}"), serving(RegistryServer()) as made:
        yield made
    for name in lab.landbridge("images", "--format", "{{.Repository}}:{{.Tag}}").out.split():
        if name.startswith("127.0.0.1:"):
            lab.landbridge("rmi", name)


def root(mark: str) -> bytes:
    """A root filesystem nobody else has, large enough to break off in."""
    busybox = images.BUSYBOX.read_bytes()
    return tar({"bin/sh": busybox, "bin/cat": busybox, "mark": mark.encode(), "many": MANY})


def on_disk(lab: Lab) -> set[str]:
    return set(os.listdir(lab.data_root / "layers"))


def zstd(data: bytes) -> bytes:
    """Compressed by the system's library, as a builder would."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = (ctypes.c_size_t,)
    library.ZSTD_compress.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(len(data)))
    size = library.ZSTD_compress(room, len(room), data, len(data), 3)
    return room.raw[:size]


@pytest.mark.parametrize("how", ["cut", "truncate"])
def test_a_layer_that_breaks_off_is_unpacked_whole(ours: Client, server: RegistryServer, how: str) -> None:
    layer = root(f"broken off by {how}")
    server.image("team/app", how, [layer])
    server.faults += [Fault(where="GET .*/blobs/", do=how, after=after) for after in (400, 1_000_000, 2_000_000)]
    name = f"{server.name}/team/app:{how}"
    ours.ok("pull", name)
    assert ours.ok("run", "--rm", name, "/bin/cat", "/mark") == f"broken off by {how}"
    assert [one for one in server.seen if "range" in one.headers]


def test_zstd_layers(ours: Client, server: RegistryServer) -> None:
    layer = root("packed otherwise")
    media = "application/vnd.oci.image.layer.v1.tar+zstd"
    server.image("team/app", "zstd", [layer], packed=[zstd(layer)], layer_media=media, media=OCI_MANIFEST)
    name = f"{server.name}/team/app:zstd"
    ours.ok("pull", name)
    assert ours.ok("run", "--rm", name, "/bin/cat", "/mark") == "packed otherwise"
    # A schema 2 manifest has no word for zstd: it is pushed as gzip.
    ours.ok("tag", name, f"{server.name}/team/again:v1")
    ours.ok("push", f"{server.name}/team/again:v1")
    (pushed,) = json.loads(server.manifests["team/again"]["v1"][1])["layers"]
    assert gzip.decompress(server.blobs["team/again"][pushed["digest"]]) == layer


@pytest.mark.parametrize("fault", [
    {"do": "corrupt", "times": 9}, {"do": "replace", "body": b"rubbish", "times": 9}, {"do": "status", "status": 404, "times": 9},
])  # fmt: skip
def test_what_fails_leaves_nothing_on_disk(ours: Client, server: RegistryServer, fault: dict[str, Any]) -> None:
    before = on_disk(ours.lab)
    good, bad = tar({"good": b"1"}), root(f"bad by {fault['do']}")
    server.image("team/app", "bad", [good, bad])
    blob = digest(gzip.compress(bad, mtime=0))
    server.faults.append(Fault(where=f"GET .*{blob}", **fault))
    name = f"{server.name}/team/app:bad"
    said = ours.fails("pull", name)
    assert {
        "corrupt": f"filesystem layer verification failed for digest {blob}",
        "replace": f"the registry has 7 bytes for {blob} instead of",
        "status": "error parsing HTTP 404 response body",
    }[fault["do"]] in said or "failed to register layer: " in said
    assert on_disk(ours.lab) == before
    assert name not in ours.ok("images", "--format", "{{.Repository}}:{{.Tag}}")


def test_a_client_that_leaves_ends_its_pull(ours: Client, server: RegistryServer) -> None:
    before = on_disk(ours.lab)
    server.image("team/app", "left", [root("left")])
    blob = digest(gzip.compress(root("left"), mtime=0))
    server.faults.append(Fault(where=f"GET .*{blob}", do="stall", after=500_000))
    connection = http.client.HTTPConnection("d")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(ours.lab.socket))
    connection.request("POST", f"/images/create?fromImage={server.name}/team/app&tag=left")
    response = connection.getresponse()
    while b"Downloading" not in response.readline():
        pass
    assert on_disk(ours.lab) > before  # half-made, under a name with a dot
    assert ours.ok("version")  # the engine answers others meanwhile
    response.close()
    connection.close()
    until(lambda: on_disk(ours.lab), before)


def test_a_daemon_killed_in_the_middle_starts_clean(own_lab: Lab) -> None:
    with netns.inside(f"/run/netns/{own_lab.host_ns}"), serving(RegistryServer()) as server:
        before = on_disk(own_lab)
        layer = root("killed")
        server.image("team/app", "v1", [layer])
        server.faults.append(
            Fault(where=f"GET .*{digest(gzip.compress(layer, mtime=0))}", do="stall", after=500_000)
        )
        pull = own_lab.background("env", "LANG=C", str(Path(images.__file__).parents[1] / "bin/landbridge"), "pull",
                                  f"{server.name}/team/app:v1")  # fmt: skip
        until(lambda: on_disk(own_lab) > before, lambda seen: seen)
        assert own_lab.daemon is not None
        own_lab.daemon.kill()
        pull.wait()
        assert pull.stdout is not None
        pull.stdout.close()
        assert own_lab.daemon.stdout is not None
        own_lab.daemon.stdout.close()
        own_lab.daemon.wait()
        own_lab.start_daemon()
        assert on_disk(own_lab) == before
        done = own_lab.landbridge("pull", f"{server.name}/team/app:v1")
        assert done.code == 0, done.text


def test_a_mirror_serves_docker_hubs_names(run_token: str, tmp_path: Path, watch: leaks.Watch) -> None:
    """The engine's flags, and that nobody but the mirror was asked."""
    flags = ("--registry-mirror", "http://127.0.0.1:5000", "--insecure-registry", "reg.example:5000")
    lab = Lab(f"tst{run_token}mir", tmp_path, flags)
    watch.add_instance(Instance.of(str(lab.data_root)))
    with lab, netns.inside(f"/run/netns/{lab.host_ns}"), serving(RegistryServer(), port=5000) as server:
        server.image("library/app", "latest", [root("mirrored")])
        done = lab.landbridge("pull", "app")
        assert done.code == 0, done.text
        assert lab.landbridge("run", "--rm", "app", "/bin/cat", "/mark").out.strip() == "mirrored"
        shown = json.loads(lab.landbridge("info", "--format", "{{json .RegistryConfig}}").out)
        assert shown["Mirrors"] == ["http://127.0.0.1:5000/"]
        assert shown["IndexConfigs"]["reg.example:5000"]["Secure"] is False


def test_a_name_nobody_knows(throwaway_netns: str) -> None:
    """With no way to any name server the answer comes at once."""

    async def work() -> None:
        http_client = HttpClient(agent="test")
        with pytest.raises(Unreachable, match=r'Get "https://reg\.example/v2/": dial tcp: lookup reg\.example( on .+:53)?: '):
            await http_client.exchange("GET", "https://reg.example/v2/", {})

    asyncio.run(work())


def entry(name: str, stars: int, *, official: bool = False) -> dict[str, Any]:
    return {"name": name, "description": f"{name}, and what\nit does", "star_count": stars, "is_official": official, "is_automated": False}


def test_search_asks_the_index_of_a_registry(client: Client, server: RegistryServer) -> None:
    server.index = [entry("team/one", 3), entry("team/two", 40, official=True), entry("other", 5)]
    head, *rows = client.ok("search", f"{server.name}/team").splitlines()
    assert head.split()[:4] == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert sorted(row.split() for row in rows) == [  # docker 20.10 puts those with more stars first
        "team/one team/one, and what it does 3".split(), "team/two team/two, and what it does 40 [OK]".split(),
    ]  # fmt: skip
    name = "{{.Name}} {{.StarCount}}"
    assert client.ok("search", "--format", name, "-f", "is-official=true", f"{server.name}/t") == "team/two 40"
    assert client.ok("search", "--format", name, "-f", "stars=4", "--limit", "2", f"{server.name}/t") == "team/two 40"
    assert server.seen[-1].query == {"q": "t", "n": "2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", "200", "{}/x"), "limit 200 is outside the range of [1, 100]"), (("-f", "foo=bar", "{}/x"), "invalid filter 'foo'"),
        (("-f", "stars=x", "{}/x"), "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        (("-f", "is-official=x", "{}/x"), "invalid filter 'is-official=[x]'"), (("{}/x",), "Unexpected status code 404"),
        (("http://{}/x",), "should not have a scheme"), (("127.0.0.1:1/x",), "connection refused"),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be(client: Client, server: RegistryServer, words: tuple[str, ...], said: str) -> None:
    assert said in client.fails("search", *(word.format(server.name) for word in words), code=1)
