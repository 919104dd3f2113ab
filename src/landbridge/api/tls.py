"""TLS between a socket and a `Wire`, each direction ending on its own.

asyncio's own TLS ends both directions when the client ends one. Docker's clients end theirs (close_notify) when stdin
is at its end, and read on for the output; RFC 8446, 6.1 has it that way. Hence this small transport: OpenSSL works in
memory, bytes pass through, nothing is kept but what its record layer holds.
"""

import asyncio
import ssl
from typing import Any

from landbridge.api.wire import Wire
from landbridge.errors import Invalid

HANDSHAKE_SECONDS = 60.0
_PIECE = 64 * 1024


def server_context(certificate: str, key: str, authority: str = "") -> ssl.SSLContext:
    """For a daemon with this certificate; with an `authority` for clients with a certificate of it alone.

    Raises: Invalid when a file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
        if authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"could not load the files for TLS: {error}") from None
    return context


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The protocol of the encrypted side and the transport of the other."""

    def __init__(self, context: ssl.SSLContext, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ready = self._ended = self._sent_end = self._paused = False
        self._patience: asyncio.TimerHandle | None = None

    # --- the encrypted side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._patience = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        self._pump()

    def eof_received(self) -> bool:
        self._incoming.write_eof()
        self._pump()
        if not self._ready:
            return False
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._ready:
            self._wire.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._ready:
            self._wire.pause_writing()

    def resume_writing(self) -> None:
        if self._ready:
            self._wire.resume_writing()

    def _pump(self) -> None:
        """Take what has come as far as it goes."""
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._begin()
            while not self._paused and not self._ended:
                if data := self._tls.read(_PIECE):
                    self._wire.data_received(data)
                else:
                    self._end()
        except ssl.SSLWantReadError:
            pass  # the rest is still on its way
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end()
        except ssl.SSLError:
            self._flush()  # the alert that says why
            self._raw.abort() if self._ready else self._raw.close()
            return
        self._flush()

    def _begin(self) -> None:
        assert self._patience is not None
        self._patience.cancel()
        self._ready = True
        self._flush()
        self._wire.connection_made(self)

    def _end(self) -> None:
        if not self._ended and self._ready:
            self._ended = True
            self._wire.eof_received()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    # --- the side of the wire

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._raw.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._raw.resume_reading()
        self._pump()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say that no more will be written; what is written still goes. Twice is no error."""
        if not self._sent_end:
            self._sent_end = True
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # it is sent; the other side's end comes when it comes
            self._flush()

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def close(self) -> None:
        """Say goodbye and close after what was written has gone."""
        if not self._raw.is_closing():
            self.write_eof()
            self._raw.close()

    def abort(self) -> None:
        self._raw.abort()
