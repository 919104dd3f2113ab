"""More containers on one network than one Linux bridge has ports for: further bridges, wired to the first. Pure.

A bridge has 1,023 ports (BR_MAX_PORTS). The further bridges have no address and no rules: they are one broadcast domain
with the first, through a veth pair each, and everything that is routed passes the first. A star, so there is no loop.
"""

from collections.abc import Callable

from landbridge.model.link import BridgeSpec, ExtensionSpec
from landbridge.model.network import Extension, Network
from landbridge.network import options

# What containers leave of the 1,023 ports of the first bridge are the wires to further ones: 61,440 containers.
MOST_PORTS = 960
MOST_EXTENSIONS = 1023 - MOST_PORTS


def place(network: Network, ports: Callable[[str], int], most: int) -> str | None:
    """The bridge with room for one more container: empty for the network's own, None when a further one is needed.

    `ports` says how many containers a bridge has, `most` how many it may have.
    """
    if ports(network.bridge) < most:
        return ""
    return next((one.bridge for one in network.extensions if ports(one.bridge) < most), None)


def extension_spec(network: Network, extension: Extension, mtu: int) -> ExtensionSpec:
    """A further bridge of a network; where containers may not talk to each other, the wire is isolated too."""
    name = extension.bridge
    bridge = BridgeSpec(name=name, mtu=mtu, sysctls=((f"net/ipv6/conf/{name}/disable_ipv6", "1"),))
    return ExtensionSpec(
        main=network.bridge, bridge=bridge, upper=extension.upper, lower=extension.lower,
        isolated=not options.icc(network),
    )  # fmt: skip
