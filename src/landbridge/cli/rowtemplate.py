"""Tables and lines by the user's own template: `--format 'table {{.ID}}\\t{{.Names}}'`."""

from __future__ import annotations

from landbridge.cli.outcome import CommandError
from landbridge.cli.tables import align
from landbridge.cli.template import Template
from landbridge.cli.templatesyntax import TemplateError
from landbridge.cli.templatevalues import Listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from landbridge.cli.session import Session
    from landbridge.cli.tables import Column

# `ps --format raw`, kept from Docker: one value per line, a blank line after each row.
RAW_FORM = """\
container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
"""
ROW_TYPE = "*formatter.ContainerContext"


def compile_template(text: str) -> Template:
    """Raises: CommandError with Docker's words."""
    try:
        return Template(text)
    except TemplateError as error:
        raise CommandError(f"failed to parse template: {error}") from None


def _heading_of_label(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def _source(form: str) -> str:
    """The template in a format: without `table`, `\\t` and `\\n` made tabs and newlines."""
    text = RAW_FORM if form == "raw" else form.removeprefix("table")
    return text.strip(" ").replace("\\t", "\t").replace("\\n", "\n")


def _headings(columns: dict[str, Column]) -> Listing:
    fields: dict[str, Any] = {name: column.heading for name, column in columns.items()}
    return Listing({**fields, "Label": _heading_of_label}, ROW_TYPE)


def check_template(columns: dict[str, Column], form: str) -> None:
    """Find mistakes before anything is asked of the daemon. Raises: CommandError with Docker's words."""
    template = compile_template(_source(form))
    try:
        template.render(_headings(columns))
    except TemplateError as error:
        raise CommandError(f"failed to execute template: {error}") from None


def print_template(session: Session, rows: Iterable[Any], columns: dict[str, Column], form: str) -> None:
    """Print each row by the template `form`; after `table `, in columns under headings. Raises: CommandError."""
    table = form.startswith("table")
    template = compile_template(_source(form))
    lines: list[str] = []
    try:
        if table:
            lines.append(template.render(_headings(columns)))
        for row in rows:
            fields: dict[str, Any] = {name: column.value(row) for name, column in columns.items()}
            fields["Label"] = lambda key, row=row: str((row.get("Labels") or {}).get(key, ""))
            lines.append(template.render(Listing(fields, ROW_TYPE)))
    except TemplateError as error:
        raise CommandError(f"failed to execute template: {error}") from None
    if table:
        lines = align([line.split("\t") for line in lines])
    for line in lines:
        session.out(line)
