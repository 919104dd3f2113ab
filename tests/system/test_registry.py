"""Real registries (Debian's docker-registry) beside the real engine: landbridge's command line, docker's, and docker-py."""

import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import images
import pytest
from clients import Client
from lab import Lab
from patience import until

from landbridge.system import netns
from registry_kit import tar

PLAIN, GUARDED = "localhost:5000", "localhost:5001"
PEER = os.environ.get("LANDBRIDGE_PEER_DOCKER", "")


def serve(directory: Path, port: int, namespace: str, *, password: bool = False) -> "subprocess.Popen[bytes]":
    """A registry on a loopback port of a namespace, keeping its content in `directory`."""
    lines = [
        "version: 0.1", "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {directory}/content}}}}", f"http: {{addr: 'localhost:{port}'}}",
    ]  # fmt: skip
    directory.mkdir(exist_ok=True)
    if password:
        made = subprocess.run(["htpasswd", "-nbB", "alice", "secret"], check=True, capture_output=True, text=True)
        (directory / "htpasswd").write_text(made.stdout)
        lines.append(f"auth: {{htpasswd: {{realm: lab, path: {directory}/htpasswd}}}}")
    config = directory / f"{port}.yml"
    config.write_text("\n".join(lines))
    with open(directory / f"{port}.log", "wb") as log:
        return subprocess.Popen(
            ["nsenter", f"--net={namespace}", "docker-registry", "serve", str(config)], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


def wait_for(port: int, namespace: str) -> None:
    """Until somebody accepts there."""

    def connect() -> int:
        with netns.inside(namespace), socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port))

    until(connect, 0)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module", autouse=True)
def registries(lab: Lab, content: Path) -> Iterator[None]:
    """One open registry and one with a password, on the engine's host."""
    namespace = f"/run/netns/{lab.host_ns}"
    processes = [serve(content / "plain", 5000, namespace), serve(content / "guarded", 5001, namespace, password=True)]
    try:
        for port in (5000, 5001):
            wait_for(port, namespace)
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait()


@pytest.fixture(autouse=True)
def logged_out(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings of the test's own, and afterwards an engine without the registries' images."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    yield
    for form in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):
        names = lab.landbridge("images", "--digests", "--format", form).out.split()
        for name in {name for name in names if name.startswith("localhost:") and "<none>" not in name}:
            lab.landbridge("rmi", name)


@pytest.fixture
def api(lab: Lab) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=f"unix://{lab.socket}", version="auto", timeout=60)
    yield client
    client.close()


def identity(client: Client, name: str) -> str:
    return client.ok("inspect", "-f", "{{.Id}}", name)


def digest_in(text: str) -> str:
    (line,) = [line for line in text.splitlines() if " digest: " in line]
    return line.split()[2]


def test_pushed_removed_pulled_and_run(client: Client) -> None:
    name = f"{PLAIN}/team/{client.name}:v1"
    before = identity(client, "httpd")
    client.ok("tag", "httpd", name)
    digest = digest_in(client.ok("push", name))
    assert f"{PLAIN}/team/{client.name}@{digest}" in client.ok("inspect", "-f", "{{.RepoDigests}}", name)
    client.ok("rmi", name)
    said = client.ok("pull", name)
    assert f"Digest: {digest}" in said
    assert f"Status: Downloaded newer image for {name}" in said
    assert said.splitlines()[-1] == name
    assert identity(client, name) == before
    assert "Image is up to date" in client.ok("pull", name)
    assert client.ok("run", "--rm", name, "echo", "from afar") == "from afar"


def own_image(directory: Path, mark: str) -> Path:
    """An archive of a root filesystem nobody else has: busybox and a file that says `mark`."""
    path = directory / "root.tar"
    path.write_bytes(tar({"bin/sh": images.BUSYBOX.read_bytes(), "bin/cat": images.BUSYBOX.read_bytes(), "mark": mark.encode()}))
    return path


def test_layers_come_back_when_they_were_removed(client: Client, tmp_path: Path) -> None:
    name = f"{PLAIN}/team/whole-{client.name}:v1"
    client.ok("import", str(own_image(tmp_path, client.name)), name)
    before = identity(client, name)
    client.ok("push", name)
    layers = set(os.listdir(client.lab.data_root / "layers"))
    client.ok("rmi", name)
    assert set(os.listdir(client.lab.data_root / "layers")) < layers
    assert client.ok("run", "--rm", name, "/bin/cat", "/mark") == client.name  # run pulls what is not here
    assert identity(client, name) == before
    assert "Image is up to date" in client.ok("pull", name)


