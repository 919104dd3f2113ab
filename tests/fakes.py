"""The world outside the engine, in memory, as strict as the real one: these fakes object.

A bridge must exist before a port joins it, a namespace before an interface moves into it, an nft transaction
with one wrong element does nothing at all, a port can be held once. Each satisfies a Protocol of
`engine.effects`; every call is counted by one `Faults`. `Outside` is all of them: it outlives an engine, as
the kernel and the companions outlive a daemon.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

from fake_processes import FakeDisk, FakeFiles, FakeMachine, FakeRoots, FakeRuntime
from faults import Faults
from landbridge.errors import HoldFailed, Internal, NotFound, Unavailable
from landbridge.model.hold import Hold
from landbridge.model.link import (
    BridgeSpec,
    ExtensionSpec,
    Flow,
    LinkFact,
    MovedSpec,
    ParentSpec,
    RouteFact,
    RouteSpec,
    SandboxSpec,
    StackedSpec,
    VethSpec,
)
from landbridge.model.names import (
    Asker,
    Change,
    NameRecord,
    NetworkNames,
    RemoveAsker,
    RemoveNetwork,
    RemoveRecord,
    SetAsker,
    SetNetwork,
    SetRecord,
)
from worlds import INSTANCE

ANY = ("0.0.0.0", "::")
MARK = INSTANCE.table  # the alias of the bridges the engine under test makes


class FakeKernel:
    """Links, namespaces, routes. `bridges`, `veths`, `pins` and `routes_in` are what there is."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.bridges: dict[str, BridgeSpec] = {}
        self.foreign: set[str] = set()  # bridges somebody else made: used, never removed
        self.veths: dict[str, VethSpec] = {}
        self.wires: dict[str, ExtensionSpec] = {}  # by their upper end
        self.detached: set[str] = set()
        self.interfaces: set[str] = {"lo", "uplink"}  # of the host, nobody's of ours
        self.parents: dict[str, ParentSpec] = {}
        self.stacked: dict[tuple[str, str], StackedSpec] = {}
        self.kinds = {"macvlan", "ipvlan"}
        self.moved: dict[tuple[str, str], MovedSpec] = {}
        self.pins: dict[str, int] = {}
        self.names: dict[str, str] = {}  # under which tools of the host find the pins
        self.routes_in: dict[str, RouteSpec] = {}
        self.host_routes: list[RouteFact] = []
        self.sysctls = {"net/ipv4/ip_local_port_range": "32768\t60999", "net/ipv4/ip_forward": "1"}
        self.flushed: list[Flow] = []

    def ensure_bridge(self, spec: BridgeSpec) -> None:
        def effect() -> None:
            own = {address for address in spec.addresses if not address.startswith("fe80:")}
            clash = next((one for one in self.bridges.values()
                          if one.name != spec.name and set(one.addresses) & own), None)
            self.faults.demand(clash is None, "{} and {} have one address", spec.name, clash)
            self.bridges[spec.name] = spec

        self.faults.call(f"ensure_bridge {spec.name}", effect)

    def remove_bridge(self, name: str) -> None:
        def effect() -> None:
            ports = [one for one in self.veths.values() if one.bridge == name and one.host_name not in self.detached]
            self.faults.demand(not ports, "bridge {} removed under {}", name, ports)
            self.faults.demand(name not in self.foreign, "{} is not ours to remove", name)
            self.bridges.pop(name, None)
            self.parents.pop(name, None)  # the kernel asks who made it, not what it is

        self.faults.call(f"remove_bridge {name}", effect)

    def ensure_extension(self, spec: ExtensionSpec) -> None:
        def effect() -> None:
            if spec.main not in self.bridges:
                raise NotFound(f"no interface {spec.main}")
            self.bridges[spec.bridge.name] = spec.bridge
            self.wires[spec.upper] = spec

        self.faults.call(f"ensure_extension {spec.bridge.name}", effect)

    def remove_extension(self, spec: ExtensionSpec) -> None:
        def effect() -> None:
            ports = [one for one in self.veths.values() if one.bridge == spec.bridge.name]
            self.faults.demand(not ports, "bridge {} removed under {}", spec.bridge.name, ports)
            self.bridges.pop(spec.bridge.name, None)
            self.wires.pop(spec.upper, None)

        self.faults.call(f"remove_extension {spec.bridge.name}", effect)

    def create_sandbox(self, spec: SandboxSpec) -> None:
        def effect() -> None:
            if spec.path in self.pins:
                raise Internal(f"{spec.path}: file exists")
            self.pins[spec.path] = 4026532000 + len(self.faults.calls)

        self.faults.call(f"create_sandbox {spec.path}", effect)

    def remove_sandbox(self, path: str) -> None:
        """The namespace ends with its pin: nobody lives there when the engine takes it down."""

        def effect() -> None:
            self.pins.pop(path, None)
            self.routes_in.pop(path, None)
            for name in [one.host_name for one in self.veths.values() if one.sandbox == path]:
                self._drop(name)
            for sandbox, ifname in [one for one in self.stacked if one[0] == path]:
                self._unstack(sandbox, ifname)
            for key in [one for one in self.moved if one[0] == path]:
                self.moved.pop(key)

        self.faults.call(f"remove_sandbox {path}", effect)

    def add_veth(self, spec: VethSpec) -> None:
        def effect() -> None:
            if spec.bridge not in self.bridges:
                raise NotFound(f"no interface {spec.bridge}")
            if spec.sandbox not in self.pins:
                raise NotFound(f"no network namespace at {spec.sandbox}")
            self.faults.demand(len(spec.host_name) <= 15, spec.host_name)
            taken = (spec.sandbox, spec.ifname) in self.stacked
            for other in self.veths.values():
                same = (other.sandbox, other.ifname) == (spec.sandbox, spec.ifname)
                if other.host_name == spec.host_name or same or taken:
                    raise Internal(f"create {spec.host_name}/{spec.ifname}: file exists")
                if other.bridge == spec.bridge and other.host_name not in self.detached:
                    shared = set(other.addresses) & set(spec.addresses)
                    self.faults.demand(not shared, "{} takes an address of {}", spec, other)
                    self.faults.demand(other.mac != spec.mac, "{} has the MAC of {}", spec, other)
            self.veths[spec.host_name] = spec

        self.faults.call(f"add_veth {spec.host_name}", effect)

    def remove_veth(self, host_name: str) -> None:
        self.faults.call(f"remove_veth {host_name}", lambda: self._drop(host_name))

    def _drop(self, host_name: str) -> None:
        gone = self.veths.pop(host_name, None)
        self.detached.discard(host_name)
        if gone:
            self._lose_routes(gone.sandbox, gone.ifname)

    def _lose_routes(self, sandbox: str, ifname: str) -> None:
        """Routes go with their interface."""
        routes = self.routes_in.get(sandbox)
        if routes:
            four = {} if routes.ifname4 != ifname else {"gateway4": "", "ifname4": ""}
            six = {} if routes.ifname6 != ifname else {"gateway6": "", "ifname6": ""}
            self.routes_in[sandbox] = replace(routes, **four, **six)

    def ensure_parent(self, spec: ParentSpec) -> None:
        def effect() -> None:
            if spec.vlan and spec.of not in self.interfaces:
                raise NotFound(f"no interface {spec.of}")
            if spec.name not in self.interfaces:
                self.parents[spec.name] = spec

        self.faults.call(f"ensure_parent {spec.name}", effect)

    def remove_parent(self, name: str) -> None:
        def effect() -> None:
            above = [one for one in self.stacked.values() if one.parent == name]
            self.faults.demand(not above or name not in self.parents, "parent {} removed under {}", name, above)
            self.parents.pop(name, None)

        self.faults.call(f"remove_parent {name}", effect)

    def add_stacked(self, spec: StackedSpec) -> None:
        def effect() -> None:
            if spec.parent not in self.interfaces | set(self.parents):
                raise NotFound(f"the requested parent interface {spec.parent} was not found on the host")
            if spec.sandbox not in self.pins:
                raise NotFound(f"no network namespace at {spec.sandbox}")
            inside = {one.ifname for one in self.veths.values() if one.sandbox == spec.sandbox}
            if (spec.sandbox, spec.ifname) in self.stacked or spec.ifname in inside:
                raise Internal(f"failed to create the {spec.kind} port: file exists")
            for other in self.stacked.values():
                shared = other.parent == spec.parent and set(other.addresses) & set(spec.addresses)
                self.faults.demand(not shared, "{} takes an address of {}", spec, other)
            self.stacked[spec.sandbox, spec.ifname] = spec

        self.faults.call(f"add_stacked {spec.ifname}", effect)

    def remove_stacked(self, sandbox: str, ifname: str) -> None:
        self.faults.call(f"remove_stacked {ifname}", lambda: self._unstack(sandbox, ifname))

    def _unstack(self, sandbox: str, ifname: str) -> None:
        if self.stacked.pop((sandbox, ifname), None):
            self._lose_routes(sandbox, ifname)

    def move_in(self, spec: MovedSpec) -> None:
        def effect() -> None:
            if spec.source not in self.interfaces:
                raise NotFound(f"no interface {spec.source}")
            if spec.sandbox not in self.pins:
                raise NotFound(f"no network namespace at {spec.sandbox}")
            self.interfaces.discard(spec.source)
            self.moved[spec.sandbox, spec.ifname] = spec

        self.faults.call(f"move_in {spec.source}", effect)

    def move_out(self, spec: MovedSpec) -> None:
        def effect() -> None:
            if self.moved.pop((spec.sandbox, spec.ifname), None):
                self.interfaces.add(spec.source)
                self._lose_routes(spec.sandbox, spec.ifname)

        self.faults.call(f"move_out {spec.source}", effect)

    def supports(self, kind: str) -> bool:
        return kind in self.kinds

    def links_in(self, sandbox: str) -> tuple[str, ...]:
        veths = [one.ifname for one in self.veths.values() if one.sandbox == sandbox]
        others = [ifname for path, ifname in (*self.stacked, *self.moved) if path == sandbox]
        return (*veths, *others)

    def detach_port(self, host_name: str) -> None:
        def effect() -> None:
            if host_name in self.veths:
                self.detached.add(host_name)

        self.faults.call(f"detach_port {host_name}", effect)

    def set_routes(self, spec: RouteSpec) -> None:
        def effect() -> None:
            if spec.sandbox not in self.pins:
                raise NotFound(f"no network namespace at {spec.sandbox}")
            inside = self.links_in(spec.sandbox)
            for ifname in (spec.ifname4, spec.ifname6):
                if ifname and ifname not in inside:
                    raise NotFound(f"no interface {ifname}")
            self.routes_in[spec.sandbox] = spec

        self.faults.call(f"set_routes {spec.sandbox}", effect)

    def flush_flows(self, flows: Sequence[Flow]) -> None:
        self.faults.call("flush_flows", lambda: self.flushed.extend(flows))

    def flush_addresses(self, addresses: Sequence[str]) -> None:
        self.faults.call("flush_addresses")

    def links(self) -> tuple[LinkFact, ...]:
        found = [(name, "bridge", "") for name in self.bridges]
        found += [(name, "", "") for name in self.interfaces]
        found += [(name, "dummy", "") for name in self.parents]
        found += [wire for one in self.wires.values()
                  for wire in ((one.upper, "veth", one.main), (one.lower, "veth", one.bridge.name))]
        found += [(one.host_name, "veth", "" if one.host_name in self.detached else one.bridge)
                  for one in self.veths.values()]
        return tuple(
            LinkFact(index=number, name=name, kind=kind, mac="", mtu=1500, up=True, master=master,
                     alias=MARK if kind in ("bridge", "dummy") and name not in self.foreign else "")
            for number, (name, kind, master) in enumerate(found, 1)
        )

    def link(self, name: str) -> LinkFact | None:
        return next((fact for fact in self.links() if fact.name == name), None)

    def routes_elsewhere(self, own: Callable[[str], bool]) -> tuple[RouteFact, ...]:
        return tuple(route for route in self.host_routes if not own(route.device))

    def sandboxes(self) -> tuple[str, ...]:
        return tuple(self.pins)

    def expose(self, path: str, name: str) -> None:
        def effect() -> None:
            self.faults.demand(path in self.pins, "nothing is pinned at {}", path)
            self.names[name] = path

        self.faults.call(f"expose {name}", effect)

    def conceal(self, name: str) -> None:
        self.faults.call(f"conceal {name}", lambda: self.names.pop(name, None))

    def exposed(self) -> dict[str, str]:
        return dict(self.names)

    def sandbox_inode(self, path: str) -> int | None:
        return self.pins.get(path) or None

    def read_sysctl(self, key: str) -> str:
        return self.sysctls[key]

    def write_sysctl(self, key: str, value: str) -> None:
        self.sysctls[key] = value

    def widen_neighbours(self) -> None:
        self.faults.call("widen_neighbours")

    def forward_ipv4(self) -> None:
        self.sysctls["net/ipv4/ip_forward"] = "1"

    def forward_ipv6(self) -> None:
        self.faults.call("forward_ipv6", lambda: self.write_sysctl("net/ipv6/conf/all/forwarding", "1"))


