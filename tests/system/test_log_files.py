"""Logs in several files: bounded on disk, read as one, followed over every turn, turned on by the next daemon."""

from pathlib import Path

import pytest
from clients import Client
from lab import Lab
from patience import until

# Slow enough for the daemon's second look, much too much for one file of 2 kB.
TALK = "i=0; while [ $i -lt {} ]; do i=$((i+1)); echo line $i; [ $((i % 20)) = 0 ] && sleep 0.15; done; true"
OPTIONS = ("--log-opt", "max-size=2k", "--log-opt", "max-file=3")


def numbers(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines()]


def files(lab: Lab, identity: str) -> list[Path]:
    return sorted((lab.data_root / "containers" / identity).glob(f"{identity}.log*"))


def test_the_last_files_are_one_log(client: Client) -> None:
    identity = client.ok("run", "-d", "--name", "talk", *OPTIONS, "busybox", "sh", "-c", TALK.format(300))
    assert numbers(client.ok("logs", "-f", "talk"))[-1] == 300
    kept = numbers(client.ok("logs", "talk"))
    assert kept == list(range(kept[0], 301))
    assert 80 <= len(kept) < 250
    assert [path.name[64:] for path in files(client.lab, identity)] == [".log", ".log.1", ".log.2"]
    for path in files(client.lab, identity):
        assert path.stat().st_size < 6000
    for count in (1, 60, len(kept) - 1, 1000):
        assert numbers(client.ok("logs", "--tail", str(count), "talk")) == kept[-count:]
    client.ok("rm", "talk")
    until(lambda: files(client.lab, identity), [])  # they go behind the answer


def test_following_sees_every_line_over_the_turns(client: Client) -> None:
    client.ok("create", "--name", "talk", *OPTIONS, "busybox", "sh", "-c", TALK.format(300))
    client.ok("start", "talk")
    assert numbers(client.ok("logs", "-f", "talk")) == list(range(1, 301))


@pytest.mark.parametrize("options", [("max-size=2k",), ("max-size=2k", "max-file=1")])
def test_one_file_begins_anew(ours: Client, options: tuple[str, ...]) -> None:
    words = [word for option in options for word in ("--log-opt", option)]
    identity = ours.ok("run", "-d", "--name", "talk", *words, "busybox", "sh", "-c", TALK.format(100))
    ours.ok("wait", "talk")
    (path,) = files(ours.lab, identity)
    assert path.stat().st_size <= 2100
    kept = numbers(ours.ok("logs", "talk"))
    assert kept == list(range(kept[0], 101))


def test_the_next_daemon_goes_on(own_lab: Lab) -> None:
    ours = Client(own_lab, "landbridge")
    identity = ours.ok("run", "-d", "--name", "talk", *OPTIONS, "busybox", "sh", "-c", TALK.format(1000))
    until(lambda: len(files(own_lab, identity)), lambda count: count > 1)
    own_lab.stop_daemon()
    for path in files(own_lab, identity)[1:]:
        path.unlink()  # so that those seen later are the next one's
    own_lab.start_daemon()
    until(lambda: len(files(own_lab, identity)), 3)
    kept = numbers(ours.ok("logs", "talk"))
    assert kept == list(range(kept[0], kept[-1] + 1))
    ours.ok("rm", "-f", "talk")
