"""What the machine offers, found by trying."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from runtime_kit import skip_without

from landbridge.errors import Internal, Unavailable
from landbridge.model.process import RuntimeChoice
from landbridge.system import mounts, probe
from landbridge.system.cgroups import detect

pytestmark = pytest.mark.kernel


def choose(directory: Path, preferred: str = "") -> RuntimeChoice:
    return asyncio.run(probe.choose_runtime(str(directory), preferred=preferred))


def cgroup_names() -> set[str]:
    layout = detect()
    roots = [*layout.v1.values(), *([layout.unified] if layout.unified else [])]
    return {name for root in roots for name in os.listdir(root) if name.startswith("landbridge-trial")}


def test_some_runtime_is_found_and_leaves_no_trace(tmp_path: Path) -> None:
    skip_without("crun")
    choice = choose(tmp_path / "run")
    try:
        assert choice.name in ("crun", "runc")
        assert os.access(choice.path, os.X_OK)
        assert choice.version[0].isdigit()
        assert "works here" in choice.reason
        assert not [name for name in os.listdir(tmp_path / "run") if name.startswith("trial")]
        assert not cgroup_names()
        # A second daemon's life in the same place finds what the first one mounted.
        assert choose(tmp_path / "run").mounted == choice.mounted
    finally:
        probe.release_runtime(choice.mounted)
        probe.release_runtime(choice.mounted)
    assert mounts.mounts_below(str(tmp_path)) == ()


def test_two_daemons_do_not_depend_on_each_other(tmp_path: Path) -> None:
    skip_without("crun")
    layout = detect()
    left = (layout.unified / "cgroup.controllers").read_text() if layout.v1 and layout.unified else ""
    elsewhere = [point for point in layout.v1.values() if point.name.startswith("cgroup-")]
    first, second = choose(tmp_path / "one", "crun"), choose(tmp_path / "two", "crun")
    try:
        assert bool(first.mounted) == bool(second.mounted) == bool(left or elsewhere)
        probe.release_runtime(first.mounted)
        again = choose(tmp_path / "two", "crun")
        assert (again.name, again.mounted) == ("crun", second.mounted)
    finally:
        probe.release_runtime(first.mounted)
        probe.release_runtime(second.mounted)


def test_the_preferred_one_or_none(tmp_path: Path) -> None:
    skip_without("runc")
    choice = choose(tmp_path, "runc")
    probe.release_runtime(choice.mounted)
    assert choice.name == "runc"
    with pytest.raises(Unavailable, match="no-such-runtime is not installed"):
        choose(tmp_path, "no-such-runtime")


def test_a_runtime_that_fails_is_not_chosen(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(Unavailable, match="failed without a word"):
        choose(tmp_path / "run", str(broken))


def test_devices() -> None:
    (null,) = probe.device("/dev/null", "/dev/nothing")
    assert (null.path, null.type, null.major, null.minor) == ("/dev/nothing", "c", 1, 3)
    found = {node.path: node for node in probe.all_devices()}
    assert (found["/dev/full"].major, found["/dev/full"].minor) == (1, 7)
    assert not [path for path in found if path.startswith(("/dev/pts/", "/dev/shm/", "/dev/console"))]
    with pytest.raises(Internal, match="error gathering device information while adding custom device"):
        probe.device("/etc/passwd")
    with pytest.raises(Internal):
        probe.device("/dev/none-such")


def test_a_directory_of_devices(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    os.mknod(tmp_path / "sub" / "one", 0o640 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "file").touch()
    (node,) = probe.device(str(tmp_path), "/dev/mine")
    assert (node.path, node.mode) == ("/dev/mine/sub/one", 0o640 & ~current_umask())


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_rest() -> None:
    assert probe.capability_mask() & 1 << 21  # CAP_SYS_ADMIN: these tests are root's
    arch, kernel = probe.machine()
    assert arch == os.uname().machine
    assert os.uname().release.startswith(f"{kernel[0]}.{kernel[1]}")
    assert probe.seccomp_supported()
