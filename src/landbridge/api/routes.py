"""The table of all routes, by resource. The first that fits wins, so fixed paths come before patterns."""

from landbridge.api import absent
from landbridge.api.archives import ArchiveHandlers
from landbridge.api.container_contents import ContentHandlers
from landbridge.api.container_streams import ContainerStreamHandlers
from landbridge.api.containers import ContainerHandlers
from landbridge.api.events import EventHandlers
from landbridge.api.execs import ExecHandlers
from landbridge.api.images import ImageHandlers
from landbridge.api.landbridge import LandbridgeHandlers
from landbridge.api.networks import NetworkHandlers
from landbridge.api.registries import RegistryHandlers
from landbridge.api.router import Route
from landbridge.api.system import SERVER_VERSION, SystemHandlers
from landbridge.api.volumes import VolumeHandlers
from landbridge.engine.engine import Engine

__all__ = ["SERVER_VERSION", "routes"]


def routes(engine: Engine) -> list[Route]:
    """Everything the daemon answers."""
    return [
        *SystemHandlers(engine).routes(),
        *EventHandlers(engine).routes(),
        *ContainerStreamHandlers(engine).routes(),
        *ExecHandlers(engine).routes(),
        *ContentHandlers(engine).routes(),
        *ArchiveHandlers(engine).routes(),
        *ContainerHandlers(engine).routes(),
        *RegistryHandlers(engine).routes(),
        *ImageHandlers(engine).routes(),
        *NetworkHandlers(engine).routes(),
        *VolumeHandlers(engine).routes(),
        *LandbridgeHandlers(engine).routes(),
        *absent.routes(),
    ]
