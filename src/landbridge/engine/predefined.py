"""The networks every engine has: ``bridge`` as the daemon's flags say, ``host`` and ``none``."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from landbridge.engine.networks import Networks
from landbridge.errors import Unavailable
from landbridge.model import ids
from landbridge.model.link import LinkFact
from landbridge.model.network import NAMES, IpamPool, Network, Subnet
from landbridge.network import bridge, ipam, options
from landbridge.network.subnetledger import SubnetLedger

log = logging.getLogger(__name__)


class Predefined:
    """Makes them at boot, before anything else, and follows changed flags."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.state = networks.state
        self.settings = networks.settings

    async def ensure(self) -> None:
        """``bridge``, ``host`` and ``none`` exist, as the flags say now.

        Raises: Unavailable when the bridge the flags name is not there (Docker's words).
        """
        for name, kind in (("none", "null"), ("host", "host")):
            if self.state.networks.by_name(name) is None:
                self.state.put_network(
                    Network(id=ids.new_id(), name=name, created=time.time_ns(), driver=kind, enable_ipv4=False)
                )
        known = self.state.networks.by_name("bridge")
        if self.settings.bridge == "none":
            self._drop(known)
        else:
            there = await self._there()
            routed = await self.networks.routed()
            if known is None:
                self.state.put_network(self._default_bridge(there, routed))
            else:
                self._refresh(known, there, routed)
        for network in self.state.networks:
            if network.direct is not self.settings.direct_routing:
                self.state.put_network(replace(network, direct=self.settings.direct_routing))
        await self.networks.ensure_forwarding(*self.state.networks)

    def _drop(self, known: Network | None) -> None:
        """``--bridge=none``: there is no default bridge, unless containers run on it."""
        if known is None:
            return
        endpoints = list(self.state.endpoints_on(known.id))
        if any(one.active for one in endpoints):
            log.warning("the default bridge stays: containers are running on it")
            return
        for endpoint in endpoints:
            self.state.remove_endpoint(endpoint.id)
        self.state.remove_network(known.id)

    async def _there(self) -> LinkFact | None:
        """The bridge the flags name, which must be there: it is somebody else's."""
        name = self._name()
        there = await self.networks.bridge_there(name)
        if there is None and name != self.state.instance.default_bridge:
            raise Unavailable(
                'Error initializing network controller: error creating default "bridge" network: bridge device with'
                f" non default name {name} must be created manually"
            )
        return there

    def _name(self) -> str:
        return self.settings.bridge or self.state.instance.default_bridge

    def _default_bridge(self, there: LinkFact | None, routed: SubnetLedger) -> Network:
        return Network(
            id=ids.new_id(), name="bridge", created=time.time_ns(), driver="bridge",
            pools=self._pools((), there, routed), bridge=self._name(), foreign_bridge=there is not None,
            enable_ipv6=self.settings.ipv6, options=self._options(),
        )

    def _options(self) -> dict[str, str]:
        yes = {True: "true", False: "false"}
        return {
            options.DEFAULT_BRIDGE: "true",
            options.ICC: yes[self.settings.icc],
            options.MASQUERADE: yes[self.settings.ip_masq],
            options.HOST_BINDING: self.settings.host_ip,
            options.NAME: self._name(),
            options.MTU: str(self.networks.mtu),
            **({NAMES: "true"} if self.settings.bridge_names else {}),
        }

    def _pools(
        self, before: Sequence[IpamPool], there: LinkFact | None, routed: SubnetLedger
    ) -> tuple[IpamPool, ...]:
        """The default bridge's pools by the daemon's flags, then by the addresses of a bridge that is `there`.

        What they leave open stays as it was `before`.
        """
        chosen: list[IpamPool] = []
        taken = (self.state.subnets,)
        flags = ((4, self.settings.bip, self.settings.fixed_cidr), (6, self.settings.bip6, self.settings.fixed_cidr_v6))
        for version, own, fixed in flags:
            if version == 6 and not self.settings.ipv6:
                continue
            old = next((one for one in before if ip_network(one.subnet).version == version), None)
            if own:
                address, _, length = own.partition("/")
                subnet: Subnet = ip_network(f"{address}/{length or (24 if version == 4 else 64)}", strict=False)
                chosen.append(IpamPool(subnet=str(subnet), ip_range=fixed, gateway=address))
                continue
            found = bridge.own_pool(there.addresses, version) if there is not None else None
            if found is not None:
                chosen.append(replace(found, ip_range=fixed))
                continue
            if fixed and version == 6:  # Docker: it is the bridge's subnet too
                subnet = ip_network(fixed)
            elif old is not None:
                subnet = ip_network(old.subnet)
            else:
                subnet = self.networks.any_subnet(version, taken, routed)
            chosen.append(IpamPool(subnet=str(subnet), ip_range=fixed, gateway=str(ipam.first_usable(subnet))))
        return tuple(chosen)

    def _refresh(self, known: Network, there: LinkFact | None, routed: SubnetLedger) -> None:
        """The daemon's flags may have changed. Addresses stay as they are under running containers."""
        fresh = replace(known, options={**self._options(), options.NAME: known.bridge})
        pools = self._pools(known.pools if self._name() == known.bridge else (), there, routed)
        if pools != known.pools or self._name() != known.bridge:
            endpoints = list(self.state.endpoints_on(known.id))
            if any(one.active for one in endpoints):
                log.warning("the default bridge keeps its addresses: containers are running on it")
            else:
                fresh = replace(
                    fresh, pools=pools, enable_ipv6=self.settings.ipv6, bridge=self._name(), options=self._options(),
                    foreign_bridge=there is not None,
                )  # fmt: skip
                for endpoint in endpoints:
                    self.state.remove_endpoint(endpoint.id)
        if fresh != known:
            self.state.put_network(fresh)
