"""``--change`` of ``docker import`` and ``docker commit``: Dockerfile instructions applied to a configuration.

Pure. Only instructions that change nothing but the configuration are allowed. Messages are Docker's.
"""

import json
import posixpath
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace

from landbridge.errors import Invalid
from landbridge.model.config import Config, Empty, Healthcheck
from landbridge.model.duration import parse_duration
from landbridge.oci.shellwords import expand, split_words

_SHELL = ("/bin/sh", "-c")
_MILLISECOND = 1_000_000
_DURATIONS = {
    "interval": "interval",
    "timeout": "timeout",
    "start-period": "start_period",
    "start-interval": "start_interval",
}


def apply_changes(config: Config, changes: Sequence[str]) -> Config:
    """`config` after the instructions in `changes`, in order; each item may hold several lines.

    Raises: Invalid when an instruction is unknown, not allowed here or wrong.
    """
    if not changes:
        return config
    lines = _lines("\n".join(changes))
    if not lines:
        raise Invalid("file with no instructions")
    steps = []
    for line in lines:  # refuse the unknown before anything is applied
        word, _, rest = line.partition(" ") if " " in line else line.partition("\t")
        name = word.upper()
        if name not in _INSTRUCTIONS:
            raise Invalid(f"{name} is not a valid change command")
        steps.append((name, rest.strip()))
    for name, rest in steps:
        config = _INSTRUCTIONS[name](config, rest)
    names = [name for name, _ in steps]
    if "ENTRYPOINT" in names and "CMD" not in names:
        config = replace(config, cmd=None)  # it belonged to the entrypoint before
    return config


def _lines(text: str) -> list[str]:
    """Instructions: comments and blank lines left out, a backslash at the end joins lines."""
    found: list[str] = []
    joined = ""
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        found.append(joined.strip())
        joined = ""
    return [*found, joined.strip()] if joined.strip() else found


def _env(config: Config) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in config.env or ())


