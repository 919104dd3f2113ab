"""Lists of things as tables, JSON lines or templates.

A table is described by `Column`s by field name: the heading and a function of one row. The default layout needs no
template machinery; `--format` brings it in. Cells are laid out as Go's tabwriter does: a column is a run of lines
that have it, at least ten wide, three blanks apart, the last cell of a line free.
"""

from __future__ import annotations

from landbridge.cli.jsontext import encode, escape_html

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from landbridge.cli.session import Session

MIN_WIDTH = 10
PADDING = 3


def align(lines: list[list[str]], *, min_width: int = MIN_WIDTH, padding: int = PADDING) -> list[str]:
    """Lines of cells to text lines."""
    widths: dict[tuple[int, int], int] = {}
    for column in range(max((len(cells) for cells in lines), default=0)):
        start = 0
        while start < len(lines):
            end = start
            while end < len(lines) and len(lines[end]) > column + 1:
                end += 1
            if end > start:
                width = max(len(cells[column]) for cells in lines[start:end])
                for index in range(start, end):
                    widths[index, column] = max(min_width, width + padding) if width or min_width else 0
            start = end + 1
    return [
        "".join(cell.ljust(widths.get((index, column), 0)) for column, cell in enumerate(cells[:-1]))
        + (cells[-1] if cells else "")
        for index, cells in enumerate(lines)
    ]


class Column:
    """One field of a list: its heading and its value for a row; `listed` fields appear in `--format json`."""

    __slots__ = ("heading", "listed", "value")

    def __init__(self, heading: str, value: Callable[[Any], Any], *, listed: bool = True) -> None:
        self.heading, self.value, self.listed = heading, value, listed


def print_rows(
    session: Session, rows: Iterable[Any], columns: dict[str, Column], default: list[str], form: str
) -> None:
    """Print `rows` as `form` says: "" or "table" (the `default` columns), "json", TEMPLATE or "table TEMPLATE"."""
    if form in ("", "table"):
        shown = [columns[name] for name in default]
        lines = [[column.heading for column in shown]]
        lines += [[str(column.value(row)) for column in shown] for row in rows]
        for line in align(lines):
            session.out(line)
    elif form == "json":
        listed = sorted(name for name in columns if columns[name].listed)
        for row in rows:
            session.out(escape_html(encode({name: columns[name].value(row) for name in listed})))
    else:
        from landbridge.cli.rowtemplate import print_template  # the template engine costs 3 ms; only --format needs it

        print_template(session, rows, columns, form)


def print_ids(session: Session, ids: Iterable[str]) -> None:
    """One identifier per line (`--quiet`)."""
    for identifier in ids:
        session.out(identifier)


def settings_format(session: Session, flag: str, key: str) -> str:
    """The format to use: the flag's, else the user's own default (`psFormat` and others in config.json)."""
    if flag:
        return flag
    from landbridge.cli.settings import read_settings  # only when there is no flag

    value = read_settings(session.env).get(key, "")
    return value if isinstance(value, str) else ""
