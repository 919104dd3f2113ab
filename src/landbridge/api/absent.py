"""What landbridge leaves out, answered with the reason: swarm mode, builds, plugins, checkpoints."""

from landbridge.api.request import Request
from landbridge.api.response import JSON, Response
from landbridge.api.router import Handler, Route
from landbridge.errors import LandbridgeError, NotFound, Unavailable, Unsupported

_SWARM = ("swarm", "nodes", "services", "tasks", "secrets", "configs")
_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
    " and try again."
)
_NO_BUILD = "landbridge does not build images: build them elsewhere and load or import them"
_NO_PLUGINS = "landbridge has no plugins"
_NO_CHECKPOINTS = "landbridge has no checkpoints"

_UNSUPPORTED = (
    ("POST", "/build", _NO_BUILD),
    ("POST", "/build/cancel", _NO_BUILD),
    ("POST", "/session", _NO_BUILD),
    ("POST", "/grpc", _NO_BUILD),
    ("POST", "/swarm/init", "landbridge has no swarm mode"),
    ("POST", "/swarm/join", "landbridge has no swarm mode"),
    ("POST", "/plugins/{rest:.*}", _NO_PLUGINS),
    ("GET", "/plugins/privileges", _NO_PLUGINS),
    ("GET", "/containers/{name:.*}/checkpoints", _NO_CHECKPOINTS),
    ("POST", "/containers/{name:.*}/checkpoints", _NO_CHECKPOINTS),
    ("DELETE", "/containers/{name:.*}/checkpoints/{id:.*}", _NO_CHECKPOINTS),
)


def _refusing(error: LandbridgeError) -> Handler:
    async def refuse(request: Request) -> Response:
        raise type(error)(error.message)

    return refuse


async def _no_plugins(request: Request) -> Response:
    return JSON([])


async def _no_such_plugin(request: Request) -> Response:
    raise NotFound(f'plugin "{request.params["name"]}" not found')


async def _nothing_built(request: Request) -> Response:
    return JSON({"CachesDeleted": None, "SpaceReclaimed": 0})


def routes() -> list[Route]:
    """Routes that always answer the same."""
    found = [
        Route("GET", "/plugins", _no_plugins),
        Route("GET", "/plugins/{name:.*}/json", _no_such_plugin),
        Route("DELETE", "/plugins/{name:.*}", _no_such_plugin),
        Route("POST", "/build/prune", _nothing_built),
        *(Route(method, pattern, _refusing(Unsupported(text))) for method, pattern, text in _UNSUPPORTED),
    ]
    found.append(Route("PUT", "/volumes/{name:.*}", _refusing(Unavailable(_NO_SWARM))))  # cluster volumes alone
    for name in _SWARM:
        for method in ("GET", "POST", "DELETE"):
            found.append(Route(method, f"/{name}", _refusing(Unavailable(_NO_SWARM))))
            found.append(Route(method, f"/{name}/{{rest:.*}}", _refusing(Unavailable(_NO_SWARM))))
    return found
