"""The unmodified docker-py against tiny handlers: what it reads past the HTTP layer must be there."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import docker
import pytest
from apiserving import PATIENCE, Serve

from landbridge.api import streams
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import JSON, MULTIPLEXED_STREAM, RAW_STREAM, TAR, Empty, Hijack, Raw, Response, Stream
from landbridge.api.router import Route
from landbridge.errors import NotFound

# docker-py leaves the sockets it hands out to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

Connect = Callable[..., docker.APIClient]

TTY = "tty"  # the container of this name has a terminal


@pytest.fixture
def docker_py(serve: Serve) -> Iterator[Connect]:
    """`docker_py(Route(...), ...)` -> an `APIClient` that negotiated its version."""
    clients: list[docker.APIClient] = []

    async def version(request: Request) -> Response:
        return JSON({"ApiVersion": "1.51", "MinAPIVersion": "1.24"})

    async def inspect(request: Request) -> Response:
        return JSON({"Id": request.params["name"], "Config": {"Tty": request.params["name"] == TTY}})

    def connect(*routes: Route) -> docker.APIClient:
        always = (Route("GET", "/version", version), Route("GET", "/containers/{name:.*}/json", inspect))
        server = serve(*routes, *always)
        client = docker.APIClient(f"unix://{server.path}", version="auto", timeout=PATIENCE)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


async def output(request: Request) -> Response:
    """Two lines on stdout and one on stderr, framed unless the container has a terminal."""
    tty = request.params["name"] == TTY
    write = streams.writer(tty=tty)

    async def messages() -> AsyncIterator[bytes]:
        yield write(streams.STDOUT, b"one\n")
        yield write(streams.STDERR, b"oops\n")
        yield write(streams.STDOUT, b"two\n")

    return Stream(messages(), RAW_STREAM if tty else MULTIPLEXED_STREAM)


LOGS = Route("GET", "/containers/{name:.*}/logs", output)


def test_it_negotiates_and_pings(docker_py: Connect) -> None:
    async def ping(request: Request) -> Response:
        return Raw(b"OK")

    client = docker_py(Route("GET", "/_ping", ping))
    assert client.ping() is True
    assert client._version == "1.51"


def test_errors_have_their_type_and_text(docker_py: Connect) -> None:
    async def missing(request: Request) -> Response:
        raise NotFound("No such container: web1")

    with pytest.raises(docker.errors.NotFound, match="No such container: web1"):
        docker_py(Route("POST", "/containers/{name:.*}/start", missing)).start("web1")


@pytest.mark.parametrize("name", ["plain", TTY])
def test_logs_whole_and_streamed(docker_py: Connect, name: str) -> None:
    client = docker_py(LOGS)
    assert client.logs(name) == b"one\noops\ntwo\n"
    assert b"".join(client.logs(name, stream=True, follow=True)) == b"one\noops\ntwo\n"


def test_progress_and_events_are_decoded(docker_py: Connect) -> None:
    lines: list[dict[str, Any]] = [{"status": "Pulling", "id": "a"}, {"status": "Done", "progressDetail": {}}]

    async def pull(request: Request) -> Response:
        assert request.query_str("fromImage") == "example.test/a/b"

        async def messages() -> AsyncIterator[bytes]:
            for line in lines:
                yield streams.progress_line(line)

        return Stream(messages(), headers_with_first_message=True, on_error=streams.progress_error)

    async def events(request: Request) -> Response:
        assert request.filters({"type"}) == {"type": ("network",)}

        async def messages() -> AsyncIterator[bytes]:
            for line in lines:
                yield streams.event_line(line)

        return Stream(messages())

    client = docker_py(Route("POST", "/images/create", pull), Route("GET", "/events", events))
    assert list(client.pull("example.test/a/b", tag="c", stream=True, decode=True)) == lines
    assert list(client.events(decode=True, filters={"type": "network"})) == lines


def test_wait_answers_in_a_stream(docker_py: Connect) -> None:
    async def wait(request: Request) -> Response:
        async def messages() -> AsyncIterator[bytes]:
            yield streams.event_line({"StatusCode": 3})

        return Stream(messages())

    assert docker_py(Route("POST", "/containers/{name:.*}/wait", wait)).wait("web1") == {"StatusCode": 3}


def test_archives_go_both_ways(docker_py: Connect) -> None:
    kept: list[bytes] = []
    stat = base64.b64encode(json.dumps({"name": "etc", "size": 5}).encode()).decode()

    async def put(request: Request) -> Response:
        assert request.query_str("path") == "/tmp/a b"
        kept.extend([piece async for piece in request.body()])
        return Empty(200)

    async def get(request: Request) -> Response:
        async def messages() -> AsyncIterator[bytes]:
            for piece in kept:
                yield piece

        return Stream(messages(), TAR, headers=(("X-Docker-Container-Path-Stat", stat),))

    client = docker_py(
        Route("PUT", "/containers/{name:.*}/archive", put), Route("GET", "/containers/{name:.*}/archive", get)
    )
    blob = b"tar" * 500_000
    assert client.put_archive("web1", "/tmp/a b", blob) is True
    data, found = client.get_archive("web1", "/etc")
    assert found == {"name": "etc", "size": 5}
    assert b"".join(data) == blob


async def cat(request: Request) -> Response:
    """As `cat` in a container: input comes back, framed, and its end ends the stream."""
    options = await request.json_object(may_be_empty=True)
    tty = bool(options.get("Tty")) or request.params["name"] == TTY
    write = streams.writer(tty=tty)

    async def run(duplex: Duplex) -> None:
        while data := await duplex.read():
            await duplex.write(write(streams.STDOUT, data))
        await duplex.write(write(streams.STDERR, b"end\n"))

    return Hijack(run, content_type=RAW_STREAM if tty else MULTIPLEXED_STREAM)


def speak(client_socket: Any) -> bytes:
    """Write through the socket docker-py hands out, half-close it, and read to the end."""
    sock: socket.socket = client_socket._sock
    sock.settimeout(PATIENCE)
    sock.sendall(b"hello\n")
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while data := sock.recv(4096):
        got += data
    client_socket.close()
    return got


def test_an_exec_is_a_raw_socket(docker_py: Connect) -> None:
    client = docker_py(Route("POST", "/exec/{name}/start", cat))
    framed = streams.frame(1, b"hello\n") + streams.frame(2, b"end\n")
    assert speak(client.exec_start("1", socket=True)) == framed
    assert speak(client.exec_start("1", socket=True, tty=True)) == b"hello\nend\n"


def test_an_attached_socket_is_raw_too(docker_py: Connect) -> None:
    client = docker_py(Route("POST", "/containers/{name:.*}/attach", cat))
    params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    assert speak(client.attach_socket(TTY, params)) == b"hello\nend\n"


@pytest.mark.parametrize("tty", [False, True])
def test_an_exec_is_read_to_its_end(docker_py: Connect, tty: bool) -> None:  # noqa: FBT001
    async def start(request: Request) -> Response:
        await request.json_object()
        write = streams.writer(tty=tty)

        async def run(duplex: Duplex) -> None:
            await duplex.write(write(streams.STDOUT, b"out\n"))
            await duplex.write(write(streams.STDERR, b"err\n"))

        return Hijack(run, content_type=RAW_STREAM if tty else MULTIPLEXED_STREAM)

    client = docker_py(Route("POST", "/exec/{name}/start", start))
    assert client.exec_start("1", tty=tty) == b"out\nerr\n"
    assert b"".join(client.exec_start("1", tty=tty, stream=True)) == b"out\nerr\n"
    if not tty:
        assert client.exec_start("1", demux=True) == (b"out\n", b"err\n")


def test_attach_streams_what_the_container_says(docker_py: Connect) -> None:
    async def attach(request: Request) -> Response:
        async def run(duplex: Duplex) -> None:
            duplex.discard_input()
            await duplex.write(streams.frame(streams.STDOUT, b"out\n"))

        return Hijack(run, content_type=MULTIPLEXED_STREAM)

    client = docker_py(Route("POST", "/containers/{name:.*}/attach", attach))
    assert client.attach("plain") == b"out\n"
    assert b"".join(client.attach("plain", stream=True)) == b"out\n"
