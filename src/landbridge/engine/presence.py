"""What a running container is to others and to itself: its names in the resolver, its /etc files.

Names exist while the owner's process runs; the asker (the DNS server at 127.0.0.11) exists while the
sandbox does. hosts and resolv.conf are rewritten in place, because they are bind-mounted into the container.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from landbridge.dns import resolvconf
from landbridge.engine.apply import Apply, Undo
from landbridge.engine.effects import Files
from landbridge.engine.links import Links
from landbridge.engine.state import State
from landbridge.model import ids
from landbridge.model.container import Container
from landbridge.model.names import (
    Asker,
    Change,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    RemoveRecord,
    SetAsker,
    SetNetwork,
    SetRecord,
)
from landbridge.model.network import Endpoint, Network, Sandbox
from landbridge.model.settings import Settings
from landbridge.network import gateways
from landbridge.network.bridge import has_ipv6, host_addresses
from landbridge.network.steps import Names

HOST_NAME = "host.docker.internal"

_HOSTS = "127.0.0.1\tlocalhost\n"
_HOSTS6 = """\
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Presence:
    """Announces and withdraws containers. Callers hold the container's lock."""

    def __init__(self, state: State, apply: Apply, files: Files, settings: Settings) -> None:
        self.state = state
        self.apply = apply
        self.files = files
        self.settings = settings
        self.links = Links(state)

    # Names.

    async def announce(self, owner: Container, undo: Undo) -> None:
        """The owner's names become known; acknowledged by the resolver on return."""
        changes = self.record_changes(self.state.endpoints_of(owner.id))
        self.state.announced.add(owner.id)  # a resolver that dies before it runs is told again
        try:
            await self.tell(changes, undo, back=[RemoveRecord(one.record.endpoint) for one in _records(changes)])
        except BaseException:
            self.state.announced.discard(owner.id)
            raise

        async def take_back() -> None:
            self.state.announced.discard(owner.id)

        undo.push(take_back)

    async def open(self, owner: Container, sandbox: Sandbox, undo: Undo) -> None:
        """A new sandbox may ask."""
        await self.tell(self.asker_changes(owner, sandbox), undo, back=[RemoveAsker(sandbox.id)])

    async def tell(self, changes: Sequence[Change], undo: Undo | None = None, *, back: Sequence[Change] = ()) -> None:
        """Send changes to the resolver; `back` is what takes them back. A network's name stays: others may use it."""
        if changes:
            await self.apply.run((Names(changes=tuple(changes), undo=tuple(back)),), undo)

    def record_changes(self, endpoints: Iterable[Endpoint]) -> list[Change]:
        """SetNetwork and SetRecord for each active endpoint on a network that resolves."""
        changes: list[Change] = []
        for endpoint in endpoints:
            network = self.state.networks[endpoint.network]
            if endpoint.active and network.resolves:
                changes += [SetNetwork(names_of(network)), SetRecord(record_of(endpoint))]
        return changes

    def asker_changes(self, owner: Container, sandbox: Sandbox) -> list[Change]:
        """SetAsker when the sandbox is on a network that resolves, else RemoveAsker."""
        asker = asker_of(owner, sandbox, self.state.endpoints_of(owner.id), self.state.networks.all(), self.settings)
        return [SetAsker(asker)] if asker is not None else [RemoveAsker(sandbox.id)]

    async def hush(self, owner: Container) -> None:
        """The owner's names are no longer known: its process has ended. Errors are logged, not raised."""
        self.state.announced.discard(owner.id)
        gone: list[Change] = [
            RemoveRecord(endpoint.id)
            for endpoint in self.state.endpoints_of(owner.id)
            if self.state.networks[endpoint.network].resolves
        ]
        if gone:
            await self.apply.run_forgiving((Names(changes=tuple(gone)),))

    async def forget(self, endpoint: Endpoint, asker: Sequence[Change]) -> None:
        """One endpoint's names are no longer known and its sandbox asks as `asker` says. Errors are only logged."""
        await self.apply.run_forgiving((Names(changes=(RemoveRecord(endpoint.id), *asker)),))

    async def close(self, sandbox: Sandbox) -> None:
        """The sandbox asks no more. To be told before its namespace goes."""
        await self.apply.run_forgiving((Names(changes=(RemoveAsker(sandbox.id),)),))

    # Files.

    def write_files(self, owner: Container, directory: str) -> None:
        """hostname, hosts and resolv.conf of a sandbox's owner, under its directory."""
        hostname = owner.config.hostname or ids.short(owner.id)
        if owner.host.network_mode == "host":
            hostname = owner.config.hostname or self.files.hostname()
        self.files.write(f"{directory}/hostname", f"{hostname}\n")
        self.refresh_files(owner, directory)

    def refresh_files(self, owner: Container, directory: str) -> None:
        """hosts and resolv.conf again, in place, after a connect or disconnect."""
        self.files.write(f"{directory}/hosts", self.hosts(owner))
        text = self.resolv_conf(owner)
        # A file the user edited is the user's (Docker compares a hash of what it wrote last).
        if self.files.unedited(f"{directory}/resolv.conf"):
            self.files.write(f"{directory}/resolv.conf", text, remember=True)

    def hosts(self, owner: Container) -> str:
        """The text of /etc/hosts: fixed lines, links, --add-host, own addresses."""
        if owner.host.network_mode == "host":
            return self.files.read("/etc/hosts") + _extra(owner, self.host_gateways())
        domain = f".{owner.config.domainname}" if owner.config.domainname else ""
        full = (owner.config.hostname or ids.short(owner.id)) + domain
        own = f"{full} {full.partition('.')[0]}" if "." in full else full
        lines = [_HOSTS, _HOSTS6 if has_ipv6(owner.host.sysctls) else "", _extra(owner, self.host_gateways())]
        lines += self.links.hosts(owner)
        for endpoint in self.state.endpoints_of(owner.id):
            if endpoint.active:
                lines += [f"{cidr.split('/')[0]}\t{own}\n" for cidr in (endpoint.ipv4, endpoint.ipv6) if cidr]
        return "".join(lines)

    def host_gateways(self) -> tuple[str, ...]:
        """Addresses behind the word ``host-gateway``: the default bridge's, unless the daemon was told others."""
        if self.settings.host_gateway_ips:
            return self.settings.host_gateway_ips
        network = self.state.networks.by_name("bridge")
        return tuple(pool.gateway for pool in network.live_pools) if network else ()

    def resolv_conf(self, owner: Container) -> str:
        """The text of /etc/resolv.conf for the kind of networks the owner has now."""
        overrides = resolvconf.Overrides(
            servers=tuple(owner.host.dns or self.settings.dns),
            search=tuple(owner.host.dns_search or self.settings.dns_search),
            options=tuple(owner.host.dns_options or self.settings.dns_options),
        )
        text = self.files.read(resolvconf.HOST_PATH)
        host = resolvconf.parse(text)
        if owner.host.network_mode == "host":
            return resolvconf.for_host_mode(host, overrides).text
        endpoints = self.state.endpoints_of(owner.id)
        if any(self.state.networks[one.network].resolves for one in endpoints if one.active):
            return resolvconf.for_user_network(host, overrides).text
        six = any(self.state.networks[one.network].enable_ipv6 for one in endpoints if one.active)
        if resolvconf.is_behind_stub(text):
            host = resolvconf.parse(self.files.read(resolvconf.SYSTEMD_PATH))
            return resolvconf.for_default_bridge(host, overrides, ipv6=six, path=resolvconf.SYSTEMD_PATH).text
        return resolvconf.for_default_bridge(host, overrides, ipv6=six).text


