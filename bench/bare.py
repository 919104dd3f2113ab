"""The reference by hand: what the kernel gives to who sets up a bridge and a DNAT rule with `ip` and `nft`."""

import subprocess

from bench.engines import Engine
from bench.machine import ip, make_machine, prepare_outside, remove_machine, run

BRIDGE = "br0"
ADDRESSES = ("10.77.0.2", "10.77.0.3")
PORTS = "tcp dport { 5201, 8080 }"
RULES = f"""
table ip byhand {{
	chain prerouting {{
		type nat hook prerouting priority -100
		fib daddr type local {PORTS} dnat to {ADDRESSES[0]}
	}}
	chain output {{
		type nat hook output priority -100
		fib daddr type local {PORTS} dnat to {ADDRESSES[0]}
	}}
	chain postrouting {{
		type nat hook postrouting priority 100
		ip saddr 127.0.0.0/8 masquerade
	}}
}}
"""


class Bare(Engine):
    """A machine with a bridge and two namespaces on it; ports 5201 and 8080 lead to the first."""

    loopback6 = False

    def __init__(self, tag: str) -> None:
        super().__init__("bare", [], make_machine(tag))
        self.tag = tag
        prepare_outside(self.machine)
        self.places: list[str] = []

    def set_up(self) -> None:
        """The bridge, the ends, the rules."""
        host = self.machine.host
        ip(f"link add {BRIDGE} type bridge", host)
        ip(f"addr add 10.77.0.1/24 dev {BRIDGE}", host)
        ip(f"link set {BRIDGE} up", host)
        for number, address in enumerate(ADDRESSES):
            name = f"{self.tag}{number}"
            ip(f"netns add {name}")
            self.places.append(f"/run/netns/{name}")
            ip(f"link add v{number} type veth peer name eth0 netns {name}", host)
            ip(f"link set v{number} master {BRIDGE} up", host)
            ip(f"-n {name} link set lo up")
            ip(f"-n {name} addr add {address}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
            ip(f"-n {name} route add default via 10.77.0.1")
        switches = ["net.ipv4.ip_forward=1", f"net.ipv4.conf.{BRIDGE}.route_localnet=1"]
        run(self.machine.on_host("sysctl", "-qw", *switches))
        run(self.machine.on_host("nft", RULES))

    def sweep(self) -> None:
        """Nothing is left by a theme: nothing is made for one."""

    def close(self) -> None:
        """Take it away. Twice is fine."""
        for place in self.places:
            subprocess.run(["ip", "netns", "del", place.rpartition("/")[2]], capture_output=True, check=False)
        remove_machine(self.tag)
