"""Looking for images by words: the old index API (``GET /v1/search``), which Docker Hub and a few others still answer.

Docker's way: a name before the first slash that looks like a host is asked itself, everything else goes to the Hub.
What filters leave out is left out here, since the index knows none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from landbridge.errors import Internal, Invalid, LandbridgeError, Unavailable
from landbridge.oci.registry_names import HUB_INDEX, Endpoint, Insecure, endpoints, host_of
from landbridge.registry.auth import Credentials
from landbridge.registry.effects import Http

ANSWER_MOST = 4 << 20
MOST, USUAL = 100, 25
FILTERS = ("is-automated", "is-official", "stars")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results count; None: all."""

    official: bool | None = None
    automated: bool | None = None
    stars: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One repository an index tells of."""

    name: str
    description: str
    stars: int
    official: bool
    automated: bool


def wanted(filters: Mapping[str, Sequence[str]]) -> Wanted:
    """From the ``filters`` of a request. Raises: Invalid with Docker's words."""
    return Wanted(
        _truth("is-official", filters), _truth("is-automated", filters),
        max((_stars(text) for text in filters.get("stars", ())), default=0),
    )  # fmt: skip


def _truth(name: str, filters: Mapping[str, Sequence[str]]) -> bool | None:
    values = set(filters.get(name, ()))
    if not values:
        return None
    if values <= {"1", "true"}:
        return True
    if values <= {"0", "false"}:
        return False
    raise Invalid(f"invalid filter '{name}=[{' '.join(sorted(values))}]'")


def _stars(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Invalid(f"invalid filter 'stars={text}': strconv.Atoi: parsing \"{text}\": invalid syntax")
    return int(text)


def place(term: str) -> tuple[str, str]:
    """(registry, words to look for); an empty registry is the Hub. Raises: Invalid."""
    if "://" in term:
        raise Invalid(f"invalid repository name: repository name ({term}) should not have a scheme")
    first, slash, rest = term.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return "", term
    return ("", rest.removeprefix("library/")) if first in ("docker.io", "index.docker.io") else (first, rest)


class Searcher:
    """Asks indexes."""

    def __init__(self, http: Http, insecure: Insecure) -> None:
        self._http = http
        self._insecure = insecure

    async def search(self, term: str, limit: int, filters: Wanted, credentials: Credentials) -> list[Found]:
        """What an index finds. Raises: Invalid for a bad term or limit, Internal with the reason."""
        limit = limit or USUAL
        if not 1 <= limit <= MOST:
            raise Invalid(f"limit {limit} is outside the range of [1, {MOST}]")
        registry, words = place(term)
        problem: LandbridgeError = Internal(f"no address for registry {registry}")
        for endpoint in await self._endpoints(registry):
            try:
                results = await self._ask(endpoint, words, limit, credentials)
            except Unavailable as error:
                problem = Internal(error.message)
                continue
            return [one for one in results if _fits(one, filters)]
        raise problem

    async def _endpoints(self, registry: str) -> tuple[Endpoint, ...]:
        if not registry:
            return (Endpoint(HUB_INDEX.removesuffix("/v1/")),)
        addresses = () if self._insecure.allows(registry, ()) else await self._http.addresses(host_of(registry))
        return endpoints(registry, (), insecure=self._insecure.allows(registry, addresses))

    async def _ask(self, endpoint: Endpoint, words: str, limit: int, credentials: Credentials) -> list[Found]:
        url = f"{endpoint.url}/v1/search?{urlencode({'q': words, 'n': limit})}"
        headers = {"Accept": "application/json"} | ({"Authorization": credentials.basic} if credentials.basic else {})
        async with await self._http.exchange("GET", url, headers, verify=endpoint.verify) as reply:
            body = await reply.read(ANSWER_MOST)
            if reply.status != 200:
                raise Internal(f"Unexpected status code {reply.status}")
        try:
            rows = json.loads(body)["results"]
            return [_found(row) for row in rows]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Internal(f'Get "{url}": the answer is no list of images') from None


def _found(row: Mapping[str, Any]) -> Found:
    return Found(
        str(row["name"]), str(row.get("description") or ""), int(row.get("star_count") or 0),
        bool(row.get("is_official")), bool(row.get("is_automated")),
    )  # fmt: skip


def _fits(one: Found, filters: Wanted) -> bool:
    return (
        filters.official in (None, one.official)
        and filters.automated in (None, one.automated)
        and one.stars >= filters.stars
    )