def test_by_digest(client: Client) -> None:
    name = f"{PLAIN}/team/pinned-{client.name}"
    client.ok("tag", "busybox", f"{name}:v1")
    digest = digest_in(client.ok("push", f"{name}:v1"))
    client.ok("rmi", f"{name}:v1")
    assert client.ok("pull", f"{name}@{digest}").splitlines()[-1] == f"{name}@{digest}"
    assert client.ok("run", "--rm", f"{name}@{digest}", "echo", "pinned") == "pinned"
    wrong = "sha256:" + "0" * 64
    assert f"manifest for {name}@{wrong} not found: manifest unknown: manifest unknown" in client.fails(
        "pull", f"{name}@{wrong}"
    )


def test_every_tag(client: Client) -> None:
    name = f"{PLAIN}/team/many-{client.name}"
    for tag in ("v1", "v2", "v3"):
        client.ok("tag", "busybox", f"{name}:{tag}")
    assert client.ok("push", "-a", name).count(" digest: ") == 3
    for tag in ("v1", "v2", "v3"):
        client.ok("rmi", f"{name}:{tag}")
    client.ok("pull", "-a", "-q", name)
    tags = client.ok("images", "--format", "{{.Tag}}", name).split()
    assert sorted(tag for tag in tags if tag != "<none>") == ["v1", "v2", "v3"]


@pytest.mark.parametrize(("words", "sentence"), [
    (("pull", f"{PLAIN}/team/none:v1"), "manifest for {0}/team/none:v1 not found: manifest unknown: manifest unknown"),
    (("pull", "-a", f"{PLAIN}/team/none"),
     "repository {0}/team/none not found: name unknown: repository name not known to registry"),
    (("pull", "localhost:5999/x"), 'Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused'),
    (("pull", "--platform", "bogus", f"{PLAIN}/x"), '"bogus": unknown operating system or architecture: invalid argument'),
    (("push", f"{PLAIN}/team/none:v1"), "An image does not exist locally with the tag: {0}/team/none"),
])  # fmt: skip
def test_what_cannot_be(client: Client, words: tuple[str, ...], sentence: str) -> None:
    said = client.fails(*words)
    if "5999" in sentence:  # localhost may be ::1 first
        said = said.replace("[::1]", "127.0.0.1")
    assert sentence.format(PLAIN) in said


def test_a_password(client: Client, tmp_path: Path) -> None:
    name = f"{GUARDED}/team/{client.name}:v1"
    client.ok("tag", "busybox", name)
    assert "no basic auth credentials" in client.fails("push", name)
    login = ("login", "-u", "alice", "--password-stdin", GUARDED)
    said = client.fails(*login, input="wrong")
    assert f"login attempt to http://{GUARDED}/v2/ failed with status: 401 Unauthorized" in said
    assert "Login Succeeded" in client.ok(*login, input="secret")
    client.ok("push", name)
    client.ok("rmi", name)
    client.ok("pull", name)
    client.ok("logout", GUARDED)
    client.ok("rmi", name)
    assert f'Head "http://{GUARDED}/v2/team/{client.name}/manifests/v1": no basic auth credentials' in client.fails(
        "pull", name
    )
    assert json.loads((tmp_path / "config" / "config.json").read_text()).get("auths", {}) == {}


def test_docker_py(api: docker.DockerClient, lab: Lab) -> None:
    auth = {"username": "alice", "password": "secret"}
    name = f"{GUARDED}/team/py"
    image = api.images.get("busybox")
    image.tag(name, "v1")
    lines = list(api.api.push(name, tag="v1", auth_config=auth, stream=True, decode=True))
    assert lines[0] == {"status": f"The push refers to repository [{name}]"}
    aux = next(line["aux"] for line in lines if "aux" in line)
    assert aux["Tag"] == "v1"
    api.images.remove(f"{name}:v1")
    with pytest.raises(docker.errors.APIError):
        api.images.pull(name, tag="v1")
    pulled = api.images.pull(name, tag="v1", auth_config=auth)
    assert pulled.id == image.id
    assert f"{name}@{aux['Digest']}" in pulled.attrs["RepoDigests"]
    data = api.images.get_registry_data(f"{name}:v1", auth_config=auth)
    assert data.id == aux["Digest"]
    assert data.has_platform("linux/amd64")
    with pytest.raises(docker.errors.NotFound):
        api.images.get_registry_data(f"{name}:none", auth_config=auth)
    assert api.login("alice", "secret", registry=GUARDED)["Status"] == "Login Succeeded"
    with pytest.raises(docker.errors.APIError):
        api.login("alice", "wrong", registry=GUARDED, reauth=True)


