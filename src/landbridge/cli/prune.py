"""`prune` of containers, images, networks, volumes, and of all at once."""

from __future__ import annotations

from landbridge.cli import humanize
from landbridge.cli.client import filters_text
from landbridge.cli.flags import Flag
from landbridge.cli.outcome import CommandError, ExitWith

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

ALL = Flag("all", "a", "bool", "Remove everything unused, not only what has no name")
FILTER = Flag("filter", "", "filter", "Only what matches (until=24h, label=x)")
FORCE = Flag("force", "f", "bool", "Do not ask")
WARNING = "WARNING! This will remove "


def confirm(session: Session, flags: Parsed, warning: str) -> None:
    """Ask before removing. Raises: ExitWith when the answer is not yes."""
    if flags["force"]:
        return
    session.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    answer = session.stdin.readline().decode("utf-8", "replace").strip().lower()
    if answer != "y":
        raise ExitWith(0)


def _listed(session: Session, title: str, names: list[str]) -> None:
    """Names under a title, with a blank line after them; nothing when there are none."""
    if names:
        session.out(title)
        for name in names:
            session.out(name)
        session.out("")


def _containers(session: Session, filters: list[tuple[str, str]]) -> int:
    answer = session.client.post("/containers/prune", {"filters": filters_text(filters)}) or {}
    _listed(session, "Deleted Containers:", answer.get("ContainersDeleted") or [])
    return int(answer.get("SpaceReclaimed") or 0)


def _networks(session: Session, filters: list[tuple[str, str]]) -> int:
    answer = session.client.post("/networks/prune", {"filters": filters_text(filters)}) or {}
    _listed(session, "Deleted Networks:", answer.get("NetworksDeleted") or [])
    return 0


def _volumes(session: Session, filters: list[tuple[str, str]]) -> int:
    answer = session.client.post("/volumes/prune", {"filters": filters_text(filters)}) or {}
    _listed(session, "Deleted Volumes:", answer.get("VolumesDeleted") or [])
    return int(answer.get("SpaceReclaimed") or 0)


def _image_line(entry: dict[str, Any]) -> str:
    return f"untagged: {entry['Untagged']}" if entry.get("Untagged") else f"deleted: {entry.get('Deleted', '')}"


def _images(session: Session, filters: list[tuple[str, str]], *, every: bool) -> int:
    wanted = [("dangling", "false" if every else "true"), *filters]
    answer = session.client.post("/images/prune", {"filters": filters_text(wanted)}) or {}
    _listed(session, "Deleted Images:", [_image_line(entry) for entry in answer.get("ImagesDeleted") or []])
    return int(answer.get("SpaceReclaimed") or 0)


def _reclaimed(session: Session, space: int) -> None:
    session.out(f"Total reclaimed space: {humanize.size(space)}")


def prune_containers(session: Session, flags: Parsed) -> None:
    confirm(session, flags, f"{WARNING}all stopped containers.")
    _reclaimed(session, _containers(session, flags["filter"]))


def prune_images(session: Session, flags: Parsed) -> None:
    what = "all images without at least one container associated to them." if flags["all"] else "all dangling images."
    confirm(session, flags, WARNING + what)
    _reclaimed(session, _images(session, flags["filter"], every=flags["all"]))


def prune_networks(session: Session, flags: Parsed) -> None:
    confirm(session, flags, f"{WARNING}all custom networks not used by at least one container.")
    _networks(session, flags["filter"])


def prune_volumes(session: Session, flags: Parsed) -> None:
    filters = list(flags["filter"])
    what = "anonymous local volumes not used by at least one container."
    if flags["all"]:
        if any(name == "all" for name, _ in filters):
            raise CommandError("conflicting options: cannot specify both --all and --filter all=1")
        filters.append(("all", "true"))
        what = "all local volumes not used by at least one container."
    confirm(session, flags, WARNING + what)
    _reclaimed(session, _volumes(session, filters))


def prune_system(session: Session, flags: Parsed) -> None:
    """Containers, networks, volumes if asked, images."""
    if flags["volumes"] and any(name == "until" for name, _ in flags["filter"]):
        raise CommandError('ERROR: The "until" filter is not supported with "--volumes"')
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if flags["volumes"]:
        lines.append("all anonymous volumes not used by at least one container")
    lines.append(
        "all images without at least one container associated to them" if flags["all"] else "all dangling images"
    )
    confirm(session, flags, WARNING.rstrip() + ":\n" + "".join(f"  - {line}\n" for line in lines))
    filters = flags["filter"]
    space = _containers(session, filters) + _networks(session, filters)
    if flags["volumes"]:
        space += _volumes(session, filters)
    space += _images(session, filters, every=flags["all"])
    _reclaimed(session, space)


COMMANDS = {
    "container prune": ((FILTER, FORCE), prune_containers),
    "image prune": ((ALL, FILTER, FORCE), prune_images),
    "network prune": ((FILTER, FORCE), prune_networks),
    "volume prune": ((ALL, FILTER, FORCE), prune_volumes),
    "system prune": ((ALL, FILTER, FORCE, Flag("volumes", "", "bool", "Anonymous volumes too")), prune_system),
}
