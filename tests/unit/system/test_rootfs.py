"""Paths and users inside a root an image's author controls."""

import os
from pathlib import Path

import pytest

from landbridge.errors import Invalid, NotFound
from landbridge.model.process import User
from landbridge.system import rootfs, users


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "etc").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text("evil:x:0:0::/:\n")
    return path


ME = {"uid": os.geteuid(), "gid": os.getegid()}


def test_symlinks_count_from_the_root(root: Path, tmp_path: Path) -> None:
    (root / "real").mkdir()
    (root / "absolute").symlink_to("/real")
    (root / "up").symlink_to("../../../../real")
    (root / "out").symlink_to(tmp_path / "outside")
    assert rootfs.resolve(str(root), "/absolute/new") == str(root / "real" / "new")
    assert rootfs.resolve(str(root), "up") == str(root / "real")
    assert rootfs.resolve(str(root), "../../..") == str(root)
    with pytest.raises(NotFound):
        rootfs.resolve(str(root), "/out/passwd")


def test_nothing_outside_is_read(root: Path, tmp_path: Path) -> None:
    (root / "etc" / "passwd").symlink_to(tmp_path / "outside" / "passwd")
    assert rootfs.read_file(str(root), "/etc/passwd") == b""
    (root / "etc" / "group").symlink_to("/etc/target")
    (root / "etc" / "target").write_bytes(b"here")
    assert rootfs.read_file(str(root), "/etc/group") == b"here"


def test_a_fifo_in_place_of_a_file_does_not_block(root: Path) -> None:
    os.mkfifo(root / "etc" / "passwd")
    assert rootfs.read_file(str(root), "/etc/passwd") == b""


def test_reading_is_bounded(root: Path) -> None:
    (root / "big").write_bytes(b"x" * 100)
    assert rootfs.read_file(str(root), "/big", limit=10) == b"x" * 10


def test_directories_are_made_inside(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to("/real")
    (root / "real").mkdir()
    rootfs.make_directory(str(root), "/link/a/b", **ME, mode=0o711)
    assert (root / "real" / "a" / "b").stat().st_mode & 0o777 == 0o711
    rootfs.make_directory(str(root), "/link/a/b", **ME)
    (root / "escape").symlink_to("../../outside")
    with pytest.raises(Invalid):
        rootfs.make_directory(str(root), "/escape/new", **ME)
    assert list((tmp_path / "outside").iterdir()) == [tmp_path / "outside" / "passwd"]


def test_a_file_is_no_directory(root: Path) -> None:
    (root / "file").touch()
    with pytest.raises(Invalid, match="Cannot mkdir: /file/x is not a directory"):
        rootfs.make_directory(str(root), "/file/x", **ME)


def test_mount_points(root: Path) -> None:
    rootfs.make_mount_point(str(root), "/a/b/file", directory=False)
    rootfs.make_mount_point(str(root), "/a/b/dir", directory=True)
    rootfs.make_mount_point(str(root), "/a/b/file", directory=False)
    assert (root / "a" / "b" / "file").read_bytes() == b""
    assert (root / "a" / "b" / "dir").is_dir()
    with pytest.raises(Invalid):
        rootfs.make_mount_point(str(root), "/a/b/dir", directory=False)
    with pytest.raises(Invalid):
        rootfs.make_mount_point(str(root), "/a/b/file", directory=True)


PASSWD = """\
# comment
root:x:0:0:root:/root:/bin/sh
broken:x:zero:0
short:x
daemon:x:2:2:daemon:/sbin:/bin/false
web:x:1000:1001::/home/web:
"""
GROUP = """\
root:x:0:
wheel:x:10:root,web
web:x:1001:
audio:x:29:web
empty
"""


@pytest.mark.parametrize(
    ("user", "added", "expected"),
    [
        ("", (), User(uid=0, gid=0, groups=(10,), home="/root")),
        ("web", (), User(uid=1000, gid=1001, groups=(10, 29), home="/home/web")),
        ("1000", (), User(uid=1000, gid=1001, groups=(10, 29), home="/home/web")),
        ("web:wheel", (), User(uid=1000, gid=10, home="/home/web")),
        ("web:77", ("audio", "5"), User(uid=1000, gid=77, groups=(29, 5), home="/home/web")),
        ("4242", (), User(uid=4242, home="/")),
        ("4242:43", ("43",), User(uid=4242, gid=43, groups=(43,), home="/")),
        ("daemon", ("wheel", "10"), User(uid=2, gid=2, groups=(10,), home="/sbin")),
    ],
)
def test_users(root: Path, user: str, added: tuple[str, ...], expected: User) -> None:
    (root / "etc" / "passwd").write_text(PASSWD)
    (root / "etc" / "group").write_text(GROUP)
    assert users.resolve(str(root), user, added) == expected


@pytest.mark.parametrize(
    ("user", "added", "sentence"),
    [
        ("nobodyx", (), "unable to find user nobodyx: no matching entries in passwd file"),
        ("broken", (), "unable to find user broken: no matching entries in passwd file"),
        ("1:grpx", (), "unable to find group grpx: no matching entries in group file"),
        ("", ("foo",), "Unable to find group foo: no matching entries in group file"),
        ("²", (), "unable to find user ²: no matching entries in passwd file"),
        ("-1", (), "uids and gids must be in range 0-2147483647"),
        ("2147483648", (), "uids and gids must be in range 0-2147483647"),
    ],
)
def test_users_that_are_not_there(root: Path, user: str, added: tuple[str, ...], sentence: str) -> None:
    (root / "etc" / "passwd").write_text(PASSWD)
    (root / "etc" / "group").write_text(GROUP)
    with pytest.raises(Invalid) as caught:
        users.resolve(str(root), user, added)
    assert caught.value.message == sentence


def test_an_image_without_any_files(root: Path) -> None:
    assert users.resolve(str(root), "") == User(home="/")
