"""The table of routes and the versions in front of it; texts as Docker 26.1 answers them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Response
from landbridge.api.router import Route, Router, check_version
from landbridge.errors import Invalid, NotFound


class NoBody:
    declared_empty = True

    async def pieces(self) -> AsyncIterator[bytes]:
        return
        yield b""


async def one(request: Request) -> Response:
    return JSON({"handler": "one", **request.params, "query": {k: list(v) for k, v in request.query.items()}})


async def two(request: Request) -> Response:
    return JSON({"handler": "two", **request.params})


ROUTER = Router(
    [
        Route("GET", "/_ping", one),
        Route("GET", "/containers/json", one),
        Route("GET", "/containers/{name:.*}/json", two),
        Route("GET", "/networks/{id}", one),
        Route("GET", "/images/{name:.*}/json", one),
        Route("DELETE", "/images/{name:.*}", two),
    ]
)


def ask(method: str, target: str) -> Response:
    return asyncio.run(ROUTER.respond(method, target, {}, NoBody()))


def answered(method: str, target: str) -> dict[str, object]:
    reply = ask(method, target)
    assert isinstance(reply, JSON), reply
    assert isinstance(reply.data, dict)
    return reply.data


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.51", "/v1.041", "/v1.41.2"])
@pytest.mark.parametrize(
    ("method", "path", "handler", "name"),
    [
        ("GET", "/containers/json", "one", None),
        ("GET", "/containers/web1/json", "two", "web1"),
        ("GET", "/images/example.test:5000/a/b:c/json", "one", "example.test:5000/a/b:c"),
        ("GET", "/images/a%2Fb/json", "one", "a/b"),
        ("DELETE", "/images/a/b@sha256:00", "two", "a/b@sha256:00"),
        ("GET", "http://docker/images/a/json", "one", "a"),
    ],
)
def test_a_path_finds_its_handler_with_and_without_version(
    prefix: str, method: str, path: str, handler: str, name: str | None
) -> None:
    path = path.replace("http://docker", f"http://docker{prefix}") if path.startswith("http") else prefix + path
    data = answered(method, path)
    assert data["handler"] == handler
    assert data.get("name") == name


def test_a_plain_parameter_takes_one_segment() -> None:
    assert answered("GET", "/networks/my%20net?verbose=1")["id"] == "my net"
    assert answered("GET", "/networks/a/b") == {"message": "page not found"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/v1.41/nope"),
        ("GET", "/v1.99/nope"),
        ("GET", "/vabc/_ping"),
        ("GET", "/v1.4x/_ping"),
        ("POST", "/_ping"),
        ("PUT", "/containers/json"),
        ("HEAD", "/containers/json"),
        ("GET", "/containers/json/"),
        ("GET", "/"),
        ("GET", "*"),
    ],
)
def test_unknown_paths_and_methods_are_not_found(method: str, path: str) -> None:
    assert ask(method, path) == JSON({"message": "page not found"}, status=404)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("2.0", "client version 2.0 is too new. Maximum supported API version is 1.51"),
        (
            "99999999999999999999.1",
            "client version 99999999999999999999.1 is too new. Maximum supported API version is 1.51",
        ),
        (
            "1.1",
            "client version 1.1 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
        (
            "1",
            "client version 1 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
        (
            ".",
            "client version . is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
    ],
)
def test_a_version_out_of_range_is_refused(version: str, text: str) -> None:
    assert ask("GET", f"/v{version}/_ping") == JSON({"message": text}, status=400)


def test_versions_compare_as_numbers() -> None:
    assert (1, 44) <= check_version("1.44") < (1, 45)
    assert check_version("1.51") > check_version("1.30")
    with pytest.raises(Invalid):
        check_version("1.9")


@pytest.mark.parametrize(
    ("target", "location"),
    [("//networks/x", "/networks/x"), ("/v1.41/../_ping?a=1", "/_ping?a=1"), ("/a//b%20c/", "/a/b%20c/")],
)
def test_an_unclean_path_is_redirected(target: str, location: str) -> None:
    assert ask("GET", target) == Empty(status=301, headers=(("Location", location),))


def test_a_broken_escape_is_refused() -> None:
    assert ask("GET", "/networks/%zz") == JSON({"message": 'invalid URL escape "%zz"'}, status=400)
    assert ask("GET", "/networks/x?a=%z") == JSON({"message": 'invalid URL escape "%z"'}, status=400)


def test_the_query_reaches_the_handler() -> None:
    assert answered("GET", "/networks/x?a=1&b=x+y&a=%32&c")["query"] == {"a": ["1", "2"], "b": ["x y"], "c": [""]}


def test_resolve_is_plain() -> None:
    handler, params, version = ROUTER.resolve("GET", "/v1.44/networks/n")
    assert (handler, params, version) == (one, {"id": "n"}, (1, 44))
    assert ROUTER.resolve("GET", "/_ping")[2] == (1, 51)
    with pytest.raises(NotFound):
        ROUTER.resolve("GET", "/nope")
    assert repr(ROUTER) == "<Router 6 routes>"
