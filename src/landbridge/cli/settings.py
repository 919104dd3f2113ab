"""The user's settings: Docker's `config.json`, read for formats, detach keys and registry logins.

The same file as Docker's, so a login made with either serves both.
"""

from __future__ import annotations

import os

from landbridge.cli.jsontext import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def settings_path(env: Mapping[str, str]) -> str:
    """`$DOCKER_CONFIG/config.json`, by default in `~/.docker`."""
    return os.path.join(env.get("DOCKER_CONFIG") or os.path.join(env.get("HOME") or "/", ".docker"), "config.json")


def read_settings(env: Mapping[str, str]) -> dict[str, Any]:
    """The settings; none when the file is missing or not JSON (as a broken file must not stop `ps`)."""
    try:
        with open(settings_path(env), "rb") as file:
            value = decode(file.read().decode())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
