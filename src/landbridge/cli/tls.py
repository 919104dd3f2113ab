"""TLS to a daemon on TCP: the certificates named by flags, the environment or Docker's directory."""

from __future__ import annotations

import os
import socket
import ssl

from landbridge.cli.outcome import CommandError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from landbridge.cli.address import Address


def connector(options: dict[str, Any], env: Mapping[str, str]) -> Callable[[Address], ssl.SSLSocket]:
    """A function that connects to an address. The daemon is verified with --tlsverify or DOCKER_TLS_VERIFY.

    Raises: CommandError when a certificate cannot be read.
    """
    directory = env.get("DOCKER_CERT_PATH") or os.path.join(env.get("HOME") or "/", ".docker")
    verify = bool(options.get("tlsverify") or env.get("DOCKER_TLS_VERIFY"))
    authority = options.get("tlscacert") or os.path.join(directory, "ca.pem")
    certificate = options.get("tlscert") or os.path.join(directory, "cert.pem")
    key = options.get("tlskey") or os.path.join(directory, "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = verify
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    try:
        if verify:
            context.load_verify_locations(authority)
        if os.path.exists(certificate) or "tlscert" in options:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"Failed to initialize: unable to resolve docker endpoint: {error}") from None

    def connect(address: Address) -> ssl.SSLSocket:
        try:
            raw = socket.create_connection((address.host, address.port))
            return context.wrap_socket(raw, server_hostname=address.host)
        except ssl.SSLError as error:
            raise CommandError(f"error during connect: {address.text}: {error}") from None
        except OSError:
            raise Unreachable(f"Cannot connect to the landbridge daemon at {address.text}. Is it running?") from None

    return connect
