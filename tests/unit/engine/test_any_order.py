"""Operations in any order, alone or several at once: after each the world outside is what the state says."""

import asyncio
import os
import random
from collections.abc import Awaitable
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from landbridge.errors import LandbridgeError
from landbridge.model.config import EndpointConfig
from rig import Rig, scratch

CONTAINERS = ("c0", "c1", "c2", "c3")
NETWORKS = ("n0", "n1", "n2")

names = st.sampled_from(CONTAINERS)
networks = st.sampled_from(NETWORKS)
modes = st.sampled_from(("bridge", "n0", "n0", "n1", "n2", "none", "host", "container:c0", "container:c1"))
ports = st.sampled_from(({}, {"80/tcp": ""}, {"80/tcp": "8080"}, {"53/udp": "", "80/tcp": "8000-8001"}))
policies = st.sampled_from(("no", "no", "always", "on-failure", "unless-stopped"))


class Engine(RuleBasedStateMachine):
    """One engine and its users. Being refused is fine; what is refused changes nothing."""

    @initialize(seed=st.integers(0, 999))
    def begin(self, seed: int) -> None:
        self.generation = 0
        self.stack = ExitStack()
        self.directory = self.stack.enter_context(scratch())
        self.loop = asyncio.new_event_loop()
        self.rig = Rig(self.directory / "db")
        dice = random.Random(seed)
        self.rig.faults.turns = lambda: dice.randrange(4)
        self.loop.run_until_complete(self.rig.boot())
        self.loop.run_until_complete(self.rig.network("n0", "10.0.0.0/29"))
        self.loop.run_until_complete(self.rig.network("n1", "10.1.0.0/24", enable_ipv6=True))

    def teardown(self) -> None:
        self.loop.run_until_complete(self.rig.stop())
        self.loop.close()
        self.stack.close()

    def do(self, *operations: Awaitable[Any]) -> None:
        async def go() -> None:
            results = await asyncio.gather(*operations, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, LandbridgeError):
                    raise result
            await self.rig.settle()
            self.rig.check()

        self.loop.run_until_complete(go())

    def operation(self, kind: str, one: str, other: str, network: str) -> Awaitable[Any]:
        rig = self.rig
        return {
            "start": lambda: rig.lifecycle.start(one),
            "stop": lambda: rig.lifecycle.stop(one),
            "kill": lambda: rig.lifecycle.kill(one),
            "restart": lambda: rig.lifecycle.restart(one),
            "pause": lambda: rig.lifecycle.pause(one),
            "unpause": lambda: rig.lifecycle.unpause(one),
            "remove": lambda: rig.containers.remove(one),
            "remove by force": lambda: rig.containers.remove(one, force=True),
            "rename": lambda: rig.containers.rename(one, other),
            "connect": lambda: rig.connect(network, one, aliases=("alias",)),
            "connect first": lambda: rig.connect(network, one, gw_priority=1),
            "disconnect": lambda: rig.containers.disconnect(network, one),
            "remove network": lambda: rig.networks.remove(network),
            "create network": lambda: rig.network(network),
            "back-off over": self._back_off_over,
            "exit": lambda: self._exit(one),
        }[kind]()

    async def _back_off_over(self) -> None:
        self.rig.sleeper.wake()

    async def _exit(self, name: str) -> None:
        container = self.rig.of(name)
        process = self.rig.runtime.processes.get(container.id)
        if process is not None and process.status == "running":
            self.rig.runtime.end(container.id, random.Random(len(self.rig.faults.calls)).randrange(2))

    kinds = st.sampled_from((
        "start", "start", "start", "stop", "kill", "restart", "pause", "unpause", "remove", "remove by force", "rename",
        "connect", "connect first", "disconnect", "remove network", "create network", "back-off over", "exit", "exit",
    ))  # fmt: skip
    deeds = st.tuples(kinds, names, names, networks)

    @rule(name=names, mode=modes, published=ports, policy=policies, also=st.lists(networks, max_size=2, unique=True),
          ip=st.sampled_from(("", "", "10.0.0.5")), then=st.sampled_from(("start", "")))  # fmt: skip
    def create(self, name: str, mode: str, published: Any, policy: str, also: list[str], ip: str, then: str) -> None:
        endpoints = tuple(EndpointConfig(network=one) for one in (mode, *also)) if also else ()
        joins = mode.startswith("container:")
        self.do(self.rig.create(
            name, net=mode, ports={} if joins else published, restart=policy, endpoints=() if joins else endpoints,
            ip=ip if mode == "n0" and not also else "",
        ))  # fmt: skip
        if then:
            self.do(self.rig.lifecycle.start(name))

    @rule(deed=deeds)
    def alone(self, deed: tuple[str, str, str, str]) -> None:
        self.do(self.operation(*deed))

    @rule(several=st.lists(deeds, min_size=2, max_size=4))
    def at_once(self, several: list[tuple[str, str, str, str]]) -> None:
        self.do(*(self.operation(*deed) for deed in several))

    @rule()
    def daemon_restarts(self) -> None:
        self.do(self.rig.again())

    @rule(several=st.lists(deeds, min_size=1, max_size=2), turns=st.integers(0, 60))
    def killed(self, several: list[tuple[str, str, str, str]], turns: int) -> None:
        """Some turns into operations the daemon dies; the next one takes over what is there."""

        async def go() -> None:
            tasks = [asyncio.ensure_future(self.operation(*deed)) for deed in several]
            for _ in range(turns):
                await asyncio.sleep(0)
            self.generation += 1
            left = self.rig.photograph(self.directory / f"{self.generation}.db")
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.rig.settle()
            await self.rig.stop()
            self.rig = left
            await left.boot()
            left.check()

        self.loop.run_until_complete(go())


PHASES = (Phase.explicit, Phase.reuse, Phase.generate) if os.environ.get("ORDER_EXAMPLES") else tuple(Phase)
EXAMPLES = int(os.environ.get("ORDER_EXAMPLES", "30"))  # thousands find what dozens do not

TestAnyOrder = Engine.TestCase
TestAnyOrder.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck)
)
