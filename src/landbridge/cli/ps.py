"""`ps`: the list of containers."""

from __future__ import annotations

import time

from landbridge.cli import humanize
from landbridge.cli.client import filters_text
from landbridge.cli.clock import local_text
from landbridge.cli.flags import Flag
from landbridge.cli.portlist import displayable_ports
from landbridge.cli.tables import Column, print_ids, print_rows, settings_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

FORMAT = Flag("format", "", "string", "How to print: table, table TEMPLATE, json or a Go TEMPLATE")
FLAGS = (
    Flag("all", "a", "bool", "Show all containers, not only running ones"),
    Flag("filter", "f", "filter", "Show only what matches (status=exited, network=n, publish=80, …)"),
    FORMAT,
    Flag("last", "n", "int", "Show the n last created containers, in any state", -1),
    Flag("latest", "l", "bool", "Show the last created container, in any state"),
    Flag("no-trunc", "", "bool", "Do not shorten ids and commands"),
    Flag("quiet", "q", "bool", "Show only ids"),
    Flag("size", "s", "bool", "Show the size of each container's files"),
)


def names_text(row: dict[str, Any], *, truncate: bool) -> str:
    """The container's own name; untruncated also the names links give it (`other/alias`)."""
    names = [name.removeprefix("/") for name in row.get("Names") or []]
    own = [name for name in names if "/" not in name]
    return ",".join(own[:1] or names if truncate else names)


def size_text(row: dict[str, Any]) -> str:
    """`0B (virtual 1.98MB)`."""
    used = humanize.size(row.get("SizeRw") or 0, 3)
    total = row.get("SizeRootFs") or 0
    return f"{used} (virtual {humanize.size(total, 3)})" if total > 0 else used


def mounts_text(row: dict[str, Any], *, truncate: bool) -> str:
    names = [mount.get("Name") or mount.get("Source", "") for mount in row.get("Mounts") or []]
    return ",".join(humanize.ellipsis(name, 15) if truncate else name for name in names)


def image_text(row: dict[str, Any], *, truncate: bool) -> str:
    """The image as named at creation; a bare id shortened."""
    image = row.get("Image") or "<no image>"
    if truncate and (image == row.get("ImageID") or image.startswith("sha256:")):
        return humanize.short_id(image)
    return str(image)


def command_text(row: dict[str, Any], *, truncate: bool) -> str:
    """The command in double quotes, at most 20 characters of it."""
    text = str(row.get("Command", ""))
    if truncate:
        text = humanize.ellipsis(text, 20)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def columns(*, truncate: bool) -> dict[str, Column]:
    """The fields of a container row."""
    now = time.time()
    return {
        "ID": Column("CONTAINER ID", lambda row: row["Id"][:12] if truncate else row["Id"]),
        "Image": Column("IMAGE", lambda row: image_text(row, truncate=truncate)),
        "Command": Column("COMMAND", lambda row: command_text(row, truncate=truncate)),
        "RunningFor": Column("CREATED", lambda row: humanize.ago(now - row.get("Created", 0)) + " ago"),
        "Status": Column("STATUS", lambda row: row.get("Status", "")),
        "Ports": Column("PORTS", lambda row: displayable_ports(row.get("Ports") or [])),
        "Names": Column("NAMES", lambda row: names_text(row, truncate=truncate)),
        "Size": Column("SIZE", size_text),
        "CreatedAt": Column("CREATED AT", lambda row: local_text(row.get("Created", 0))),
        "State": Column("STATE", lambda row: row.get("State", "")),
        "Labels": Column("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in (row.get("Labels") or {}).items())),
        "Mounts": Column("MOUNTS", lambda row: mounts_text(row, truncate=truncate)),
        "LocalVolumes": Column(
            "LOCAL VOLUMES", lambda row: str(sum(mount.get("Driver") == "local" for mount in row.get("Mounts") or []))
        ),
        "Networks": Column(
            "NETWORKS", lambda row: ",".join(sorted((row.get("NetworkSettings") or {}).get("Networks") or {}))
        ),
        "Platform": Column("PLATFORM", lambda row: None),
    }


def list_containers(session: Session, flags: Parsed) -> None:
    """Ask for the list and print it."""
    last = 1 if flags["latest"] and "last" not in flags.given else flags["last"]
    form = "" if flags["quiet"] else settings_format(session, flags["format"], "psFormat")
    if form not in ("", "table", "json"):
        from landbridge.cli.rowtemplate import check_template  # the template engine costs 3 ms; only --format needs it

        check_template(columns(truncate=True), form)
    query = {
        "all": flags["all"],
        "limit": last if last > 0 else "",
        "size": flags["size"] or ".Size" in form or "json .}}" in form,
        "filters": filters_text(flags["filter"]),
    }
    rows = session.client.get("/containers/json", query)
    if flags["quiet"]:
        if flags["format"]:
            session.err("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        print_ids(session, (row["Id"] if flags["no-trunc"] else row["Id"][:12] for row in rows))
        return
    shown = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]
    if flags["size"]:
        shown.append("Size")
    print_rows(session, rows, columns(truncate=not flags["no-trunc"]), shown, form)


COMMANDS = {"container ls": (FLAGS, list_containers)}
