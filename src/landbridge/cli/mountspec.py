"""`--mount` and `-v`: text to Docker's Mounts, Binds and Volumes. Pure.

But for the working directory, which `-v ./a:/b` is relative to.
"""

from __future__ import annotations

import os

from landbridge.cli.outcome import CommandError
from landbridge.cli.quantities import FALSE, TRUE, csv_fields, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WITHOUT_VALUE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
OPTIONS_OF = {"bind": "BindOptions", "volume": "VolumeOptions", "image": "ImageOptions", "tmpfs": "TmpfsOptions"}


def _is_relative(path: str) -> bool:
    """A path from here, not the name of a volume."""
    return path in (".", "..") or path.startswith(("./", "../"))


def _flag(key: str, value: str) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def _group(mount: dict[str, Any], name: str) -> dict[str, Any]:
    group: dict[str, Any] = mount.setdefault(name, {})
    return group


def _set_bind_or_volume(mount: dict[str, Any], key: str, value: str) -> bool:
    if key == "bind-propagation":
        _group(mount, "BindOptions")["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        _group(mount, "BindOptions")["NonRecursive"] = _flag(key, value)
    elif key == "bind-recursive":
        choices = {"enabled": {}, "disabled": {"NonRecursive": True}, "writable": {"ReadOnlyNonRecursive": True}}
        choices["readonly"] = {"ReadOnlyForceRecursive": True}
        if value not in choices:
            raise ValueError(
                f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        _group(mount, "BindOptions").update(choices[value])
    elif key == "volume-nocopy":
        _group(mount, "VolumeOptions")["NoCopy"] = _flag(key, value)
    elif key == "volume-subpath":
        _group(mount, "VolumeOptions")["Subpath"] = value
    elif key in ("volume-label", "volume-opt"):
        name, _, setting = value.partition("=")
        where = _group(mount, "VolumeOptions")
        if key == "volume-label":
            where.setdefault("Labels", {})[name] = setting
        else:
            where.setdefault("DriverConfig", {}).setdefault("Options", {})[name] = setting
    elif key == "volume-driver":
        _group(mount, "VolumeOptions").setdefault("DriverConfig", {})["Name"] = value
    else:
        return False
    return True


def _set(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    simple = {
        "type": "Type",
        "source": "Source",
        "src": "Source",
        "target": "Target",
        "dst": "Target",
        "destination": "Target",
    }
    if key in simple:
        mount[simple[key]] = value.lower() if key == "type" else value
    elif key in ("readonly", "ro"):
        mount["ReadOnly"] = _flag(key, value)
    elif key == "consistency":
        mount["Consistency"] = value.lower()
    elif key == "image-subpath":
        _group(mount, "ImageOptions")["Subpath"] = value
    elif key == "tmpfs-size":
        try:
            _group(mount, "TmpfsOptions")["SizeBytes"] = size(value)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {value}") from None
    elif key == "tmpfs-mode":
        try:
            _group(mount, "TmpfsOptions")["Mode"] = int(value, 8)
        except ValueError:
            raise ValueError(f"invalid value for {key}: {value}") from None
    elif not _set_bind_or_volume(mount, key, value):
        raise ValueError(f"unexpected key '{key}' in '{field}'")


def check_mount(text: str) -> dict[str, Any]:
    """One `--mount` value to a Mount object. Raises: ValueError."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in csv_fields(text.strip()):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            if key not in WITHOUT_VALUE:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        if key in ("source", "src") and _is_relative(value):
            value = os.path.abspath(value)
        _set(mount, key, value, field)
    if not mount.get("Target"):
        raise ValueError("target is required")
    for kind, options in OPTIONS_OF.items():
        if options in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    if "VolumeOptions" in mount:
        mount["VolumeOptions"].setdefault("DriverConfig", {})
    return {key: value for key, value in mount.items() if value not in ("", False, {})}


def binds_and_volumes(volumes: list[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Binds (`source:target[:mode]`) and anonymous volumes of all `-v`. Raises: CommandError."""
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for text in volumes:
        if not text:
            raise CommandError("invalid empty volume spec")
        source, colon, rest = text.partition(":")
        if not colon:
            anonymous[text] = {}
            continue
        if "" in text.split(":"):
            raise CommandError(f"invalid spec: {text}: empty section between colons")
        if _is_relative(source):
            source = os.path.abspath(source)
        bind = f"{source}:{rest}"
        if bind not in binds:
            binds.append(bind)
    return binds, anonymous
