"""Where the daemon is: text of `--host` and the environment to an address.

Pure; opening the connection is `client`'s.
"""

from __future__ import annotations

from landbridge.cli.outcome import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "unix:///run/landbridge/landbridge.sock"


class Address:
    """`path` of a unix socket, or `host` and `port`; `text` is what the user wrote."""

    __slots__ = ("host", "path", "port", "text")

    def __init__(self, text: str, *, path: str = "", host: str = "", port: int = 0) -> None:
        self.text, self.path, self.host, self.port = text, path, host, port


def parse_address(text: str) -> Address:
    """Read `unix:///path`, `tcp://host:port`, `host:port` or a bare path. Raises: CommandError."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return parse_address(f"unix://{text}" if text.startswith("/") else f"tcp://{text}")
    if scheme == "unix" and rest:
        return Address(text, path=rest)
    if scheme in ("tcp", "http", "https"):
        host, _, port = rest.partition("/")[0].rpartition(":")
        if host and port.isdigit():
            return Address(text, host=host.strip("[]"), port=int(port))
        if port and not host:
            return Address(text, host=port.strip("[]"), port=2375)
    raise CommandError(f"Failed to initialize: unable to resolve docker endpoint: invalid bind address format: {text}")


def chosen_host(given: list[str], env: Mapping[str, str]) -> str:
    """The host to use: `--host`, LANDBRIDGE_HOST, DOCKER_HOST, the default. Raises: CommandError."""
    if len(given) > 1:
        raise CommandError("Specify only one -H")
    return next(filter(None, [*given, env.get("LANDBRIDGE_HOST"), env.get("DOCKER_HOST")]), DEFAULT_HOST)
