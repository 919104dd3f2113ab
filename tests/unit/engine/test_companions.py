"""The resolver and the proxy as processes that may die: found, started, told everything, and back again."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from landbridge.engine.companions import Client, Companion, ProxyLink, ResolverLink
from landbridge.errors import HoldFailed, Unavailable
from landbridge.model.hold import Hold
from landbridge.model.names import Change

HOLD = Hold(key="k", proto="tcp", host_ip="0.0.0.0", host_port=80, target_ip="10.0.0.2", target_port=80)


class Process:
    """One companion outside: `alive` or not; every client of it notices when it dies."""

    def __init__(self) -> None:
        self.alive = False
        self.spawned = 0
        self.will_start = True
        self.clients: list[FakeClient] = []
        self.said: list[str] = []
        self.held: set[str] = set()
        self.die_at: str = ""

    def spawn(self) -> None:
        self.spawned += 1
        if not self.will_start:
            raise OSError("no such file")
        self.alive = True

    async def connect(self, lost: Callable[[], None]) -> Client:
        if not self.alive:
            raise Unavailable("nobody there")
        client = FakeClient(self, lost)
        self.clients.append(client)
        return client

    def die(self) -> None:
        self.alive = False
        self.held.clear()
        clients, self.clients = self.clients, []
        for client in clients:
            client.lost()


class FakeClient:
    def __init__(self, process: Process, lost: Callable[[], None]) -> None:
        self.process = process
        self.lost = lost

    async def _say(self, what: str) -> None:
        if self.process.die_at == what:
            self.process.die_at = ""
            self.process.die()
        await asyncio.sleep(0)
        if self not in self.process.clients:
            raise Unavailable("the connection broke")
        self.process.said.append(what)

    async def apply(self, changes: Sequence[Change]) -> None:
        await self._say("apply")

    async def hold(self, holds: Sequence[Hold]) -> None:
        await self._say("hold")
        if any(hold.host_port == 81 for hold in holds):
            raise HoldFailed("in use", reason="EADDRINUSE", key="k")
        self.process.held |= {hold.key for hold in holds}

    async def release(self, keys: Sequence[str]) -> None:
        await self._say("release")

    async def replace(self, *tables: object) -> Mapping[str, str]:
        await self._say("replace")
        return {"lost": "EADDRINUSE"}

    async def quit(self) -> None:
        await self._say("quit")
        self.process.alive = False

    async def close(self) -> None:
        self.process.said.append("close")


def companion(process: Process, patience: float = 0.3) -> Companion:
    return Companion("helper", process.spawn, process.connect, patience=patience)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (nobody tells us)
            await asyncio.sleep(0.001)


def test_found_when_it_runs_and_started_when_it_does_not() -> None:
    async def go() -> None:
        process = Process()
        process.alive = True
        found = companion(process)
        await found.start()
        assert process.spawned == 0
        assert repr(found) == "<helper ready>"
        await found.close(quit=False)
        assert process.alive
        process = Process()
        started = companion(process)
        assert repr(started) == "<helper away>"
        await started.start()
        assert process.spawned == 1
        await started.close(quit=True)
        assert not process.alive

    asyncio.run(go())


def test_one_that_does_not_come_up_is_reported() -> None:
    async def go() -> None:
        process = Process()
        dead = Companion("helper", lambda: None, process.connect, patience=0.05)
        with pytest.raises(Unavailable):
            await dead.start()
        await dead.close(quit=True)

    asyncio.run(go())


def test_a_call_cut_off_is_made_again_after_the_whole_table_was_told() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process)
        await helper.start()
        link = ResolverLink(helper)

        async def restore() -> None:
            await link.replace((), (), ())

        helper.restore = restore
        process.die_at = "apply"
        await link.apply(())
        assert process.spawned == 2
        assert process.said == ["replace", "apply"]
        await helper.close(quit=False)

    asyncio.run(go())


def test_answers_of_the_proxy_come_through() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process)
        await helper.start()
        link = ProxyLink(helper)
        await link.hold((HOLD,))
        assert process.held == {"k"}
        with pytest.raises(HoldFailed):
            await link.hold((Hold(key="z", proto="tcp", host_ip="", host_port=81, target_ip="", target_port=1),))
        assert process.said.count("hold") == 2  # a refusal is an answer, not a broken connection
        assert await link.replace(()) == {"lost": "EADDRINUSE"}
        await link.release(("k",))
        await helper.close(quit=False)

    asyncio.run(go())


def test_one_that_dies_again_while_it_is_told_everything_comes_back() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process, patience=60)  # it does not wait for itself
        await helper.start()
        link, told = ResolverLink(helper), []

        async def restore() -> None:
            told.append(len(told))
            if len(told) == 1:
                process.die()
            await link.replace((), (), ())
            if len(told) == 2:
                process.die()

        helper.restore = restore
        process.die()
        await until(lambda: process.said == ["replace", "replace"])
        assert told == [0, 1, 2]
        await helper.client()
        await helper.close(quit=False)

    asyncio.run(go())


def test_one_that_cannot_be_started_now_is_tried_again() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process, patience=0.05)
        await helper.start()
        process.will_start = False
        process.die()
        with pytest.raises(Unavailable, match="the helper does not answer"):
            await helper.client()
        process.will_start = True
        await until(lambda: process.alive and repr(helper) == "<helper ready>")
        await helper.close(quit=False)

    asyncio.run(go())


def test_closing_while_it_is_away() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process)
        await helper.start()
        process.will_start = False
        process.die()
        await asyncio.sleep(0.01)
        await helper.close(quit=True)
        spawned = process.spawned
        await asyncio.sleep(0.1)
        assert process.spawned == spawned

    asyncio.run(go())


def test_a_goodbye_nobody_hears_does_not_stop_the_end() -> None:
    async def go() -> None:
        process = Process()
        helper = companion(process)
        await helper.start()
        process.die_at = "quit"
        await helper.close(quit=True)
        assert process.said == ["close"]

    asyncio.run(go())


