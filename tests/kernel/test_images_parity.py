"""The same archives, names and removals on a real Docker Engine and here; the answers compared.

Needs a Docker Engine whose socket is named by LANDBRIDGE_PEER_DOCKER (tried with 26.1); skipped without.
"""

import asyncio
import http.client
import json
import os
import secrets
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from images_on_disk import BLK, CHR, DIR, FIFO, LINK, SYM, Machine, chunks, demo_images, entry, stream, tar

from landbridge.errors import Conflict, Internal, Invalid, LandbridgeError, NotFound
from landbridge.images.effects import ImageUser
from landbridge.oci.image import parse_config, render_config
from landbridge.oci.layers import place
from landbridge.system.layers import LayerStore

SOCKET = os.environ.get("LANDBRIDGE_PEER_DOCKER", "")
STATUS = {NotFound: 404, Conflict: 409, Invalid: 400, Internal: 500}

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.system,
    pytest.mark.skipif(not SOCKET, reason="LANDBRIDGE_PEER_DOCKER names no Docker Engine to compare with"),
]


class Peer:
    """A Docker Engine by its API; forgets at the end what it was given. `repo` is ours alone."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.images: set[str] = set()
        self.containers: list[str] = []

    def call(self, method: str, path: str, body: bytes = b"", **query: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("peer")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(SOCKET)
            headers = {"Content-Type": "application/json" if body.startswith(b"{") else "application/x-tar"}
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: bytes = b"", **query: Any) -> tuple[int, Any]:
        status, data = self.call(method, path, body, **query)
        return status, [json.loads(line) for line in data.splitlines() if line.strip()]

    def load(self, data: bytes) -> list[Any]:
        return self.json("POST", "/images/load", data, quiet=1)[1]

    def inspect(self, name: str) -> Any:
        (document,) = self.json("GET", f"/images/{quote(name, safe='')}/json")[1]
        self.images.add(document["Id"])
        return document

    def create(self, image: str) -> str:
        body = json.dumps({"Image": image, "Cmd": ["sleep", "1000"]}).encode()
        (made,) = self.json("POST", "/containers/create", body)[1]
        self.containers.append(made["Id"])
        return str(made["Id"])

    def remove(self, text: str, **query: Any) -> Any:
        status, found = self.json("DELETE", f"/images/{quote(text, safe='')}", **query)
        lines = found[0]
        if status != 200:
            return status, lines["message"]
        return [next(iter(line.items())) for line in lines]

    def close(self) -> None:
        for container in self.containers:
            self.call("DELETE", f"/containers/{container}", force=1)
        for view in self.json("GET", "/images/json", filters=json.dumps({"reference": [f"{self.repo}*"]}))[1][0]:
            self.images.add(view["Id"])
        for identity in self.images:
            self.call("DELETE", f"/images/{identity}", force=1)


@pytest.fixture
def peer(run_token: str) -> Iterator[Peer]:
    found = Peer(f"lbparity{run_token}")
    yield found
    found.close()


@pytest.fixture
def machine(tmp_path: Any) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.close()


LAYERS = {
    "names that climb": (entry("../../f", data=b"x"),),
    "absolute names": (entry("/f", data=b"x"),),
    "a dangling symlink on the way": (entry("a", SYM, linkname="/nowhere"), entry("a/x", data=b"x")),
    "a symlink on the way": (entry("t", DIR), entry("a", SYM, linkname="../../t"), entry("a/x", data=b"x")),
    "a hard link outside": (entry("h", LINK, linkname="../../etc/shadow"),),
    "a hard link inside": (entry("f", data=b"1"), entry("h", LINK, linkname="/f")),
    "a name twice": (entry("f", data=b"1"), entry("./f", data=b"2")),
    "a directory twice": (entry("d", DIR), entry("d", DIR)),
    "below a file": (entry("f", data=b"1"), entry("f/x", data=b"2")),
    "a disk": (entry("sda", BLK, devmajor=8),),
    "a whiteout device": (entry("gone", CHR),),
    "a fifo": (entry("p", FIFO),),
    "a contiguous file": (entry("c", b"7"),),
    "an unknown type": (entry("c", b"z"),),
    "a whiteout": (entry("d/.wh.x"),),
    "a whiteout of nothing": (entry("d/.wh."),),
    "a whiteout of itself": (entry("d/.wh.."),),
    "a whiteout of what is there": (entry("d/x", data=b"1"), entry("d/.wh.x")),
    "an opaque root": (entry(".wh..wh..opq"),),
    "the root": (entry("./", DIR, mode=0o700),),
    "a nameless file": (entry("", data=b"x"),),
    "an unknown attribute": (entry("f", pax_headers={"SCHILY.xattr.foo.bar": "1"}),),
    "a user's attribute": (entry("f", pax_headers={"SCHILY.xattr.user.bar": "1"}),),
    "a loop": (entry("a", SYM, linkname="b"), entry("b", SYM, linkname="a"), entry("a/x", data=b"x")),
    "a name too long": (entry("x" * 300, data=b"x"),),
}


@pytest.mark.parametrize("case", LAYERS)
def test_the_same_layers_are_taken_and_refused(case: str, peer: Peer, machine: Machine) -> None:
    compare_import(tar(*LAYERS[case]), peer, machine.store)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"hello world" * 200,
        tar(entry("f", data=b"x" * 5000))[:3000],
        tar(entry("f", data=b"x" * 512))[:1024],
        tar(entry("f")).replace(b"f\0\0\0", b"g\0\0\0", 1),
    ],
)
def test_the_same_rubbish_is_taken_and_refused(data: bytes, peer: Peer, machine: Machine) -> None:
    compare_import(data, peer, machine.store)


def compare_import(data: bytes, peer: Peer, store: LayerStore) -> None:
    status, found = peer.json("POST", "/images/create", data, fromSrc="-", repo=peer.repo)
    if status == 200:
        image = peer.inspect(found[-1]["status"])
        theirs: Any = (image["RootFS"]["Layers"], image["Size"])
    else:
        theirs = (status, found[-1]["message"])
    try:
        with store.stage(chunks(data), place) as staged:
            ours: Any = ([staged.diff_id], staged.size)
    except LandbridgeError as error:
        ours = (STATUS[type(error)], error.message)
    assert ours == theirs


def test_docker_loads_what_we_save_and_sees_the_same(peer: Peer, machine: Machine, tmp_path: Any) -> None:
    demo_images().build("httpd", tmp_path / "httpd.tar", f"{peer.repo}/httpd:1")

    async def go() -> bytes:
        await machine.load((tmp_path / "httpd.tar").read_bytes())
        machine.images.tag(f"{peer.repo}/httpd:1", f"{peer.repo}/httpd", "2")
        await machine.images.import_(
            stream(tar(entry("a", data=b"x"))),
            repo=f"{peer.repo}/made",
            changes=["ENV A=1 B=2", "EXPOSE 80", "VOLUME /v", 'HEALTHCHECK --interval=5s CMD ["x"]', "LABEL k=v"],
        )
        return await machine.save(f"{peer.repo}/httpd", f"{peer.repo}/made:latest")

    said = peer.load(asyncio.run(go()))
    assert sorted(line["stream"] for line in said) == [
        f"Loaded image: {peer.repo}/httpd:1\n",
        f"Loaded image: {peer.repo}/httpd:2\n",
        f"Loaded image: {peer.repo}/made:latest\n",
    ]
    for name in (f"{peer.repo}/httpd:2", f"{peer.repo}/made"):
        theirs, ours = peer.inspect(name), machine.images.inspect(name)
        assert theirs["Id"] == ours.image.id
        assert theirs["RepoTags"] == list(ours.tags)
        assert theirs["RootFS"]["Layers"] == list(ours.image.diff_ids)
        assert (theirs["Size"], theirs["Comment"]) == (ours.image.size, ours.image.comment)
        assert (theirs["Created"], theirs["Author"]) == (ours.image.created, ours.image.author)
        assert parse_config(theirs["Config"]) == ours.image.config
        assert render_config(ours.image.config) == {**render_config(parse_config(theirs["Config"]))}
        (lines,) = peer.json("GET", f"/images/{quote(name, safe='')}/history")[1]
        mine = machine.images.history(name)
        assert [(line["Id"], line["Size"], line["CreatedBy"], line["Comment"]) for line in lines] == [
            (line.id, line.size, line.created_by, line.comment) for line in mine
        ]


def test_we_load_what_docker_saves(peer: Peer, machine: Machine, tmp_path: Any) -> None:
    demo_images().build("httpd", tmp_path / "httpd.tar", f"{peer.repo}/httpd:1")
    peer.load((tmp_path / "httpd.tar").read_bytes())
    theirs = peer.inspect(f"{peer.repo}/httpd:1")
    status, saved = peer.call("GET", "/images/get", names=f"{peer.repo}/httpd:1")
    assert status == 200
    assert asyncio.run(machine.load(saved)) == [f"Loaded image: {peer.repo}/httpd:1\n"]
    assert machine.images.resolve(f"{peer.repo}/httpd:1").id == theirs["Id"]


class Ours:
    """Our side of the removals, in the peer's words."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def remove(self, text: str, **query: Any) -> Any:
        try:
            gone = asyncio.run(self.machine.images.remove(text, **{key: bool(value) for key, value in query.items()}))
        except LandbridgeError as error:
            return STATUS[type(error)], error.message
        return [(line.action, line.what) for line in gone]


