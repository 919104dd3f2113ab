"""`explain`: the way packets take to a target (a published port, a container, a name), and what stops them.

Asks the daemon, which looks at the real rules and routes; prints one hop per line.
"""

from __future__ import annotations

from landbridge.cli.flags import Flag
from landbridge.cli.jsontext import decode, indent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from landbridge.cli.flags import Parsed
    from landbridge.cli.session import Session

ARROW = " → "
GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def explain(session: Session, flags: Parsed) -> int:
    """Print the hops and the summary. Exit status 1 when the target cannot be reached."""
    query = {"target": flags.args[0], "from": flags["from"]}
    text = session.client.call("GET", "/landbridge/explain", query).read().decode()
    answer = decode(text)
    reachable = bool(answer.get("reachable"))
    if flags["json"]:
        session.out(indent(text))
        return 0 if reachable else 1
    colour = session.is_terminal(session.stdout) and not session.env.get("NO_COLOR")
    hops = answer.get("hops") or []
    width = max((len(hop.get("what", "")) for hop in hops), default=0)
    for index, hop in enumerate(hops):
        arrow = ARROW if index else "   "
        session.out(f"{arrow}{hop.get('what', '').ljust(width)}  {hop.get('detail', '')}".rstrip())
    mark = "reachable" if reachable else "not reachable"
    if colour:
        mark = f"{GREEN if reachable else RED}{mark}{PLAIN}"
    summary = answer.get("summary", "")
    session.out(f"{mark}: {summary}" if summary else mark)
    return 0 if reachable else 1


COMMANDS = {
    "explain": (
        (
            Flag("from", "", "string", "Where the packets start: a container, or an address outside"),
            Flag("json", "", "bool", "Print the daemon's answer"),
        ),
        explain,
    ),
}
