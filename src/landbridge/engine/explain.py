"""Answers "how does this connection go?" from the engine's state, a look into the sandbox and what the user has set.

Names are looked up as the container would: its hosts file, then the resolver's own table.
"""

import re
from ipaddress import ip_address

from landbridge.dns.wire import TYPE_A, TYPE_AAAA, Rdata, fold
from landbridge.dns.zone import Verdict, Zone
from landbridge.engine.apply import Apply
from landbridge.engine.attachments import Attachments
from landbridge.engine.effects import Listening
from landbridge.engine.presence import Presence
from landbridge.engine.reconcile import names
from landbridge.engine.state import State
from landbridge.errors import Conflict, Invalid
from landbridge.model.container import Container
from landbridge.model.names import Change, SetAsker, SetNetwork, SetRecord
from landbridge.model.network import Sandbox
from landbridge.model.ports import PROTOCOLS, Port
from landbridge.network.explain import Explanation, Firewall, Hop, Target, explain, parse_target
from landbridge.network.journey import Setting, from_container, from_outside

OUTSIDE = "outside"

_HOST_PORT = re.compile(
    r"\[(?P<six>[^\]]+)\](?::(?P<a>\d+))?|(?P<host>[^:]+)(?::(?P<b>\d+))?|(?P<bare>[0-9a-fA-F:.]+)"
)


