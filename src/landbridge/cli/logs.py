"""`logs`: what a container printed, and what it prints."""

from __future__ import annotations

from landbridge.cli.flags import Flag
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError
from landbridge.cli.streams import Output
from landbridge.cli.timestamps import api_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session


def _bound(name: str, text: str) -> str:
    try:
        return api_time(text)
    except CommandError as error:
        raise CommandError(f'invalid value for "{name}": {error.message}') from None


def logs(session: Session, flags: Parsed) -> None:
    """Print the log, stdout and stderr to where they belong."""
    name = flags.args[0]
    query = {
        "stdout": True, "stderr": True, "since": _bound("since", flags["since"]),
        "until": _bound("until", flags["until"]),
        "timestamps": flags["timestamps"], "follow": flags["follow"], "tail": flags["tail"],
        "details": flags["details"],
    }  # fmt: skip
    response = session.client.call("GET", container_path(name, "/logs"), query)
    kind = response.headers.get("content-type", "")
    if "multiplexed-stream" in kind or "raw-stream" in kind:
        framed = "multiplexed-stream" in kind
    else:  # a daemon older than API 1.42 does not say
        framed = not session.client.get(container_path(name, "/json"))["Config"]["Tty"]
    output = Output(session, framed=framed)
    for data in response.chunks():
        output.write(data)


COMMANDS = {
    "container logs": (
        (
            Flag("details", "", "bool", "Show the extra details of the log driver"),
            Flag("follow", "f", "bool", "Keep printing what is logged"),
            Flag("since", "", "string", "Only from this time on (2024-01-02T13:23:37Z, or 42m for 42 minutes ago)"),
            Flag("tail", "n", "string", "Only so many last lines", "all"),
            Flag("timestamps", "t", "bool", "Show when each line was logged"),
            Flag("until", "", "string", "Only up to this time"),
        ),
        logs,
    ),
}
