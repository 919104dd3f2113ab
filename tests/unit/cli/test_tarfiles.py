"""`cp`: what a container sends cannot land outside the target, and what goes in is what was here."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from capture import CaptureServer

from landbridge.cli.copy import renamer, split_argument
from landbridge.cli.main import main
from landbridge.cli.outcome import CommandError
from landbridge.cli.tarfiles import pack, unpack


def archive(*members: tuple[str, bytes, str]) -> bytes:
    """Members (name, type, content or link target)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
            else:
                member.linkname = content
            member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
            tar.addfile(member, io.BytesIO(content.encode()) if kind == tarfile.REGTYPE else None)
    return data.getvalue()


FILE, LINK, HARD, DIRECTORY = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", FILE, "x")],
        [("a/../../evil", FILE, "x")],
        [("/evil", FILE, "x")],
        [("link", LINK, ".."), ("link/evil", FILE, "x")],
        [("link", LINK, "/tmp"), ("link/evil", FILE, "x")],
        [("hard", HARD, "../secret")],
        [("..", DIRECTORY, "")],
    ],
)
def test_nothing_lands_outside(members: list[tuple[str, bytes, str]], tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "secret").write_text("kept")
    with pytest.raises(CommandError, match="refusing to write outside"):
        unpack(iter([archive(*members)]), str(target), lambda name: name, keep_owner=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "target"]
    assert not Path("/tmp/evil").exists()


def test_a_link_in_the_way_is_replaced_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "victim").write_text("kept")
    (target / "f").symlink_to(tmp_path / "victim")
    unpack(iter([archive(("f", FILE, "new"))]), str(target), lambda name: name, keep_owner=False)
    assert (tmp_path / "victim").read_text() == "kept"
    assert (target / "f").read_text() == "new"


def test_packed_and_unpacked_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "b").write_text("deep")
    (source / "a").write_bytes(os.urandom(300_000))
    (source / "a").chmod(0o751)
    (source / "l").symlink_to("a")
    out = tmp_path / "out"
    out.mkdir()
    total = unpack(pack(str(source), "copied"), str(out), lambda name: name, keep_owner=False)
    assert total == 300_004
    assert (out / "copied" / "a").read_bytes() == (source / "a").read_bytes()
    assert (out / "copied" / "a").stat().st_mode == (source / "a").stat().st_mode
    assert (out / "copied" / "sub" / "b").read_text() == "deep"
    assert os.readlink(out / "copied" / "l") == "a"


def test_names_at_the_target(tmp_path: Path) -> None:
    existing = str(tmp_path)
    assert renamer("/src", existing)[1]("src/a") == "src/a"
    assert renamer("/src/.", existing)[1]("src/a") == "a"
    assert renamer("/src", f"{existing}/new")[1]("src/a") == "new/a"
    assert renamer("/f", f"{existing}/g")[1]("f") == "g"
    with pytest.raises(CommandError, match="does not exist"):
        renamer("/f", f"{existing}/no/g")


def test_which_side_an_argument_is_on() -> None:
    assert split_argument("c:/x") == ("c", "/x")
    assert split_argument("/c:/x") == ("", "/c:/x")
    assert split_argument("./c:x") == ("", "./c:x")
    assert split_argument("plain") == ("", "plain")
    assert split_argument("-") == ("", "-")


def test_copy_in_sends_a_chunked_archive(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("hello")
    out, err = io.BytesIO(), io.BytesIO()
    with CaptureServer(tmp_path / "s") as server:
        facts = "eyJuYW1lIjoiZCIsIm1vZGUiOjIxNDc0ODQxNDEsImxpbmtUYXJnZXQiOiIifQ=="  # a directory
        head = f"HTTP/1.1 200 X\r\nConnection: close\r\nX-Docker-Container-Path-Stat: {facts}\r\n\r\n".encode()
        server.streams["HEAD", "/containers/c/archive"] = lambda reader, connection: connection.sendall(head)
        status = main(
            ["cp", str(tmp_path / "f"), "c:/d"], {"LANDBRIDGE_HOST": f"unix://{server.path}"}, io.BytesIO(), out, err
        )
    assert (status, err.getvalue()) == (0, b"")
    put = server.requests[-1]
    assert put.method == "PUT"
    assert put.query == {"path": "/d", "noOverwriteDirNonDir": "1"}
    with tarfile.open(fileobj=io.BytesIO(put.body.encode("latin-1"))) as tar:
        assert [(m.name, tar.extractfile(m).read()) for m in tar] == [("f", b"hello")]  # type: ignore[union-attr]
