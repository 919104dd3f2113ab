"""`images`, `rmi`, `tag`, `history`."""

from __future__ import annotations

import time

from landbridge.cli import humanize
from landbridge.cli.client import filters_text, quote
from landbridge.cli.clock import local_text
from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError, DaemonError
from landbridge.cli.platform import PLATFORM, platform_text
from landbridge.cli.ps import FORMAT
from landbridge.cli.reference import parse_reference
from landbridge.cli.tables import Column, print_ids, print_rows, settings_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

NONE = "<none>"
NO_TRUNC = Flag("no-trunc", "", "bool", "Do not shorten ids")
LIST_FLAGS = (
    Flag("all", "a", "bool", "Show intermediate images too"),
    Flag("digests", "", "bool", "Show digests"),
    Flag("filter", "f", "filter", "Show only what matches (dangling=true, reference=x, …)"),
    FORMAT,
    NO_TRUNC,
    Flag("quiet", "q", "bool", "Show only ids"),
    Flag("tree", "", "bool", "Not offered", shown=False),
)


def image_path(name: str, action: str = "") -> str:
    """`/images/NAME/ACTION`; slashes and colons of the name stay as they are."""
    return f"/images/{quote(name, '/:@')}{action}"


def split_rows(image: dict[str, Any], *, digests: bool, asked: bool = False) -> list[dict[str, Any]]:
    """One row per name of the image: repository, tag and digest beside the image's own fields.

    With `digests` every tag has one row per digest; names without a tag show theirs only when `asked` (`--digests`).
    """
    names: dict[str, tuple[list[str], list[str]]] = {}
    for text in image.get("RepoTags") or []:
        repository, _, tag = text.rpartition(":")
        if text != "<none>:<none>":
            names.setdefault(repository, ([], []))[0].append(tag)
    for text in image.get("RepoDigests") or []:
        repository, _, digest = text.rpartition("@")
        if text != "<none>@<none>":
            names.setdefault(repository, ([], []))[1].append(digest)
    rows = []
    for repository, (tags, found) in names.items():
        shown = (found if digests else []) or [NONE]
        if not tags:
            shown = found if asked else [""]
        rows += [{**image, "repository": repository, "tag": tag, "digest": d} for tag in tags or [NONE] for d in shown]
    return rows or [{**image, "repository": NONE, "tag": NONE, "digest": NONE}]


def columns(*, truncate: bool) -> dict[str, Column]:
    """The fields of an image row."""
    now = time.time()

    def count(value: int | None) -> str:
        return "N/A" if value is None or value < 0 else humanize.size(value, 3)

    return {
        "ID": Column("IMAGE ID", lambda row: humanize.short_id(row["Id"]) if truncate else row["Id"]),
        "Repository": Column("REPOSITORY", lambda row: row["repository"]),
        "Tag": Column("TAG", lambda row: row["tag"]),
        "Digest": Column("DIGEST", lambda row: row["digest"]),
        "CreatedSince": Column("CREATED", lambda row: humanize.ago(now - row.get("Created", 0)) + " ago"),
        "CreatedAt": Column("CREATED AT", lambda row: local_text(row.get("Created", 0))),
        "Size": Column("SIZE", lambda row: humanize.size(row.get("Size", 0), 3)),
        "Containers": Column(
            "CONTAINERS", lambda row: "N/A" if row.get("Containers", -1) in (-1, None) else str(row["Containers"])
        ),
        "VirtualSize": Column("SIZE", lambda row: humanize.size(row.get("Size", 0))),
        "SharedSize": Column("SHARED SIZE", lambda row: count(row.get("SharedSize"))),
        "UniqueSize": Column(
            "UNIQUE SIZE",
            lambda row: (
                "N/A" if (row.get("SharedSize") or -1) < 0 else humanize.size(row.get("Size", 0) - row["SharedSize"])
            ),
        ),
    }


