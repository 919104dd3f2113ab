"""Consumption as ``GET /containers/{id}/stats`` shows it. Pure."""

from typing import Any

from landbridge.api.clock import stamp
from landbridge.engine.usage import Sample
from landbridge.model.container import Container
from landbridge.model.link import LinkCounters
from landbridge.model.process import BlkioEntry

Object = dict[str, Any]


def _cpu(sample: Sample, cpus: int) -> Object:
    stats = sample.stats
    usage: Object = {"total_usage": stats.cpu_total}
    if stats.cpu_per_core:
        usage["percpu_usage"] = list(stats.cpu_per_core)
    usage |= {"usage_in_kernelmode": stats.cpu_system, "usage_in_usermode": stats.cpu_user}
    shown: Object = {"cpu_usage": usage}
    if sample.time:
        shown |= {"system_cpu_usage": sample.host_cpu, "online_cpus": cpus}
    throttling = {"periods": 0, "throttled_periods": 0, "throttled_time": 0, **stats.throttling}
    return shown | {"throttling_data": throttling}


def _memory(sample: Sample, version: int) -> Object:
    if not sample.time:
        return {}
    stats = sample.stats
    shown: Object = {"usage": stats.memory_usage, "stats": dict(stats.memory_stats), "limit": stats.memory_limit}
    if version == 1:
        shown |= {"max_usage": stats.memory_max_usage, "failcnt": stats.memory_failcnt}
    return shown


def _block(entries: tuple[BlkioEntry, ...]) -> list[Object] | None:
    return [{"major": one.major, "minor": one.minor, "op": one.op, "value": one.value} for one in entries] or None


def _link(link: LinkCounters) -> Object:
    return {
        "rx_bytes": link.rx_bytes, "rx_packets": link.rx_packets, "rx_errors": link.rx_errors,
        "rx_dropped": link.rx_dropped, "tx_bytes": link.tx_bytes, "tx_packets": link.tx_packets,
        "tx_errors": link.tx_errors, "tx_dropped": link.tx_dropped,
    }  # fmt: skip


def stats_view(container: Container, sample: Sample, before: Sample, *, cpus: int, cgroup_version: int) -> Object:
    """One message; `before` is the sample the CPU share is reckoned from."""
    never = ("io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors")
    pids: Object = {}
    if sample.time:
        pids = {"current": sample.stats.pids}
        if sample.stats.pids_limit:
            pids["limit"] = sample.stats.pids_limit
    shown: Object = {
        "read": stamp(sample.time),
        "preread": stamp(before.time),
        "pids_stats": pids,
        "blkio_stats": {
            "io_service_bytes_recursive": _block(sample.stats.blkio_bytes),
            "io_serviced_recursive": _block(sample.stats.blkio_ops),
            **{f"{name}_recursive": None for name in never},
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(sample, cpus),
        "precpu_stats": _cpu(before, cpus),
        "memory_stats": _memory(sample, cgroup_version),
        "name": f"/{container.name}",
        "id": container.id,
    }
    if sample.links:
        shown["networks"] = {name: _link(link) for name, link in sample.links.items()}
    return shown
