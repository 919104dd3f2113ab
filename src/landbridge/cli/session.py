"""What a command is given: where to write, the environment, and the daemon.

Streams are binary files with `write`, `flush` and, when they are real, `fileno`. The client is made on first use, so
a command that fails in its arguments never needs a daemon.
"""

from __future__ import annotations

import os

from landbridge.cli.address import chosen_host, parse_address
from landbridge.cli.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO


class Session:
    """One invocation of the command line. `program` is its name in messages, `path` the command as typed."""

    def __init__(self, env: Mapping[str, str], stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self.env, self.stdin, self.stdout, self.stderr = env, stdin, stdout, stderr
        self.program = "landbridge"
        self.path = ""
        self.hosts: list[str] = []
        self.tls: dict[str, Any] = {}
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"<Session {self.path or '-'}>"

    @property
    def client(self) -> Client:
        """The daemon's client. Raises: CommandError for an address that cannot be read."""
        if self._client is None:
            address = parse_address(chosen_host(self.hosts, self.env))
            tls = None
            if address.host and (self.tls or self.env.get("DOCKER_TLS_VERIFY")):
                from landbridge.cli.tls import connector  # ssl takes 20 ms; only TLS users pay

                tls = connector(self.tls, self.env)
            version = self.env.get("LANDBRIDGE_API_VERSION") or self.env.get("DOCKER_API_VERSION") or ""
            self._client = Client(address, version=version.removeprefix("v"), tls=tls)
        return self._client

    def close(self) -> None:
        """Close the connections to the daemon."""
        if self._client is not None:
            self._client.close()

    def out(self, text: str) -> None:
        """A line to stdout."""
        self.stdout.write((text + "\n").encode("utf-8", "surrogateescape"))

    def write(self, text: str) -> None:
        """Text to stdout as it is, at once."""
        self.stdout.write(text.encode("utf-8", "surrogateescape"))
        self.stdout.flush()

    def err(self, text: str) -> None:
        """A line to stderr, after what stdout holds."""
        self.stdout.flush()
        self.stderr.write((text + "\n").encode("utf-8", "surrogateescape"))
        self.stderr.flush()

    @staticmethod
    def fileno(stream: BinaryIO) -> int:
        """The stream's descriptor, -1 when it has none."""
        try:
            return stream.fileno()
        except (OSError, AttributeError):  # a file in memory
            return -1

    def is_terminal(self, stream: BinaryIO) -> bool:
        number = self.fileno(stream)
        return number >= 0 and os.isatty(number)
