"""`explain`: the way packets take to a target (an address and port, a port, a container), and what stops them.

Asks the daemon, which looks at the real rules and routes; prints one hop per line.
"""

from __future__ import annotations

from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode, indent
from landbridge.cli.lifecycle import container_path
from landbridge.cli.outcome import CommandError, DaemonError
from landbridge.cli.portlist import join_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

ARROW = " → "
GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def _ask(session: Session, target: str, sender: str = "") -> str:
    query = {"target": target, **({"from": sender} if sender else {})}
    return session.client.call("GET", "/landbridge/explain", query).read().decode()


def _published(session: Session, target: str) -> list[str]:
    """The addresses a container (`web1`, `web1:80`) is published at. Raises: DaemonError, CommandError."""
    name, _, wanted = target.partition(":")
    settings = session.client.get(container_path(name, "/json")).get("NetworkSettings") or {}
    found = []
    for port, bindings in (settings.get("Ports") or {}).items():
        number, _, protocol = port.partition("/")
        if wanted and wanted not in (number, port):
            continue
        for binding in bindings or []:
            address = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(binding["HostIp"], binding["HostIp"])
            found.append(f"{join_host(address, binding['HostPort'])}/{protocol}")
    if not found:
        raise CommandError(f"{target} publishes no port")
    return found


def _answers(session: Session, target: str) -> list[str]:
    """What the daemon says of the target: an address, a port of this host, or a container and all it publishes."""
    port, _, protocol = target.partition("/")
    if port.isdigit():
        return [_ask(session, f"127.0.0.1:{port}/{protocol or 'tcp'}")]
    try:
        return [_ask(session, target)]
    except DaemonError as refused:
        if refused.code != 400:
            raise
        try:
            targets = _published(session, target)
        except DaemonError:  # no container either: the first complaint tells more
            raise refused from None
    return [_ask(session, address) for address in targets]


def _print(session: Session, answer: dict[str, Any]) -> None:
    hops = answer.get("hops") or []
    width = max((len(hop.get("what", "")) for hop in hops), default=0)
    for index, hop in enumerate(hops):
        arrow = ARROW if index else "   "
        session.out(f"{arrow}{hop.get('what', '').ljust(width)}  {hop.get('detail', '')}".rstrip())
    mark = "reachable" if answer.get("reachable") else "not reachable"
    if session.is_terminal(session.stdout) and not session.env.get("NO_COLOR"):
        mark = f"{GREEN if answer.get('reachable') else RED}{mark}{PLAIN}"
    summary = answer.get("summary", "")
    session.out(f"{mark}: {summary}" if summary else mark)


def explain(session: Session, flags: Parsed) -> int:
    """Print the hops and the summary. Exit status 1 when the target, or one of several, cannot be reached."""
    sender = flags["from"]
    texts = [_ask(session, flags.args[0], sender)] if sender else _answers(session, flags.args[0])
    answers = [decode(text) for text in texts]
    for index, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        if flags["json"]:
            session.out(indent(text))
            continue
        if index:
            session.out("")
        _print(session, answer)
    return 0 if all(answer.get("reachable") for answer in answers) else 1


COMMANDS = {
    "explain": (
        (
            Flag("from", "", "string", "Who sends: a container, or \"outside\": another machine (default this host)"),
            Flag("json", "", "bool", "Print the daemon's answer"),
        ),
        explain,
    ),
}