def _json_list(text: str) -> tuple[str, ...] | None:
    """A JSON list of strings, or None: then the text is meant for a shell."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return tuple(value) if all(isinstance(item, str) for item in value) else None


def _command(config: Config, text: str) -> tuple[str, ...]:
    words = _json_list(text)
    if words is not None:
        return words
    return (*(config.shell or _SHELL), text) if text else (config.shell or _SHELL)


def _pairs(config: Config, text: str, name: str) -> list[tuple[str, str]]:
    """``a=b c="d e"``, or the old ``name the rest``."""
    words = split_words(text)
    if not words:
        raise Invalid(f"{name} requires at least one argument")
    if "=" not in words[0]:
        key, *rest = text.split(None, 1)
        if not rest:
            raise Invalid(f"{name} must have two arguments")
        raw = [(key, rest[0])]
    else:
        for word in words:
            if "=" not in word:
                raise Invalid(
                    f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
                )
        raw = [tuple(word.split("=", 1)) for word in words]  # type: ignore[misc]  # two parts: "=" is in it
    env = _env(config)
    pairs = [(expand(key, env), expand(value, env)) for key, value in raw]
    if any(not key for key, _ in pairs):
        raise Invalid(f"{name} names can not be blank")
    return pairs


def _set_env(config: Config, text: str) -> Config:
    env = list(config.env or ())
    for key, value in _pairs(config, text, "ENV"):
        entry = f"{key}={value}"
        at = next((number for number, item in enumerate(env) if item.partition("=")[0] == key), None)
        if at is None:
            env.append(entry)
        else:
            env[at] = entry
    return replace(config, env=tuple(env))


def _set_label(config: Config, text: str) -> Config:
    return replace(config, labels={**config.labels, **dict(_pairs(config, text, "LABEL"))})


def _set_cmd(config: Config, text: str) -> Config:
    return replace(config, cmd=_command(config, text), args_escaped=False)


def _set_entrypoint(config: Config, text: str) -> Config:
    return replace(config, entrypoint=_command(config, text) if text else None)


def _set_expose(config: Config, text: str) -> Config:
    words = [word for item in text.split() for word in expand(item, _env(config)).split()]
    if not text:
        raise Invalid("EXPOSE requires at least one argument")
    ports: dict[str, Empty] = {port: {} for word in words for port in _ports(word)}
    return replace(config, exposed_ports={**(config.exposed_ports or {}), **ports}) if ports else config


def _ports(word: str) -> list[str]:
    """``80``, ``80/udp``, ``8000-8002``; what stands before a colon is for publishing and ignored."""
    spec, slash, proto = word.rpartition(":")[2].partition("/")
    proto = proto.lower() if slash and proto else "tcp"
    if proto not in ("tcp", "udp", "sctp"):
        raise Invalid(f"Invalid proto: {proto}")
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", spec)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not found or high > 65535 or low > high:
        raise Invalid(f"Invalid containerPort: {spec}")
    return [f"{port}/{proto}" for port in range(low, high + 1)]


def _one(text: str, name: str) -> str:
    if not text:
        raise Invalid(f"{name} requires exactly one argument")
    return text


def _set_user(config: Config, text: str) -> Config:
    return replace(config, user=expand(_one(text, "USER"), _env(config)))


def _set_workdir(config: Config, text: str) -> Config:
    path = expand(_one(text, "WORKDIR"), _env(config))
    return replace(config, working_dir=posixpath.normpath(posixpath.join("/", config.working_dir, path)))


def _set_volume(config: Config, text: str) -> Config:
    if not text:
        raise Invalid("VOLUME requires at least one argument")
    listed = _json_list(text)
    env = _env(config)
    paths = [expand(word, env).strip() for word in (text.split() if listed is None else listed)]
    if not all(paths):
        raise Invalid("VOLUME specified can not be an empty string")
    return replace(config, volumes={**(config.volumes or {}), **{path: {} for path in paths}})


def _set_on_build(config: Config, text: str) -> Config:
    if not text:
        raise Invalid("ONBUILD requires at least one argument")
    trigger = text.split()[0].upper()
    if trigger == "ONBUILD":
        raise Invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise Invalid(f"{trigger} isn't allowed as an ONBUILD trigger")
    return replace(config, on_build=(*(config.on_build or ()), text))


def _set_stop_signal(config: Config, text: str) -> Config:
    wanted = expand(_one(text, "STOPSIGNAL"), _env(config))
    name = "SIG" + wanted.upper().removeprefix("SIG")
    known = name in signal.Signals.__members__ or re.fullmatch(r"SIGRTM(IN\+\d+|AX-\d+)", name)
    if not known and not (wanted.isdigit() and 0 < int(wanted) < signal.NSIG):
        raise Invalid(f"invalid signal: {wanted}")
    return replace(config, stop_signal=wanted)


def _set_healthcheck(config: Config, text: str) -> Config:
    flags: dict[str, str] = {}
    while found := re.match(r"--([\w-]+)(?:=(\S*))?(\s+|$)", text):
        if found[1] not in _DURATIONS and found[1] != "retries":
            raise Invalid(f"unknown flag: {found[1]}")
        flags[found[1]] = found[2] or ""
        text = text[found.end() :]
    if not text:
        raise Invalid("HEALTHCHECK requires at least one argument")
    kind, *rest = text.split(None, 1)
    if kind.upper() == "NONE":
        if rest:
            raise Invalid("HEALTHCHECK NONE takes no arguments")
        return replace(config, healthcheck=Healthcheck(test=("NONE",)))
    if kind.upper() != "CMD":
        raise Invalid(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    if not rest:
        raise Invalid("Missing command after HEALTHCHECK CMD")
    words = _json_list(rest[0])
    test = ("CMD-SHELL", rest[0]) if words is None else ("CMD", *words)
    times = {name: _interval(flag, flags[flag]) for flag, name in _DURATIONS.items() if flags.get(flag)}
    return replace(config, healthcheck=Healthcheck(test=test, retries=_retries(flags.get("retries", "")), **times))


def _interval(flag: str, text: str) -> int:
    value = parse_duration(text)
    if value and value < _MILLISECOND:
        raise Invalid(f'Interval "{flag}" cannot be less than 1ms')
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?\d+", text):
        raise Invalid(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise Invalid(f"--retries cannot be negative ({int(text)})")
    return int(text)


_INSTRUCTIONS: dict[str, Callable[[Config, str], Config]] = {
    "CMD": _set_cmd,
    "ENTRYPOINT": _set_entrypoint,
    "ENV": _set_env,
    "EXPOSE": _set_expose,
    "HEALTHCHECK": _set_healthcheck,
    "LABEL": _set_label,
    "ONBUILD": _set_on_build,
    "STOPSIGNAL": _set_stop_signal,
    "USER": _set_user,
    "VOLUME": _set_volume,
    "WORKDIR": _set_workdir,
}
