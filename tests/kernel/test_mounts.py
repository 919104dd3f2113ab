"""Mounts without forks: overlays of any depth, binds, and unmounting that forgives."""

import os
import secrets
from pathlib import Path

import pytest

from landbridge.errors import Internal
from landbridge.system import mounts

pytestmark = pytest.mark.kernel


def layers(path: Path, count: int, *, name: str = "layer") -> list[str]:
    """Directories topmost first; each holds a file of its own and one all have."""
    made = []
    for number in range(count):
        directory = path / f"{name}-{number:03}"
        directory.mkdir(parents=True)
        (directory / f"of-{number}").touch()
        (directory / "common").write_text(str(number))
        made.insert(0, str(directory))
    return made


@pytest.mark.parametrize("count", [1, 2, 40, 120])
def test_an_overlay_of_many_long_layers(tmp_path: Path, count: int) -> None:
    lower = layers(tmp_path / ("long" * 50), count, name="a-layer-with-a-name-of-some-length" * 3)
    for part in ("diff", "work", "merged"):
        (tmp_path / part).mkdir()
    merged = tmp_path / "merged"
    mounts.overlay(lower, str(merged), upper=str(tmp_path / "diff"), work=str(tmp_path / "work"))
    try:
        assert mounts.is_mount(str(merged))
        assert (merged / "common").read_text() == str(count - 1)
        assert len(list(merged.iterdir())) == count + 1
        (merged / "new").write_text("mine")
        assert (tmp_path / "diff" / "new").read_text() == "mine"
        assert not Path(lower[0], "new").exists()
    finally:
        mounts.unmount(str(merged))
    assert not mounts.is_mount(str(merged))


@pytest.mark.parametrize("name", ["with:colon", "with,comma", "back\\slash", "blank and\ttab", "ümläut"])
def test_any_name(tmp_path: Path, name: str) -> None:
    lower = layers(tmp_path / name, 2)
    parts = [tmp_path / name / part for part in ("diff", "work", "merged")]
    for part in parts:
        part.mkdir()
    mounts.overlay(lower, str(parts[2]), upper=str(parts[0]), work=str(parts[1]))
    try:
        assert (parts[2] / "common").read_text() == "1"
        assert mounts.is_mount(str(parts[2]))
        assert mounts.mounts_below(str(tmp_path)) == (str(parts[2]),)
    finally:
        mounts.unmount(str(parts[2]))


def test_a_read_only_overlay(tmp_path: Path) -> None:
    lower = layers(tmp_path, 2)
    (tmp_path / "merged").mkdir()
    mounts.overlay(lower, str(tmp_path / "merged"))
    try:
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "merged" / "new").touch()
    finally:
        mounts.unmount(str(tmp_path / "merged"))


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    before = mounts.mounts_below(str(tmp_path))
    with pytest.raises(Internal, match="No such file"):
        mounts.overlay([str(tmp_path / "missing")], str(tmp_path / "merged"))
    with pytest.raises(Internal):
        mounts.overlay(layers(tmp_path, 2), str(tmp_path / "nowhere"))
    assert mounts.mounts_below(str(tmp_path)) == before == ()


def test_binds_and_tmpfs(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    mounts.tmpfs(str(source), options="mode=711,size=1m")
    try:
        assert source.stat().st_mode & 0o777 == 0o711
        word = secrets.token_hex(4)
        (source / "file").write_text(word)
        mounts.bind(str(source), str(target), readonly=True)
        assert (target / "file").read_text() == word
        with pytest.raises(OSError, match="Read-only"):
            (target / "new").touch()
        (source / "new").touch()
    finally:
        mounts.unmount(str(target))
        mounts.unmount(str(source))


def test_unmounting_forgives(tmp_path: Path) -> None:
    mounts.unmount(str(tmp_path))
    mounts.unmount(str(tmp_path / "missing"))
    mounts.tmpfs(str(tmp_path))
    busy = os.open(tmp_path, os.O_RDONLY)
    try:
        mounts.unmount(str(tmp_path))
        mounts.unmount(str(tmp_path))
        assert not mounts.is_mount(str(tmp_path))
    finally:
        os.close(busy)
