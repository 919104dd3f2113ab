"""A throw-away host with a bridge, and sandboxes that join it: what the tests of `system.netlink` share."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace

from landbridge.model.link import BridgeSpec, LinkFact, VethSpec
from landbridge.system.netlink import Netlink

Run = Callable[..., subprocess.CompletedProcess[str]]

BRIDGE = BridgeSpec(name="br0", addresses=("10.9.0.1/24", "fd09::1/64"), mac="02:42:0a:09:00:01")


def endpoint(number: int, sandbox: str) -> VethSpec:
    return VethSpec(
        host_name=f"port{number}",
        ifname="eth0",
        sandbox=sandbox,
        bridge="br0",
        mac=f"02:42:0a:09:00:{number:02x}",
        addresses=(f"10.9.0.{number}/24", f"fd09::{number:x}/64"),
    )


@dataclass
class Lan:
    """The throw-away host with a bridge; `join` makes a sandbox with an endpoint on it."""

    host: Netlink
    path: str
    make_netns: Callable[[str], str]
    run: Run

    def join(self, number: int, **changes: object) -> VethSpec:
        spec = replace(endpoint(number, self.make_netns(f"box{number}")), **changes)
        self.host.add_veth(spec)
        return spec

    def reaches(self, spec: VethSpec, address: str) -> bool:
        return self.run(spec.sandbox, "ping", "-c1", "-W2", address).returncode == 0

    def cut_off(self, spec: VethSpec, address: str) -> bool:
        return self.run(spec.sandbox, "ping", "-c1", "-W0.3", address).returncode != 0


def names(netlink: Netlink) -> set[str]:
    return {fact.name for fact in netlink.links()} - {"lo"}


def link(netlink: Netlink, name: str) -> LinkFact:
    return next(fact for fact in netlink.links() if fact.name == name)


def ip_json(*arguments: str) -> list[dict[str, object]]:
    shown = subprocess.run(["ip", "-j", "-d", *arguments], check=True, capture_output=True, text=True).stdout
    return json.loads(shown)


def defaults(sandbox: str) -> set[tuple[str, str]]:
    with Netlink.inside(sandbox) as inside:
        return {
            (route.device, route.gateway)
            for route in inside.routes()
            if route.destination in ("0.0.0.0/0", "::/0")
        }
