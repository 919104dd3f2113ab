"""The pages of docs/packet-path, made from the real rules: small worlds, their elements, and the rules packets meet.

A page quotes rules by their beginning; a rule that is not in the chain makes the page fail, so that none can rot.
`pages()` is {file name: text}. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import worlds
from landbridge.model.config import Config
from landbridge.model.container import Link
from landbridge.model.network import IpamPool
from landbridge.model.ports import Binding, Port
from landbridge.model.world import World
from landbridge.network import nfttext, options, ruleset

MADE = "*Made by tests/unit/network/test_packet_path.py from the rules themselves; see there how to write it anew.*"


@dataclass(frozen=True)
class Met:
    """A packet meets the rule of `chain` that begins with `rule`, and `then`. Without a rule: something else happens."""

    then: str
    chain: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Walk:
    """One packet, from somebody to somebody."""

    title: str
    met: tuple[Met, ...]


@dataclass(frozen=True)
class Page:
    title: str
    about: str
    world: World
    walks: tuple[Walk, ...]
    policy: str = "open"

    def text(self) -> str:
        parts = [f"# {self.title}", MADE, self.about, "## What is in the table", _elements(self.world)]
        for walk in self.walks:
            steps = [f"{number}. {self._step(met)}" for number, met in enumerate(walk.met, 1)]
            parts += [f"## {walk.title}", "\n".join(steps)]
        return "\n\n".join(parts) + "\n"

    def _step(self, met: Met) -> str:
        if not met.chain:
            return met.then
        hook, rules = ruleset.chains(self.policy)[met.chain]
        found = [rule for rule in rules if rule.startswith(met.rule)]
        assert len(found) == 1, f"{met.chain} has {len(found)} rules that begin with {met.rule!r}"
        return f"`{met.chain}`{_where(hook)}: `{found[0]}`. {met.then}"


def _where(hook: str) -> str:
    if not hook:
        return ""
    words = hook.replace(";", "").split()
    return f" ({words[1]} at {words[3]}, {words[5]})"


def _elements(world: World) -> str:
    lines = ["```"]
    for name, group in groupby(ruleset.elements(world), key=lambda one: one.container):
        lines += [f"{name:14} {one.key}{' : ' + one.value if one.value else ''}" for one in group]
    return "\n".join([*lines, "```"])


# The worlds. Bridges are lbbeef-…: an engine that is not the only one; the default one's are lb-….

NET = worlds.network("net")
OTHER = worlds.network("other", "172.18.16.0/20", "172.18.16.1")
WEB, DB = worlds.container("web"), worlds.container("db")
WEB_HERE = worlds.endpoint(WEB, NET, "172.18.0.2/20")
DB_THERE = worlds.endpoint(DB, OTHER, "172.18.16.2/20")


def published(host: int, port: int, proto: str = "tcp", count: int = 1, ip: str = "0.0.0.0") -> Binding:
    return Binding(port=Port(port, proto), host_ip=ip, host_port=host, count=count)


def _mode(name: str, four: str, subnet: str, **more: str) -> tuple[object, ...]:
    network = worlds.network(name, subnet, subnet.replace("0/20", "1"), options={options.GATEWAY_MODE_4: four, **more})
    owner = worlds.container(f"{name}-web")
    here = worlds.endpoint(owner, network, subnet.replace("0/20", "2/20"))
    binding = published(0 if four == "routed" else 8080, 80)
    return network, owner, here, worlds.sandbox(owner, binding)


JUMP = Met("A port of this host, so look it up.", "prerouting", "fib daddr type local")
KNOWN = Met("Translated, so let through.", "forward", "ct status dnat")
FROM_HOOK = Met("Nothing of the user's is in the way.", "forward", "jump user")


def _published() -> Page:
    both = worlds.network("net", enable_ipv6=True, pools=(*NET.pools, IpamPool(subnet="fd00::/64", gateway="fd00::1")))
    here = worlds.endpoint(WEB, both, "172.18.0.2/20", ipv6="fd00::2/64", gateway6="fd00::1")
    bindings = (
        published(8080, 80), published(8080, 80, ip="::"), published(8081, 81, ip="127.0.0.1"),
        published(20000, 20000, "udp", 10000),
    )  # fmt: skip
    single = Met("172.18.0.2:80 becomes the destination.", "publish",
                 "meta nfproto ipv4 meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @publish_any")
    return Page(
        "Published ports", "`docker run --network net -p 8080:80 -p 127.0.0.1:8081:81 -p 20000-29999:20000-29999/udp`:"
        " ten thousand ports are one element. The same maps serve every direction a client may come from.",
        worlds.world(both, WEB, here, worlds.sandbox(WEB, *bindings)),
        (
            Walk("From outside to 192.0.2.1:8080", (
                Met("Not to a loopback address: passed.", "guard", 'iifname != "lo"'), JUMP, single, FROM_HOOK, KNOWN,
                Met("The container sees the client's own address.", "postrouting", "oifname @bridges accept"),
            )),
            Walk("From this host to 127.0.0.1:8080", (
                Met("The same map, from the other side.", "output", "fib daddr type local"), single,
                Met("127.0.0.1 would be no address to answer to: the source becomes the bridge's own. (`route_localnet`"
                    " is on for the bridge alone.)", "postrouting", "oifname @bridges ip saddr 127.0.0.0/8"),
            )),
            Walk("From this host to [::1]:8080", (
                Met("Excepted: IPv6 has no `route_localnet`.", "publish",
                    "ip6 daddr != ::1 ip6 saddr != fe80::/10 meta l4proto { tcp, udp } dnat ip6 to meta l4proto . th dport"),
                Met("The socket that holds the port takes the connection, and the proxy relays it."),
            )),
            Walk("From a neighbour, or from web itself, to 192.0.2.1:8080", (
                JUMP, single,
                Met("In and out by the same bridge.", "forward", "iifname . oifname @same_network"),
                Met("The answer must come back through here: the source becomes the bridge's.", "postrouting",
                    "ip saddr . oifname @subnets ct status dnat"),
            )),
            Walk("From a container of another network to 192.0.2.1:8080", (
                JUMP, single, KNOWN,
                Met("No masquerade between our networks: web sees who it is.", "postrouting", "oifname @bridges accept"),
            )),
            Walk("From outside to 127.0.0.1:8081, with a route that says so", (
                Met("Dropped before anything is translated.", "guard", 'iifname != "lo"'),
            )),
        ),
    )  # fmt: skip


def _outgoing() -> Page:
    own = worlds.network("own", "172.18.32.0/20", "172.18.32.1", options={options.HOST_IPV4: "192.0.2.77"})
    return Page(
        "Outwards", "A network with masquerading, and one with an address of its own"
        " (`-o com.docker.network.host_ipv4=192.0.2.77`). A segment of the handshake never asks for more than fits.",
        worlds.world(NET, own, WEB, WEB_HERE),
        (
            Walk("From web to a server outside, the first packet", (
                Met("A handshake: what both sides may send is cut to what fits.", "forward", "tcp flags"),
                Met("The route's MTU, the smaller of both directions, never larger than asked.", "clamp",
                    "iifname @bridges"),
                Met("Not to one of our bridges: none of our business any more.", "forward", "oifname != @bridges"),
                Met("From a dynamic port of the host's range to one of the same range.", "postrouting",
                    "meta nfproto . iifname @masqueraded meta l4proto"),
                Met("Everything else, ICMP and well-known ports.", "postrouting",
                    "meta nfproto . iifname @masqueraded masquerade"),
            )),
            Walk("The answer", (
                Met("Known.", "forward", "ct state established,related"),
            )),
            Walk("From network own", (
                Met("It leaves as 192.0.2.77.", "postrouting", "snat ip to iifname map @leaving_as"),
            )),
        ),
    )  # fmt: skip


def _between() -> Page:
    return Page(
        "Between networks", "Two networks. What stays within one is bridged and meets no rule at all.",
        worlds.world(NET, OTHER, WEB, WEB_HERE, DB, DB_THERE),
        (
            Walk("From web to db's address", (
                Met("Two bridges: not a pair that is known.", "forward", "iifname . oifname @same_network"),
                Met("Nothing was asked for before.", "forward", "ct state established,related"),
                Met("Dropped, and counted. So it is for somebody outside who has a route to db.", "forward",
                    "counter drop"),
            )),
            Walk("Between two interfaces that are not ours", (
                Met("Left to whoever it concerns; our policy is accept.", "forward", "oifname != @bridges"),
            )),
        ),
    )  # fmt: skip


def _modes() -> Page:
    return Page(
        "Gateway modes", "`gateway_mode_ipv4` routed (`r`), nat-unprotected (`u`), and a network that trusts an"
        " interface (`t`); all publish port 80 of a container.",
        worlds.world(*_mode("r", "routed", "172.18.0.0/20"), *_mode("u", "nat-unprotected", "172.18.16.0/20"),  # type: ignore[arg-type]
                     *_mode("t", "nat", "172.18.32.0/20", **{options.TRUSTED: "eth1"})),
        (
            Walk("From outside to 172.18.0.2:80, a routed network", (
                Met("", "forward", "meta nfproto . oifname @routed"),
                Met("Echo requests and errors pass.", "routed_network", "meta l4proto { icmp"),
                Met("", "routed_network", "jump opened"),
                Met("The port is published; one that is not falls through to the drop.", "opened",
                    "meta l4proto { tcp, udp, sctp } meta l4proto . ip daddr . th dport @opened accept"),
                Met("Nothing is held on the host, nothing is translated, and what the container sends leaves with"
                    " its own address."),
            )),
            Walk("From outside to 172.18.16.2, any port, a network without protection", (
                Met("", "forward", "meta nfproto . oifname @unprotected"),
            )),
            Walk("By eth1 to 172.18.32.2:80, a network that trusts it", (
                Met("The published ports, directly. By another interface: dropped.", "forward",
                    "iifname . oifname @trusted"),
                Met("Of all networks where the daemon was told `--allow-direct-routing`.", "forward",
                    "oifname @direct"),
            )),
        ),
    )  # fmt: skip


def _internal() -> Page:
    inner = worlds.network("inner", internal=True)
    here = worlds.endpoint(WEB, inner, "172.18.0.2/20", gateway4="")
    return Page(
        "Internal networks", "`docker network create --internal inner`: no default route, and nothing forwarded. The host"
        " itself answers at the gateway's address; with gateway mode isolated it has none.",
        worlds.world(inner, WEB, here),
        (
            Walk("From web to anywhere, by a route it made itself", (
                Met("", "forward", "iifname @internal"),
            )),
            Walk("From anywhere to web", (
                Met("Also where a port was published (`-o landbridge.publish_internal=true`): that is for this host"
                    " alone, whose packets are not forwarded.", "forward", "oifname @internal"),
            )),
        ),
    )  # fmt: skip


def _closed() -> Page:
    given = {options.ICC: "false", options.DEFAULT_BRIDGE: "true"}
    bridge = worlds.network("bridge", options=given)
    store = worlds.container("db", config=Config(exposed_ports={"5432/tcp": {}}))
    linker = worlds.container("web", links=(Link(target=store.id, name="db", alias="store"),))
    ends = (worlds.endpoint(linker, bridge, "172.18.0.2/20"), worlds.endpoint(store, bridge, "172.18.0.3/20"))
    return Page(
        "Neighbours that may not talk", "`--icc=false`, and `docker run --link db:store` with port 5432 exposed. Each"
        " container's bridge port is *isolated*: the bridge passes nothing from one to the other, whatever the rules say."
        " On the default bridge the host answers for its neighbours' addresses, so that what a link allows goes over it.",
        worlds.world(bridge, linker, store, *ends),
        (
            Walk("From web to db:5432", (
                Met("In and out by the same bridge, over the host; no such pair.", "forward",
                    "iifname . oifname @same_network"),
                Met("The link.", "forward", "meta l4proto . ip saddr . ip daddr . th dport @linked"),
            )),
            Walk("From web to another port of db", (
                Met("", "forward", "counter drop"),
            )),
            Walk("From web to a published port of db, 192.0.2.1:8080", (
                Met("Not translated: where br_netfilter is loaded it would be bridged, and end at the isolated port.",
                    "prerouting", "iifname @closed"),
                Met("The socket that holds the port takes the connection, and the proxy relays it."),
            )),
        ),
    )  # fmt: skip


def _host_firewall() -> Page:
    return Page(
        "Where the host's own firewall decides", "`landbridge daemon --publish-policy host-firewall`. What comes from"
        " outside to a published port is a packet to this host, and the host's input rules, of whatever firewall, say"
        " yes or no. What they let in, the proxy relays; the container then sees the bridge's address. For a port in the set"
        " `allowed` (`nft add element inet landbridge allowed { tcp . 8080 }`) our rules lead the way instead, and the"
        " container sees the client's; whether it may is then said by chain `user`, not by the input rules.",
        worlds.world(NET, WEB, WEB_HERE, worlds.sandbox(WEB, published(8080, 80))),
        (
            Walk("From outside to 192.0.2.1:8080", (
                Met("Not one of our bridges.", "prerouting", "iifname @bridges"),
                Met("Not allowed by name.", "prerouting", "meta l4proto . th dport @allowed"),
                Met("On to the input hook, to the host's rules, and then to the socket that holds the port."),
            )),
            Walk("From a container to 192.0.2.1:8080", (
                Met("Inside is inside.", "prerouting", "iifname @bridges"),
            )),
        ),
        policy="host-firewall",
    )  # fmt: skip


def _index(made: Iterable[tuple[str, Page]]) -> str:
    lines = [f"- [{page.title}]({name})" for name, page in made]
    table = "\n".join(nfttext.declared("landbridge", ruleset.chains()))
    rules = "\n".join(
        f"{name}{_where(hook)}\n" + "".join(f"    {rule}\n" for rule in rules)
        for name, (hook, rules) in ruleset.chains().items()
    )
    about = (
        "Everything the engine has the kernel do with packets is one nft table, `inet landbridge` (other engines on the"
        " machine have a suffix). Its chains never change; what there is of networks, containers and ports is in its sets"
        " and maps. So neither a packet's way nor an operation gets longer with their number.\n\n"
        "Chain `user` is yours: `nft add rule inet landbridge user ip saddr 203.0.113.0/24 drop`. Every packet that is"
        " forwarded meets it first, with the addresses it will have in the container; `accept` there is final for this"
        " table, `drop` for all. The engine never changes it. It outlives the engine's restarts, and comes back with"
        " the rest when somebody sweeps everything away (`nft flush ruleset`, a firewall's reload), within a second;"
        " rules you remove stay removed. Like all rules of the kernel's it ends with a reboot: write it where your"
        " others are. It may use sets of the same table only as long as those stand: they are not remembered.\n\n"
        "A chain `DOCKER-USER` in table `filter` (ip, ip6) is led to from `FORWARD`, as Docker's users expect, where"
        " there is one. Nothing else is ever touched outside our own table: no policy, no chain of yours, no br_netfilter."
    )
    return "\n\n".join([
        "# The way of a packet", MADE, about, "\n".join(lines), "## The rules", f"```\n{rules}```",
        "`$local_ports` is the host's `net.ipv4.ip_local_port_range`.", "## As it is declared", f"```\n{table}\n```",
    ]) + "\n"  # fmt: skip


def pages() -> dict[str, str]:
    """{file name: text} of the whole directory."""
    made = (
        ("published.md", _published()), ("outwards.md", _outgoing()), ("between-networks.md", _between()),
        ("gateway-modes.md", _modes()), ("internal.md", _internal()), ("closed.md", _closed()),
        ("host-firewall.md", _host_firewall()),
    )  # fmt: skip
    return {"README.md": _index(made)} | {name: page.text() for name, page in made}
