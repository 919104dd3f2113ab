"""Published ports: chosen, held by the proxy, put in the maps; taken back in reverse.

The choice is `network.publishing`'s; here it is committed, tried on the host, and tried again with another
number when a program outside the engine turns out to hold a port the user left to us.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from landbridge.engine.apply import Apply, Undo
from landbridge.engine.state import State
from landbridge.errors import HoldFailed, Internal, Invalid
from landbridge.model.container import Container
from landbridge.model.hold import Hold
from landbridge.model.link import Flow
from landbridge.model.network import Sandbox
from landbridge.model.ports import Binding
from landbridge.model.settings import Settings
from landbridge.network import gateways, publishing, ruleset
from landbridge.network.gateways import Lead
from landbridge.network.portledger import overlap
from landbridge.network.steps import Forget, Ports, Rules, Step

MOST_TRIES = 1000  # distinct host ports tried for dynamic bindings before giving up


class Publish:
    """Publishes a container's ports through its sandbox. Callers hold the container's lock."""

    def __init__(self, state: State, apply: Apply, settings: Settings, *, ipv6: bool) -> None:
        self.state = state
        self.apply = apply
        self.settings = settings
        self.ipv6 = ipv6  # whether the host can listen on IPv6
        self._last = 0

    async def publish(self, container: Container, sandbox: Sandbox, undo: Undo) -> Sandbox:
        """Hold the host ports and lead them to the container.

        Raises: Internal (Docker answers 500) when a port is taken (by us: Docker's sentence and the holder's
        name; by another program: its pid and name); nothing stays held then.
        """
        lead = gateways.lead(self.state.endpoints_of(sandbox.container), self.state.networks.all())
        return await self._change(container, sandbox, lead, lead, undo)

    async def move(self, container: Container, before: Lead, after: Lead, undo: Undo) -> None:
        """Published ports follow the gateway endpoint, held all the time; dynamic ones keep their numbers.

        Those that can lead nowhere any more are let go, those that can now are taken up. Raises: as `publish`; then
        everything is as it was.
        """
        sandbox = self.state.sandbox(container.id)
        if sandbox is not None and after != before:
            await self._change(container, sandbox, before, after, undo)

    async def _change(self, container: Container, old: Sandbox, before: Lead, after: Lead, undo: Undo) -> Sandbox:
        wants: tuple[publishing.Wanted, ...] = ()
        if after.four or after.six:
            default_ip = after.host_ip or self.settings.host_ip
            if self.settings.publish_policy == "local" and default_ip == "0.0.0.0":
                default_ip = gateways.LOOPBACK
            wants = publishing.wanted(container.config, container.host, default_ip, ipv6=self.ipv6)
        if not wants and not old.published:
            return old
        wants, opened = publishing.routed(wants, four=after.routed4, six=after.routed6, dual=bool(after.six))
        busy: set[tuple[str, int]] = set()
        while True:
            bindings = self._choose(container, wants, busy)
            led = publishing.carried(bindings, after.four, after.six)
            sandbox = self.state.reserve_ports(old, (*led, *opened))
            try:
                steps = transition(
                    old, before, sandbox, after, early=container.state.started_at > 0,
                    relays=self.settings.userland_proxy,
                )  # fmt: skip
                await self.apply.run(steps, undo)
                break
            except HoldFailed as error:
                self.state.reserve_ports(old, old.published)
                want, binding = _of_key(sandbox, wants, bindings, error.key)
                port = error.port or binding.host_port
                busy.add((binding.port.proto, port))
                if error.reason != "EADDRINUSE" or not want.chosen or len(busy) >= MOST_TRIES:
                    raise Internal(self._failure(container, _taken(binding, port, error))) from None
            except BaseException:
                self.state.reserve_ports(old, old.published)
                raise
        undo.push(partial(self._restore, old))
        self._remember(container, wants, bindings)
        return sandbox

    async def _restore(self, old: Sandbox) -> None:
        """The claims as they were, unless the sandbox has gone."""
        current = self.state.sandbox(old.container)
        if current is not None:
            self.state.reserve_ports(current, old.published)

    def _choose(
        self, container: Container, wants: tuple[publishing.Wanted, ...], busy: set[tuple[str, int]]
    ) -> tuple[Binding, ...]:
        low, high = self.apply.local_ports()
        ephemeral = publishing.Ephemeral(low=low, high=high, last=self._last)
        sticky = container.sticky_ports
        try:
            bindings = publishing.choose(wants, self.state.ports, sticky, ephemeral, busy, owner=container.id)
        except publishing.PortTaken as error:
            raise Internal(self._failure(container, error.message + self._holder(error.owner))) from None
        known = set(sticky.values())
        fresh = [one.host_port for want, one in _paired(wants, bindings) if want.span.dynamic]
        self._last = max((port for port in fresh if port not in known), default=self._last)
        return bindings

    def _failure(self, container: Container, reason: str) -> str:
        """Docker's sentence around the reason; it names the endpoint that was to carry the ports."""
        endpoints = gateways.ranked(self.state.endpoints_of(container.id), self.state.networks.all())
        return (
            "failed to set up container networking: driver failed programming external connectivity on endpoint"
            f" {container.name} ({endpoints[0].id if endpoints else ''}): {reason}"
        )

    def _holder(self, owner: str) -> str:
        """`` (held by container web1)``, or nothing when it is nobody of ours."""
        holder = self.state.containers.get(owner)
        return f" (held by container {holder.name})" if holder else ""

    def _remember(
        self, container: Container, wants: tuple[publishing.Wanted, ...], bindings: tuple[Binding, ...]
    ) -> None:
        """The numbers the engine chose stay with the container for its life."""
        sticky = dict(container.sticky_ports)
        sticky |= {want.key: one.host_port for want, one in _paired(wants, bindings) if want.chosen}
        current = self.state.containers.get(container.id)
        if current is not None and sticky != current.sticky_ports:
            self.state.containers.put(replace(current, sticky_ports=sticky))

    async def withdraw(self, sandbox: Sandbox) -> Sandbox:
        """Let go of every published port of a sandbox; twice is fine."""
        if not sandbox.published:
            return sandbox
        lead = gateways.lead(self.state.endpoints_of(sandbox.container), self.state.networks.all())
        try:
            await self.apply.run_forgiving(transition(sandbox, lead, replace(sandbox, published=()), lead))
        finally:  # also when the request was cancelled meanwhile
            sandbox = self.state.reserve_ports(sandbox, ())
        return sandbox


