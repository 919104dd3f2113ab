"""`stats`: CPU, memory, network and disk of containers, live or once."""

from __future__ import annotations

import select
import time

from landbridge.cli import humanize
from landbridge.cli.client import Response
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError
from landbridge.cli.ps import FORMAT
from landbridge.cli.tables import Column, print_rows, settings_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

CLEAR = "\x1b[2J\x1b[H"
REFRESH = 0.5


def cpu_percent(sample: dict[str, Any]) -> float:
    """Share of one CPU between this sample and the one before, in percent."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get("total_usage", 0)
    system = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    return used / system * count * 100.0 if system > 0 and used > 0 else 0.0


def memory_used(memory: dict[str, Any]) -> int:
    """Memory without the page cache that can be dropped (total_inactive_file of cgroup v1, inactive_file of v2)."""
    usage, details = memory.get("usage", 0), memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        if key in details:
            return int(usage - details[key] if details[key] < usage else usage)
    return int(usage)


def block_io(sample: dict[str, Any]) -> tuple[int, int]:
    """Bytes read and written."""
    read = written = 0
    for entry in (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        kind = entry.get("op", "")[:1].lower()
        read += entry["value"] if kind == "r" else 0
        written += entry["value"] if kind == "w" else 0
    return read, written


def _pair(first: float, second: float) -> str:
    return f"{humanize.size(first, 3)} / {humanize.size(second, 3)}"


def _network(row: dict[str, Any]) -> str:
    networks = (row.get("networks") or {}).values()
    return _pair(sum(n.get("rx_bytes", 0) for n in networks), sum(n.get("tx_bytes", 0) for n in networks))


def _memory(row: dict[str, Any]) -> str:
    memory = row.get("memory_stats") or {}
    return f"{humanize.binary_size(memory_used(memory))} / {humanize.binary_size(memory.get('limit', 0))}"


def _memory_percent(row: dict[str, Any]) -> str:
    memory = row.get("memory_stats") or {}
    limit = memory.get("limit", 0)
    return f"{memory_used(memory) / limit * 100 if limit else 0:.2f}%"


def columns(*, truncate: bool) -> dict[str, Column]:
    """The fields of a row; before the first sample they show dashes."""

    def after_sample(value: Any) -> Any:
        return lambda row: value(row) if "read" in row else "--"

    def identifier(row: dict[str, Any]) -> str:
        return str(row["id"][:12] if truncate else row["id"])

    return {
        "ID": Column("CONTAINER ID", identifier),
        "Container": Column("CONTAINER", lambda row: row.get("container", identifier(row))),
        "Name": Column("NAME", lambda row: (row.get("name") or "--").removeprefix("/")),
        "CPUPerc": Column("CPU %", after_sample(lambda row: f"{cpu_percent(row):.2f}%")),
        "MemUsage": Column("MEM USAGE / LIMIT", lambda row: _memory(row) if "read" in row else "-- / --"),
        "MemPerc": Column("MEM %", after_sample(_memory_percent)),
        "NetIO": Column("NET I/O", after_sample(_network)),
        "BlockIO": Column("BLOCK I/O", after_sample(lambda row: _pair(*block_io(row)))),
        "PIDs": Column("PIDS", after_sample(lambda row: str((row.get("pids_stats") or {}).get("current", 0)))),
    }


SHOWN = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"]


def _targets(session: Session, flags: Parsed) -> list[str]:
    if flags.args:
        return list(flags.args)
    return [row["Id"] for row in session.client.get("/containers/json", {"all": flags["all"]})]


def show_stats(session: Session, flags: Parsed) -> None:
    """One table, or a table again and again."""
    form = settings_format(session, flags["format"], "statsFormat")
    fields = columns(truncate=not flags["no-trunc"])
    if flags["no-stream"]:
        rows = [{"id": "", "container": name, **sample} for name, sample in _once(session, _targets(session, flags))]
        print_rows(session, rows, fields, SHOWN, form)
        return
    _watch(session, flags, fields, form)


def _once(session: Session, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """One sample per container, asked for side by side since each takes the daemon a second."""
    paths = [container_path(name, "/stats") for name in names]
    sent = [session.client.send("GET", path, {"stream": "0"}) for path in paths]
    samples, errors = [], []
    for name, path, connection in zip(names, paths, sent, strict=True):
        try:
            samples.append((name, session.client.finish(connection, "GET", path).json()))
        except DaemonError as error:
            errors.append(error.message)
    if errors:
        raise CommandError("\n".join(errors))
    return samples


class _Feed:
    """The samples of one container as they come."""

    def __init__(self, session: Session, name: str) -> None:
        path = container_path(name, "/stats")
        self.response: Response = session.client.call("GET", path, {"stream": "1"})
        session.client.idle = None
        self.row: dict[str, Any] = {"id": name, "container": name}
        self.lines = self.response.lines()

    def fileno(self) -> int:
        return self.response.connection.fileno()

    def update(self) -> bool:
        """Take the next sample; False when there is none any more."""
        try:
            line = next(self.lines, None)
        except OSError:  # the container, or the daemon, is gone
            return False
        if line is None:
            return False
        self.row = {**self.row, **decode(line)}
        return True


def _watch(session: Session, flags: Parsed, fields: dict[str, Column], form: str) -> None:
    """Until interrupted, or until the named containers are gone."""
    feeds: dict[int, _Feed] = {}
    for name in _targets(session, flags):
        feed = _Feed(session, name)
        feeds[feed.fileno()] = feed
    terminal = session.is_terminal(session.stdout)
    while feeds or not flags.args:
        poll = select.poll()
        for number in feeds:
            poll.register(number, select.POLLIN)
        until = time.monotonic() + REFRESH
        while (left := until - time.monotonic()) > 0:
            for number, _ in poll.poll(left * 1000):
                if number in feeds and not feeds[number].update():
                    del feeds[number]
                    poll.unregister(number)
        if terminal:
            session.write(CLEAR)
        print_rows(session, [feed.row for feed in feeds.values()], fields, SHOWN, form)
        session.stdout.flush()
        if not feeds and not flags.args:
            return


COMMANDS = {
    "container stats": (
        (
            Flag("all", "a", "bool", "Show all containers, not only running ones"),
            FORMAT,
            Flag("no-stream", "", "bool", "Show once and end"),
            Flag("no-trunc", "", "bool", "Do not shorten ids"),
        ),
        show_stats,
    ),
}
