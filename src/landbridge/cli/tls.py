"""TLS to a daemon on TCP: the certificates named by flags, the environment or Docker's directory."""

from __future__ import annotations

import os
import select
import socket
import ssl

from landbridge.cli.outcome import CommandError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from landbridge.cli.address import Address


class TlsSocket:
    """An `ssl.SSLSocket` that behaves as a plain socket does: what would wait is a BlockingIOError, each direction ends
    on its own, and its end is empty."""

    def __init__(self, secure: ssl.SSLSocket) -> None:
        self._secure = secure
        self.fileno, self.close, self.sendall = secure.fileno, secure.close, secure.sendall
        self.setblocking = secure.setblocking

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next bytes. With flags only whether there are any is asked, by a connection that expects none."""
        if flags:
            watch = select.poll()
            watch.register(self._secure.fileno(), select.POLLIN)
            if watch.poll(0):
                return b""
            raise BlockingIOError
        try:
            return self._secure.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: bytes) -> int:
        """How many bytes were taken."""
        try:
            return self._secure.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """Say close_notify; the rest goes on being read."""
        patience = self._secure.gettimeout()
        self._secure.settimeout(0)
        try:
            self._secure.unwrap()
        except ssl.SSLError:
            pass  # said; the daemon's own word is still to come
        finally:
            self._secure.settimeout(patience)


def connector(options: dict[str, Any], env: Mapping[str, str]) -> Callable[[Address], TlsSocket]:
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

    def connect(address: Address) -> TlsSocket:
        try:
            raw = socket.create_connection((address.host, address.port))
            return TlsSocket(context.wrap_socket(raw, server_hostname=address.host))
        except ssl.SSLError as error:
            raise CommandError(f"error during connect: {address.text}: {error}") from None
        except OSError:
            raise Unreachable(f"Cannot connect to the landbridge daemon at {address.text}. Is it running?") from None

    return connect
