"""`import`, `load`, `save`: images as tar archives."""

from __future__ import annotations

from landbridge.cli.files import check_output, file_chunks, open_input, save_stream
from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError
from landbridge.cli.progress import show_progress
from landbridge.cli.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def import_image(session: Session, flags: Parsed) -> None:
    """Make an image of a root filesystem: a file, stdin (`-`) or an address the daemon fetches."""
    source, *rest = flags.args
    name = rest[0] if rest else ""
    if name:
        try:
            parse_reference(name)
        except ValueError as error:
            raise CommandError(str(error)) from None
    remote = source.startswith(("http://", "https://"))
    query = {
        "fromSrc": source if remote else "-", "repo": name, "message": flags["message"], "platform": flags["platform"],
        "changes": flags["change"],
    }  # fmt: skip
    if remote:
        response = session.client.call("POST", "/images/create", query)
    else:
        with open_input(session, source) as file:
            response = session.client.call(
                "POST", "/images/create", query, stream=file_chunks(file), headers={"Content-Type": "application/x-tar"}
            )
    show_progress(session, response, session.stdout)


def load(session: Session, flags: Parsed) -> None:
    if not flags["input"] and session.is_terminal(session.stdin):
        raise CommandError("requested load from stdin, but stdin is empty")
    with open_input(session, flags["input"] or "-") as file:
        quiet = flags["quiet"] or not session.is_terminal(session.stdout)
        response = session.client.call(
            "POST",
            "/images/load",
            {"quiet": quiet},
            stream=file_chunks(file),
            headers={"Content-Type": "application/x-tar"},
        )
    show_progress(session, response, session.stdout)


def save(session: Session, flags: Parsed) -> None:
    if not flags["output"] and session.is_terminal(session.stdout):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    check_output(flags["output"], "failed to save image")
    response = session.client.call("GET", "/images/get", {"names": list(flags.args), "platform": flags["platform"]})
    save_stream(session, response, flags["output"])


CHANGE = Flag("change", "c", "list", "Dockerfile instruction to apply to the image")
PLATFORM = Flag("platform", "", "string", "Platform of the image")

COMMANDS = {
    "image import": (
        (CHANGE, Flag("message", "m", "string", "Message in the image's history"), PLATFORM),
        import_image,
    ),
    "image load": (
        (
            Flag("input", "i", "string", "Read this file instead of stdin"),
            PLATFORM,
            Flag("quiet", "q", "bool", "Do not show progress"),
        ),
        load,
    ),
    "image save": ((Flag("output", "o", "string", "Write to this file instead of stdout"), PLATFORM), save),
}
