"""Volumes: named directories that outlive containers. Values and the parsing of their names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from landbridge.errors import Invalid

LOCAL = "local"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """`created` in nanoseconds since the epoch; `mountpoint` is a host path.

    `labels` and `options` None: the user gave none, which clients see as JSON null.
    """

    name: str
    mountpoint: str
    created: int
    driver: str = LOCAL
    labels: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None
    scope: str = "local"

    @property
    def id(self) -> str:
        """A volume's name is its identity."""
        return self.name

    @property
    def anonymous(self) -> bool:
        """True when nobody named it; such volumes go with their container and by a plain prune."""
        return ANONYMOUS_LABEL in (self.labels or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRequest:
    """``POST /volumes/create`` after parsing, or what a container's mount needs; an empty name means: any."""

    name: str = ""
    driver: str = ""
    options: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None


def check_volume_name(name: str) -> str:
    """Return `name`. Raises: Invalid, with Docker's sentence."""
    if len(name) == 1:
        raise Invalid("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name):
        raise Invalid(
            f'"{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are'
            " allowed. If you intended to pass a host directory, use absolute path"
        )
    return name
