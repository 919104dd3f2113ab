"""`volume create`, `ls`, `rm`."""

from __future__ import annotations

from landbridge.cli.client import filters_text, quote
from landbridge.cli.flags import Flag, refused
from landbridge.cli.humanize import natural_key
from landbridge.cli.outcome import CommandError
from landbridge.cli.ps import FORMAT
from landbridge.cli.tables import Column, print_ids, print_rows, settings_format
from landbridge.cli.values import check_label, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

COLUMNS = {
    "Driver": Column("DRIVER", lambda row: row.get("Driver", "")),
    "Name": Column("VOLUME NAME", lambda row: row["Name"]),
    "Scope": Column("SCOPE", lambda row: row.get("Scope", "")),
    "Mountpoint": Column("MOUNTPOINT", lambda row: row.get("Mountpoint", "")),
    "Labels": Column("LABELS", lambda row: ",".join(f"{k}={v}" for k, v in (row.get("Labels") or {}).items())),
    "Links": Column("LINKS", lambda row: "N/A"),
    "Size": Column("SIZE", lambda row: "N/A"),
    "Availability": Column("AVAILABILITY", lambda row: "N/A"),
    "Group": Column("GROUP", lambda row: "N/A"),
    "Status": Column("STATUS", lambda row: "N/A"),
}


def create_volume(session: Session, flags: Parsed) -> None:
    name = flags["name"]
    if flags.args:
        if name:
            raise CommandError(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
            )
        name = flags.args[0]
    fields = {
        "Driver": flags["driver"],
        "DriverOpts": pairs(flags["opt"]),
        "Labels": pairs(flags["label"]),
        "Name": name,
    }
    body: dict[str, Any] = {key: value for key, value in fields.items() if value}
    session.out(session.client.post("/volumes/create", body=body)["Name"])


def list_volumes(session: Session, flags: Parsed) -> None:
    rows = session.client.get("/volumes", {"filters": filters_text(flags["filter"])}).get("Volumes") or []
    rows.sort(key=lambda row: natural_key(row["Name"]))
    form = flags["format"] if flags["quiet"] else settings_format(session, flags["format"], "volumesFormat")
    if flags["quiet"] and not form:
        print_ids(session, (row["Name"] for row in rows))
    else:
        print_rows(session, rows, COLUMNS, ["Driver", "Name"], form)


def remove_volumes(session: Session, flags: Parsed) -> int:
    errors = []
    for name in flags.args:
        try:
            session.client.delete(f"/volumes/{quote(name)}", {"force": flags["force"]})
        except CommandError as error:
            errors.append(error.message)
        else:
            session.out(name)
    for message in errors:
        session.err(message)
    return 1 if errors else 0


_NO_CLUSTER = "is not offered: only a swarm has cluster volumes"
_CLUSTER = (
    ("availability", "string"), ("group", "string"), ("limit-bytes", "bytes"), ("required-bytes", "bytes"),
    ("scope", "string"), ("secret", "map"), ("sharing", "string"), ("topology-preferred", "list"),
    ("topology-required", "list"), ("type", "string"),
)  # fmt: skip

COMMANDS = {
    "volume create": (
        (
            Flag("driver", "d", "string", "Driver of the volume", "local"),
            Flag("label", "", "list", "Set a label on the volume"),
            Flag("name", "", "string", "Name of the volume", shown=False),
            Flag("opt", "o", "map", "Set an option of the driver"),
            *(refused(name, kind, _NO_CLUSTER) for name, kind in _CLUSTER),
        ),
        create_volume,
        {"label": check_label},
    ),
    "volume ls": (
        (
            Flag("filter", "f", "filter", "Show only what matches (dangling=true, name=x, …)"),
            FORMAT,
            Flag("quiet", "q", "bool", "Show only names"),
            refused("cluster", "bool", _NO_CLUSTER),
        ),
        list_volumes,
    ),
    "volume rm": ((Flag("force", "f", "bool", "Do not complain about volumes that do not exist"),), remove_volumes),
}
