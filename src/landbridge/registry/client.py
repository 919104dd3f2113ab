"""One registry at one address, spoken to by the distribution specification: requests with a login, redirects, retries.

`Registry` sends; `Connector` finds the address of a reference's registry that answers. What is pulled and pushed
is in `registry_repository`.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from landbridge.errors import Internal, LandbridgeError, Unavailable
from landbridge.model.reference import DEFAULT_REGISTRY
from landbridge.oci.registry_errors import refusal
from landbridge.oci.registry_names import Endpoint, Insecure, endpoints, host_of
from landbridge.registry.auth import Authority, Credentials
from landbridge.registry.effects import Http, Reply, Sleep
from landbridge.registry.errors import AuthFailed, Refused, delay_before_retry

ERROR_MOST = 64 * 1024  # bytes of an error's body that are read
REDIRECTS_MOST = 10
PATIENCE_SECONDS = 60.0

_TOO_LITTLE = "insufficient_scope"  # another token would say the same (RFC 6750, 3.1)
_REDIRECTS = (301, 302, 303, 307, 308)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to a registry. `url` may be relative to the registry's address; `scopes` are what a token is for."""

    method: str
    url: str
    scopes: frozenset[str] = frozenset()
    headers: Mapping[str, str] | None = None
    body: bytes | AsyncIterable[bytes] = b""
    good: Collection[int] = (200,)
    patience: float = PATIENCE_SECONDS


class Registry:
    """One endpoint and who we are there."""

    def __init__(self, http: Http, endpoint: Endpoint, credentials: Credentials, sleep: Sleep = asyncio.sleep) -> None:
        self._http = http
        self.endpoint = endpoint
        self.authority = Authority(http, endpoint, credentials)
        self.sleep = sleep

    def __repr__(self) -> str:
        return f"<Registry {self.endpoint.url}>"

    async def ping(self) -> None:
        """Learn how the registry wants to be asked. Raises: Unreachable, Unavailable."""
        url = f"{self.endpoint.url}/v2/"

        async def once() -> None:
            async with await self._http.exchange("GET", url, {}, verify=self.endpoint.verify) as reply:
                self.authority.learn(reply)
                await self._drain(reply)

        await self.again(once)

    async def again(self, work: Callable[[], Awaitable[T]]) -> T:
        """`work`, repeated after a pause while it fails in a way that may pass. Raises: what it raised last."""
        failures = 0
        while True:
            try:
                return await work()
            except LandbridgeError as error:
                failures += 1
                delay = delay_before_retry(error, failures)
                if delay is None:
                    raise
            await self.sleep(delay)

    @asynccontextmanager
    async def call(self, call: Call) -> AsyncIterator[Reply]:
        """The answer to `call`, one of its good ones.

        Raises: Refused with the registry's words for any other; AuthFailed, Unreachable, Unavailable.
        """
        reply = await self._send(call)
        async with reply:
            if reply.status not in call.good:
                challenges = self.authority.learn(reply)
                body = await reply.read(ERROR_MOST)
                raise Refused(refusal(reply.status, body, challenges), reply.header("retry-after"))
            yield reply

    async def read(self, call: Call, most: int) -> tuple[Reply, bytes]:
        """Answer and body of a call that may be repeated. Raises: as `call`."""

        async def once() -> tuple[Reply, bytes]:
            async with self.call(call) as reply:
                return reply, await reply.read(most)

        return await self.again(once)

    async def _send(self, call: Call) -> Reply:
        """With a second try when the registry wants other proof than it got."""
        url = urljoin(f"{self.endpoint.url}/", call.url)
        scopes = set(call.scopes)
        proof = await self._proof(call.method, url, scopes)
        reply = await self._follow(call, url, proof)
        if reply.status != 401 or not isinstance(call.body, bytes):
            return reply
        challenges = self.authority.learn(reply)
        if not challenges or (proof and any(one.parameters.get("error") == _TOO_LITTLE for one in challenges)):
            return reply
        scopes.update(one.parameters["scope"] for one in challenges if one.parameters.get("scope"))
        self.authority.forget(scopes)
        again = await self._proof(call.method, url, scopes)
        if again in ("", proof):
            return reply
        await self._drain(reply)
        return await self._follow(call, url, again)

    async def _proof(self, method: str, url: str, scopes: Collection[str]) -> str:
        """The ``Authorization`` for a request; none for another host. Raises: AuthFailed, naming the request."""
        if not _same_place(url, self.endpoint.url):
            return ""
        try:
            return await self.authority.header(scopes)
        except AuthFailed as error:
            raise AuthFailed(error.bare, f'{method.capitalize()} "{url}"') from error
        except Refused as error:
            if delay_before_retry(error, 1) is not None:
                raise
            raise AuthFailed(error.message, f'{method.capitalize()} "{url}"') from error

    async def _follow(self, call: Call, url: str, proof: str) -> Reply:
        for _ in range(REDIRECTS_MOST):
            headers = dict(call.headers or {})
            at_home = _same_place(url, self.endpoint.url)
            if proof and at_home:
                headers["Authorization"] = proof
            # Who trusts a registry blindly has not said so of wherever it points to.
            verify = self.endpoint.verify or not _same_host(url, self.endpoint.url)
            reply = await self._http.exchange(
                call.method, url, headers, call.body, verify=verify, patience=call.patience
            )
            location = reply.header("location")
            if call.method not in ("GET", "HEAD") or reply.status not in _REDIRECTS or not location:
                return reply
            await self._drain(reply)
            url = urljoin(url, location)
        raise Internal(f'{call.method.capitalize()} "{url}": stopped after {REDIRECTS_MOST} redirects')

    @staticmethod
    async def _drain(reply: Reply) -> None:
        """Read an uninteresting body, so that the connection can be used again."""
        async with reply:
            try:
                await reply.read(ERROR_MOST)
            except Unavailable:
                pass  # the head was all we wanted


