"""The daemon's command line: dockerd's flags, so that several engines can run side by side."""

import argparse
import os
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

from landbridge import configfile
from landbridge.errors import Invalid
from landbridge.model.settings import DEFAULT_EXEC_ROOT, DEFAULT_SOCKET, Settings
from landbridge.model.world import DEFAULT_DATA_ROOT


def parse(argv: list[str]) -> Settings:
    """Flags and file → settings. Exits with usage on an unknown flag; raises Invalid on a value that makes no sense."""
    parser = _parser()
    found = parser.parse_args([*_from_file(parser, argv), *argv])
    exec_root = found.exec_root
    default_host = DEFAULT_SOCKET if exec_root == DEFAULT_EXEC_ROOT else f"unix://{exec_root}/landbridge.sock"
    return Settings(
        data_root=os.path.abspath(found.data_root),
        exec_root=os.path.abspath(exec_root),
        hosts=tuple(_url(text) for text in found.host) or (default_host,),
        address_pools=tuple(_pool(text) for text in found.default_address_pool),
        bip=_address(found.bip, "bip"),
        fixed_cidr=_subnet(found.fixed_cidr, "fixed-cidr"),
        ipv6=found.ipv6,
        bip6=_address(found.bip6, "bip6"),
        fixed_cidr_v6=_subnet(found.fixed_cidr_v6, "fixed-cidr-v6"),
        bridge=found.bridge,
        mtu=found.mtu,
        icc=_flag(found.icc, "icc"),
        ip_masq=_flag(found.ip_masq, "ip-masq"),
        ip_forward=_flag(found.ip_forward, "ip-forward"),
        host_ip=found.ip,
        publish_policy=found.publish_policy,
        bridge_names=_flag(found.default_bridge_names, "default-bridge-names"),
        bridge_ports=_bridge_ports(found.bridge_ports),
        userland_proxy=_flag(found.userland_proxy, "userland-proxy"),
        direct_routing=_flag(found.allow_direct_routing, "allow-direct-routing") or _without_raw_rules(),
        accept_mark=_mark(found.bridge_accept_fwmark),
        unfiltered=_unfiltered(found),
        loopback_guard=not _without_raw_rules(),
        dns=tuple(found.dns),
        dns_options=tuple(found.dns_opt),
        dns_search=tuple(found.dns_search),
        labels=tuple(found.label),
        init=found.init,
        shutdown_timeout=found.shutdown_timeout,
        host_gateway_ips=tuple(found.host_gateway_ip),
        default_network_options=_network_options(found.default_network_opt),
        plugin_dirs=tuple(found.plugin_dir),
        runtime=found.default_runtime,
        debug=found.debug,
        group=found.group,
        pidfile=found.pidfile,
        insecure_registries=tuple(found.insecure_registry),
        registry_mirrors=tuple(found.registry_mirror),
        max_concurrent_downloads=_at_least_one(found.max_concurrent_downloads, "max concurrent downloads"),
        max_concurrent_uploads=_at_least_one(found.max_concurrent_uploads, "max concurrent uploads"),
        **_tls(found),
    )


class _Ungiven(list[str]):
    """Stands where a flag was not given; argparse copies it before it appends."""


