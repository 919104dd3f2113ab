"""Kernel settings: keys are checked before anything is opened. Writing is tested in namespaces (tests/kernel)."""

import pytest

from landbridge.errors import Invalid, NotFound
from landbridge.system import sysctl


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "net/../../../etc/passwd", "kernel/../ostype"])
def test_a_key_cannot_leave_the_tree(key: str) -> None:
    with pytest.raises(Invalid):
        sysctl.read(key)
    with pytest.raises(Invalid):
        sysctl.write(key, "1")


def test_both_spellings_name_the_same_key() -> None:
    assert sysctl.read("kernel/ostype") == sysctl.read("kernel.ostype") == "Linux"


def test_an_unknown_key_is_not_found() -> None:
    with pytest.raises(NotFound, match="no such key"):
        sysctl.read("net/ipv4/no_such_thing")
    with pytest.raises(NotFound, match="no such key"):
        sysctl.write("net/ipv4/no_such_thing", "1")
