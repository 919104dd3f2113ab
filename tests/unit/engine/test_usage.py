"""Processes of a container picked from the host's list; mount points no user made; limits merged by ``update``."""

import pytest

from landbridge.engine.contents import own_changes
from landbridge.engine.update import merged
from landbridge.engine.usage import process_table, split_arguments
from landbridge.errors import Conflict, Internal, Invalid
from landbridge.model.config import HostConfig, RestartPolicy
from landbridge.model.layer import Change

ALWAYS = RestartPolicy(name="always")

PS = """\
UID        PID  PPID  C STIME TTY          TIME CMD
root         7     1  0 10:00 ?        00:00:00 sleep 10
root        70     1  0 10:00 ?        00:00:00 sh -c  echo  hi
root       700     1  0 10:00 ?        00:00:00 other
"""


def test_only_the_containers_processes_and_the_command_in_one_piece() -> None:
    table = process_table(PS, frozenset({7, 70}))
    assert table.titles == ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
    assert [row[1] for row in table.rows] == ["7", "70"]
    assert table.rows[1][-1] == "sh -c  echo  hi"


def test_a_list_without_process_ids_cannot_be_used() -> None:
    with pytest.raises(Internal, match="Couldn't find PID field in ps output"):
        process_table("CMD\nsleep\n", frozenset({7}))


@pytest.mark.parametrize(
    ("text", "words"), [("", ("-ef",)), ("aux", ("aux",)), ("-o pid,cmd", ("-o", "pid,cmd"))]
)
def test_arguments_for_ps(text: str, words: tuple[str, ...]) -> None:
    assert split_arguments(text) == words


@pytest.mark.parametrize("text", ["-o x=PID", "-o pid=Pid2"])
def test_a_renamed_column_of_ids_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is not allowed"):
        split_arguments(text)


def changes(text: str) -> tuple[Change, ...]:
    return tuple(Change(word[0], word[1:]) for word in text.split())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("A/dev C/etc A/etc/hosts A/etc/resolv.conf A/proc", ""),
        ("A/dev C/etc A/etc/hosts A/etc/mine", "C/etc A/etc/mine"),
        ("C/dev A/dev/x D/etc/hosts C/etc", "C/dev A/dev/x D/etc/hosts C/etc"),
        ("A/file", "A/file"),
    ],
)
def test_mount_points_the_engine_made_are_no_changes(found: str, kept: str) -> None:
    assert own_changes(changes(found)) == changes(kept)


def test_update_changes_what_is_given() -> None:
    host = HostConfig(memory=10, cpu_shares=5, restart_policy=RestartPolicy(name="no"))
    wanted = HostConfig(memory=20, restart_policy=RestartPolicy(name="always"))
    found = merged(host, wanted)
    assert (found.memory, found.cpu_shares, found.restart_policy.name) == (20, 5, "always")
    assert merged(host, HostConfig()) == host


@pytest.mark.parametrize(
    ("host", "wanted", "words"),
    [
        (HostConfig(cpu_quota=5), HostConfig(nano_cpus=1), "CPU Quota has already been set"),
        (HostConfig(nano_cpus=5), HostConfig(cpu_period=1), "CPU Period cannot be updated as NanoCPUs"),
        (HostConfig(memory_swap=5), HostConfig(memory=6), "smaller than already set memoryswap limit"),
        (HostConfig(auto_remove=True), HostConfig(restart_policy=ALWAYS), "AutoRemove is enabled"),
    ],
)
def test_update_refuses_what_does_not_fit(host: HostConfig, wanted: HostConfig, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        merged(host, wanted)
