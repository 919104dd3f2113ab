"""Published ports: chosen, held by the proxy, put in the maps; taken back in reverse.

The choice is `network.publishing`'s; here it is committed, tried on the host, and tried again with another
number when a program outside the engine turns out to hold a port the user left to us.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

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
        wants = publishing.wanted(container.config, container.host, self.settings.host_ip, ipv6=self.ipv6)
        target4, target6 = gateways.targets(self.state.endpoints_of(sandbox.container), self.state.networks.all())
        if not wants or not (target4 or target6):
            return sandbox
        busy: set[tuple[str, int]] = set()
        while True:
            bindings = self._choose(container, wants, busy)
            sandbox = self.state.reserve_ports(sandbox, bindings)
            steps = publication(sandbox, target4, target6)
            try:
                await self.apply.run(steps, undo)
            except HoldFailed as error:
                sandbox = self.state.reserve_ports(sandbox, ())
                want, binding = _of_key(sandbox, wants, bindings, error.key)
                port = error.port or binding.host_port
                busy.add((binding.port.proto, port))
                if error.reason == "EADDRINUSE" and want.chosen and len(busy) < MOST_TRIES:
                    continue
                raise Internal(self._failure(container, _taken(binding, port, error))) from None
            except BaseException:
                self.state.reserve_ports(sandbox, ())
                raise
            break

        async def forget() -> None:
            current = self.state.sandbox(sandbox.container)
            if current is not None:
                self.state.reserve_ports(current, ())

        undo.push(forget)
        self._remember(container, wants, bindings)
        return sandbox

    def _choose(
        self, container: Container, wants: tuple[publishing.Wanted, ...], busy: set[tuple[str, int]]
    ) -> tuple[Binding, ...]:
        low, high = self._ephemeral()
        ephemeral = publishing.Ephemeral(low=low, high=high, last=self._last)
        try:
            bindings = publishing.choose(wants, self.state.ports, container.sticky_ports, ephemeral, busy)
        except publishing.PortTaken as error:
            raise Internal(self._failure(container, error.message + self._holder(error.owner))) from None
        known = set(container.sticky_ports.values())
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

    def _ephemeral(self) -> tuple[int, int]:
        low, high = self.apply.kernel.read_sysctl("net/ipv4/ip_local_port_range").split()
        return int(low), int(high)

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
        target4, target6 = gateways.targets(self.state.endpoints_of(sandbox.container), self.state.networks.all())
        steps = publication(sandbox, target4, target6)
        try:
            await self.apply.run_forgiving([step.inverse() for step in reversed(steps)] + [_forget(sandbox.published)])
        finally:  # also when the request was cancelled meanwhile
            sandbox = self.state.reserve_ports(sandbox, ())
        return sandbox

    async def move(
        self, container: Container, before: tuple[str, str], after: tuple[str, str], undo: Undo
    ) -> None:
        """Published ports follow the gateway endpoint: from the addresses `before` to those `after` (IPv4, IPv6)."""
        sandbox = self.state.sandbox(container.id)
        if sandbox is None or after == before:
            return
        if not sandbox.published:
            await self.publish(container, sandbox, undo)
        elif any(after):
            old, new = publication(sandbox, *before), publication(sandbox, *after)
            ports = Ports(hold=holds(sandbox, *after), release=holds(sandbox, *before))  # bound all the time
            await self.apply.run([*_rules_only(old, new), ports, _forget(sandbox.published)], undo)
        else:
            await self.withdraw(sandbox)


def publication(sandbox: Sandbox, target4: str, target6: str) -> tuple[Step, ...]:
    """Host sockets first, then the rules that lead to the container, then old flows of the same ports go."""
    steps: list[Step] = [Ports(hold=holds(sandbox, target4, target6))]
    elements = ruleset.binding_elements(sandbox.published, target4, target6)
    if elements:
        steps.append(Rules(add=elements))
    steps.append(_forget(sandbox.published))
    return tuple(steps)


def _rules_only(old: Iterable[Step], new: Iterable[Step]) -> list[Step]:
    remove = tuple(one for step in old if isinstance(step, Rules) for one in step.add)
    add = tuple(one for step in new if isinstance(step, Rules) for one in step.add)
    return [Rules(add=add, remove=remove)] if add or remove else []


def _forget(bindings: Iterable[Binding]) -> Forget:
    """UDP flows keep their old destination for minutes unless they are dropped (Docker's C24)."""
    udp = {(one.host_port, one.count, "" if one.host_ip in ruleset.ANY_HOST else one.host_ip)
           for one in bindings if one.port.proto == "udp"}
    return Forget(
        flows=tuple(Flow(proto="udp", port=port, address=address, count=count) for port, count, address in sorted(udp))
    )


def holds(sandbox: Sandbox, target4: str, target6: str) -> tuple[Hold, ...]:
    """What the proxy holds for a sandbox; an IPv6 host address is relayed to IPv4 where there is no IPv6."""
    found = []
    for binding in sandbox.published:
        target = (target6 or target4) if ":" in binding.host_ip else target4
        found.append(
            Hold(
                key=hold_key(sandbox, binding), proto=binding.port.proto, host_ip=binding.host_ip,
                host_port=binding.host_port, target_ip=target or "0.0.0.0", target_port=binding.port.number,
                count=binding.count, relay=bool(target),
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
