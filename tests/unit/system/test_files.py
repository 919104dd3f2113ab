"""Small files: changed in place, remembered by hash, trees removed and measured."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from landbridge.errors import Internal
from landbridge.system.files import Files, mounted_below


@pytest.fixture
def files() -> Files:
    return Files()


def test_missing_file_reads_as_empty(files: Files, tmp_path: Path) -> None:
    assert files.read(str(tmp_path / "none")) == ""


@pytest.mark.parametrize("text", ["", "one\n", "longer than what was there before\n", "x"])
def test_write_keeps_the_inode_and_replaces_the_whole_text(files: Files, tmp_path: Path, text: str) -> None:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    inode = path.stat().st_ino
    files.write(str(path), text)
    assert (path.read_text(), path.stat().st_ino) == (text, inode)


def test_undecodable_bytes_survive_a_rewrite(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"# caf\xe9\n")
    files.write(str(path), files.read(str(path)) + "end\n")
    assert path.read_bytes() == b"# caf\xe9\nend\n"


def test_unedited_until_somebody_else_writes(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "resolv.conf")
    assert files.unedited(path)
    files.write(path, "nameserver 127.0.0.11\n", remember=True)
    files.write(path, "nameserver 10.0.0.1\n", remember=True)
    assert files.unedited(path)
    Path(path).write_text("nameserver 192.0.2.1\n")
    assert not files.unedited(path)


def test_a_file_never_remembered_counts_as_edited(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "resolv.conf")
    files.write(path, "nameserver 10.0.0.1\n")
    assert not files.unedited(path)


def test_a_crash_between_hash_and_text_is_no_edit(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "resolv.conf")
    files.write(path, "old\n", remember=True)
    files.write(path, "new\n", remember=True)
    Path(path).write_text("old\n")  # as if the second write had stopped after its hash
    assert files.unedited(path)


def test_an_edit_is_not_adopted_by_the_next_write(files: Files, tmp_path: Path) -> None:
    path = str(tmp_path / "resolv.conf")
    files.write(path, "ours\n", remember=True)
    Path(path).write_text("theirs\n")
    files.write(path, "ours again\n", remember=True)
    Path(path).write_text("theirs\n")
    assert not files.unedited(path)


def test_make_directory_twice(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    files.make_directory(str(path))
    files.make_directory(str(path))
    assert path.is_dir()


def test_remove_tree_twice_and_not_through_symlinks(files: Files, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(kept)
    files.remove_tree(str(tree))
    files.remove_tree(str(tree))
    assert not tree.exists()
    assert (kept / "file").read_text() == "x"


def test_remove_tree_of_a_symlink_removes_the_link_only(files: Files, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    link = tmp_path / "link"
    link.symlink_to(kept)
    files.remove_tree(str(link))
    assert kept.is_dir() and not os.path.lexists(link)


def test_size_counts_content_once(files: Files, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_bytes(b"x" * 1000)
    (tree / "sub" / "b").write_bytes(b"x" * 500)
    os.link(tree / "a", tree / "sub" / "again")
    assert files.size(str(tree)) == 1500
    assert files.size(str(tree / "a")) == 1000
    assert files.size(str(tmp_path / "none")) == 0


def test_hostname_is_the_kernels(files: Files) -> None:
    assert files.hostname() == Path("/proc/sys/kernel/hostname").read_text().strip()


def test_mount_points_with_odd_names_are_found() -> None:
    assert "/proc" in mounted_below("/proc")
    assert mounted_below("/")[-1] == "/"


@pytest.mark.kernel
def test_a_tree_with_a_mount_in_it_stays(files: Files, tmp_path: Path, unique_name: Callable[[str], str]) -> None:
    tree = tmp_path / "my tree"
    inner = tree / "in side"
    inner.mkdir(parents=True)
    (tree / "file").write_text("x")
    subprocess.run(["mount", "-t", "tmpfs", unique_name("m"), str(inner)], check=True)
    try:
        with pytest.raises(Internal, match="device or resource busy"):
            files.remove_tree(str(tree))
        assert (tree / "file").exists()
    finally:
        subprocess.run(["umount", str(inner)], check=True)
    files.remove_tree(str(tree))
    assert not tree.exists()
