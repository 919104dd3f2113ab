"""Checks and small conversions of flag values: labels, environment, addresses, hosts, links, ulimits, devices.

Functions named `check_…` take the text of one flag and return its value, raising ValueError with Docker's words;
`parse` adds which flag it was.
"""

from __future__ import annotations

import _socket

from landbridge.cli.quantities import csv_fields, integer, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address without zone or prefix."""
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in text else _socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def pairs(items: list[str]) -> dict[str, str]:
    """`key=value` items as a mapping; without `=` the value is empty."""
    return {key: value for key, _, value in (item.partition("=") for item in items)}


def check_label(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def env_check(env: Mapping[str, str]) -> Any:
    """A check of `--env` values: a bare name takes its value from `env`; unset, it stays bare (it removes the name)."""

    def check(text: str) -> str:
        name, equals, _ = text.partition("=")
        if not name:
            raise ValueError(f"invalid environment variable: {text}")
        return text if equals or name not in env else f"{name}={env[name]}"

    return check


def check_dns(text: str) -> str:
    if not is_ip(text):
        raise ValueError(f"IP address is not correctly formatted: {text}")
    return text


def check_dns_search(text: str) -> str:
    """A domain, or `.` for none."""
    text = text.strip()
    if text == ".":
        return text
    labels = text.rstrip(".").split(".")
    fine = any(character.isalpha() for character in text) and all(
        label and label[0] not in "-_" and label[-1] not in "-_" and all(c.isalnum() or c in "-_" for c in label)
        for label in labels
    )
    if not fine or len(text) > 255:
        raise ValueError(f"{text} is not a valid domain")
    return ".".join(labels)


def check_extra_host(text: str) -> str:
    """`name:address` or `name=address`, IPv6 with or without brackets, or `host-gateway`; written with a colon."""
    cut = min((at for at in (text.find("="), text.find(":")) if at >= 0), default=-1)
    name, address = text[:cut], text[cut + 1 :]
    if cut < 1:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address[:1] == "[" and address[-1:] == "]":
        address = address[1:-1]
    if address != "host-gateway" and not is_ip(address):
        raise ValueError(f'invalid IP address in add-host: "{address}"')
    return f"{name}:{address}"


def check_link(text: str) -> str:
    if not text:
        raise ValueError("empty string specified for links")
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    return text


def check_attach(text: str) -> str:
    lowered = text.lower()
    if lowered not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return lowered


def check_ulimit(text: str) -> dict[str, Any]:
    """`name=soft[:hard]`."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    numbers = limits.split(":")
    if len(numbers) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft, hard = integer(numbers[0]), integer(numbers[-1])
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def check_sysctl(text: str) -> str:
    """Only the kernel settings that belong to namespaces."""
    kernel = ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
    allowed = [f"kernel.{name}" for name in kernel]
    name, equals, _ = text.partition("=")
    if not equals or not (name in allowed or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


def check_cgroup_rule(text: str) -> str:
    """`c 1:3 rwm`, numbers or stars."""
    parts = text.split(" ")
    numbers = parts[1].split(":") if len(parts) == 3 else []
    fine = len(numbers) == 2 and all(number == "*" or number.isdigit() for number in numbers)
    if not fine or parts[0] not in ("a", "b", "c") or not 1 <= len(parts[2]) <= 3 or parts[2].strip("rwm"):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def check_device_weight(text: str) -> dict[str, Any]:
    path, _, weight = text.partition(":")
    _device_path(text, path, weight)
    if not weight.isdigit() or (int(weight) != 0 and not 10 <= int(weight) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def check_device_bytes(text: str) -> dict[str, Any]:
    path, _, rate = text.partition(":")
    _device_path(text, path, rate)
    try:
        return {"Path": path, "Rate": size(rate)}
    except ValueError:
        form = "<device-path>:<number>[<unit>]. Number must be a positive integer."
        form += " Unit is optional and can be kb, mb, or gb"
        raise ValueError(f"invalid rate for device: {text}. The correct format is {form}") from None


def check_device_count(text: str) -> dict[str, Any]:
    path, _, rate = text.partition(":")
    _device_path(text, path, rate)
    if not rate.isdigit():
        form = "<device-path>:<number>. Number must be a positive integer"
        raise ValueError(f"invalid rate for device: {text}. The correct format is {form}")
    return {"Path": path, "Rate": int(rate)}


def _device_path(text: str, path: str, rest: str) -> None:
    if not path or not rest:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")


def read_env_file(path: str, kind: str, env: Mapping[str, str] | None) -> list[str]:
    """Lines `NAME=value` of a file; comments and blank lines left out.

    A bare name takes its value from `env` and is left out when `env` has none. Raises: ValueError, with `kind`
    (`env` or `label`) in its words.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"invalid {kind} file ({path}): contains invalid utf8 bytes") from None
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    found = []
    for line in lines:
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name.strip():
            raise ValueError(f"invalid {kind} file ({path}): no variable name on line '{line}'")
        if any(character.isspace() for character in name):
            raise ValueError(f"invalid {kind} file ({path}): variable '{name}' contains whitespaces")
        if equals:
            found.append(f"{name}={value}")
        elif env is not None and name in env:
            found.append(f"{name}={env[name]}")
    return found


def _gpu_count(text: str) -> int:
    try:
        return -1 if text == "all" else integer(text)
    except ValueError:
        raise ValueError(f'invalid count ({text}): value must be either "all" or an integer: invalid syntax') from None


def check_gpus(text: str) -> dict[str, Any]:
    """`all`, `2` or `device=0,driver=nvidia,count=…,capabilities=…,options=…` to a DeviceRequest."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": {}}
    capabilities: list[str] = []
    seen: set[str] = set()
    for field in csv_fields(text):
        key, equals, value = field.partition("=")
        if key in seen:
            raise ValueError(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not equals:
            seen.add("count")
            request["Count"] = _gpu_count(key)
        elif key == "count":
            request["Count"] = _gpu_count(value)
        elif key == "driver":
            request["Driver"] = value
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            capabilities = [one for one in value.split(",") if one != "gpu"]
        elif key == "options":
            request["Options"] = pairs(csv_fields(value))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    request["Capabilities"] = [[*capabilities, "gpu"]]
    return request
