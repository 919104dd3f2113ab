"""Getting a connection to a registry: names to addresses, TCP, a proxy's CONNECT, TLS. Nothing here knows HTTP's rest.

Failures are told in the words of Go's net package, because that is what users of Docker search for:
``dial tcp: lookup x on 192.0.2.53:53: no such host``, ``dial tcp 192.0.2.1:443: connect: connection refused``.
"""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import h11

from landbridge.errors import Unreachable
from landbridge.system.registry_proxy import Proxy

READ = 256 * 1024  # bytes of a connection's buffer
CONNECT_SECONDS = 30.0  # for the last address; Docker's dialer waits as long
OTHERS_SECONDS = 5.0  # for an address that is not the last
TLS_SECONDS = 15.0

_PROTOCOL_ERRORS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
# Codes of X509_verify_cert(3).
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_NOT_NOW = (9, 10)
_WRONG_NAME = (62, 64)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def addresses(host: str) -> tuple[str, ...]:
    """What a host name resolves to; empty when it does not."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(str(item[4][0]) for item in found)


async def connect(host: str, port: int) -> Streams:
    """A TCP connection, by the first address that answers. Raises: Unreachable with what the first one said."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Unreachable(f"dial tcp: lookup {host}{_server()}: {_lookup_problem(error)}") from error
    except UnicodeError as error:  # a label that is too long
        raise Unreachable(f"dial tcp: lookup {host}: no such host") from error
    problems: list[str] = []
    for place, (family, kind, protocol, _, address) in enumerate(found):
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            seconds = CONNECT_SECONDS if place == len(found) - 1 else OTHERS_SECONDS
            async with asyncio.timeout(seconds):
                await loop.sock_connect(sock, address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return await asyncio.open_connection(sock=sock, limit=READ)
        except (OSError, TimeoutError) as error:
            sock.close()
            problems.append(f"dial tcp {_shown(address)}: {_dial_problem(error)}")
        except BaseException:
            sock.close()
            raise
    raise Unreachable(problems[0] if problems else f"dial tcp: lookup {host}: no such host")


async def connect_through(proxy: Proxy, host: str, port: int) -> Streams:
    """A tunnel to `host` by a proxy's CONNECT (RFC 9110, 9.3.6). Raises: Unreachable."""
    try:
        reader, writer = await connect(proxy.host, proxy.port)
    except Unreachable as error:
        raise Unreachable(f"proxyconnect tcp: {error.message}") from error
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            status = await _tunnel(reader, writer, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
        writer.transport.abort()
        raise Unreachable(f"proxyconnect tcp: {error or 'i/o timeout'}") from error
    except BaseException:
        writer.transport.abort()
        raise
    if status != 200:
        writer.transport.abort()
        raise Unreachable(f"proxyconnect tcp: the proxy answered {status}")
    return reader, writer


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy, target: str) -> int:
    conversation = h11.Connection(h11.CLIENT)
    headers = [("Host", target), *proxy_headers(proxy)]
    writer.write(conversation.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b"")
    while True:
        event = conversation.next_event()
        if event is h11.NEED_DATA:
            conversation.receive_data(await reader.read(READ))
        elif isinstance(event, h11.Response):
            return event.status_code


def proxy_headers(proxy: Proxy) -> list[tuple[str, str]]:
    """What proves us to a proxy that wants it."""
    if not proxy.authorization:
        return []
    return [("Proxy-Authorization", "Basic " + base64.b64encode(proxy.authorization.encode()).decode())]


async def secure(writer: asyncio.StreamWriter, host: str, context: ssl.SSLContext) -> None:
    """TLS on an open connection. Raises: Unreachable in Go's words; the connection is closed then."""
    try:
        await writer.start_tls(context, server_hostname=host, ssl_handshake_timeout=TLS_SECONDS)
    except ssl.SSLError as error:
        writer.transport.abort()
        raise Unreachable(_tls_problem(error, host)) from error
    except (OSError, TimeoutError) as error:
        writer.transport.abort()
        raise Unreachable(f"net/http: TLS handshake failed: {error or 'EOF'}") from error
    except BaseException:
        writer.transport.abort()
        raise


def tls_context(host: str, directories: Sequence[str], *, verify: bool) -> ssl.SSLContext:
    """The settings for a registry: the machine's authorities and what ``<directory>/<host[:port]>/`` holds.

    There ``*.crt`` are further authorities, ``*.cert`` with ``*.key`` of the same name who we are (dockerd's
    certs.d). Blocking. Raises: Unreachable when a file there cannot be used.
    """
    if verify:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    for directory in directories:
        for path in sorted(Path(directory, host).glob("*")):
            try:
                if path.suffix == ".crt":
                    context.load_verify_locations(path)
                elif path.suffix == ".cert":
                    context.load_cert_chain(path, path.with_suffix(".key"))
            except (OSError, ssl.SSLError) as error:
                raise Unreachable(f"cannot use {path}: {error}") from error
    return context


def _server() -> str:
    """``on 192.0.2.53:53`` as Go says it, when the machine has a name server."""
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    servers = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    if not servers:
        return ""
    return f" on [{servers[0]}]:53" if ":" in servers[0] else f" on {servers[0]}:53"


def _lookup_problem(error: socket.gaierror) -> str:
    if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
        return "no such host"
    return "server misbehaving" if error.errno == socket.EAI_FAIL else f"{error.strerror}".lower()


def _shown(address: Sequence[object]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _dial_problem(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "i/o timeout"
    return f"connect: {os.strerror(error.errno or 0).lower()}"


def _tls_problem(error: ssl.SSLError, host: str) -> str:
    if error.reason in _PROTOCOL_ERRORS:
        return "http: server gave HTTP response to HTTPS client"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"remote error: tls: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        why = "certificate signed by unknown authority"
    elif error.verify_code in _NOT_NOW:
        why = "certificate has expired or is not yet valid"
    elif error.verify_code in _WRONG_NAME:
        why = f"certificate is not valid for {host}"
    else:
        why = error.verify_message
    return f"tls: failed to verify certificate: x509: {why}"
