"""The drivers ``macvlan`` and ``ipvlan``: interfaces in sandboxes stacked on one of the host. Pure: answers are steps.

Containers are on the parent's own segment. The host neither routes nor translates for them, so nothing of these
networks is in our table: no published ports, no masquerading. Option names, values and error texts are Docker's
(26.1), which answers 500 to all of them.
"""

from collections.abc import Collection, Iterable, Mapping

from landbridge.errors import Internal, Invalid
from landbridge.model.link import ParentSpec, StackedSpec
from landbridge.model.network import Endpoint, Network, NetworkRequest, Sandbox
from landbridge.network import options
from landbridge.network.bridge import inner_addresses, inner_sysctls
from landbridge.network.steps import Parent, Stacked, Step

STACKED = ("macvlan", "ipvlan")
PARENT = "parent"
MODES: Mapping[str, tuple[str, ...]] = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}
FLAGS = ("bridge", "private", "vepa")
MOST_VLAN = 4094
# The host takes part in a macvlan network, at the auxiliary addresses called so.
HOST_SHIM = "landbridge.host_shim"
HOST = "host"


class StackedDriver:
    """Driver ``macvlan`` or ``ipvlan`` (scope local); the first of its modes is the default."""

    interfaces = True
    host_side = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = name

    def check(self, request: NetworkRequest) -> None:
        """Raises: Internal on a mode or flag there is none of, and on the loopback as parent."""
        mode, flag = request.options.get(f"{self.name}_mode"), request.options.get("ipvlan_flag")
        if mode and mode not in MODES[self.name]:
            default = MODES[self.name][0]
            raise Internal(
                f"requested {self.name} mode '{mode}' is not valid, '{default}' mode is the {self.name} driver default"
            )
        if self.name == "ipvlan" and flag and flag not in FLAGS:
            raise Internal(f"requested ipvlan flag '{flag}' is not valid, 'bridge' is the ipvlan driver default")
        if request.options.get(PARENT) == "lo":
            raise Internal(f"loopback interface is not a valid {self.name} parent link")
        options.check_mtu(request)
        if request.options.get(HOST_SHIM, "false") != "false":
            self._check_shim(request)

    def _check_shim(self, request: NetworkRequest) -> None:
        """Raises: Invalid where the host cannot take part, or would be led astray.

        It reaches the range of addresses through its part; the whole subnet is the parent's own, and stays so.
        """
        given = request.options
        mode = given.get(f"{self.name}_mode") or "bridge"
        if self.name != "macvlan" or mode != "bridge" or not given.get(PARENT) or given[HOST_SHIM] != "true":
            raise Invalid(f"{HOST_SHIM}=true is for macvlan networks in bridge mode with a parent")
        if not request.pools or not all(pool.ip_range and pool.auxiliary.get(HOST) for pool in request.pools):
            raise Invalid(f"{HOST_SHIM} takes an --ip-range of the containers, and the host's --aux-address {HOST}=IP")

    def check_among(self, request: NetworkRequest, networks: Iterable[Network], links: Collection[str]) -> None:
        """Raises: Internal when another network of the driver has the parent, or when there is no such interface."""
        parent = request.options.get(PARENT, "")
        for other in networks:
            if parent and other.driver == self.name and other.options.get(PARENT) == parent:
                raise Internal(f"network {stand_in(other.id)} is already using parent interface {parent}")
        if parent and parent not in links:
            _check_vlan(parent, links)

    def leads_out(self, request: NetworkRequest) -> bool:
        """False without a parent: such a network is an internal one."""
        return bool(request.options.get(PARENT))

    def without_gateway(self, request: NetworkRequest, *, six: bool) -> bool:
        """Nobody keeps a gateway's address where there is no way out, or none through a gateway."""
        return request.internal or not self.leads_out(request) or options.is_layer3(self.name, request.options)

    def create(self, network: Network, mtu: int) -> tuple[Step, ...]:
        """The parent, where it is one that we may have to make."""
        return tuple(Parent(spec=spec) for spec in made_parents(network))

    def attach(self, network: Network, endpoint: Endpoint, sandbox: Sandbox, mtu: int) -> tuple[Step, ...]:
        """The interface, inside the sandbox from the beginning; its MTU is the parent's unless the network has one."""
        own = network.options.get(options.MTU, "")
        spec = StackedSpec(
            kind=self.name,
            parent=network.options.get(PARENT) or stand_in(network.id),
            mode=network.options.get(f"{self.name}_mode") or MODES[self.name][0],
            flag=network.options.get("ipvlan_flag", "") if self.name == "ipvlan" else "",
            ifname=endpoint.ifname,
            sandbox=sandbox.path,
            mac=endpoint.mac,
            mtu=int(own) if own else 0,
            addresses=inner_addresses(endpoint),
            sysctls=inner_sysctls(network, endpoint),
        )
        return (Stacked(spec=spec),)

    def own_mac(self, network: Network) -> bool:
        """Whether endpoints get a MAC of their own: an ipvlan has its parent's, and so has a passthru."""
        return self.name == "macvlan" and network.options.get("macvlan_mode") != "passthru"


def stand_in(identity: str) -> str:
    """The parent of a network that was given none (Docker's name)."""
    return f"dm-{identity}"[:15]


def made_parents(network: Network) -> tuple[ParentSpec, ...]:
    """All interfaces of the host a network needs made, in order: its parent, and the host's own part of it."""
    found = (made_parent(network), _shim(network))
    return tuple(spec for spec in found if spec is not None)


def _shim(network: Network) -> ParentSpec | None:
    """The host's own interface on a macvlan network: the kernel lets a parent and its children not talk otherwise."""
    if network.options.get(HOST_SHIM) != "true":
        return None
    addresses = [(pool.auxiliary[HOST], 128 if ":" in pool.subnet else 32) for pool in network.pools]
    return ParentSpec(
        name=f"lbh-{network.id}"[:15],
        of=network.options[PARENT],
        addresses=tuple(f"{address}/{length}" for address, length in addresses),
        reaches=tuple(pool.ip_range for pool in network.pools),
    )


def made_parent(network: Network) -> ParentSpec | None:
    """The parent of a network that is made when it is not there: a stand-in, or a VLAN (``eth0.10``)."""
    parent = network.options.get(PARENT, "")
    if not parent:
        return ParentSpec(name=stand_in(network.id))
    of, number = split_vlan(parent)
    return ParentSpec(name=parent, of=of, vlan=number) if number else None


def split_vlan(parent: str) -> tuple[str, int]:
    """``eth0.10`` → (``eth0``, 10); 0 for a name that is not of this form."""
    of, _, number = parent.partition(".")
    valid = number.isascii() and number.isdecimal() and 1 <= int(number) <= MOST_VLAN
    return (of, int(number)) if of and valid else (parent, 0)


def _check_vlan(parent: str, links: Collection[str]) -> None:
    """A parent that is not there must be one we can make. Raises: Internal."""
    if "." not in parent:
        raise Internal(f"invalid subinterface vlan name {parent}, example formatting is eth0.10")
    of, *numbers = parent.split(".")
    if len(numbers) != 1:
        raise Internal(
            f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {parent}"
        )
    try:
        number = int(numbers[0])
    except ValueError:
        raise Internal(f"unable to parse a valid vlan id from: {numbers[0]} (ex. eth0.10 for vlan 10)") from None
    if of not in links:
        raise Internal(f"-o parent interface was not found on the host: {of}")
    if not 1 <= number <= MOST_VLAN:
        raise Internal(f"vlan id must be between 1-{MOST_VLAN}, received: {number}")
