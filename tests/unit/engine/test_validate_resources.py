"""Limits: refused, completed, warned about. Texts recorded from Docker 26.1.5 on a machine with two CPUs."""

from typing import Any

import pytest

from landbridge.engine.validate_resources import Facts, check_resources
from landbridge.errors import Invalid
from landbridge.model.config import HostConfig, Ulimit, WeightDevice

V1 = Facts(cpus=2, cgroup_version=1)
V2 = Facts(cpus=2, cgroup_version=2)
ENOUGH = 7_000_000

CPU_RANGE = "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
PERIOD = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"


def result(facts: Facts = V1, **host: Any) -> tuple[HostConfig, tuple[str, ...]]:
    return check_resources(HostConfig(**host), facts)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ({"memory": 6 * 1024 * 1024 - 1}, "Minimum memory limit allowed is 6MB"),
        ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"memory": ENOUGH, "memory_swap": ENOUGH - 1},
         "Minimum memoryswap limit should be larger than memory limit, see usage"),
        ({"memory_swap": ENOUGH}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"memory": ENOUGH, "memory_reservation": ENOUGH + 1},
         "Minimum memory limit can not be less than memory reservation limit, see usage"),
        ({"memory_reservation": 1}, "Minimum memory reservation allowed is 6MB"),
        ({"memory_swappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"memory_swappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
        ({"oom_score_adj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        ({"oom_score_adj": -1001}, "Invalid value -1001, range for oom score adj is [-1000, 1000]"),
        ({"nano_cpus": 3_000_000_000}, CPU_RANGE),
        ({"nano_cpus": -1}, CPU_RANGE),
        ({"nano_cpus": 500_000_000, "cpu_period": 1000},
         "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
        ({"nano_cpus": 500_000_000, "cpu_quota": 1000},
         "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"cpu_period": 999}, PERIOD),
        ({"cpu_period": 1_000_001}, PERIOD),
        ({"cpu_period": -1}, PERIOD),
        ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"cpu_shares": -1}, "shares: invalid argument"),
        ({"cpuset_cpus": "5"}, "Requested CPUs are not available - requested 5, available: 0-1"),
        ({"cpuset_cpus": "0,1-3"}, "Requested CPUs are not available - requested 0,1-3, available: 0-1"),
        ({"cpuset_cpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
        ({"cpuset_cpus": "0-"}, "Invalid value 0- for cpuset cpus: invalid format: 0-"),
        ({"cpuset_cpus": "1-0"}, "Invalid value 1-0 for cpuset cpus: invalid format: 1-0"),
        ({"cpuset_cpus": ","}, "Invalid value , for cpuset cpus: invalid format: ,"),
        ({"cpuset_mems": "1"}, "Requested memory nodes are not available - requested 1, available: 0"),
        ({"cpuset_mems": "x"}, "Invalid value x for cpuset mems: invalid format: x"),
        ({"blkio_weight": 9}, "Range of blkio weight is from 10 to 1000"),
        ({"io_maximum_iops": 1}, "Invalid QoS settings: linux does not support configuration of maximum IOPs"),
        ({"io_maximum_bandwidth": 1},
         "Invalid QoS settings: linux does not support configuration of maximum bandwidth"),
        ({"ulimits": (Ulimit(name="bad", soft=1, hard=2),)}, "invalid ulimit type: bad"),
        ({"ulimits": (Ulimit(name="nofile", soft=300, hard=200),)},
         "ulimit soft limit must be less than or equal to hard limit: 300 > 200"),
        ({"ulimits": (Ulimit(name="nofile", soft=-1, hard=5),)},
         "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 5"),
    ],
)  # fmt: skip
def test_refusals(host: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as error:
        result(**host)
    assert error.value.message == text


@pytest.mark.parametrize(
    "host",
    [
        {"memory": 6 * 1024 * 1024}, {"memory": ENOUGH, "memory_swap": -1}, {"memory_swap": -1},
        {"memory": ENOUGH, "memory_reservation": ENOUGH}, {"nano_cpus": 1}, {"nano_cpus": 2_000_000_000},
        {"cpu_period": 1000, "cpu_quota": 1000}, {"cpu_quota": -1}, {"cpuset_cpus": "0-1"}, {"cpuset_cpus": "1,0"},
        {"cpuset_mems": "0"}, {"ulimits": (Ulimit(name="nofile", soft=-1, hard=-1),)},
        {"ulimits": (Ulimit(name="core", soft=5, hard=-1),)}, {"blkio_weight": 10}, {"oom_score_adj": -1000},
        {"cpu_realtime_period": 1000},
    ],
)  # fmt: skip
def test_accepted_as_they_are(host: dict[str, Any]) -> None:
    completed, warnings = result(**host)
    assert {name: getattr(completed, name) for name in host} | {"memory_swap": 0} == host | {"memory_swap": 0}
    assert warnings == ()


def test_swap_is_twice_the_memory_unless_said() -> None:
    assert result(memory=ENOUGH)[0].memory_swap == 2 * ENOUGH
    assert result(memory=ENOUGH, memory_swap=-1)[0].memory_swap == -1
    assert result()[0].memory_swap == 0


@pytest.mark.parametrize(("given", "kept"), [(None, None), (0, None), (-1, None), (-5, None), (10, 10)])
def test_pids_limit_that_limits_nothing_is_none(given: int | None, kept: int | None) -> None:
    assert result(pids_limit=given)[0].pids_limit == kept


def test_swappiness() -> None:
    assert result(memory_swappiness=-1)[0].memory_swappiness is None
    assert result(memory_swappiness=50)[0].memory_swappiness == 50
    host, warnings = result(V2, memory_swappiness=50)
    assert host.memory_swappiness is None
    assert warnings == (
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted."
        " Memory swappiness discarded.",
    )


def test_oom_killer() -> None:
    host, warnings = result(oom_kill_disable=True)
    assert host.oom_kill_disable is True
    assert warnings == (
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running"
        " out of resources.",
    )
    assert result(oom_kill_disable=True, memory=ENOUGH)[1] == ()
    assert result(oom_kill_disable=None)[0].oom_kill_disable is False
    host, warnings = result(V2, oom_kill_disable=True)
    assert host.oom_kill_disable is None
    assert warnings == ("Your kernel does not support OomKillDisable. OomKillDisable discarded.",)


def test_what_this_kernel_lacks_is_discarded_aloud() -> None:
    facts = Facts(cpus=2, cgroup_version=1, blkio_weight=False)
    host, warnings = result(facts, blkio_weight=5, blkio_weight_device=(WeightDevice(path="/dev/sda", weight=5),))
    assert (host.blkio_weight, host.blkio_weight_device) == (0, ())
    assert warnings == (
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    )
    host, warnings = result(cpu_percent=5, kernel_memory=1)
    assert (host.cpu_percent, host.kernel_memory) == (0, 0)
    assert warnings == ("linux does not support CPU percent. Percent discarded.",)


def test_real_time_needs_the_old_hierarchy() -> None:
    with pytest.raises(Invalid, match="real-time scheduler"):
        result(V2, cpu_realtime_runtime=1000)


def test_a_single_cpu_is_named_alone() -> None:
    with pytest.raises(Invalid, match=r"available: 0$"):
        result(Facts(cpus=1), cpuset_cpus="1")
