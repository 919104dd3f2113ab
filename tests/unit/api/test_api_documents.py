"""Smaller documents: progress of image operations, file modes, statistics, what is left out."""

import asyncio
import base64
import json
import stat
from dataclasses import replace
from typing import Any

import pytest

from landbridge.api import absent
from landbridge.api.archives import go_mode, stat_header
from landbridge.api.container_streams import _Lines, details_text
from landbridge.api.images import progress_bar, progress_view, seconds
from landbridge.api.router import Router
from landbridge.api.usage_views import stats_view
from landbridge.engine.usage import Sample
from landbridge.model.config import LogConfig
from landbridge.model.image import Progress
from landbridge.model.link import LinkCounters
from landbridge.model.path import PathStat, base_name
from landbridge.model.process import BlkioEntry, LogEntry, Stats
from worlds import container


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (Progress(stream="Loaded image: a\n"), {"stream": "Loaded image: a\n"}),
        (Progress(status="Done"), {"status": "Done"}),
        (Progress(status="Wait", id="l1"), {"status": "Wait", "id": "l1", "progressDetail": {}}),
        (
            Progress(status="Loading layer", id="l1", current=500, total=1000),
            {
                "status": "Loading layer", "id": "l1", "progressDetail": {"current": 500, "total": 1000},
                "progress": "[=========================>                         ]     500B/1kB",
            },
        ),
    ],
)  # fmt: skip
def test_progress(message: Progress, shown: dict[str, Any]) -> None:
    assert progress_view(message) == shown


@pytest.mark.parametrize(
    ("current", "total", "bar"),
    [(0, 10, "[>                                                  ]       0B/10B"),
     (2_000_000, 2_000_000, "[==================================================>]      2MB/2MB"),
     (1536, 0, "1.536kB")],
)  # fmt: skip
def test_progress_bars(current: int, total: int, bar: str) -> None:
    assert progress_bar(current, total) == bar


def test_an_image_without_a_time_is_as_old_as_gos_zero_time() -> None:
    assert seconds("") == -62135596800 and seconds("1970-01-01T00:00:07Z") == 7


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o755, 2147484141),
        (stat.S_IFLNK | 0o777, 134218239),
        (stat.S_IFREG | stat.S_ISUID | 0o755, 1 << 23 | 0o755),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFCHR | 0o600, 1 << 26 | 1 << 21 | 0o600),
    ],
)
def test_modes_as_go_has_them(mode: int, shown: int) -> None:
    assert go_mode(mode) == shown


def test_the_header_clients_of_cp_read() -> None:
    found = PathStat(name="sh", size=7, mode=stat.S_IFLNK | 0o777, mtime=0, link_target="/bin/busybox")
    name, text = stat_header(found)
    assert name == "X-Docker-Container-Path-Stat"
    assert json.loads(base64.b64decode(text)) == {
        "name": "sh", "size": 7, "mode": 134218239, "mtime": "1970-01-01T00:00:00Z", "linkTarget": "/bin/busybox",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name"),
    [("/etc/hosts", "hosts"), ("/etc/", "etc"), ("/etc/.", "."), ("/", "/"), ("etc", "etc"), ("//a//b", "b")],
)
def test_names_of_paths(path: str, name: str) -> None:
    assert base_name(path) == name


def test_statistics_of_a_container_that_runs() -> None:
    stats = Stats(
        cpu_total=30, cpu_user=20, cpu_system=10, memory_usage=5, memory_limit=9, memory_stats={"inactive_file": 1},
        pids=2, blkio_bytes=(BlkioEntry(major=8, minor=0, op="read", value=4),),
    )  # fmt: skip
    link = LinkCounters(
        name="eth0", rx_bytes=1, rx_packets=2, rx_errors=3, rx_dropped=4, tx_bytes=5, tx_packets=6, tx_errors=7,
        tx_dropped=8,
    )  # fmt: skip
    now = Sample(time=2_000_000_000, stats=stats, host_cpu=1000, links={"eth0": link})
    shown = stats_view(container("web"), now, Sample(), cpus=2, cgroup_version=2)
    assert shown["cpu_stats"] == {
        "cpu_usage": {"total_usage": 30, "usage_in_kernelmode": 10, "usage_in_usermode": 20},
        "system_cpu_usage": 1000, "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }  # fmt: skip
    assert "system_cpu_usage" not in shown["precpu_stats"] and shown["preread"].startswith("0001")
    assert shown["memory_stats"] == {"usage": 5, "stats": {"inactive_file": 1}, "limit": 9}
    assert shown["networks"]["eth0"]["tx_dropped"] == 8 and shown["pids_stats"] == {"current": 2}
    assert shown["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 4}]
    old = stats_view(container("web"), now, Sample(), cpus=2, cgroup_version=1)
    assert {"max_usage", "failcnt"} <= set(old["memory_stats"])


def test_statistics_of_one_that_does_not_run_are_empty() -> None:
    shown = stats_view(container("web"), Sample(), Sample(), cpus=2, cgroup_version=2)
    assert shown["memory_stats"] == {} and shown["pids_stats"] == {} and "networks" not in shown
    assert shown["read"] == "0001-01-01T00:00:00Z"


def test_a_line_in_parts_is_stamped_once() -> None:
    line = _Lines(b" ", timestamps=True)
    parts = [
        LogEntry(time=1, stream="stdout", data=b"half", partial=True),
        LogEntry(time=2, stream="stderr", data=b"other\n"),
        LogEntry(time=3, stream="stdout", data=b"whole\n"),
        LogEntry(time=4, stream="stdout", data=b"next\n"),
    ]
    assert [line.dress(part) for part in parts] == [
        b"1970-01-01T00:00:00.000000001Z  half", b"1970-01-01T00:00:00.000000002Z  other\n", b"whole\n",
        b"1970-01-01T00:00:00.000000004Z  next\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ""),
        ({"labels": "tier,none", "env": "A"}, "A=1+2,tier=web"),
        ({"labels-regex": "^t", "env-regex": "B$"}, "B=,tier=web"),
        ({"env-regex": "("}, ""),
        ({"labels": "tier", "tag": "a b"}, "tag=a+b,tier=web"),
        ({"tag": "{{.Name}}/{{ .DaemonName }}/{{.Nope}}"}, "tag=web%2Fdocker%2F%7B%7B.Nope%7D%7D"),
    ],
)
def test_details_are_what_the_log_options_ask_for(options: dict[str, str], shown: str) -> None:
    made = container("web")
    config = replace(made.config, labels={"tier": "web", "x": "y"}, env=("A=1 2", "B="))
    host = replace(made.host, log_config=LogConfig(type="json-file", config=options))
    assert details_text(replace(made, config=config, host=host)) == shown


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/build", 501, "landbridge does not build images"),
        ("POST", "/v1.45/session", 501, "landbridge does not build images"),
        ("GET", "/swarm", 503, "This node is not a swarm manager."),
        ("POST", "/services/create", 503, "This node is not a swarm manager."),
        ("GET", "/nodes/a/b", 503, "This node is not a swarm manager."),
        ("GET", "/plugins/x/json", 404, 'plugin "x" not found'),
        ("POST", "/plugins/pull", 501, "landbridge has no plugins"),
        ("GET", "/containers/x/checkpoints", 501, "landbridge has no checkpoints"),
    ],
)
def test_what_is_left_out_says_so(method: str, path: str, status: int, words: str) -> None:
    router = Router(absent.routes())
    reply = asyncio.run(router.respond(method, path, {}, None))  # type: ignore[arg-type]
    assert reply.status == status and words in str(reply.data)  # type: ignore[union-attr]
