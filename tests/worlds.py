"""Small worlds for tests: values as the engine would have them, with as little ceremony as possible."""

from landbridge.model.config import Config, EndpointConfig, HostConfig
from landbridge.model.container import Container, Phase, State
from landbridge.model.network import Endpoint, IpamPool, Network, Sandbox
from landbridge.model.ports import Binding
from landbridge.model.world import Instance, World

INSTANCE = Instance("beef")


def network(name: str, subnet: str = "172.18.0.0/20", gateway: str = "172.18.0.1", **rest: object) -> Network:
    identity = f"{name:0<64}"[:64]
    pools = (IpamPool(subnet=subnet, gateway=gateway),)
    settled = {"driver": "bridge", "pools": pools, "bridge": INSTANCE.bridge_name(identity), "created": 1, **rest}
    return Network(id=identity, name=name, **settled)  # type: ignore[arg-type]


def container(name: str, **rest: object) -> Container:
    settled = {
        "created": 1, "image": "sha256:0", "path": "sh", "args": (), "config": Config(hostname=name),
        "host": HostConfig(network_mode="bridge"), "state": State(phase=Phase.RUNNING, pid=1), **rest,
    }  # fmt: skip
    return Container(id=f"{name:0<64}"[:64], name=name, **settled)  # type: ignore[arg-type]


def endpoint(owner: Container, on: Network, address: str, *, order: int = 0, **rest: object) -> Endpoint:
    identity = f"e{order}{owner.id}"[:64]
    settled = {
        "config": EndpointConfig(network=on.name), "ipv4": address, "mac": "02:00:00:00:00:01", "active": True,
        "gateway4": on.pools[0].gateway, "host_name": INSTANCE.veth_name(identity), "ifname": f"eth{order}",
        "names": (owner.name,), **rest,
    }  # fmt: skip
    return Endpoint(id=identity, network=on.id, container=owner.id, order=order, **settled)  # type: ignore[arg-type]


def sandbox(owner: Container, *published: Binding) -> Sandbox:
    return Sandbox(id=f"5{owner.id}"[:64], container=owner.id, path=f"/run/x/{owner.name}", published=published)


def world(*things: Network | Container | Endpoint | Sandbox) -> World:
    def of(kind: type) -> dict[str, object]:
        return {thing.id: thing for thing in things if isinstance(thing, kind)}

    return World(
        instance=INSTANCE, networks=of(Network), endpoints=of(Endpoint), sandboxes=of(Sandbox),  # type: ignore[arg-type]
        containers=of(Container),  # type: ignore[arg-type]
    )  # fmt: skip
