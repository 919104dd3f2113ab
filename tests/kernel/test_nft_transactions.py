"""nftables through libnftables: all or nothing, errors that say where, one context per namespace."""

import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from landbridge.errors import Internal, NotFound
from landbridge.system import netns
from landbridge.system.nft import Nft

pytestmark = pytest.mark.kernel

TABLE = """table inet demo {
    map publish { type inet_service : ipv4_addr; }
    chain user { }
}
"""


@pytest.fixture
def nft(throwaway_netns: str) -> Iterator[Nft]:
    with Nft() as made:
        yield made


def shown() -> str:
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout


def test_what_is_applied_is_what_other_tools_see(nft: Nft) -> None:
    nft.apply(TABLE)
    nft.apply("add element inet demo publish { 80 : 10.0.0.2, 81 : 10.0.0.3 }")
    assert "80 : 10.0.0.2" in shown()
    assert shown().strip() == nft.list_table("inet", "demo").strip()
    nft.apply("delete element inet demo publish { 80 }")
    assert "10.0.0.2" not in shown()
    assert "10.0.0.3" in shown()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("add table inet x\nadd rule inet demo nowhere accept\n", 2, "No such file or directory"),
        ("add table inet x\n\nfoo bar\n", 3, "syntax error"),
        ("add table inet x\nadd element inet demo publish { 70000 : 10.0.0.1 }\n", 2, "out of range"),
        ("add table inet x\ntable inet y {\n chain c {\n  type filter hook nowhere priority 0;\n }\n}\n", 4, "hook"),
        ("add table inet x\ncreate table inet demo\n", 2, "File exists"),
    ],
)
def test_one_bad_command_undoes_all_and_is_named(nft: Nft, text: str, line: int, said: str) -> None:
    nft.apply(TABLE)
    before = shown()
    with pytest.raises(Internal, match=rf"{said}.* in line {line}: ") as caught:
        nft.apply(text)
    assert caught.value.message.endswith(text.splitlines()[line - 1].strip())
    assert shown() == before
    nft.apply("add table inet after")
    assert nft.tables() == (("inet", "demo"), ("inet", "after")), "the context no longer commits after a failure"


def test_removing_a_table_twice_is_fine(nft: Nft) -> None:
    nft.apply(TABLE)
    assert nft.table_exists("inet", "demo")
    nft.remove_table("inet", "demo")
    nft.remove_table("inet", "demo")
    assert not nft.table_exists("inet", "demo")
    assert shown() == ""
    with pytest.raises(NotFound):
        nft.list_table("inet", "demo")


def test_the_same_name_in_another_family_is_another_table(nft: Nft) -> None:
    nft.apply("add table ip demo")
    assert not nft.table_exists("inet", "demo")
    nft.remove_table("inet", "demo")
    assert nft.table_exists("ip", "demo")


def test_a_sandbox_has_its_own_rules(nft: Nft, make_netns: Callable[[str], str]) -> None:
    path = make_netns("box")
    nft.apply_inside(path, TABLE)
    with netns.inside(path):
        assert "table inet demo" in shown()
    assert nft.tables() == ()
    with pytest.raises(Internal, match="in line 1: delete table inet nothing"):
        nft.apply_inside(path, "delete table inet nothing")
    with pytest.raises(NotFound):
        nft.apply_inside(f"{path}-gone", TABLE)
    assert nft.tables() == (), "the thread did not come back"


def test_a_context_keeps_to_the_namespace_it_was_made_in(nft: Nft, make_netns: Callable[[str], str]) -> None:
    with netns.inside(make_netns("box")):
        nft.apply(TABLE)
    assert nft.table_exists("inet", "demo")
    assert "table inet demo" in shown()


def test_threads_may_share_one(nft: Nft) -> None:
    nft.apply(TABLE)
    failures: list[BaseException] = []

    def fill(first: int) -> None:
        try:
            for port in range(first, first + 50):
                nft.apply(f"add element inet demo publish {{ {port} : 10.0.0.1 }}")
                with pytest.raises(Internal, match=f"in line 1: add table inet {port} "):
                    nft.apply(f"add table inet {port} nonsense")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fill, args=(first,)) for first in (1000, 2000, 3000, 4000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert nft.list_table("inet", "demo").count("10.0.0.1") == 200


def test_ten_thousand_elements_go_in_one_transaction(nft: Nft) -> None:
    nft.apply(TABLE)
    elements = ", ".join(f"{port} : 10.0.0.1" for port in range(1, 10001))
    nft.apply(f"add element inet demo publish {{ {elements} }}")
    assert nft.list_table("inet", "demo").count("10.0.0.1") == 10000


def test_after_close_it_says_so(nft: Nft) -> None:
    nft.close()
    nft.close()
    with pytest.raises(Internal, match="after close"):
        nft.apply(TABLE)