class _Parser(argparse.ArgumentParser):
    """Knows its flags by name, without the dashes."""

    def __init__(self, **options: Any) -> None:
        self.flags: dict[str, argparse.Action] = {}
        super().__init__(**options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        action = super().add_argument(*names, **options)
        self.flags[action.option_strings[-1].removeprefix("--")] = action
        return action


def _from_file(parser: _Parser, argv: list[str]) -> list[str]:
    """What the configuration file says, as flags. The default file may be missing. Raises: Invalid."""
    actions = parser.flags
    blank = argparse.Namespace(**{action.dest: _Ungiven() for action in actions.values()})
    seen = vars(parser.parse_args(argv, blank))
    given = {name for name, action in actions.items()
             if not isinstance(seen.get(action.dest), _Ungiven) or seen[action.dest]}  # fmt: skip
    path = seen["config_file"] if "config-file" in given else configfile.PATH
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        if "config-file" not in given:
            return []
        raise Invalid(
            f"unable to configure the Docker daemon with file {path}: open {path}: no such file or directory"
        ) from None
    known = actions.keys() - {"help", "config-file"}
    switches = {name for name in known if actions[name].nargs == 0}
    return configfile.flags(text, path, switches=switches, values=known - switches, given=given)


def _tls(found: argparse.Namespace) -> dict[str, str]:
    """The files of TLS. Raises: Invalid when one is missing."""
    if not (found.tls or found.tlsverify):
        return {}
    if not (found.tlscert and found.tlskey):
        raise Invalid("TLS needs --tlscert and --tlskey")
    if found.tlsverify and not found.tlscacert:
        raise Invalid("--tlsverify needs --tlscacert")
    authority = found.tlscacert if found.tlsverify else ""
    return {"tls_cert": found.tlscert, "tls_key": found.tlskey, "tls_ca": authority}


def _parser() -> _Parser:
    """The flags. Long: it is a list, a line or two for each."""
    parser = _Parser(prog="landbridge daemon", description="The container engine.", allow_abbrev=False)
    add = parser.add_argument
    add("--config-file", default=configfile.PATH, metavar="FILE", help="daemon.json, with dockerd's keys")
    add("-H", "--host", action="append", default=[], metavar="URL", help="socket to listen on (unix://, tcp://)")
    add("--data-root", default=DEFAULT_DATA_ROOT, metavar="DIR", help="what is kept")
    add("--exec-root", default=DEFAULT_EXEC_ROOT, metavar="DIR", help="what lives while containers run")
    add("--default-address-pool", action="append", default=[], metavar="base=CIDR,size=N")
    add("--bip", default="", metavar="CIDR", help="address of the default bridge")
    add("--fixed-cidr", default="", metavar="CIDR", help="range of the default bridge's containers")
    add("--ipv6", action="store_true", help="IPv6 on the default bridge; other networks choose for themselves")
    add("--bip6", default="", metavar="CIDR", help="IPv6 address of the default bridge")
    add("--fixed-cidr-v6", default="", metavar="CIDR", help="IPv6 range of the default bridge's containers")
    add("-b", "--bridge", default="", metavar="NAME", help="interface of the default bridge, or none")
    add("--mtu", type=int, default=0, help="bytes; 0: that of the uplink")
    add("--icc", default="true", help="containers of the default bridge may talk to each other")
    add("--ip-masq", default="true", help="hide outgoing connections behind the host")
    add("--ip-forward", default="true", help="switch on net.ipv4.ip_forward")
    add("--ip", default="0.0.0.0", help="host address of published ports when none is given")
    add("--publish-policy", choices=("open", "host-firewall", "local"), default="open",
        help="who reaches published ports: everybody; whom the host's own firewall lets in; this host alone")
    add("--default-bridge-names", default="false", help="containers on the default bridge find each other by name")
    add("--bridge-ports", type=int, default=960, metavar="N",
        help="containers on one Linux bridge, at most 960; a network with more gets further bridges, wired to it")
    add("--userland-proxy", default="true", help="relay what the kernel path cannot carry")
    add("--allow-direct-routing", nargs="?", const="true", default="false",
        help="published ports are open at the containers' own addresses too")
    add("--bridge-accept-fwmark", default="", metavar="MARK[/MASK]", help="packets with this mark go to any container")
    add("--iptables", default="true", help="rules for IPv4; without, the proxy alone carries published ports")
    add("--ip6tables", default="true", help="rules for IPv6")
    add("--dns", action="append", default=[], metavar="IP", help="DNS servers for containers")
    add("--dns-opt", action="append", default=[], metavar="OPTION")
    add("--dns-search", action="append", default=[], metavar="DOMAIN")
    add("--label", action="append", default=[], metavar="KEY=VALUE", help="labels of this engine")
    add("--init", action="store_true", help="an init process in every container")
    add("--shutdown-timeout", type=int, default=15, metavar="SECONDS")
    add("--host-gateway-ip", action="append", default=[], metavar="IP", help="what host-gateway means in --add-host")
    add("--default-network-opt", action="append", default=[], metavar="DRIVER=KEY=VALUE")
    add("--plugin-dir", action="append", default=[], metavar="DIR", help="more plugins, beside /run/docker/plugins")
    add("--default-runtime", default="", metavar="NAME", help="crun or runc; the first that works when not given")
    add("-G", "--group", default="docker", help="group that may use the unix socket, if it exists")
    add("--tls", action="store_true", help="TLS on tcp:// hosts")
    add("--tlsverify", action="store_true", help="TLS, for clients with a good certificate alone")
    add("--tlscacert", default="", metavar="FILE", help="who signs the clients' certificates")
    add("--tlscert", default="", metavar="FILE", help="the daemon's certificate")
    add("--tlskey", default="", metavar="FILE", help="and its key")
    add("-p", "--pidfile", default="", metavar="PATH")
    add("--insecure-registry", action="append", default=[], metavar="HOST[:PORT]|CIDR", help="needs no (good) TLS")
    add("--registry-mirror", action="append", default=[], metavar="URL", help="asked before Docker Hub")
    add("--max-concurrent-downloads", type=int, default=3, metavar="N", help="layers of all pulls at once")
    add("--max-concurrent-uploads", type=int, default=5, metavar="N", help="layers of all pushes at once")
    add("-D", "--debug", action="store_true", help="say more")
    return parser


def _url(text: str) -> str:
    """A bare ``HOST:PORT`` is TCP, as for dockerd."""
    return text if "://" in text else f"tcp://{text}"


def _flag(text: str, name: str) -> bool:
    if text.lower() in ("true", "1", "t"):
        return True
    if text.lower() in ("false", "0", "f"):
        return False
    raise Invalid(f'invalid argument "{text}" for "--{name}" flag: must be true or false')


def _address(text: str, name: str) -> str:
    """An address with or without a prefix length."""
    try:
        if text:
            ip_interface(text)
    except ValueError:
        raise Invalid(f'invalid argument "{text}" for "--{name}" flag: invalid CIDR address') from None
    return text


def _subnet(text: str, name: str) -> str:
    """A subnet in canonical form: host bits are dropped, as in Docker."""
    try:
        return text and str(ip_network(text, strict=False))
    except ValueError:
        raise Invalid(f'invalid argument "{text}" for "--{name}" flag: invalid CIDR address') from None


def _without_raw_rules() -> bool:
    """Docker's way out for kernels and routers that cannot live with them."""
    return os.environ.get("DOCKER_INSECURE_NO_IPTABLES_RAW") == "1"


def _unfiltered(found: argparse.Namespace) -> tuple[str, ...]:
    flags = (("ipv4", "iptables"), ("ipv6", "ip6tables"))
    return tuple(family for family, name in flags if not _flag(getattr(found, name), name))


def _mark(text: str) -> str:
    """``1``, ``0x10/0xff``: as the kernel takes them, 32 bits each."""
    try:
        values = [int(part, 0) for part in text.split("/")] if text else []
    except ValueError:
        values = [-1]
    if len(values) > 2 or any(not 0 <= value < 1 << 32 for value in values):
        raise Invalid(f"invalid firewall mark {text!r}: give MARK or MARK/MASK")
    return "/".join(hex(value) for value in values)


def _bridge_ports(count: int) -> int:
    if not 1 <= count <= 960:
        raise Invalid(f"invalid bridge ports: {count}: a bridge has 1,023 ports, of which some lead to further bridges")
    return count


def _at_least_one(count: int, what: str) -> int:
    if count < 1:
        raise Invalid(f"invalid {what}: {count}")
    return count


def _pool(text: str) -> tuple[str, int]:
    parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    try:
        base, size = ip_network(parts["base"]), int(parts["size"])
    except (KeyError, ValueError):
        raise Invalid(f"invalid default address pool {text!r}: give base=CIDR,size=N") from None
    if not base.prefixlen <= size <= base.max_prefixlen:
        raise Invalid(f"invalid default address pool {text!r}: size does not fit its base")
    return str(base), size


def _network_options(texts: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        driver, first, rest = text.partition("=")
        key, second, value = rest.partition("=")
        if not (driver and first and key and second):
            raise Invalid(f"invalid default network option {text!r}: give DRIVER=KEY=VALUE")
        found.setdefault(driver, {})[key] = value
    return found