class FakeFirewall:
    """The elements of one nft table. Reads the text of `network.nfttext`; a transaction happens as a whole."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.table: dict[str, dict[str, str]] | None = None
        self.transactions: list[str] = []
        self.heeded = 0  # how often the chain of Docker's users was looked for

    def apply(self, text: str) -> None:
        self.faults.call("nft", lambda: self._apply(text))

    def _apply(self, text: str) -> None:
        self.transactions.append(text)
        table = {name: dict(members) for name, members in (self.table or {}).items()}
        exists = self.table is not None
        for line in text.splitlines():
            words = line.split()
            match words:
                case ["table", *_]:
                    exists = True
                case ["set" | "map", name, *_]:
                    table.setdefault(name, {})
                case ["flush", "set" | "map", _, _, name]:
                    table[name].clear()
                case ["add" | "delete" as verb, "element", _, _, name, *_]:
                    if not exists or name not in table:
                        raise Internal("nft: No such file or directory")
                    for part in line.split("{ ", 1)[1].removesuffix(" }").split(", "):
                        self._element(verb, table[name], *part.partition(" : ")[::2])
        self.table = table

    @staticmethod
    def _element(verb: str, members: dict[str, str], key: str, value: str) -> None:
        if verb == "add":
            if members.setdefault(key, value) != value:
                raise Internal(f"nft: File exists: {key}")
        elif members.pop(key, None) is None:
            raise Internal(f"nft: No such file or directory: {key}")

    def remove(self) -> None:
        self.faults.call("nft remove")
        self.table = None

    def exists(self) -> bool:
        return self.table is not None

    def listing(self, kind: str, name: str) -> str:
        return ""

    def heed_docker_user(self) -> None:
        self.heeded += 1

    @property
    def elements(self) -> set[tuple[str, str, str]]:
        return {(name, key, value) for name, members in (self.table or {}).items() for key, value in members.items()}


class FakeResolver:
    """The DNS process. An asker's namespace must be there when it is set and when it is removed."""

    def __init__(self, faults: Faults, kernel: FakeKernel) -> None:
        self.faults = faults
        self.kernel = kernel
        self.networks: dict[str, NetworkNames] = {}
        self.records: dict[str, NameRecord] = {}
        self.askers: dict[str, Asker] = {}

    async def apply(self, changes: Sequence[Change]) -> None:
        def effect() -> None:
            for change in changes:
                self._change(change)

        self.faults.call("resolver.apply", effect, can_be_late=True)
        await self.faults.pause()

    def _change(self, change: Change) -> None:
        match change:
            case SetNetwork(network=network):
                self.networks[network.id] = network
            case RemoveNetwork(id=identity):
                self.networks.pop(identity, None)
            case SetRecord(record=record):
                for other in self.records.values():
                    if other.endpoint != record.endpoint and other.network == record.network:
                        shared = set(other.addresses) & set(record.addresses)
                        self.faults.demand(not shared, "{} and {} have one address", other, record)
                self.records[record.endpoint] = record
            case RemoveRecord(endpoint=endpoint):
                self.records.pop(endpoint, None)
            case SetAsker(asker=asker):
                if asker.netns not in self.kernel.pins:
                    raise Internal(f"no namespace {asker.netns}")
                self.askers[asker.sandbox] = asker
            case RemoveAsker(sandbox=sandbox):
                gone = self.askers.pop(sandbox, None)
                there = gone is None or gone.netns in self.kernel.pins
                self.faults.demand(there, "the namespace of {} went first", gone)

    async def replace(
        self, networks: Sequence[NetworkNames], records: Sequence[NameRecord], askers: Sequence[Asker]
    ) -> None:
        def effect() -> None:
            self.networks = {one.id: one for one in networks}
            self.records = {one.endpoint: one for one in records}
            self.askers = {one.sandbox: one for one in askers}
            self.faults.demand(all(one.netns in self.kernel.pins for one in askers), "no namespace: {}", askers)

        self.faults.call("resolver.replace", effect, can_be_late=True)
        await self.faults.pause()


