"""The engine as its users (the API, the boot) see it: the services, put together elsewhere."""

from dataclasses import dataclass

from landbridge.engine.containers import Containers
from landbridge.engine.contents import Contents
from landbridge.engine.copies import Copies
from landbridge.engine.disk import Disk
from landbridge.engine.events import Events
from landbridge.engine.execs import Execs
from landbridge.engine.explain import Explain
from landbridge.engine.info import Info
from landbridge.engine.lifecycle import Lifecycle
from landbridge.engine.networks import Networks
from landbridge.engine.prune import Prune
from landbridge.engine.state import State
from landbridge.engine.streams import Streams
from landbridge.engine.update import Updates
from landbridge.engine.usage import Usage
from landbridge.engine.volumes import Volumes
from landbridge.images.images import Images
from landbridge.model.settings import Settings
from landbridge.registry.registries import Registries


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One field per service; nothing else lives here.

    `state` look-ups, `containers` (create, remove, rename, connect, disconnect), `lifecycle` (start, stop, kill,
    restart, pause, wait), `streams` (attach, logs, resize), `execs`, `networks`, `images`, `registries` (pull, push,
    login), `volumes`, `events`,
    `info` (version, info), `contents` (changes, export, sizes, commit), `copies` (cp), `usage` (stats, top),
    `updates`, `prune`, `disk` (df), `explain`.
    """

    settings: Settings
    state: State
    containers: Containers
    lifecycle: Lifecycle
    streams: Streams
    execs: Execs
    networks: Networks
    images: Images
    registries: Registries
    volumes: Volumes
    events: Events
    info: Info
    contents: Contents
    copies: Copies
    usage: Usage
    updates: Updates
    prune: Prune
    disk: Disk
    explain: Explain
