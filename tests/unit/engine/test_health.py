"""What a probe's result makes of a container's health, and when the next one is due."""

import pytest

from landbridge.engine.health import Schedule, at_rest, at_start, command, judged, kept
from landbridge.model.config import Config, Healthcheck, HostConfig
from landbridge.model.container import Container, Health, HealthProbe, Phase, State

SECOND = 1_000_000_000


def container(health: Health | None = None, *, test: tuple[str, ...] = ("CMD", "true"), **check: int) -> Container:
    """One that has run since the first second."""
    config = Config(healthcheck=Healthcheck(test=test, **check))
    state = State(phase=Phase.RUNNING, started_at=SECOND, health=health)
    return Container(id="a" * 64, name="c", created=0, image="i", path="sh", args=(), config=config,
                     host=HostConfig(), state=state)  # fmt: skip


def probe(code: int, at: float = 100) -> HealthProbe:
    start = SECOND + int(at * SECOND)
    return HealthProbe(start=start, end=start + 1, exit_code=code, output="")


@pytest.mark.parametrize(("test", "shell", "wanted"), [
    (None, None, ()),
    ((), None, ()),
    (("NONE",), None, ()),
    (("WRONG", "x"), None, ()),
    (("CMD", "a", "b"), ("/bin/ash", "-c"), ("a", "b")),
    (("CMD-SHELL", "a | b"), None, ("/bin/sh", "-c", "a | b")),
    (("CMD-SHELL", "a"), ("/bin/ash", "-x", "-c"), ("/bin/ash", "-x", "-c", "a")),
])  # fmt: skip
def test_the_command_of_each_form(
    test: tuple[str, ...] | None, shell: tuple[str, ...] | None, wanted: tuple[str, ...]
) -> None:
    assert command(Config(healthcheck=Healthcheck(test=test), shell=shell)) == wanted


def test_dockers_defaults() -> None:
    found = Schedule.of(Healthcheck(test=("CMD", "true")))
    assert found == Schedule(interval=30, timeout=30, start_period=0, start_interval=5, retries=3)


def test_the_first_success_makes_it_healthy() -> None:
    assert judged(container(Health(status="starting")), probe(0)).status == "healthy"


def test_so_many_failures_in_a_row_make_it_unhealthy() -> None:
    health: Health | None = Health(status="healthy")
    seen = []
    for _ in range(3):
        health = judged(container(health), probe(1))
        seen.append((health.status, health.failing_streak))
    assert seen == [("healthy", 1), ("healthy", 2), ("unhealthy", 3)]


def test_a_success_in_between_starts_the_count_again() -> None:
    health = judged(container(Health(status="unhealthy", failing_streak=7)), probe(0))
    assert (health.status, health.failing_streak) == ("healthy", 0)
    assert judged(container(health), probe(-1)).failing_streak == 1


def test_failures_within_the_start_period_do_not_count() -> None:
    one = container(Health(status="starting"), start_period=10 * SECOND, retries=1)
    early, late = judged(one, probe(1, at=9.9)), judged(one, probe(1, at=10))
    assert (early.status, early.failing_streak, len(early.log)) == ("starting", 0, 1)
    assert (late.status, late.failing_streak) == ("unhealthy", 1)


def test_after_a_success_failures_count_even_within_the_start_period() -> None:
    one = container(Health(status="healthy"), start_period=10 * SECOND, retries=1)
    assert judged(one, probe(1, at=1)).status == "unhealthy"


def test_five_results_are_kept() -> None:
    health: Health | None = None
    for number in range(7):
        health = judged(container(health), probe(number))
    assert health is not None
    assert [one.exit_code for one in health.log] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("status", "age", "wanted"), [("starting", 3, 2), ("starting", 10, 60), ("healthy", 3, 60)])
def test_probes_come_faster_while_it_starts(status: str, age: float, wanted: float) -> None:
    schedule = Schedule.of(Healthcheck(interval=60 * SECOND, start_interval=2 * SECOND, start_period=10 * SECOND))
    assert schedule.pause(Health(status=status), age) == wanted


def test_a_new_run_starts_over_and_keeps_the_log() -> None:
    old = Health(status="unhealthy", failing_streak=4, log=(probe(1),))
    assert at_start(container(old)) == Health(status="starting", log=old.log)
    assert at_start(container(old, test=("NONE",))) is None


def test_nobody_looks_after_what_rests() -> None:
    assert at_rest(None) is None
    assert at_rest(Health(status="healthy", log=(probe(0),))) == Health(status="unhealthy", log=(probe(0),))


def test_output_is_text_of_a_bounded_size() -> None:
    assert kept(b"fine\n", more=False) == "fine\n"
    assert kept(b"x" * 4096, more=True) == "x" * 4096 + "..."
    assert kept(b"\xff", more=False) == "\ufffd"
