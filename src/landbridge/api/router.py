"""Routes are data; the router finds the handler and lets nothing but an answer out.

Every route exists with and without `/v1.NN`. As in Docker the path is looked up first, then the
version is checked, and a known path with another method is not found rather than not allowed.
`{name}` in a pattern takes one path segment, `{name:.*}` takes slashes too (image names).
"""

import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from landbridge.api.query import decode_path
from landbridge.api.request import Body, Request, Version
from landbridge.api.response import Empty, Response
from landbridge.api.status import error_reply
from landbridge.api.wire import ClientGone
from landbridge.errors import Invalid, NotFound

MINIMUM_VERSION: Version = (1, 24)
MAXIMUM_VERSION: Version = (1, 51)

Handler = Callable[[Request], Awaitable[Response]]

_VERSIONED = re.compile(r"/v([0-9.]+)(/.*)")
_PARAMETER = re.compile(r"\{(\w+)(?::([^}]+))?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """`Route("GET", "/containers/{name:.*}/json", handler)`. The first that fits in the list wins."""

    method: str
    pattern: str
    handler: Handler


class Router:
    """Answers requests from a table of routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[tuple[str, str], Handler] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Handler]]] = {}
        for route in routes:
            if "{" in route.pattern:
                self._patterns.setdefault(route.method, []).append((_compile(route.pattern), route.handler))
            else:
                self._fixed.setdefault((route.method, route.pattern), route.handler)

    def __repr__(self) -> str:
        return f"<Router {len(self._fixed) + sum(map(len, self._patterns.values()))} routes>"

    async def respond(self, method: str, target: str, headers: dict[str, str], body: Body) -> Response:
        """The answer to one request, errors included.

        `target` is the request line's, query and all. Raises: ClientGone only.
        """
        try:
            raw_path, _, query_text = _origin_form(target).partition("?")
            path = decode_path(raw_path)
            if (clean := _clean(path)) != path:
                location = quote(clean) + (f"?{query_text}" if query_text else "")
                return Empty(status=301, headers=(("Location", location),))
            handler, params, version = self.resolve(method, path)
            request = Request(method, path, query_text, headers, body, params=params, version=version)
            return await handler(request)
        except ClientGone:
            raise
        except Exception as error:  # the boundary: whatever a handler raises is an answer, the process lives on
            return error_reply(error)

    def resolve(self, method: str, path: str) -> tuple[Handler, dict[str, str], Version]:
        """The handler for a decoded path, the names in it, and the version asked for.

        Raises: NotFound for an unknown path or method, Invalid for a version out of range.
        """
        version_text = ""
        if versioned := _VERSIONED.fullmatch(path):
            version_text, path = versioned.groups()
        found = self._find(method, path)
        if found is None:
            raise NotFound("page not found")
        return *found, check_version(version_text) if versioned else MAXIMUM_VERSION

    def _find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        handler = self._fixed.get((method, path))
        if handler is not None:
            return handler, {}
        for pattern, handler in self._patterns.get(method, ()):
            if match := pattern.fullmatch(path):
                return handler, match.groupdict()
        return None


def check_version(text: str) -> Version:
    """`"1.41"` as `(1, 41)`. Raises: Invalid with Docker's text when it is out of range."""
    # Docker compares number by number and takes an absent one for 0.
    numbers = tuple(int(part or 0) if len(part) < 19 else 1 << 63 for part in text.split("."))
    if numbers < MINIMUM_VERSION:
        raise Invalid(
            f"client version {text} is too old. Minimum supported API version is {show_version(MINIMUM_VERSION)}, "
            "please upgrade your client to a newer version"
        )
    if numbers[:2] > MAXIMUM_VERSION:
        raise Invalid(
            f"client version {text} is too new. Maximum supported API version is {show_version(MAXIMUM_VERSION)}"
        )
    return numbers


def show_version(version: Version) -> str:
    """`(1, 51)` as `"1.51"`."""
    return ".".join(map(str, version))


def _compile(pattern: str) -> re.Pattern[str]:
    text, end = "", 0
    for match in _PARAMETER.finditer(pattern):
        name, rule = match.groups()
        text += f"{re.escape(pattern[end : match.start()])}(?P<{name}>{rule or '[^/]+'})"
        end = match.end()
    return re.compile(text + re.escape(pattern[end:]))


def _origin_form(target: str) -> str:
    # RFC 9112 3.2.2: a server must take the absolute form too.
    if target.startswith(("http://", "https://")):
        return "/" + target.split("://", 1)[1].partition("/")[2]
    return target


def _clean(path: str) -> str:
    """The path a redirect points to: no empty and no dot segments, the last slash kept (Go's ServeMux)."""
    if "//" not in path and "/." not in path:
        return path
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean
