"""Images: what a manifest and its configuration say, reduced to what the engine uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landbridge.model.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """`id` is the digest of the configuration (``sha256:…``); `diff_ids` its layers, bottom first.

    `chain` are the layer store's directories for `diff_ids` (same length, bottom first). `raw` is the
    configuration document as it came, kept so that `save` and `push` give back the same digest.
    """

    id: str
    created: str
    architecture: str
    os: str
    config: Config
    diff_ids: tuple[str, ...]
    size: int
    raw: str
    variant: str = ""
    author: str = ""
    comment: str = ""
    parent: str = ""
    history: tuple[History, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    docker_version: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """An image name in full: ``docker.io/library/busybox:latest`` or ``…@sha256:…``."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def familiar(self) -> str:
        """The name as Docker shows it, without tag: no default registry, no ``library/``."""
        if self.registry == "docker.io":
            return self.repository.removeprefix("library/")
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return self.familiar + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")
