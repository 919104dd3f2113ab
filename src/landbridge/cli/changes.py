"""`commit`, `diff`, `export`: what a container's filesystem has become."""

from __future__ import annotations

from landbridge.cli.files import check_output, save_stream
from landbridge.cli.flags import Flag
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError
from landbridge.cli.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

KINDS = ("C", "A", "D")


def commit(session: Session, flags: Parsed) -> None:
    """Make an image of the container and print its id."""
    container, *rest = flags.args
    repository = tag = ""
    if rest:
        try:
            reference = parse_reference(rest[0])
        except ValueError as error:
            raise CommandError(str(error)) from None
        repository, tag = reference.name, reference.tag
    query = {
        "container": container, "repo": repository, "tag": tag, "comment": flags["message"], "author": flags["author"],
        "changes": flags["change"], "pause": "" if flags["pause"] else "0",
    }  # fmt: skip
    answer = session.client.post("/commit", query, {})
    session.out((answer or {}).get("Id", ""))


def diff(session: Session, flags: Parsed) -> None:
    for change in session.client.get(container_path(flags.args[0], "/changes")) or []:
        session.out(f"{KINDS[change['Kind']]} {change['Path']}")


def export(session: Session, flags: Parsed) -> None:
    if not flags["output"] and session.is_terminal(session.stdout):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    check_output(flags["output"], "failed to export container")
    response = session.client.call("GET", container_path(flags.args[0], "/export"))
    save_stream(session, response, flags["output"])


COMMANDS = {
    "container commit": (
        (
            Flag("author", "a", "string", "Author of the image"),
            Flag("change", "c", "list", "Dockerfile instruction to apply to the image"),
            Flag("message", "m", "string", "Message in the image's history"),
            Flag("pause", "p", "bool", "Pause the container meanwhile", default=True),
        ),
        commit,
    ),
    "container diff": ((), diff),
    "container export": ((Flag("output", "o", "string", "Write to this file instead of stdout"),), export),
}
