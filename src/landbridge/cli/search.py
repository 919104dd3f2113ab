"""`search`: images a registry's index finds, as a table."""

from __future__ import annotations

from landbridge.cli import humanize
from landbridge.cli.client import filters_text
from landbridge.cli.flags import Flag
from landbridge.cli.ps import FORMAT
from landbridge.cli.reference import Reference
from landbridge.cli.registry import login_header
from landbridge.cli.tables import Column, print_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def columns(*, truncate: bool) -> dict[str, Column]:
    """The fields of a row."""

    def description(row: dict[str, Any]) -> str:
        text = str(row.get("description", "")).replace("\n", " ").replace("\r", " ")
        return humanize.ellipsis(text, 45) if truncate else text

    def mark(name: str) -> Any:
        return lambda row: "[OK]" if row.get(name) else ""

    return {
        "Name": Column("NAME", lambda row: row.get("name", "")),
        "Description": Column("DESCRIPTION", description),
        "StarCount": Column("STARS", lambda row: str(row.get("star_count", 0))),
        "IsOfficial": Column("OFFICIAL", mark("is_official")),
        "IsAutomated": Column("AUTOMATED", mark("is_automated")),
    }


def _registry(term: str) -> str:
    first, slash, _ = term.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def search(session: Session, flags: Parsed) -> None:
    """Ask the daemon, which asks the index; its order is kept."""
    term = flags.args[0]
    query: dict[str, Any] = {"term": term}
    if flags["limit"]:
        query["limit"] = flags["limit"]
    if flags["filter"]:
        query["filters"] = filters_text(flags["filter"])
    headers = login_header(session, Reference(_registry(term), "", "", ""))
    rows = session.client.get("/images/search", query, headers=headers)
    shown = ["Name", "Description", "StarCount", "IsOfficial"]
    print_rows(session, rows, columns(truncate=not flags["no-trunc"]), shown, flags["format"])


COMMANDS = {
    "search": (
        (
            Flag("filter", "f", "filter", "Show only what matches (stars=3, is-official=true)"),
            FORMAT,
            Flag("limit", "", "int", "Most results to show"),
            Flag("no-trunc", "", "bool", "Do not shorten descriptions"),
        ),
        search,
    ),
}