def test_the_same_removals_say_the_same(peer: Peer, machine: Machine, tmp_path: Any) -> None:
    """One story on both: names, ids, stopped and running containers, force, and what is left."""
    a, b = f"{peer.repo}/a", f"{peer.repo}/b"
    builder = demo_images()
    layer = builder.busybox_layer(secrets.randbelow(10**9))  # nobody else's, so that it goes when its image goes
    identity = builder.archive(tmp_path / "a.tar", f"{a}:1", [layer], {"Cmd": ["sh"], "Env": [builder.PATH]}, 0)
    data = (tmp_path / "a.tar").read_bytes()
    short = identity[7:19]
    ours = Ours(machine)

    def both(text: str, **query: Any) -> None:
        assert ours.remove(text, **query) == peer.remove(text, **query), (text, query)

    def load() -> None:
        asyncio.run(machine.load(data))
        peer.load(data)

    def tag(name: str) -> None:
        machine.images.tag(identity, name, "1")
        peer.call("POST", f"/images/{identity}/tag", repo=name, tag="1")

    def use(*, running: bool) -> str:
        container = peer.create(identity)
        if running:
            assert peer.call("POST", f"/containers/{container}/start")[0] == 204
        machine.users.setdefault(identity, []).append(ImageUser(container, running))
        return container

    def unuse() -> None:
        machine.users.clear()
        while peer.containers:
            peer.call("DELETE", f"/containers/{peer.containers.pop()}", force=1)
        asyncio.run(machine.images.release())

    load()
    both(f"{a}:2")
    both(a)
    both("sha256:" + "0" * 64)
    both("Bad Name")
    tag(b)
    both(short)
    both(f"{b}:1")
    use(running=False)
    both(f"{a}:1")
    both(short)
    both(identity)
    tag(b)
    both(f"{b}:1")
    both(f"{a}:1", force=1)
    unuse()
    load()
    use(running=True)
    both(short, force=1)
    both(f"{a}:1")
    both(f"{a}:1", force=1)
    both(short)
    unuse()
    load()
    tag(b)
    both(short, force=1)
    both(short)
    assert machine.on_disk() == []
