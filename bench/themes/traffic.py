"""What packets cost: on one bridge, and through a published port; beside the same set up by hand."""

from pathlib import Path

from lab import HOST4

from bench import tools
from bench.bare import ADDRESSES, Bare
from bench.engines import Engine
from bench.machine import inside
from bench.rows import Row, Target
from bench.stats import Better
from bench.theme import Size, Theme, Values


class Bridge(Theme):
    """Container to container on one bridge."""

    name, title = "bridge", "Container to container on one bridge"
    engines = ("landbridge", "docker", "podman", "bare")
    rounds, budget, quick_budget = 9, 200, 40
    unlike = "`by hand`: a veth pair for each of two namespaces on a bridge, set up with iproute2."

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.ways: dict[str, tools.Way] = {}

    def rows(self) -> tuple[Row, ...]:
        near = (Target("bare", 0.98), Target("docker", 1))
        return (
            Row("bridge-throughput", "one TCP stream (iperf3)", "Gbit/s", Better.HIGHER, near),
            Row("bridge-latency", "one byte there and back over TCP", "µs", Better.LOWER, near),
        )

    def prepare(self, engine: Engine) -> None:
        if isinstance(engine, Bare):
            self.ways[engine.name] = tools.Way(engine.places[0], engine.places[1], ADDRESSES[0])
            return
        self.network(engine, "lbb-bridge")
        server, client = (self.container(engine, "--network", "lbb-bridge") for _ in range(2))
        places = [inside(engine.process(container)) for container in (server, client)]
        self.ways[engine.name] = tools.Way(places[0], places[1], engine.address(server, "lbb-bridge"))

    def play(self, engine: Engine, turn: int) -> Values:
        way, seconds = self.ways[engine.name], self.size.seconds
        return {"bridge-throughput": tools.throughput(way, seconds), "bridge-latency": tools.round_trip(way, seconds)}


class Published(Theme):
    """A published port from the machine outside, from 127.0.0.1 and from ::1."""

    name, title = "published", "A published port"
    engines = ("landbridge", "docker", "podman", "bare")
    rounds, budget, quick_budget = 7, 330, 60
    unlike = (
        "`by hand`: DNAT in prerouting and output and masquerading of 127.0.0.0/8, four rules of nft. Docker carries "
        "127.0.0.1 and ::1 through docker-proxy, Podman does not carry ::1. The web server is the same small program "
        "in each namespace."
    )

    def __init__(self, size: Size, directory: Path) -> None:
        super().__init__(size, directory)
        self.places: dict[str, str] = {}

    def rows(self) -> tuple[Row, ...]:
        near, proxy = Target("bare", 0.95), Target("docker", 2)
        up = Better.HIGHER
        return (
            Row("published-outside", "from outside, one TCP stream (iperf3)", "Gbit/s", up, (near,)),
            Row("published-outside-new", "from outside, a new connection per request (wrk)", "requests/s", up, (near,)),
            Row("published-loopback", "from 127.0.0.1, one TCP stream", "Gbit/s", up, (near, proxy)),
            Row(
                "published-loopback-new",
                "from 127.0.0.1, a new connection per request",
                "requests/s",
                up,
                (near, proxy),
            ),
            Row(
                "published-loopback6",
                "from ::1 through the proxy, one TCP stream",
                "Gbit/s",
                up,
                (Target("docker", 1),),
            ),
        )

    def prepare(self, engine: Engine) -> None:
        if isinstance(engine, Bare):
            self.places[engine.name] = engine.places[0]
        else:
            container = self.container(engine, "-p", "5201:5201", "-p", "8080:8080")
            self.places[engine.name] = inside(engine.process(container))
        way = self._web(engine, engine.machine.outside, HOST4)
        self.later(engine).enter_context(tools.background(tools.replier(way), "listening"))

    def play(self, engine: Engine, turn: int) -> Values:
        place, seconds = self.places[engine.name], self.size.seconds
        outside, host = engine.machine.outside, engine.machine.host
        found: dict[str, float | list[float]] = {
            "published-outside": tools.throughput(tools.Way(place, outside, HOST4), seconds),
            "published-outside-new": tools.connections(self._web(engine, outside, HOST4), seconds),
            "published-loopback": tools.throughput(tools.Way(place, host, "127.0.0.1"), seconds),
            "published-loopback-new": tools.connections(self._web(engine, host, "127.0.0.1"), seconds),
        }
        if engine.loopback6:
            found["published-loopback6"] = tools.throughput(tools.Way(place, host, "::1"), seconds)
        return found

    def _web(self, engine: Engine, client: str, address: str) -> tools.Way:
        return tools.Way(self.places[engine.name], client, address, port=8080, listen_port=8080)