def transition(
    old: Sandbox, before: Lead, new: Sandbox, after: Lead, *, early: bool = True, relays: bool = True
) -> tuple[Step, ...]:
    """From what `old` publishes to what `new` does: sockets first, then rules, what is not needed goes last.

    A binding in both stays bound and only learns its new target; one in the way of another goes first. UDP flows of
    all of them are forgotten: those that there were before a rule, or after it, would go where it does not lead.
    """
    held = {one.key: one for one in holds(old, before.four, before.six)}
    wanted = holds(new, after.four, after.six, early=early, relays=relays)
    first = [held.pop(one.key) for one in wanted if one.key in held]
    first += [held.pop(key) for key, one in tuple(held.items()) if any(_in_the_way(one, other) for other in wanted)]
    rules = set(ruleset.published_elements(old.published, before))
    elements = set(ruleset.published_elements(new.published, after))
    steps: list[Step] = []
    if wanted:
        steps.append(Ports(hold=wanted, release=tuple(first)))
    if rules != elements:
        steps.append(Rules(add=tuple(sorted(elements - rules)), remove=tuple(sorted(rules - elements))))
    if held:
        steps.append(Ports(release=tuple(held.values())))
    return (*steps, _forget((*old.published, *new.published)))


def _in_the_way(one: Hold, other: Hold) -> bool:
    """Whether two holds cannot both be bound."""
    meet = one.host_port < other.host_port + other.count and other.host_port < one.host_port + one.count
    return one.proto == other.proto and meet and overlap(one.host_ip, other.host_ip)


def _forget(bindings: Iterable[Binding]) -> Forget:
    """UDP flows keep their old destination for minutes unless they are dropped (Docker's C24)."""
    udp = {(one.host_port, one.count, "" if one.host_ip in ruleset.ANY_HOST else one.host_ip)
           for one in bindings if one.port.proto == "udp" and one.host_port}
    return Forget(
        flows=tuple(Flow(proto="udp", port=port, address=address, count=count) for port, count, address in sorted(udp))
    )


def holds(
    sandbox: Sandbox, target4: str, target6: str, *, early: bool = True, relays: bool = True
) -> tuple[Hold, ...]:
    """What the proxy holds for a sandbox; an IPv6 host address is relayed to IPv4 where there is no IPv6.

    Without `relays` (``--userland-proxy=false``) ports are held, and only the kernel carries.

    `early`: host addresses may be missing, as they are for a while after a boot. Only where a container never ran
    yet, a missing address is the user's mistake.
    """
    found = []
    for binding in filter(lambda one: one.host_port, sandbox.published):
        target = (target6 or target4) if ":" in binding.host_ip else target4
        found.append(
            Hold(
                key=hold_key(sandbox, binding), proto=binding.port.proto, host_ip=binding.host_ip,
                host_port=binding.host_port, target_ip=target or "0.0.0.0", target_port=binding.port.number,
                count=binding.count, relay=relays and bool(target), early=early,
            )
        )
    return tuple(found)


def hold_key(sandbox: Sandbox, binding: Binding) -> str:
    """Names a hold for good: the same binding of the same sandbox always has the same key."""
    ports = f"{binding.host_port}-{binding.last}" if binding.count > 1 else f"{binding.host_port}"
    return f"{sandbox.id[:12]}/{binding.port}/{binding.host_ip}/{ports}"


def _paired(
    wants: Iterable[publishing.Wanted], bindings: Iterable[Binding]
) -> Iterator[tuple[publishing.Wanted, Binding]]:
    """Each binding with what asked for it: `publishing.choose` keeps the order."""
    rest = iter(bindings)
    return ((want, next(rest)) for want in wants for _ in want.host_ips)


def _of_key(
    sandbox: Sandbox, wants: Iterable[publishing.Wanted], bindings: Iterable[Binding], key: str
) -> tuple[publishing.Wanted, Binding]:
    """What a hold's key was made from, and what asked for it."""
    for want, binding in _paired(wants, bindings):
        if hold_key(sandbox, binding) == key:
            return want, binding
    raise Invalid(f"unknown hold {key}")


def _taken(binding: Binding, port: int, error: HoldFailed) -> str:
    """Docker's sentence for a port somebody outside the engine holds, and who that is when we can tell."""
    where = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
    words = {
        "EADDRINUSE": "address already in use",
        "EADDRNOTAVAIL": "cannot assign requested address",
        "EACCES": "permission denied",
    }.get(error.reason, error.message)
    holder = f" (held by {error.holder})" if error.holder else ""
    return f"failed to bind host port {where}:{port}/{binding.port.proto}: {words}{holder}"
