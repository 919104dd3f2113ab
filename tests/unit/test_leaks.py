"""The leak check itself: it must see what it is for, and only that."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

import leaks


def take() -> leaks.Snapshot:
    return leaks.take({"tstnone"}, kernel=False)


def kinds(before: leaks.Snapshot) -> set[str]:
    return {line.partition(":")[0] for line in take().new_since(before)}


def test_a_descriptor_left_open_is_seen_until_it_is_closed() -> None:
    before = take()
    handle = os.open("/dev/null", os.O_RDONLY)
    assert kinds(before) == {"fds"}
    os.close(handle)
    assert kinds(before) == set()


def test_a_child_is_seen_until_it_is_reaped() -> None:
    before = take()
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert child.stdin
    assert kinds(before) == {"children", "fds"}
    child.stdin.close()
    assert kinds(before) == {"children"}
    child.wait()
    assert kinds(before) == set()


def test_a_thread_is_seen_until_it_ends() -> None:
    before = take()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert kinds(before) == {"threads"}
    done.set()
    thread.join()
    assert kinds(before) == set()


@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_task_that_never_finished_is_seen_after_its_loop() -> None:
    before = take()
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(0))
    assert "tasks" in kinds(before)
    loop.run_until_complete(task)
    loop.close()
    assert kinds(before) == set()


def test_what_goes_away_in_time_is_no_leak() -> None:
    before = take()
    handle = os.open("/dev/null", os.O_RDONLY)
    looks = 0

    def again() -> leaks.Snapshot:
        nonlocal looks
        looks += 1
        if looks == 2:
            os.close(handle)
        return take()

    assert leaks.settled(before, again) == []
    assert looks == 2


def test_forgiving_needs_a_reason_and_a_known_kind() -> None:
    watch = leaks.Watch({"tstnone"})
    with pytest.raises(AssertionError):
        watch.forgive("fds", because="")
    with pytest.raises(AssertionError):
        watch.forgive("files", because="misspelt")
    watch.forgive("fds", because="kept by the client's pool")
    before = take()
    handle = os.open("/dev/null", os.O_RDONLY)
    assert leaks.settled(before, take, watch.forgiven) == []
    os.close(handle)
