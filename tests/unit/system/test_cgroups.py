"""Reading cgroups of either version, on directories that look like them."""

import asyncio
from pathlib import Path

import pytest

from landbridge.errors import Internal
from landbridge.model.process import BlkioEntry, Stats
from landbridge.system.cgroups import Cgroups

CGROUP = "/inst/abc"


def fill(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name / CGROUP.lstrip("/") if "/" not in name else root / name.replace("/", f"{CGROUP}/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def v1(tmp_path: Path) -> Cgroups:
    fill(tmp_path, {
        "cpuacct/cpuacct.usage": "5000\n",
        "cpuacct/cpuacct.usage_percpu": "3000 2000 \n",
        "cpuacct/cpuacct.stat": "user 7\nsystem 3\n",
        "cpu/cpu.stat": "nr_periods 4\nnr_throttled 2\nthrottled_time 99\n",
        "memory/memory.usage_in_bytes": "4096\n",
        "memory/memory.max_usage_in_bytes": "8192\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.failcnt": "1\n",
        "memory/memory.stat": "cache 10\ninactive_file 5\ntotal_inactive_file 6\n",
        "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "pids/pids.current": "3\n",
        "pids/pids.max": "max\n",
        "pids/cgroup.procs": "11\n12\n",
        "pids/sub/cgroup.procs": "13\n",
        "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Total 10\nTotal 10\n",
        "blkio/blkio.throttle.io_serviced_recursive": "8:0 Write 2\n",
        "freezer/freezer.state": "THAWED\n",
    })  # fmt: skip
    return Cgroups({n: tmp_path / n for n in ("cpu", "cpuacct", "memory", "pids", "blkio", "freezer")}, None)


@pytest.fixture
def v2(tmp_path: Path) -> Cgroups:
    fill(tmp_path, {
        "u/cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 4\nnr_throttled 2\nthrottled_usec 9\n",
        "u/memory.current": "4096\n",
        "u/memory.max": "max\n",
        "u/memory.stat": "file 10\ninactive_file 5\n",
        "u/memory.events": "oom 3\noom_kill 2\n",
        "u/pids.current": "3\n",
        "u/pids.max": "50\n",
        "u/cgroup.procs": "11\n",
        "u/cgroup.events": "populated 1\nfrozen 1\n",
        "u/cgroup.freeze": "0\n",
        "u/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0\n7:0 \n",
    })  # fmt: skip
    return Cgroups({}, tmp_path / "u")


def disk(op: str, value: int) -> BlkioEntry:
    return BlkioEntry(major=8, minor=0, op=op, value=value)


def test_version_1(v1: Cgroups) -> None:
    assert v1.version == 1
    assert v1.sample(CGROUP) == Stats(
        cpu_total=5000, cpu_user=70_000_000, cpu_system=30_000_000, cpu_per_core=(3000, 2000),
        throttling={"periods": 4, "throttled_periods": 2, "throttled_time": 99},
        memory_usage=4096, memory_max_usage=8192, memory_failcnt=1,
        memory_stats={"cache": 10, "inactive_file": 5, "total_inactive_file": 6}, pids=3,
        blkio_bytes=(disk("read", 10), disk("total", 10)), blkio_ops=(disk("write", 2),),
    )  # fmt: skip
    assert sorted(v1.pids(CGROUP)) == [11, 12, 13]
    assert v1.oom_kills(CGROUP) == 2


def test_version_2(v2: Cgroups) -> None:
    assert v2.version == 2
    assert v2.sample(CGROUP) == Stats(
        cpu_total=5000, cpu_user=3000, cpu_system=2000,
        throttling={"periods": 4, "throttled_periods": 2, "throttled_time": 9000},
        memory_usage=4096, memory_failcnt=3, memory_stats={"file": 10, "inactive_file": 5}, pids=3, pids_limit=50,
        blkio_bytes=(disk("read", 10), disk("write", 20)), blkio_ops=(disk("read", 1), disk("write", 2)),
    )  # fmt: skip
    assert v2.pids(CGROUP) == (11,)
    assert v2.oom_kills(CGROUP) == 2


def test_freezing_version_2_writes_the_v2_file(v2: Cgroups, tmp_path: Path) -> None:
    asyncio.run(v2.freeze(CGROUP))
    assert (tmp_path / "u" / "inst" / "abc" / "cgroup.freeze").read_text() == "1"
    asyncio.run(v2.thaw(CGROUP))
    assert (tmp_path / "u" / "inst" / "abc" / "cgroup.freeze").read_text() == "0"


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_one_that_is_gone(layout: str, request: pytest.FixtureRequest) -> None:
    groups: Cgroups = request.getfixturevalue(layout)
    throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0}
    assert groups.sample("/gone") == Stats(throttling=throttling)
    assert (groups.pids("/gone"), groups.oom_kills("/gone"), groups.frozen("/gone")) == ((), 0, False)
    groups.remove("/gone")
    with pytest.raises(Internal):
        asyncio.run(groups.freeze("/gone"))


def test_the_root_is_never_removed(v2: Cgroups, tmp_path: Path) -> None:
    (tmp_path / "u" / "empty").mkdir()
    v2.remove("/")
    v2.remove("")
    assert (tmp_path / "u" / "empty").is_dir()
    v2.remove("/empty")
    assert not (tmp_path / "u" / "empty").exists()


def test_plain_files_at_a_controllers_usual_place_go_too(tmp_path: Path) -> None:
    litter = tmp_path / "usual" / "hugetlb" / "inst" / "abc"
    litter.mkdir(parents=True)
    (litter / "cgroup.procs").write_text("7")
    (litter.parent / "other").mkdir()
    Cgroups({"hugetlb": tmp_path / "elsewhere"}, None, tmp_path / "usual").remove(CGROUP)
    assert list((tmp_path / "usual" / "hugetlb" / "inst").iterdir()) == [litter.parent / "other"]
