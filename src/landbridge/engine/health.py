"""What health checks mean: what is run, how often, and what a result makes of a container's health. Pure.

Docker's rules and defaults. Running the probes is `engine.healthchecks`.
"""

from dataclasses import dataclass, replace

from landbridge.model.config import Config, Healthcheck
from landbridge.model.container import Container, Health, HealthProbe

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"

MOST_OUTPUT = 4096  # bytes of a probe's output that are kept
MOST_PROBES = 5  # results that are kept
_RETRIES = 3
_SECOND = 1_000_000_000
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A health check with its defaults filled in; seconds."""

    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int

    @classmethod
    def of(cls, check: Healthcheck) -> "Schedule":
        return cls(
            interval=(check.interval or 30 * _SECOND) / _SECOND,
            timeout=(check.timeout or 30 * _SECOND) / _SECOND,
            start_period=check.start_period / _SECOND,
            start_interval=(check.start_interval or 5 * _SECOND) / _SECOND,
            retries=check.retries if check.retries > 0 else _RETRIES,
        )

    def pause(self, health: Health, age: float) -> float:
        """Seconds until the next probe of a container that has run for `age` seconds."""
        return self.start_interval if age < self.start_period and health.status == STARTING else self.interval


def command(config: Config) -> tuple[str, ...]:
    """The program of a container's health check; empty when it has none."""
    test = config.healthcheck.test if config.healthcheck is not None else None
    match test:
        case ("CMD", *words):
            return tuple(words)
        case ("CMD-SHELL", *words):
            return (*(config.shell or _SHELL), *words)
        case _:
            return ()  # nothing, ``NONE``, or a kind nobody knows: Docker checks nothing then


def at_start(container: Container) -> Health | None:
    """A container's health as its process begins; results of former runs stay to be seen."""
    if not command(container.config):
        return None
    old = container.state.health
    return Health(status=STARTING, log=old.log if old is not None else ())


def at_rest(health: Health | None) -> Health | None:
    """Health nobody looks after any more (paused, ended) counts as bad, as in Docker."""
    return replace(health, status=UNHEALTHY) if health is not None else None


def judged(container: Container, probe: HealthProbe) -> Health:
    """The health of a running container after one more result.

    Failures within the start period do not count until the first success.
    """
    assert container.config.healthcheck is not None
    health = container.state.health or Health(status=STARTING)
    schedule = Schedule.of(container.config.healthcheck)
    log = (*health.log, probe)[-MOST_PROBES:]
    if probe.exit_code == 0:
        return Health(status=HEALTHY, log=log)
    age = (probe.start - container.state.started_at) / _SECOND
    if health.status == STARTING and age < schedule.start_period:
        return replace(health, log=log)
    streak = health.failing_streak + 1
    status = UNHEALTHY if streak >= schedule.retries else health.status
    return Health(status=status, failing_streak=streak, log=log)


def kept(output: bytes, *, more: bool) -> str:
    """A probe's output as it is shown; `more`: there was more than is kept."""
    return output[:MOST_OUTPUT].decode(errors="replace") + ("..." if more else "")
