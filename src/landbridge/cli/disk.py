"""`system df`: the disk space images, containers and volumes take."""

from __future__ import annotations

import time

from landbridge.cli import humanize
from landbridge.cli.clock import parse_rfc3339
from landbridge.cli.flags import Flag
from landbridge.cli.images import columns as image_columns
from landbridge.cli.images import split_rows
from landbridge.cli.outcome import CommandError
from landbridge.cli.ps import FORMAT
from landbridge.cli.ps import columns as container_columns
from landbridge.cli.tables import Column, align, print_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

Row = tuple[str, int, int, int, int]  # type, total, active, size, reclaimable


def summary(usage: dict[str, Any]) -> list[Row]:
    """One row per kind of object."""
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    total = usage.get("LayersSize") or 0
    used = sum((image.get("Size") or 0) - (image.get("SharedSize") or 0) for image in images if image.get("Containers"))
    stopped = [c for c in containers if c.get("State") not in ("running", "paused", "restarting")]
    known = [v for v in volumes if ((v.get("UsageData") or {}).get("Size") or 0) > 0]

    def volume_size(items: list[dict[str, Any]]) -> int:
        return sum(item["UsageData"]["Size"] for item in items)

    return [
        ("Images", len(images), sum(bool(image.get("Containers")) for image in images), total, max(total - used, 0)),
        (
            "Containers", len(containers), len(containers) - len(stopped),
            sum(c.get("SizeRw") or 0 for c in containers),
            sum(c.get("SizeRw") or 0 for c in stopped),
        ),
        (
            "Local Volumes", len(volumes), sum(((v.get("UsageData") or {}).get("RefCount") or 0) > 0 for v in volumes),
            volume_size(known), volume_size([v for v in known if not v["UsageData"].get("RefCount")]),
        ),
        (
            "Build Cache", len(cache), sum(bool(c.get("InUse")) for c in cache), sum(c.get("Size") or 0 for c in cache),
            sum(c.get("Size") or 0 for c in cache if not c.get("InUse")),
        ),
    ]  # fmt: skip


def _reclaimable(row: Row) -> str:
    text = humanize.size(row[4])
    return f"{text} ({row[4] * 100 // row[3]}%)" if row[3] > 0 and row[0] != "Build Cache" else text


COLUMNS = {
    "Type": Column("TYPE", lambda row: row[0]),
    "TotalCount": Column("TOTAL", lambda row: str(row[1])),
    "Active": Column("ACTIVE", lambda row: str(row[2])),
    "Size": Column("SIZE", lambda row: humanize.size(row[3])),
    "Reclaimable": Column("RECLAIMABLE", _reclaimable),
}


def _table(session: Session, heading: list[str], rows: list[list[str]]) -> None:
    for line in align([heading, *rows]):
        session.out(line)


def _image_rows(images: list[dict[str, Any]]) -> list[list[str]]:
    fields = image_columns(truncate=True)
    names = ("Repository", "Tag", "ID", "CreatedSince", "Size")
    rows = []
    for image in images:
        shared = max(image.get("SharedSize") or 0, 0)
        sizes = [
            humanize.size(shared),
            humanize.size((image.get("Size") or 0) - shared),
            str(image.get("Containers") or 0),
        ]
        rows += [[str(fields[name].value(row)) for name in names] + sizes for row in split_rows(image, digests=False)]
    return rows


def _container_rows(containers: list[dict[str, Any]]) -> list[list[str]]:
    fields = container_columns(truncate=True)
    names = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")

    def cell(row: dict[str, Any], name: str) -> str:
        return humanize.size(row.get("SizeRw") or 0, 3) if name == "Size" else str(fields[name].value(row))

    return [[cell(row, name) for name in names] for row in containers]


def _cache_row(entry: dict[str, Any]) -> list[str]:
    now = time.time()

    def since(key: str) -> str:
        return humanize.ago(now - parse_rfc3339(entry[key])[0]) + " ago" if entry.get(key) else ""

    mark = "*" if entry.get("InUse") else ""
    return [
        entry["ID"][:12] + mark, entry.get("Type", ""), humanize.size(entry.get("Size") or 0), since("CreatedAt"),
        since("LastUsedAt"), str(entry.get("UsageCount") or 0), "true" if entry.get("Shared") else "false",
    ]  # fmt: skip


def _verbose(session: Session, usage: dict[str, Any]) -> None:
    session.out("Images space usage:\n")
    heading = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]
    _table(session, heading, _image_rows(usage.get("Images") or []))
    session.out("\nContainers space usage:\n")
    heading = ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"]
    _table(session, heading, _container_rows(usage.get("Containers") or []))
    session.out("\nLocal Volumes space usage:\n")
    rows = []
    for volume in usage.get("Volumes") or []:
        used = volume.get("UsageData") or {"RefCount": -1, "Size": -1}
        links, size = used.get("RefCount", -1), used.get("Size", -1)
        rows.append([volume["Name"], "N/A" if links < 0 else str(links), "N/A" if size < 0 else humanize.size(size)])
    _table(session, ["VOLUME NAME", "LINKS", "SIZE"], rows)
    cache = usage.get("BuildCache") or []
    session.out(f"\nBuild cache usage: {humanize.size(sum(entry.get('Size') or 0 for entry in cache))}\n")
    heading = ["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]
    _table(session, heading, [_cache_row(entry) for entry in cache])


def disk_usage(session: Session, flags: Parsed) -> None:
    if flags["verbose"] and flags["format"]:
        raise CommandError("--format and --verbose cannot be used together")
    usage = session.client.get("/system/df")
    if flags["verbose"]:
        _verbose(session, usage)
    else:
        print_rows(
            session, summary(usage), COLUMNS, ["Type", "TotalCount", "Active", "Size", "Reclaimable"], flags["format"]
        )


COMMANDS = {"system df": ((FORMAT, Flag("verbose", "v", "bool", "Show each object")), disk_usage)}
