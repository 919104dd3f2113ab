"""Volumes on a real kernel: what the local driver's options mount, and image content copied up with all it has."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from landbridge.errors import Internal, Invalid, NotFound
from landbridge.system.mounts import is_mount
from landbridge.system.volumes import VolumeDirectories, split_options

pytestmark = pytest.mark.kernel


@pytest.fixture
def disk() -> VolumeDirectories:
    return VolumeDirectories()


@pytest.fixture
def volume(tmp_path: Path, disk: VolumeDirectories) -> Iterator[Path]:
    path = tmp_path / "volumes" / "data" / "_data"
    disk.make(str(path))
    yield path
    disk.unmount(str(path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def options_of(path: Path) -> set[str]:
    command = ["findmnt", "-no", "OPTIONS,PROPAGATION", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(found.stdout.replace(",", " ").split())


def described(path: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `path` that a copy must keep, by name."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for where, directories, files in os.walk(path):
        for name in [".", *directories, *files] if where == str(path) else [*directories, *files]:
            full = os.path.join(where, name)
            seen = os.lstat(full)
            short = os.path.relpath(full, path)
            content: object = None
            if stat.S_ISLNK(seen.st_mode):
                content = os.readlink(full)
            elif stat.S_ISREG(seen.st_mode):
                content = Path(full).read_bytes()
            first = inodes.setdefault(seen.st_ino, short) if not stat.S_ISDIR(seen.st_mode) else short
            extra = {key: os.getxattr(full, key, follow_symlinks=False)
                     for key in os.listxattr(full, follow_symlinks=False)}  # fmt: skip
            owner = (seen.st_uid, seen.st_gid)
            found[short] = (seen.st_mode, owner, seen.st_rdev, seen.st_mtime_ns, content, first, extra)
    return found


# Directories.


def test_directories_are_open_below_and_closed_above(volume: Path) -> None:
    assert stat.S_IMODE(volume.stat().st_mode) == 0o755
    assert stat.S_IMODE(volume.parent.stat().st_mode) == 0o701


def test_missing_sources(tmp_path: Path, disk: VolumeDirectories) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    disk.make_source(str(file))
    disk.make_source(str(tmp_path / "a" / "b"))
    assert file.read_text() == "x"
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(Internal) as error:
        disk.make_source("/proc/landbridge-test")
    assert error.value.message == (
        "error while creating mount source path '/proc/landbridge-test': mkdir /proc/landbridge-test: no such file or"
        " directory"
    )


# Mounts. Texts from Docker 26.1.5.


def test_tmpfs_once_and_gone(volume: Path, disk: VolumeDirectories) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,noexec,rw"}
    disk.mount(str(volume), options)
    (volume / "file").write_text("x")
    disk.mount(str(volume), options)
    assert (volume / "file").exists()
    assert {"noexec", "size=1024k", "rw"} <= options_of(volume)
    disk.unmount(str(volume))
    disk.unmount(str(volume))
    assert list(volume.iterdir()) == []


def test_bind_read_only(volume: Path, disk: VolumeDirectories, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    disk.mount(str(volume), {"type": "none", "device": str(source), "o": "bind,ro,rslave"})
    with pytest.raises(OSError, match="Read-only file system"):
        (volume / "file").write_text("x")
    assert "ro" in options_of(volume)
    (source / "other").write_text("x")
    assert (volume / "other").exists()


def test_empty_options_mount_nothing(volume: Path, disk: VolumeDirectories) -> None:
    disk.mount(str(volume), {"type": "", "device": "", "o": ""})
    assert not is_mount(str(volume))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"type": "none", "device": "/nonexist", "o": "bind"},
         "mount /nonexist:{path}, flags: 0x1000: no such file or directory"),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=bad"},
         "mount tmpfs:{path}, data: size=bad: invalid argument"),
        ({"type": "nosuchfs", "device": "x"}, "mount x:{path}: no such device"),
        ({"type": "nfs", "device": ":/x", "o": "addr=no-such-host.invalid"}, "error resolving passed in"),
    ],
)  # fmt: skip
def test_refusals(volume: Path, disk: VolumeDirectories, options: dict[str, str], what: str) -> None:
    with pytest.raises(Internal) as error:
        disk.mount(str(volume), options)
    begin = f"error while mounting volume '{volume}': failed to mount local volume: "
    assert error.value.message.startswith(begin + what.format(path=volume))
    assert not is_mount(str(volume))


def test_options_are_flags_propagation_or_data() -> None:
    assert split_options("") == (0, 0, "")
    assert split_options("defaults,ro,exec,size=1m,uid=5") == (1, 0, "size=1m,uid=5")
    assert split_options("ro,rw,bind,rshared") == (4096, (1 << 20) | 16384, "")


# Parts of volumes.


def test_a_part_of_a_volume(volume: Path, disk: VolumeDirectories, tmp_path: Path) -> None:
    (volume / "sub").mkdir()
    (volume / "sub" / "file").write_text("x")
    (volume / "sub" / "link").symlink_to("../sub")
    (volume / "out").symlink_to("../../../../../../etc")
    (volume / "root").symlink_to("/")
    (volume / "sub" / "again").symlink_to("../root")
    target = str(tmp_path / "parts" / "one")
    for subpath in ("sub", "sub/link"):
        disk.bind_beneath(str(volume), subpath, target)
        assert "file" in os.listdir(target)
    disk.bind_beneath(str(volume), "sub/file", target)
    assert Path(target).read_text() == "x"
    disk.release_beneath(target)
    disk.release_beneath(target)
    assert not os.path.lexists(target)
    assert (volume / "sub" / "file").exists()
    path = f"{volume}/none"
    with pytest.raises(NotFound) as error:
        disk.bind_beneath(str(volume), "none", target)
    assert error.value.message == f"cannot access path {path}: lstat {path}: no such file or directory"
    for subpath in ("out", "root", "sub/again", "root/etc"):
        with pytest.raises(Invalid) as refused:
            disk.bind_beneath(str(volume), subpath, target)
        assert refused.value.message.startswith("path concatenation escapes the base directory")
        assert not os.path.lexists(target)


# Copying up.


def furnish(directory: Path) -> None:
    """One of everything a file system can hold."""
    directory.mkdir()
    (directory / "sub" / "deep").mkdir(parents=True)
    (directory / "plain").write_text("content")
    (directory / "empty").touch()
    (directory / "big").write_bytes(os.urandom(3 << 20))
    os.link(directory / "plain", directory / "sub" / "deep" / "again")
    (directory / "link").symlink_to("/etc/passwd")
    os.mkfifo(directory / "pipe", 0o622)
    os.mknod(directory / "null", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.setxattr(directory / "plain", "user.note", b"kept")
    os.setxattr(directory / "big", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.chown(directory / "plain", 1000, 1001)
    (directory / "plain").chmod(0o4755)
    os.chown(directory / "link", 7, 8, follow_symlinks=False)
    os.chown(directory, 5, 6)
    directory.chmod(0o2750)
    for name in ("plain", "sub", "link"):
        os.utime(directory / name, ns=(10**18, 10**18 + 5), follow_symlinks=False)
    os.utime(directory, ns=(10**18, 10**18 + 7))


def test_everything_is_kept(root: Path, volume: Path, disk: VolumeDirectories) -> None:
    furnish(root / "data")
    disk.copy_up(str(root), "/data", str(volume))
    assert described(volume) == described(root / "data")


def test_content_is_never_added_to(root: Path, volume: Path, disk: VolumeDirectories) -> None:
    furnish(root / "data")
    (volume / "mine").touch()
    disk.copy_up(str(root), "/data", str(volume))
    assert [one.name for one in volume.iterdir()] == ["mine"]


def test_only_directories_are_copied(root: Path, volume: Path, disk: VolumeDirectories) -> None:
    (root / "file").write_text("x")
    disk.copy_up(str(root), "/file", str(volume))
    disk.copy_up(str(root), "/none/at/all", str(volume))
    assert list(volume.iterdir()) == []


def test_symlinks_of_the_image_stay_inside_it(root: Path, volume: Path, disk: VolumeDirectories) -> None:
    (root / "real").mkdir()
    (root / "real" / "file").write_text("inside")
    (root / "link").symlink_to("/real")
    (root / "out").symlink_to("../../../../../../etc")
    disk.copy_up(str(root), "/link", str(volume))
    assert (volume / "file").read_text() == "inside"
    (volume / "file").unlink()
    disk.copy_up(str(root), "/out", str(volume))
    assert list(volume.iterdir()) == []


def test_a_failed_copy_leaves_nothing(root: Path, volume: Path, disk: VolumeDirectories) -> None:
    disk.mount(str(volume), {"type": "tmpfs", "device": "tmpfs", "o": "size=64k"})
    (root / "data" / "sub").mkdir(parents=True)
    (root / "data" / "a").write_bytes(b"x" * 1000)
    (root / "data" / "sub" / "b").write_bytes(b"x" * 100_000)
    with pytest.raises(Internal, match="No space left on device"):
        disk.copy_up(str(root), "/data", str(volume))
    assert list(volume.iterdir()) == []


# A neighbour inside the volume who always wins the race: the interpreter tells an audit hook of every open before
# it happens, and the hook takes the directory away and leaves a link to one outside in its place. Hooks cannot be
# removed, hence a process of its own. `count`: at which open of `name` to strike, `victim`: what to replace.
ATTACK = """
import os, sys
from landbridge.system.treecopy import copy_tree
root, volume, outside, stolen, names, count, victim = sys.argv[1:]
seen = []
def strike(event, arguments):
    if event == "open" and arguments[0] in names.split():
        seen.append(arguments[0])
        if len(seen) == int(count):
            target = seen[0] if victim == "first" else seen[-1]
            os.rename(f"{volume}/{target}", stolen)
            os.symlink(outside, f"{volume}/{target}")
source, target = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (root, volume))
sys.addaudithook(strike)
try:
    copy_tree(source, target)
except OSError as error:
    print(error.strerror)
print(len(seen), os.path.lexists(stolen))
"""


@pytest.mark.parametrize(("count", "victim"), [(2, "last"), (4, "first")])
def test_a_hostile_neighbour_gains_nothing(root: Path, tmp_path: Path, count: int, victim: str) -> None:
    """Neither a new directory nor the first name of a hard link is reached through a symlink put there since."""
    outside, volume = tmp_path / "outside", tmp_path / "volume"
    for path in (outside, volume, root / "one", root / "two"):
        path.mkdir()
    (root / "one" / "file").write_text("ours")
    os.link(root / "one" / "file", root / "two" / "file")
    if victim == "first":
        (outside / "file").write_text("secret")
    before = described(outside)
    arguments = [root, volume, outside, tmp_path / "stolen", "one two", count, victim]
    done = subprocess.run(
        [sys.executable, "-c", ATTACK, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(" True\n"), done.stdout
    assert described(outside) == before
    assert all(one.stat().st_nlink == 1 for one in outside.iterdir())
