"""The table of rules and its guard: put back as operations left it, with what the user had; never fought over."""

import asyncio
import os

import pytest

from fake_processes import FakeFiles
from fakes import FakeFirewall
from faults import Faults
from landbridge.engine.guard import Guard
from landbridge.engine.rules import RuleTable
from landbridge.errors import Internal
from landbridge.network import ruleset
from landbridge.network.steps import Element

ONE, TWO = Element("publish_any", "tcp . 1", "10.0.0.2 . 80"), Element("publish_any", "tcp . 2", "10.0.0.2 . 80")
KEPT = "/run/x/user.nft"
RULES = "table inet t {\n\tchain user {\n\t\ttcp dport 25 drop\n\t}\n}\n"


class Firewall(FakeFirewall):
    """Shows `user` as the listing of the user's chain while there is a table."""

    user = "table inet t {\n\tchain user {\n\t}\n}\n"

    def listing(self, kind: str, name: str) -> str:
        if not self.exists():
            return ""
        return self.user if kind == "chain" else "table inet t {\n\tset allowed {\n\t}\n}\n"


class Table:
    def __init__(self) -> None:
        faults = Faults()
        self.firewall, self.files = Firewall(faults), FakeFiles(faults)
        self.rules = RuleTable(self.firewall, self.files, table="t", chains=ruleset.chains(), kept=KEPT)

    def keys(self) -> set[str]:
        return {key for _, key, _ in self.firewall.elements}


def test_what_operations_did_comes_back() -> None:
    table = Table()
    table.rules.load([ONE])
    table.rules.change([TWO], [ONE])
    table.firewall.table = None
    table.rules.restore()
    assert table.keys() == {TWO.key}


def test_an_operation_over_a_lost_table_brings_it_back() -> None:
    table = Table()
    table.rules.load([ONE])
    for add, remove, left in (([TWO], [], {ONE.key, TWO.key}), ([], [ONE], {TWO.key})):
        table.firewall.table = None
        table.rules.change(add, remove)
        assert table.keys() == left
    table.firewall.table = None
    table.rules.restore()
    assert table.keys() == {TWO.key}


def test_a_refused_change_changes_nothing() -> None:
    table = Table()
    table.rules.load([ONE])
    with pytest.raises(Internal):
        table.rules.change([TWO], [Element("publish_any", "tcp . 3", "")])
    table.firewall.table = None
    table.rules.restore()
    assert table.keys() == {ONE.key}


def test_the_users_rules_come_back_with_the_table() -> None:
    table = Table()
    table.rules.load([])
    table.firewall.user = RULES
    table.rules.remember()
    assert table.files.read(KEPT) == RULES
    table.firewall.table = None
    table.rules.restore()
    assert table.firewall.transactions[-1].endswith(RULES)


def test_what_the_user_removed_stays_removed() -> None:
    table = Table()
    table.rules.load([])
    table.firewall.user = RULES
    table.rules.remember()
    table.firewall.user = RULES.replace("\t\ttcp dport 25 drop\n", "")
    table.rules.remember()
    table.firewall.table = None
    table.rules.restore()
    assert "dport 25" not in table.firewall.transactions[-1]


def test_a_table_that_vanishes_before_it_is_looked_at_keeps_its_rules() -> None:
    table = Table()
    table.rules.load([])
    table.firewall.user = RULES
    table.rules.remember()
    table.firewall.table = None
    table.rules.remember()
    table.rules.restore()
    assert table.firewall.transactions[-1].endswith(RULES)


def test_a_table_the_user_made_again_is_believed() -> None:
    table = Table()
    table.rules.load([])
    table.firewall.user = RULES
    table.rules.remember()
    table.firewall.user = RULES.replace("25", "26")  # swept away and made again, by a file of theirs
    table.rules.restore()
    assert RULES not in table.firewall.transactions[-1]
    assert "dport 26" in table.files.read(KEPT)


def test_an_end_and_a_start_keep_the_users_rules() -> None:
    table = Table()
    table.rules.load([])
    table.firewall.user = RULES
    table.rules.remove()
    assert not table.firewall.exists()
    table.rules.load([ONE])
    assert table.firewall.transactions[-1].endswith(RULES)
    table.rules.remove()
    table.rules.remove()


def test_rules_that_do_not_fit_any_more_are_left_out() -> None:
    table = Table()
    table.rules.load([])
    table.files.texts[KEPT] = "add element inet t nowhere { 1 }\n"
    table.firewall.table = None
    table.rules.load([ONE])
    assert table.keys() == {ONE.key}


class Watch:
    """Announcements through a pipe."""

    def __init__(self) -> None:
        self.ends = os.pipe()
        self.said: list[frozenset[str]] = []

    def fileno(self) -> int:
        return self.ends[0]

    def announce(self, *what: str) -> None:
        self.said.append(frozenset(what))
        os.write(self.ends[1], b".")

    def drain(self) -> frozenset[str]:
        os.read(self.ends[0], 100)
        said, self.said = frozenset().union(*self.said), []
        return said

    def close(self) -> None:
        for end in self.ends:
            os.close(end)


async def until(condition: object) -> None:
    for _ in range(2000):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


def guarded(test: object) -> None:
    async def go() -> None:
        table, watch = Table(), Watch()

        async def blocking(call: object) -> object:
            return call()  # type: ignore[operator]

        guard = Guard(watch, table.rules, blocking, sleep=lambda seconds: asyncio.sleep(0))
        table.rules.load([ONE])
        guard.start()
        try:
            await test(table, watch)  # type: ignore[operator]
        finally:
            await guard.close()

    asyncio.run(go())


def test_a_loss_is_made_good_every_time() -> None:
    async def go(table: Table, watch: Watch) -> None:
        for _ in range(3):
            table.firewall.table = None
            watch.announce("lost")
            await until(table.firewall.exists)
        assert table.keys() == {ONE.key}

    guarded(go)


def test_a_restoration_that_fails_is_tried_again() -> None:
    async def go(table: Table, watch: Watch) -> None:
        table.firewall.table = None
        table.firewall.faults.fail(1)
        watch.announce("lost")
        await until(table.firewall.exists)
        assert not table.firewall.faults.pending

    guarded(go)


def test_the_users_changes_are_noted() -> None:
    async def go(table: Table, watch: Watch) -> None:
        table.firewall.user = RULES
        watch.announce("user")
        await until(lambda: table.files.read(KEPT) == RULES)

    guarded(go)


def test_the_chain_of_dockers_users_is_looked_for_when_it_may_be_there() -> None:
    async def go(table: Table, watch: Watch) -> None:
        before = table.firewall.heeded
        watch.announce("docker-user")
        await until(lambda: table.firewall.heeded > before)
        table.firewall.table = None
        watch.announce("lost")
        await until(lambda: table.firewall.heeded > before + 1)

    guarded(go)


def test_nothing_is_done_after_the_end() -> None:
    async def go() -> None:
        table, watch = Table(), Watch()
        guard = Guard(watch, table.rules, lambda call: asyncio.sleep(0, call()))
        guard.start()
        watch.announce("lost")
        await guard.close()
        await asyncio.sleep(0)
        assert not table.firewall.exists()

    asyncio.run(go())
