"""Bad input: Docker's words and exit statuses, and nothing half-made."""

import io
import tarfile
from pathlib import Path

import pytest
from clients import Client


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "--network=nope", "busybox", "true"), 125, "network nope not found"),
        (("run", "nosuchimage", "true"), 125, "nosuchimage"),
        (("run", "-p", "99999:80", "busybox", "true"), 125, "99999"),
        (("run", "-p", "a:b:c:d", "busybox", "true"), 125, "nvalid"),
        (("run", "-p", "80:0", "busybox", "true"), 125, "nvalid"),
        (("run", "--network=container:nope", "busybox", "true"), 125, "No such container: nope"),
        (("run", "busybox", "/no/such/program"), 127, "no such file or directory"),
        (("run", "busybox", "nosuchprogram"), 127, "executable file not found"),
        (("run", "busybox", "/etc"), 126, "permission denied|is a directory"),
        (("run", "--user", "nobodyknows", "busybox", "true"), 125, "unable to find user nobodyknows"),
        (("network", "rm", "nope"), 1, "network nope not found|No such network: nope"),
        (("network", "create", "bridge"), 1, "operation is not permitted on predefined bridge network"),
        (("network", "create", "--subnet", "10.0.0.5/24", "x"), 1, "invalid subnet 10.0.0.5/24"),
        (("network", "rm", "bridge"), 1, "pre-defined network"),
        (("start", "nope"), 1, "No such container: nope"),
        (("inspect", "nope"), 1, "(?i)no such object: nope"),
        (("exec", "nope", "true"), 1, "No such container: nope"),
        (("rm", "nope"), 1, "No such container: nope"),
    ],
)
def test_errors_are_dockers(client: Client, words: tuple[str, ...], code: int, said: str) -> None:
    import re

    printed = client.fails(*words, code=code)
    assert re.search(said, printed), printed
    left = client.ok("ps", "-aq").split()
    for identity in left:
        assert client.ok("inspect", "-f", "{{.State.Status}}", identity) == "created"


def test_addresses_that_cannot_be_had(client: Client) -> None:
    client.ok("network", "create", "--subnet", "10.88.0.0/24", "net")
    assert "overlap" in client.fails("network", "create", "--subnet", "10.88.0.128/25", "other")
    client.ok("run", "-d", "--network=net", "--ip=10.88.0.5", "--name=aa", "busybox", "sleep", "600")
    said = client.fails("run", "-d", "--network=net", "--ip=10.88.0.5", "--name=bb", "busybox", "true", code=125)
    assert "Address already in use" in said
    said = client.fails("run", "-d", "--network=net", "--ip=10.99.0.5", "--name=cc", "busybox", "true", code=125)
    assert "10.99.0.5" in said
    assert client.ok("ps", "-q").count("\n") == 0


def test_names_are_taken_once(client: Client) -> None:
    client.ok("run", "-d", "--name=aa", "busybox", "sleep", "600")
    said = client.fails("run", "-d", "--name=aa", "busybox", "sleep", "600", code=125)
    assert 'Conflict. The container name "/aa" is already in use by container' in said


def hostile(path: Path, kind: str) -> None:
    """An image archive whose only layer does what no layer may."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        info = tarfile.TarInfo({"dotdot": "../../escaped", "absolute": "/../escaped"}.get(kind, "link"))
        if kind == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/"
            layer.addfile(info)
            info = tarfile.TarInfo("link/escaped-through-link")
        info.size = 4
        layer.addfile(info, io.BytesIO(b"evil"))
    with tarfile.open(path, "w") as whole:
        for name, data in (("layer.tar", buffer.getvalue()),):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            whole.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("kind", ["dotdot", "absolute", "link"])
def test_a_hostile_archive_writes_nothing_outside(client: Client, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hostile.tar"
    hostile(path, kind)
    with tarfile.open(path) as whole:
        layer = whole.extractfile("layer.tar")
        assert layer is not None
        (tmp_path / "rootfs.tar").write_bytes(layer.read())
    client("import", str(tmp_path / "rootfs.tar"), "hostile")
    client("load", "-i", str(path))
    for place in ("/escaped", "/escaped-through-link", str(client.lab.data_root / "escaped")):
        assert not Path(place).exists()
    client("rmi", "hostile")


def test_a_truncated_archive_is_refused(client: Client, archives: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.tar"
    path.write_bytes(archives["busybox"].read_bytes()[:500_000])
    client.fails("load", "-i", str(path), code=1)
    images = client.ok("images", "-q")
    client.fails("import", str(path), "cut", code=1)
    assert client.ok("images", "-q") == images