class FakeProxy:
    """Who holds which host socket. `busy` are (proto, port) of programs outside."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.held: dict[str, Hold] = {}
        self.busy: set[tuple[str, int]] = set()
        self.absent: set[str] = set()  # addresses this host does not have

    async def hold(self, holds: Sequence[Hold]) -> None:
        self.faults.call("proxy.hold", lambda: self._hold(holds), can_be_late=True)
        await self.faults.pause()

    def _hold(self, holds: Sequence[Hold]) -> None:
        held = dict(self.held)
        for hold in holds:
            known = held.get(hold.key)
            if known is not None:
                if known.binding != hold.binding:
                    raise HoldFailed("this key holds another port", reason="EEXIST", key=hold.key)
            elif failure := self._failure(hold, held):
                raise failure
            held[hold.key] = hold
        self.held = held

    def _failure(self, hold: Hold, held: Mapping[str, Hold]) -> HoldFailed | None:
        if hold.host_ip in self.absent and not hold.early:
            return HoldFailed("no such address", reason="EADDRNOTAVAIL", key=hold.key)
        ports = range(hold.host_port, hold.host_port + hold.count)
        for port in ports:
            if (hold.proto, port) in self.busy:
                return HoldFailed("in use", reason="EADDRINUSE", key=hold.key, holder="pid 7 (nginx)", port=port)
        for other in held.values():
            same = (other.proto, ":" in other.host_ip) == (hold.proto, ":" in hold.host_ip)
            meet = other.host_port < ports.stop and ports.start < other.host_port + other.count
            if same and meet and (other.host_ip == hold.host_ip or {other.host_ip, hold.host_ip} & set(ANY)):
                return HoldFailed("in use", reason="EADDRINUSE", key=hold.key, holder=f"landbridge ({other.key})")
        return None

    async def release(self, keys: Sequence[str]) -> None:
        self.faults.call("proxy.release", lambda: [self.held.pop(key, None) for key in keys], can_be_late=True)
        await self.faults.pause()

    async def replace(self, holds: Sequence[Hold]) -> Mapping[str, str]:
        failed: dict[str, str] = {}

        def effect() -> None:
            self.held = {}
            for hold in holds:
                try:
                    self._hold([hold])
                except HoldFailed as error:
                    failed[error.key] = error.reason

        self.faults.call("proxy.replace", effect, can_be_late=True)
        await self.faults.pause()
        return failed


class FakePlugins:
    """One plugin, ``weave``, for networks and addresses (10.32.0.0/24). It objects to what it was not told before.

    `missing` makes it dead; `refuses` maps a method to an error of its own; `says` to more of an answer.
    """

    def __init__(self, faults: Faults, kernel: FakeKernel) -> None:
        self.faults = faults
        self.kernel = kernel
        self.missing = False
        self.implements = ["NetworkDriver", "IpamDriver"]
        self.refuses: dict[str, str] = {}
        self.says: dict[str, dict[str, object]] = {}
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.waits: list[float] = []  # how long one was ready to wait for a dead plugin
        self.networks: set[str] = set()
        self.endpoints: set[str] = set()
        self.joined: set[str] = set()
        self.opened: set[str] = set()
        self.pools: set[str] = set()
        self.addresses: set[str] = set()

    def methods(self) -> list[str]:
        return [method.partition(".")[2] for method, _ in self.asked]

    async def call(self, name: str, method: str, body: dict[str, object], *, seconds: float) -> dict[str, object]:
        if name != "weave":
            raise NotFound(f'plugin "{name}" not found')
        if self.missing:
            self.waits.append(seconds)
            raise Unavailable(f"{method}: dial unix /run/docker/plugins/weave.sock: connect: connection refused")
        await self.faults.pause()
        self.asked.append((method, body))
        if method in self.refuses:
            raise Internal(f"remote: {self.refuses[method]}")
        answer = self.faults.call(method, lambda: self._do(method.partition(".")[2], body), can_be_late=True)
        return {**(answer or {}), **self.says.get(method, {})}

    def _do(self, method: str, body: dict[str, object]) -> dict[str, object]:
        network, end, demand = str(body.get("NetworkID")), str(body.get("EndpointID")), self.faults.demand
        source = f"weave{end[:8]}"
        match method:
            case "Activate":
                return {"Implements": self.implements}
            case "GetCapabilities":
                return {"Scope": "local"}
            case "CreateNetwork":
                self.networks.add(network)
            case "DeleteNetwork":
                self.networks.discard(network)
            case "CreateEndpoint":
                demand(network in self.networks, "no network {}", network)
                demand(end not in self.endpoints, "endpoint {} twice", end)
                self.endpoints.add(end)
                given = body["Interface"]
                return {} if given["MacAddress"] else {"Interface": {"MacAddress": "02:00:00:00:00:99"}}  # type: ignore[index]
            case "Join":
                demand(end in self.endpoints and body["SandboxKey"] in self.kernel.pins, "join of {}", body)
                self.joined.add(end)
                self.kernel.interfaces.add(source)
                return {"InterfaceName": {"SrcName": source, "DstPrefix": "eth"}, "Gateway": "10.32.0.1"}
            case "Leave":
                self.joined.discard(end)
            case "DeleteEndpoint":
                demand(end not in self.joined, "endpoint {} deleted while joined", end)
                self.endpoints.discard(end)
                self.kernel.interfaces.discard(source)
            case "ProgramExternalConnectivity":
                self.opened.add(end)
            case "RevokeExternalConnectivity":
                self.opened.discard(end)
            case _:
                return self._books(method, body)
        return {}

    def _books(self, method: str, body: dict[str, object]) -> dict[str, object]:
        address = str(body.get("Address") or "").partition("/")[0]
        match method:
            case "GetDefaultAddressSpaces":
                return {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "there"}
            case "RequestPool":
                self.pools.add("pool1")
                return {"PoolID": "pool1", "Pool": body["Pool"] or "10.32.0.0/24"}
            case "ReleasePool":
                self.pools.discard(str(body["PoolID"]))
            case "RequestAddress":
                free = (f"10.32.0.{number}" for number in range(1, 255))
                address = address or next(one for one in free if one not in self.addresses)
                self.faults.demand(address not in self.addresses, "{} twice", address)
                self.addresses.add(address)
                return {"Address": f"{address}/24"}
            case "ReleaseAddress":
                self.addresses.discard(address)
        return {}


class Outside:
    """Everything that outlives an engine."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.kernel = FakeKernel(self.faults)
        self.firewall = FakeFirewall(self.faults)
        self.resolver = FakeResolver(self.faults, self.kernel)
        self.proxy = FakeProxy(self.faults)
        self.files = FakeFiles(self.faults)
        self.roots = FakeRoots(self.faults)
        self.runtime = FakeRuntime(self.faults, self.kernel, self.roots, self.files)
        self.plugins = FakePlugins(self.faults, self.kernel)
        self.machine = FakeMachine()
        self.disk = FakeDisk()

    def photograph(self) -> "Outside":
        """The same world in a copy of its own: what a daemon killed now would leave to the next one."""
        copy = Outside()
        for name in ("kernel", "firewall", "resolver", "proxy", "files", "roots", "runtime", "plugins"):
            here, there = getattr(self, name), getattr(copy, name)
            for key, value in vars(here).items():
                if isinstance(value, dict | list | set):
                    setattr(there, key, type(value)(value))
        copy.firewall.table = deepcopy(self.firewall.table)
        copy.runtime.processes = {key: replace(one, attached=[]) for key, one in self.runtime.processes.items()}
        copy.runtime.forget()
        return copy