def list_images(session: Session, flags: Parsed) -> None:
    filters = list(flags["filter"])
    if flags.args:
        filters.append(("reference", flags.args[0]))
    images = session.client.get("/images/json", {"all": flags["all"], "filters": filters_text(filters)})
    truncate = not flags["no-trunc"]
    form = "" if flags["quiet"] else settings_format(session, flags["format"], "imagesFormat")
    digests = flags["digests"] or "{{.Digest}}" in form
    rows = [row for image in images for row in split_rows(image, digests=digests, asked=flags["digests"])]
    if flags["quiet"] and not flags["format"]:
        print_ids(session, (humanize.short_id(row["Id"]) if truncate else row["Id"] for row in rows))
        return
    shown = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if flags["digests"]:
        shown.insert(2, "Digest")
    print_rows(session, rows, columns(truncate=truncate), shown, form or flags["format"])


def remove_images(session: Session, flags: Parsed) -> int:
    """Remove each image; prints what was untagged and deleted."""
    errors: list[DaemonError] = []
    query = {
        "force": flags["force"], "noprune": flags["no-prune"],
        "platforms": [platform_text(one) for one in flags["platform"]],
    }  # fmt: skip
    for name in flags.args:
        try:
            removed = session.client.delete(image_path(name), query)
        except DaemonError as error:
            errors.append(error)
            continue
        for entry in removed or []:
            session.out(f"Deleted: {entry['Deleted']}" if entry.get("Deleted") else f"Untagged: {entry['Untagged']}")
    if not errors:
        return 0
    message = "\n".join(error.message for error in errors)
    session.err(message)
    return 0 if flags["force"] and all(error.code == 404 for error in errors) else 1


def tag_image(session: Session, flags: Parsed) -> None:
    source, target = flags.args
    try:
        reference = parse_reference(target).with_default_tag()
    except ValueError as error:
        raise CommandError(f'Error parsing reference: "{target}" is not a valid repository/tag: {error}') from None
    if reference.digest:
        raise CommandError("refusing to create a tag with a digest reference")
    session.client.post(image_path(source, "/tag"), {"repo": reference.name, "tag": reference.tag})


def history_columns(*, truncate: bool, human: bool) -> dict[str, Column]:
    """The fields of a row of an image's history."""
    now = time.time()

    def created_by(row: dict[str, Any]) -> str:
        text = row.get("CreatedBy", "").replace("\t", " ")
        return humanize.ellipsis(text, 45) if truncate else text

    def when(row: dict[str, Any]) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(row.get("Created", 0))).replace("+0000", "Z")

    return {
        "ID": Column("IMAGE", lambda row: humanize.short_id(row["Id"]) if truncate else row["Id"]),
        "CreatedSince": Column(
            "CREATED", lambda row: humanize.ago(now - row["Created"]) + " ago" if human else when(row)
        ),
        "CreatedAt": Column("CREATED AT", when),
        "CreatedBy": Column("CREATED BY", created_by),
        "Size": Column("SIZE", lambda row: humanize.size(row.get("Size", 0), 3) if human else str(row.get("Size", 0))),
        "Comment": Column("COMMENT", lambda row: row.get("Comment", "")),
    }


def show_history(session: Session, flags: Parsed) -> None:
    rows = session.client.get(image_path(flags.args[0], "/history"), {"platform": platform_text(flags["platform"])})
    truncate = not flags["no-trunc"]
    if flags["quiet"] and not flags["format"]:
        print_ids(session, (humanize.short_id(row["Id"]) if truncate else row["Id"] for row in rows))
        return
    shown = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"]
    if not flags["human"]:
        shown[1] = "CreatedAt"
    print_rows(session, rows, history_columns(truncate=truncate, human=flags["human"]), shown, flags["format"])


COMMANDS = {
    "image ls": (LIST_FLAGS, list_images),
    "image rm": (
        (
            Flag("force", "f", "bool", "Remove the image whatever uses its name"),
            Flag("no-prune", "", "bool", "Keep parents without a name"),
            Flag("platform", "", "strings", "Remove only this platform of the image: os[/arch[/variant]]"),
        ),
        remove_images,
    ),
    "image tag": ((), tag_image),
    "image history": (
        (
            FORMAT,
            Flag("human", "H", "bool", "Sizes and dates for people", default=True),
            NO_TRUNC,
            PLATFORM,
            Flag("quiet", "q", "bool", "Show only ids"),
        ),
        show_history,
    ),
}