# With a real Docker Engine on the other side.


@dataclass
class Peer:
    """A real Docker Engine; `registry` is the plain registry as it sees it."""

    registry: str

    def ok(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "-H", f"unix://{PEER}", *words], check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.rstrip("\n")


@pytest.fixture
def peer(content: Path) -> Iterator[Peer]:
    """The same content served a second time, on the loopback of the other engine."""
    if not PEER:
        pytest.skip("LANDBRIDGE_PEER_DOCKER names no Docker Engine to compare with")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(PEER)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    namespace = f"/proc/{struct.unpack('3i', credentials)[0]}/ns/net"
    with netns.inside(namespace), socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = serve(content / "plain", port, namespace)
    made = Peer(f"localhost:{port}")
    try:
        wait_for(port, namespace)
        yield made
    finally:
        names = made.ok("images", "--format", "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}", "--digests")
        for name in {name for name in names.split() if name.startswith(made.registry) and "<none>" not in name}:
            subprocess.run(["docker", "-H", f"unix://{PEER}", "rmi", name], capture_output=True, check=False)
        process.terminate()
        process.wait()


def test_images_go_from_docker_to_landbridge_and_back(ours: Client, peer: Peer, tmp_path: Path) -> None:
    repository = "team/exchanged"
    theirs, name = f"{peer.registry}/{repository}:theirs", f"{PLAIN}/{repository}:theirs"
    peer.ok("import", str(own_image(tmp_path, "theirs")), theirs)
    digest = digest_in(peer.ok("push", theirs))
    assert f"Digest: {digest}" in ours.ok("pull", name)
    assert identity(ours, name) == peer.ok("inspect", "-f", "{{.Id}}", theirs)
    assert ours.ok("run", "--rm", name, "/bin/cat", "/mark") == "theirs"
    # What came from Docker is the same manifest, byte for byte, when we push it.
    ours.ok("tag", name, f"{PLAIN}/{repository}:again")
    assert digest_in(ours.ok("push", f"{PLAIN}/{repository}:again")) == digest

    own, back = f"{PLAIN}/{repository}:ours", f"{peer.registry}/{repository}:ours"
    ours.ok("import", str(own_image(tmp_path, "ours")), own)
    digest = digest_in(ours.ok("push", own))
    assert f"Digest: {digest}" in peer.ok("pull", back)
    assert peer.ok("run", "--rm", "--network=none", back, "/bin/cat", "/mark") == "ours"
    assert peer.ok("inspect", "-f", "{{.Id}}", back) == identity(ours, own)


def test_the_same_is_said_as_by_docker(ours: Client, peer: Peer, tmp_path: Path) -> None:
    """What the docker command shows of a push and two pulls, without a terminal."""

    def said(run: Callable[..., str], registry: str, who: str) -> list[str]:
        name = f"{registry}/team/said-{who}:v1"
        run("import", str(own_image(tmp_path, f"said by {who}")), name)
        texts = [run("push", name), run("push", name)]
        run("rmi", name)
        texts += [run("pull", name), run("pull", name)]
        shown = "\n".join(texts).replace(name, "NAME").replace(name.removesuffix(":v1"), "REPO").replace(who, "WHO")
        shown = re.sub(r"^[0-9a-f]{12}:", "LAYER:", re.sub(r"sha256:[0-9a-f]{64}", "DIGEST", shown), flags=re.MULTILINE)
        # Whether Docker gets to say this before "Download complete" is chance.
        return [line for line in shown.splitlines() if "Verifying Checksum" not in line]

    docker_said = said(peer.ok, peer.registry, "docker")
    assert said(Client(ours.lab, "docker").ok, PLAIN, "landbridge") == docker_said
    assert any("Pull complete" in line for line in docker_said)


def test_errors_are_dockers(ours: Client, peer: Peer) -> None:
    for words in (
        ("pull", "REG/team/none:v1"), ("pull", "-a", "REG/team/none"), ("push", "REG/team/none:v1"),
        ("pull", "--platform", "bogus", "REG/x"), ("pull", "REG/team/exchanged@sha256:" + "0" * 64),
    ):  # fmt: skip
        done = subprocess.run(
            ["docker", "-H", f"unix://{PEER}", *(word.replace("REG", peer.registry) for word in words)],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        said = ours.lab.docker(*(word.replace("REG", PLAIN) for word in words))
        assert (said.code, said.text.replace(PLAIN, "REG")) == (
            done.returncode, (done.stdout + done.stderr).replace(peer.registry, "REG"),
        )  # fmt: skip
