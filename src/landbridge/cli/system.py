"""`version` and `info`."""

from __future__ import annotations

import os
import sys

from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

API_VERSION = "1.51"
FORMAT = Flag("format", "f", "string", "How to print: json or a Go TEMPLATE")


def client_version() -> str:
    """The version of this command line."""
    from landbridge import __version__  # kept in one place

    return str(__version__)


def _client(session: Session) -> dict[str, Any]:
    version = sys.version_info
    return {
        "Version": client_version(), "ApiVersion": session.client.prefix.lstrip("/v") or API_VERSION,
        "DefaultAPIVersion": API_VERSION, "PythonVersion": f"{version.major}.{version.minor}.{version.micro}",
        "Os": "linux", "Arch": _architecture(), "Context": "default",
    }  # fmt: skip


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _print_formatted(session: Session, form: str, facts: dict[str, Any]) -> None:
    if form == "json":
        form = "{{json .}}"
    from landbridge.cli.rowtemplate import compile_template  # the template engine costs 3 ms; only --format needs it
    from landbridge.cli.templatesyntax import TemplateError

    try:
        session.out(compile_template(form).render(facts))
    except TemplateError as error:
        raise CommandError(str(error)) from None


def show_version(session: Session, flags: Parsed) -> None:
    """Client and server; the client's part is printed even when there is no server."""
    client = _client(session)
    server: dict[str, Any] | None = None
    problem: CommandError | None = None
    try:
        server = session.client.get("/version")
    except CommandError as error:
        problem = error
    if flags["format"]:
        if problem is not None and "json" not in flags["format"] and ".Server" in flags["format"]:
            raise problem
        _print_formatted(session, flags["format"], {"Client": client, "Server": server})
    else:
        _print_versions(session, client, server)
    if problem is not None:
        raise problem


def _print_versions(session: Session, client: dict[str, Any], server: dict[str, Any] | None) -> None:
    api = client["ApiVersion"]
    session.out("Client:")
    rows = [
        ("Version", client["Version"]), ("API version", api), ("Python version", client["PythonVersion"]),
        ("OS/Arch", f"{client['Os']}/{client['Arch']}"), ("Context", client["Context"]),
    ]  # fmt: skip
    for name, value in rows:
        session.out(f" {name + ':':<18} {value}")
    if server is None:
        return
    title = (server.get("Platform") or {}).get("Name") or ""
    session.out("")
    session.out(f"Server: {title}".rstrip())
    components = server.get("Components") or [
        {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}
    ]
    for component in components:
        session.out(f" {component['Name']}:")
        for name, value in _component_rows(component):
            session.out(f"  {name + ':':<17} {value}".rstrip() if value else f"  {name + ':':<17} ")


def _component_rows(component: dict[str, Any]) -> list[tuple[str, str]]:
    details = component.get("Details") or {}
    rows = [("Version", component.get("Version", ""))]
    if component["Name"] != "Engine":
        return rows + [(name, value) for name, value in sorted(details.items())]
    api = f"{details.get('ApiVersion', '')} (minimum version {details.get('MinAPIVersion', '')})"
    rows.append(("API version", api))
    for name, key in (("Go version", "GoVersion"), ("Python version", "PythonVersion"), ("Git commit", "GitCommit")):
        if details.get(key):
            rows.append((name, details[key]))
    built = details.get("BuildTime", "")
    if built:
        rows.append(("Built", built))
    rows.append(("OS/Arch", f"{details.get('Os', '')}/{details.get('Arch', '')}"))
    if "Experimental" in details:
        rows.append(("Experimental", str(details["Experimental"]).lower()))
    return rows


def show_info(session: Session, flags: Parsed) -> None:
    """Facts about the engine; the client's part is printed even when there is no server."""
    client = {"Version": client_version(), "Context": "default", "Debug": False, "Plugins": [], "Warnings": None}
    facts: dict[str, Any] = {}
    problem: CommandError | None = None
    try:
        facts = session.client.get("/info")
    except CommandError as error:
        problem = error
    if flags["format"]:
        if problem is not None:
            raise problem
        _print_formatted(session, flags["format"], {**facts, "ClientInfo": client})
        return
    session.out(f"Client:\n Version:    {client['Version']}\n Context:    default\n Debug Mode: false\n\nServer:")
    if problem is not None:
        raise problem
    from landbridge.cli.infotext import info_lines  # long, and of use here only

    for line in info_lines(facts):
        session.out(line)
    session.out("")
    for warning in facts.get("Warnings") or []:
        session.err(warning)


COMMANDS = {"version": ((FORMAT,), show_version), "system info": ((FORMAT,), show_info)}