def names_of(network: Network) -> NetworkNames:
    return NetworkNames(id=network.id, name=network.name)


def host_record(network: Network) -> NameRecord | None:
    """The host itself, as Docker Desktop calls it, at its address on this network; None where it has none."""
    addresses = tuple(cidr.split("/")[0] for cidr in host_addresses(network)) if network.driver == "bridge" else ()
    if not addresses or not network.resolves or network.config_only:
        return None
    return NameRecord(endpoint=f"host-{network.id}", network=network.id, names=(HOST_NAME,), addresses=addresses)


def record_of(endpoint: Endpoint) -> NameRecord:
    """What the resolver knows of an endpoint."""
    addresses = tuple(cidr.split("/")[0] for cidr in (endpoint.ipv4, endpoint.ipv6) if cidr)
    return NameRecord(endpoint=endpoint.id, network=endpoint.network, names=endpoint.names, addresses=addresses)


def asker_of(
    owner: Container,
    sandbox: Sandbox,
    endpoints: Iterable[Endpoint],
    networks: Mapping[str, Network],
    settings: Settings,
) -> Asker | None:
    """A sandbox's DNS server; None when none of its networks resolves names."""
    active = [one for one in endpoints if one.active]
    ranked = gateways.ranked(active, networks)
    asked = tuple(one.network for one in ranked if networks[one.network].resolves)
    if not asked:
        return None
    links = []
    for endpoint in ranked:
        for link in endpoint.config.links or ():
            target, _, alias = link.partition(":")
            links.append((endpoint.network, alias or target, target.removeprefix("/")))
    return Asker(
        sandbox=sandbox.id,
        netns=sandbox.path,
        networks=asked,
        links=tuple(links),
        servers=tuple(owner.host.dns or settings.dns),
        external=any(not networks[one.network].internal for one in active),
        options=tuple(owner.host.dns_options or settings.dns_options),
    )


def _extra(owner: Container, gateway: tuple[str, ...]) -> str:
    lines = []
    for entry in owner.host.extra_hosts or ():
        name, _, address = entry.partition(":")
        for one in gateway if address == "host-gateway" else (address.strip("[]"),):
            lines.append(f"{one}\t{name}\n")
    return "".join(lines)


def _records(changes: Iterable[Change]) -> Iterator[SetRecord]:
    return (change for change in changes if isinstance(change, SetRecord))
