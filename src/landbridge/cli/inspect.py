"""`inspect`, for containers, images, networks and volumes: the API's own JSON, or a template over it."""

from __future__ import annotations

from landbridge.cli.client import quote
from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode, encode, escape_html, indent
from landbridge.cli.outcome import CommandError, DaemonError, ExitWith
from landbridge.cli.platform import PLATFORM, platform_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session
    from landbridge.cli.template import Template

FORMAT = Flag("format", "f", "string", "How to print: json or a Go TEMPLATE")
SIZE = Flag("size", "s", "bool", "Show sizes too, for containers")
# kind -> (path, shape of the answer)
KINDS = {
    "container": ("/containers/{}/json", "Container"),
    "image": ("/images/{}/json", "Image"),
    "network": ("/networks/{}", "Network"),
    "volume": ("/volumes/{}", "Volume"),
}
TYPES = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")


def _get(session: Session, kind: str, name: str, flags: Parsed) -> str:
    path = KINDS[kind][0].format(quote(name, "/:@"))
    query = {"size": kind == "container" and flags.values.get("size", False)}
    if platform := flags.values.get("platform"):
        query = {"platform": platform_text(platform)}
    if kind == "network" and flags.values.get("verbose"):
        query = {"verbose": True}
    return session.client.call("GET", path, query).read().decode("utf-8", "replace").strip()


def _find(session: Session, name: str, flags: Parsed) -> tuple[str, str]:
    """Kind and JSON text of whatever has this name. Raises: CommandError."""
    for kind in KINDS:
        try:
            return kind, _get(session, kind, name, flags)
        except DaemonError as error:
            # A name no image or network could have is refused as malformed, not as missing.
            if error.code != 404 and not (error.code == 400 and kind != "container"):
                raise
    raise CommandError(f"Error: No such object: {name}")


def _compile(form: str) -> Template | None:
    """The template of `--format`, None for JSON. Raises: ExitWith with 64, as Docker's."""
    if form in ("", "json"):
        return None
    from landbridge.cli.template import Template  # the template engine costs 3 ms; only --format needs it
    from landbridge.cli.templatesyntax import TemplateError

    try:
        return Template(form)
    except TemplateError as error:
        raise ExitWith(64, f"template parsing error: {error}") from None


def _print(session: Session, found: list[tuple[str, str]], form: str, template: Template | None) -> list[str]:
    """Print the objects; gives the errors of applying the template."""
    if template is None:
        text = f"[{','.join(text for _, text in found)}]"
        session.out(indent(text) if form == "" else escape_html(encode(decode(text))))
        return []
    from landbridge.cli.templatesyntax import TemplateError  # the template engine costs 3 ms; only --format needs it
    from landbridge.cli.templatevalues import shaped

    errors, lines = [], []
    for kind, text in found:
        try:
            lines.append(template.render(shaped(decode(text), KINDS[kind][1])))
        except TemplateError as error:
            errors.append(f"template parsing error: {error}")
    for line in lines or [""]:
        session.out(line)
    return errors


def inspect_kind(session: Session, flags: Parsed, kind: str) -> int:
    """Inspect objects of one kind; of any kind when `kind` is empty. Exit status 1 when one was missing."""
    template = _compile(flags["format"])
    found: list[tuple[str, str]] = []
    errors: list[str] = []
    for name in flags.args:
        try:
            found.append((kind, _get(session, kind, name, flags)) if kind else _find(session, name, flags))
        except CommandError as error:
            if not isinstance(error, DaemonError) and not error.message.startswith("Error: No such object"):
                raise
            errors.append(error.message)
    errors = _print(session, found, flags["format"], template) + errors
    if errors:
        raise ExitWith(1, "\n".join(errors))
    return 0


def inspect_any(session: Session, flags: Parsed) -> int:
    kind = flags["type"]
    if kind and kind not in KINDS:
        names = ", ".join(f'"{name}"' for name in TYPES)
        raise CommandError(f'unknown type: "{kind}": must be one of {names}')
    return inspect_kind(session, flags, kind)


COMMANDS = {
    "inspect": ((FORMAT, SIZE, Flag("type", "", "string", "Only objects of this type")), inspect_any),
    "container inspect": ((FORMAT, SIZE), lambda session, flags: inspect_kind(session, flags, "container")),
    "image inspect": ((FORMAT, PLATFORM), lambda session, flags: inspect_kind(session, flags, "image")),
    "network inspect": (
        (FORMAT, Flag("verbose", "v", "bool", "More detail for diagnosis")),
        lambda session, flags: inspect_kind(session, flags, "network"),
    ),
    "volume inspect": ((FORMAT,), lambda session, flags: inspect_kind(session, flags, "volume")),
}
