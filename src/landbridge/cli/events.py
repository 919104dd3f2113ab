"""`events`: what happens in the daemon, as it happens."""

from __future__ import annotations

from landbridge.cli.client import filters_text
from landbridge.cli.clock import nano_text
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode, encode, escape_html
from landbridge.cli.outcome import CommandError
from landbridge.cli.timestamps import api_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def event_line(event: dict[str, Any]) -> str:
    """`time type action id (name=value, …)`."""
    actor = event.get("Actor") or {}
    head = f"{event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    nanos = event.get("timeNano") or event.get("time", 0) * 10**9
    attributes = ", ".join(f"{name}={value}" for name, value in sorted((actor.get("Attributes") or {}).items()))
    return f"{nano_text(nanos)} {head}" + (f" ({attributes})" if attributes else "")


def show_events(session: Session, flags: Parsed) -> None:
    form = flags["format"]
    template = None
    if form and form != "json" and form != "{{json .}}":
        from landbridge.cli.rowtemplate import (
            compile_template,
        )  # the template engine costs 3 ms; only --format needs it

        template = compile_template(form)
    query = {
        "since": api_time(flags["since"]),
        "until": api_time(flags["until"]),
        "filters": filters_text(flags["filter"]),
    }
    for line in session.client.call("GET", "/events", query).lines():
        if template is not None:
            session.write(_formatted(template, decode(line)) + "\n")
        elif form:
            session.write(escape_html(encode(decode(line))) + "\n")
        else:
            session.write(event_line(decode(line)) + "\n")


def _formatted(template: Any, event: dict[str, Any]) -> str:
    from landbridge.cli.templatesyntax import TemplateError  # only with a template
    from landbridge.cli.templatevalues import shaped

    names = {"status": "Status", "id": "ID", "from": "From", "scope": "Scope", "time": "Time", "timeNano": "TimeNano"}
    try:
        return str(template.render(shaped({names.get(key, key): value for key, value in event.items()}, "Event")))
    except TemplateError as error:
        raise CommandError(str(error)) from None


COMMANDS = {
    "system events": (
        (
            Flag("filter", "f", "filter", "Show only what matches (type=network, event=die, container=x, …)"),
            Flag("format", "", "string", "How to print: json or a Go TEMPLATE"),
            Flag("since", "", "string", "Begin with what happened since then"),
            Flag("until", "", "string", "End then"),
        ),
        show_events,
    ),
}
