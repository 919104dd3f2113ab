"""What a container runs when its user said something and its image the rest: Docker's merge rules. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from landbridge.errors import Invalid
from landbridge.model.config import Config, Empty, Healthcheck


def merged_config(image: Config, user: Config) -> Config:
    """What a container of `image` runs for `user`: `completed_config`, and something must be left to run.

    Raises: Invalid (``no command specified``).
    """
    merged = completed_config(image, user)
    if not merged.entrypoint and not merged.cmd:
        raise Invalid("no command specified")
    return merged


def completed_config(image: Config, user: Config) -> Config:
    """The user's configuration completed from the image's.

    The environment is merged by name, exposed ports, volumes and labels are united, a health check is completed
    field by field. An entrypoint of the user's silences the image's command; ``[""]`` empties the entrypoint.
    """
    entrypoint, cmd, escaped = user.entrypoint, user.cmd, user.args_escaped
    if not entrypoint:
        if not cmd:
            cmd, escaped = image.cmd, image.args_escaped
        if entrypoint is None:
            entrypoint = image.entrypoint
    if entrypoint == ("",):
        entrypoint = None
    return replace(
        user,
        user=user.user or image.user,
        exposed_ports=_united(image.exposed_ports, user.exposed_ports),
        env=_env(image.env, user.env),
        labels={**image.labels, **user.labels},
        entrypoint=entrypoint,
        cmd=cmd,
        args_escaped=escaped,
        healthcheck=_health(image.healthcheck, user.healthcheck),
        working_dir=user.working_dir or image.working_dir,
        volumes=_united(image.volumes, user.volumes),
        stop_signal=user.stop_signal or image.stop_signal,
    )


def _united(image: Mapping[str, Empty] | None, user: Mapping[str, Empty] | None) -> Mapping[str, Empty] | None:
    return {**(image or {}), **user} if user else image


def _env(image: tuple[str, ...] | None, user: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The user's entries in their order, then those of the image whose names they do not mention."""
    if not user:
        return image
    named = {entry.partition("=")[0] for entry in user}
    return user + tuple(entry for entry in image or () if entry.partition("=")[0] not in named)


def _health(image: Healthcheck | None, user: Healthcheck | None) -> Healthcheck | None:
    if image is None or user is None:
        return user if image is None else image
    return Healthcheck(
        test=user.test or image.test,
        interval=user.interval or image.interval,
        timeout=user.timeout or image.timeout,
        retries=user.retries or image.retries,
        start_period=user.start_period or image.start_period,
        start_interval=user.start_interval or image.start_interval,
    )