def _same_place(url: str, base: str) -> bool:
    """Whether a request for `url` goes to the server of `base`: the rule for sending secrets."""
    one, other = urlsplit(url), urlsplit(base)
    return (one.scheme, one.netloc.lower()) == (other.scheme, other.netloc.lower())


def _same_host(url: str, base: str) -> bool:
    return urlsplit(url).hostname == urlsplit(base).hostname


class Connector:
    """Finds a registry that answers. `mirrors` stand before Docker Hub."""

    def __init__(
        self, http: Http, insecure: Insecure, mirrors: Sequence[str] = (), sleep: Sleep = asyncio.sleep
    ) -> None:
        self._http = http
        self._insecure = insecure
        self._mirrors = tuple(mirrors)
        self._sleep = sleep

    async def first(
        self,
        name: str,
        credentials: Credentials,
        work: Callable[[Registry], Awaitable[T]],
        *,
        mirrors: bool = True,
    ) -> T:
        """`work` at the first address of registry `name` that answers.

        An address that does not answer is passed over, a mirror also when `work` fails there. Credentials are
        for the registry, so no mirror sees them.

        Raises: what the last one said.
        """
        problem: LandbridgeError = Internal(f"no address for registry {name}")
        for endpoint in await self._endpoints(name, mirrors=mirrors):
            registry = Registry(self._http, endpoint, Credentials() if endpoint.mirror else credentials, self._sleep)
            try:
                await registry.ping()
            except Unavailable as error:
                problem = error
                continue
            if not endpoint.mirror:
                return await work(registry)
            try:
                return await work(registry)
            except LandbridgeError as error:
                problem = error
        raise problem

    async def _endpoints(self, name: str, *, mirrors: bool) -> tuple[Endpoint, ...]:
        insecure = False
        if name != DEFAULT_REGISTRY:
            insecure = self._insecure.allows(name, ()) or self._insecure.allows(
                name, await self._http.addresses(host_of(name))
            )
        return endpoints(name, self._mirrors if mirrors else (), insecure=insecure)