class Explain:
    """One question, one answer; nothing is changed."""

    def __init__(
        self, state: State, apply: Apply, attachments: Attachments, presence: Presence, listening: Listening
    ) -> None:
        self.state = state
        self.apply = apply
        self.attachments = attachments
        self.presence = presence
        self._listening = listening

    async def target(self, text: str, sender: str = "") -> Explanation:
        """The way to ``ADDRESS:PORT[/PROTO]`` from this host; `sender` is a container, or ``outside``.

        A container may also name its target, and leave the port out (an echo request). Raises: Invalid for text that
        is no target, NotFound (container), Conflict when it does not run.
        """
        if sender in ("", "host", OUTSIDE):
            target = parse_target(text)
            found = await self.apply.blocking(self._from_host, target, sender)
        else:
            owner, sandbox, hops = self._sender(sender)
            host, port, proto = _split(text)
            address, looked_up = self._address(owner, sandbox, host)
            hops += looked_up
            if not address:
                return Explanation(hops=tuple(hops), reachable=False, summary=f"no address is known for {host}")
            found = await self.apply.blocking(self._from_container, owner.id, Target(address, port, proto), hops)
        assert isinstance(found, Explanation)
        return found

    def _from_host(self, target: Target, sender: str) -> Explanation:
        setting = self._setting()
        if sender == OUTSIDE:
            return from_outside(setting, target)
        return explain(setting.world, target, setting.listens, setting.firewall)

    def _from_container(self, owner: str, target: Target, hops: list[Hop]) -> Explanation:
        return from_container(self._setting(), owner, target, hops)

    def _setting(self) -> Setting:
        facts = self.apply.kernel.links()
        return Setting(
            world=self.state.world(), listens=self._listens, firewall=self._firewall(),
            host=frozenset(cidr.partition("/")[0] for fact in facts for cidr in fact.addresses),
        )  # fmt: skip

    def _listens(self, sandbox: Sandbox, port: Port) -> bool | None:
        return self._listening(sandbox.path, port.proto, port.number)

    def _firewall(self) -> Firewall:
        chain, allowed = self.apply.rules.theirs()
        spans = [(proto, int(first), int(last or first)) for proto, first, last in
                 re.findall(r"(\w+) \. (\d+)(?:-(\d+))?", allowed)]
        return Firewall(
            policy=self.presence.settings.publish_policy,
            allowed=lambda target: any(
                proto == target.proto and first <= target.port <= last for proto, first, last in spans
            ),
            rules=len([line for line in chain.splitlines() if line.startswith("\t\t")]),
        )  # fmt: skip

    # Who asks, and whom.

    def _sender(self, text: str) -> tuple[Container, Sandbox, list[Hop]]:
        container = self.state.container(text)
        owner = self.attachments.owner(container)
        sandbox = self.state.sandbox(owner.id)
        if owner.host.network_mode == "host":
            raise Conflict(f"container {container.name} has the host's own network stack: ask without --from")
        if not container.state.running or sandbox is None:
            raise Conflict(f"container {container.id} is not running")
        hops = [Hop("client", f"a program in {container.name}")]
        if owner.id != container.id:
            hops.append(Hop("joined", f"{container.name} has the network stack of {owner.name}"))
        return owner, sandbox, hops

    def _address(self, owner: Container, sandbox: Sandbox, host: str) -> tuple[str, list[Hop]]:
        """The first address of a host as the container finds it, and how; empty: none."""
        try:
            return str(ip_address(host)), []
        except ValueError:
            pass
        for line in self.presence.hosts(owner).splitlines():
            address, *known = line.split() or [""]
            if host.lower() in (name.lower() for name in known):
                return address, [Hop("name", f"{host} is {address} in /etc/hosts")]
        zone, settings = Zone(), self.presence.settings
        networks, records, askers = names(self.state.world(), settings, self.state.announced)
        changes: list[Change] = [*map(SetNetwork, networks), *map(SetRecord, records), *map(SetAsker, askers)]
        for change in changes:
            zone.apply(change)
        asker = zone.asker(sandbox.id)
        if asker is None:
            return "", [Hop("name", "only networks of one's own resolve names; on the default bridge /etc/resolv.conf"
                                    f" names who is asked, not the engine{self._hint(owner, host)}")]
        return self._asked(zone, owner, sandbox, host)

    def _asked(self, zone: Zone, owner: Container, sandbox: Sandbox, host: str) -> tuple[str, list[Hop]]:
        answers = [zone.lookup(sandbox.id, fold(host), kind) for kind in (TYPE_A, TYPE_AAAA)]
        found = [address for answer in answers for address in map(_text, answer.data)]
        where = "the resolver at 127.0.0.11"
        if found:
            return found[0], [Hop("name", f"{host} is {', '.join(found)}, says {where}")]
        if answers[0].verdict is Verdict.LOCAL:
            return "", [Hop("name", f"{host} is known to {where}, and has no address")]
        if answers[0].verdict is Verdict.NXDOMAIN:
            return "", [Hop("name", f"{where} says that there is no {host}{self._hint(owner, host)}")]
        asker = zone.asker(sandbox.id)
        assert asker is not None
        if asker.servers:
            whom = f"asks {', '.join(asker.servers)} from inside the container"
        elif asker.external:
            whom = "asks the host's own servers, from the host"
        else:
            whom = "asks nobody, since no network of the container leads out"
        return "", [Hop("name", f"no network of {owner.name} knows {host}; {where} {whom}{self._hint(owner, host)}")]

    def _hint(self, owner: Container, host: str) -> str:
        """Why a container of that name is not found."""
        other = self.state.containers.by_name(host)
        if other is None:
            return ""
        if not other.state.running:
            return f". Container {host} does not run, and has no name until it does"
        mine, theirs = ({one.network for one in container.endpoints} for container in (owner, other))
        if mine & theirs - {"bridge", "default"}:
            return ""
        shown = ", ".join(sorted(theirs)) or other.host.network_mode
        return f". Container {host} is on {shown}; the two share no network that has names"


def _text(data: Rdata) -> str:
    return str(ip_address(data.data))


def _split(text: str) -> tuple[str, int, str]:
    """``web``, ``web:80``, ``192.0.2.1:53/udp``, ``[fd00::2]:80``, ``fd00::2`` → host, port, protocol (``icmp``)."""
    rest, _, proto = text.strip().partition("/")
    match = _HOST_PORT.fullmatch(rest)
    if match is None:
        raise Invalid(f"cannot explain {text!r}: give HOST[:PORT[/PROTO]]")
    number = int(match["a"] or match["b"] or 0)
    if number > 65535 or (proto and proto not in PROTOCOLS):
        raise Invalid(f"cannot explain {text!r}: no such port or protocol")
    return match["six"] or match["host"] or match["bare"], number, (proto or "tcp") if number else "icmp"
