"""Image configurations: the JSON document an image is, read into values and written from them.

Pure. Field names are those of the OCI image spec (config.md) and Docker's additions. What is read is kept
word for word in `Image.raw`; what is written here is new documents only.
"""

import json
from collections.abc import Mapping
from typing import Any

from landbridge.errors import Invalid
from landbridge.model.config import Config, Healthcheck
from landbridge.model.image import History, Image
from landbridge.oci.layers import digest

# (name in the document, field of Config) by how the value is read.
_TEXTS = (
    ("Hostname", "hostname"),
    ("Domainname", "domainname"),
    ("User", "user"),
    ("Image", "image"),
    ("WorkingDir", "working_dir"),
    ("StopSignal", "stop_signal"),
)
_FLAGS = (
    ("AttachStdin", "attach_stdin"),
    ("AttachStdout", "attach_stdout"),
    ("AttachStderr", "attach_stderr"),
    ("Tty", "tty"),
    ("OpenStdin", "open_stdin"),
    ("StdinOnce", "stdin_once"),
    ("ArgsEscaped", "args_escaped"),
)
_LISTS = (
    ("Env", "env"),
    ("Cmd", "cmd"),
    ("Entrypoint", "entrypoint"),
    ("OnBuild", "on_build"),
    ("Shell", "shell"),
)
_SETS = (("ExposedPorts", "exposed_ports"), ("Volumes", "volumes"))
_HEALTH = (
    ("Interval", "interval"),
    ("Timeout", "timeout"),
    ("StartPeriod", "start_period"),
    ("StartInterval", "start_interval"),
    ("Retries", "retries"),
)
# Written even when empty, as Docker does; the rest only when it says something.
_ALWAYS = {"Env", "Cmd", "Image", "Volumes", "WorkingDir", "Entrypoint", "OnBuild", "Labels", "Hostname", "Domainname",
           "User", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"}


def parse_json(data: bytes, what: str) -> Any:
    """The value of a JSON document from outside. Raises: Invalid, also when it nests deeper than can be read."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what}: {error}") from error


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"invalid image configuration: {key} is not a string")
    return value


def _integer(document: Mapping[str, Any], key: str) -> int:
    value = document.get(key) or 0
    if not isinstance(value, int):
        raise Invalid(f"invalid image configuration: {key} is not an integer")
    return int(value)


def _strings(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, str):  # Docker's strslice: a single string is a list of one
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Invalid(f"invalid image configuration: {key} is not a list of strings")
    return tuple(value)


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    value = document.get(key)
    if value is not None and not isinstance(value, dict):
        raise Invalid(f"invalid image configuration: {key} is not an object")
    return value


def parse_config(document: Mapping[str, Any]) -> Config:
    """Read the ``config`` part. Raises: Invalid when a field has the wrong type."""
    values: dict[str, Any] = {}
    for key, name in _TEXTS:
        values[name] = _text(document, key)
    for key, name in _FLAGS:
        values[name] = document.get(key) is True
    for key, name in _LISTS:
        values[name] = _strings(document, key)
    for key, name in _SETS:
        found = _mapping(document, key)
        values[name] = None if found is None else {item: {} for item in found}
    values["labels"] = {key: str(value) for key, value in (_mapping(document, "Labels") or {}).items()}
    timeout = document.get("StopTimeout")
    values["stop_timeout"] = timeout if isinstance(timeout, int) else None
    if (health := _mapping(document, "Healthcheck")) is not None:
        numbers = {name: _integer(health, key) for key, name in _HEALTH}
        values["healthcheck"] = Healthcheck(test=_strings(health, "Test"), **numbers)
    return Config(**values)


def render_config(config: Config) -> dict[str, Any]:
    """The ``config`` part of a document, in Docker's names."""
    document: dict[str, Any] = {key: getattr(config, name) for key, name in (*_TEXTS, *_FLAGS)}
    for key, name in _LISTS:
        value = getattr(config, name)
        document[key] = None if value is None else list(value)
    for key, name in _SETS:
        found = getattr(config, name)
        document[key] = None if found is None else {item: {} for item in sorted(found)}
    document["Labels"] = dict(config.labels) or None
    document["StopTimeout"] = config.stop_timeout
    if config.healthcheck:
        health = config.healthcheck
        test = {} if health.test is None else {"Test": list(health.test)}
        numbers = {key: getattr(health, name) for key, name in _HEALTH if getattr(health, name)}
        document["Healthcheck"] = {**test, **numbers}
    return {key: value for key, value in document.items() if key in _ALWAYS or value not in (None, "", False)}


def parse_image(raw: bytes, *, size: int = 0) -> Image:
    """Read a configuration document; its digest becomes the image's id.

    Raises: Invalid when it is not JSON or not an image's configuration.
    """
    document = parse_json(raw, "invalid image configuration")
    if not isinstance(document, dict):
        raise Invalid("invalid image configuration: not an object")
    rootfs = _mapping(document, "rootfs")
    if rootfs is None:
        raise Invalid("invalid image JSON, no RootFS key")
    config = parse_config(_mapping(document, "config") or {})
    history = document.get("history")
    return Image(
        id=digest(raw),
        created=_text(document, "created"),
        architecture=_text(document, "architecture"),
        os=_text(document, "os"),
        config=config,
        diff_ids=_strings(rootfs, "diff_ids") or (),
        size=size,
        raw=raw.decode(),
        variant=_text(document, "variant"),
        os_version=_text(document, "os.version"),
        author=_text(document, "author"),
        comment=_text(document, "comment"),
        container=_text(document, "container"),
        container_config=parse_config(_mapping(document, "container_config") or {}),
        history=tuple(_parse_history(x) for x in (history if isinstance(history, list) else ()) if isinstance(x, dict)),
        labels=config.labels,
        docker_version=_text(document, "docker_version"),
    )


def _parse_history(item: Mapping[str, Any]) -> History:
    return History(
        created=_text(item, "created"),
        created_by=_text(item, "created_by"),
        author=_text(item, "author"),
        comment=_text(item, "comment"),
        empty_layer=item.get("empty_layer") is True,
    )


def _render_history(item: History) -> dict[str, Any]:
    texts = {"created": item.created, "created_by": item.created_by, "author": item.author, "comment": item.comment}
    document: dict[str, Any] = {key: value for key, value in texts.items() if value}
    if item.empty_layer:
        document["empty_layer"] = True
    return document


def render_image(
    *,
    config: Config,
    diff_ids: tuple[str, ...],
    history: tuple[History, ...],
    created: str,
    architecture: str,
    os: str,
    variant: str = "",
    author: str = "",
    comment: str = "",
    container: str = "",
    container_config: Config | None = None,
    docker_version: str = "",
) -> bytes:
    """A new configuration document; `parse_image` of it gives the image."""
    texts = {
        "architecture": architecture,
        "author": author,
        "comment": comment,
        "container": container,
        "created": created,
        "docker_version": docker_version,
        "os": os,
        "variant": variant,
    }
    document: dict[str, Any] = {key: value for key, value in texts.items() if value}
    document["config"] = render_config(config)
    if container_config is not None:
        document["container_config"] = render_config(container_config)
    document["history"] = [_render_history(item) for item in history]
    document["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
