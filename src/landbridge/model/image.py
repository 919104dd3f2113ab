"""Images: what a manifest and its configuration say, reduced to what the engine uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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

    `raw` is the configuration document as it came, kept so that `save` gives back the same digest. `size` is
    the sum of the layers' sizes. `created` is as written in the document (RFC 3339), empty when it has none.
    `container` and `container_config` are of the container it was committed from.
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
    os_version: str = ""
    author: str = ""
    comment: str = ""
    parent: str = ""
    container: str = ""
    container_config: Config = field(default_factory=Config)
    history: tuple[History, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    docker_version: str = ""


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
        if self.registry != "docker.io":
            return f"{self.registry}/{self.repository}"
        bare = self.repository.removeprefix("library/")
        return self.repository if "/" in bare and bare != self.repository else bare

    @property
    def full(self) -> str:
        """The name with nothing left out; the key under which it is stored."""
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.familiar + self._suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """An image as it is shown: with its names (familiar form) and when it was last named (RFC 3339 or empty)."""

    image: Image
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    last_tagged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One line of ``docker history``, newest first. `id` is the image's on its top line, else ``<missing>``."""

    id: str
    created: str
    created_by: str
    comment: str
    size: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One message of a long image operation: either `stream` (a line, newline included) or a step of `id`.

    `current` and `total` are bytes; -1: this step does not count.
    """

    stream: str = ""
    id: str = ""
    status: str = ""
    current: int = -1
    total: int = -1


@dataclass(frozen=True, slots=True)
class Headline:
    """A line of a long image operation that stays where it is, under `id` (a tag) if it has one."""

    status: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push made, for programs that read along: the manifest's `size` in bytes."""

    tag: str
    digest: str
    size: int


Message = Progress | Headline | Pushed


@dataclass(frozen=True, slots=True)
class Removed:
    """One line of ``docker rmi``: `what` is a name (`action` Untagged) or a digest (Deleted)."""

    action: str
    what: str
