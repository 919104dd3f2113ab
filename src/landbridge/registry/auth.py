"""Proving to a registry who we are: Basic, or a token from where the registry says (the distribution token spec).

An `Authority` serves one endpoint and one set of credentials. Tokens are kept for their life by what they are good
for. Passwords go to the registry itself and to the token server it names, and there only by TLS unless the
registry has none itself.
"""

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from landbridge.oci.challenge import Challenge, parse_challenges
from landbridge.oci.registry_errors import refusal
from landbridge.oci.registry_names import Endpoint
from landbridge.registry.effects import Http, Reply
from landbridge.registry.errors import AuthFailed, Refused

TOKEN_SECONDS = 60.0  # the least a token lives when its server says nothing or less
EARLY_SECONDS = 5.0
ANSWER_MOST = 1 << 20
CLIENT_ID = "docker"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What the client sent along: a name and password, an identity (refresh) token, or a ready registry token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"<Credentials of {self.username or 'nobody'}>"  # never the secrets

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header; empty without a name."""
        if not self.username:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Authority:
    """See the module. `clock` gives seconds that only grow."""

    def __init__(
        self, http: Http, endpoint: Endpoint, credentials: Credentials, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock
        self._challenges: tuple[Challenge, ...] = ()
        self._tokens: dict[frozenset[str], tuple[str, float]] = {}
        self.refresh_token = ""

    def __repr__(self) -> str:
        return f"<Authority for {self._endpoint.url} by {[one.scheme for one in self._challenges]}>"

    def learn(self, reply: Reply) -> tuple[Challenge, ...]:
        """Remember what an answer asks for, if it does; returns it."""
        found = parse_challenges(reply.header_list("www-authenticate"))
        self._challenges = found or self._challenges
        return found

    def forget(self, scopes: Collection[str]) -> None:
        """The token for these scopes was not taken: fetch another next time."""
        self._tokens.pop(frozenset(scopes), None)

    async def header(self, scopes: Collection[str], *, offline: bool = False) -> str:
        """The value for ``Authorization``, empty when nothing is asked for or we are nobody.

        `offline`: ask for an identity token as well; it is in `refresh_token` then.

        Raises: AuthFailed when the registry wants a password and there is none; Refused by the token server.
        """
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        for challenge in self._challenges:
            if challenge.scheme == "bearer":
                return f"Bearer {await self._token(challenge, frozenset(scopes), offline=offline)}"
        if any(challenge.scheme == "basic" for challenge in self._challenges):
            if not self._credentials.basic:
                raise AuthFailed("no basic auth credentials")
            return self._credentials.basic
        return ""

    async def _token(self, challenge: Challenge, scopes: frozenset[str], *, offline: bool) -> str:
        token, until = self._tokens.get(scopes, ("", 0.0))
        if token and self._clock() < until:
            return token
        asked = self._clock()
        answer = await self._ask(challenge, sorted(scopes), offline=offline)
        found = answer.get("token") or answer.get("access_token")
        if not isinstance(found, str) or not found:
            raise AuthFailed("authorization server did not include a token in the response")
        refresh = answer.get("refresh_token")
        self.refresh_token = refresh if isinstance(refresh, str) else ""
        life = answer.get("expires_in")
        seconds = max(TOKEN_SECONDS, float(life)) if isinstance(life, int | float) else TOKEN_SECONDS
        self._tokens[scopes] = (found, asked + seconds - EARLY_SECONDS)
        return found

    async def _ask(self, challenge: Challenge, scopes: Sequence[str], *, offline: bool) -> Mapping[str, Any]:
        realm = urlsplit(challenge.realm)
        if realm.scheme not in ("http", "https") or not realm.netloc:
            raise AuthFailed(f'no usable realm in the challenge of {self._endpoint.url}: "{challenge.realm}"')
        known = self._credentials.identity_token or self._credentials.basic
        if known and realm.scheme == "http" and self._endpoint.verify and self._endpoint.url.startswith("https:"):
            raise AuthFailed(f"{self._endpoint.url} wants the password sent to {realm.netloc} without TLS: refused")
        if self._credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": self._credentials.identity_token,
                    "service": challenge.service, "client_id": CLIENT_ID, "scope": " ".join(scopes)}  # fmt: skip
            if offline:
                form["access_type"] = "offline"
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = await self._exchange("POST", challenge.realm, kind, urlencode(form).encode())
        else:
            query = [("service", challenge.service)] if challenge.service else []
            query += [("scope", scope) for scope in scopes]
            if self._credentials.username:
                query.append(("account", self._credentials.username))
            if offline:
                query += [("offline_token", "true"), ("client_id", CLIENT_ID)]
            url = challenge.realm + ("&" if realm.query else "?") + urlencode(query)
            basic = self._credentials.basic
            reply = await self._exchange("GET", url, {"Authorization": basic} if basic else {})
        async with reply:
            body = await reply.read(ANSWER_MOST)
            if reply.status != 200:
                raise Refused(refusal(reply.status, body), reply.header("retry-after"))
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise AuthFailed(f"unable to decode token response: {error}") from error
        if not isinstance(answer, dict):
            raise AuthFailed("unable to decode token response: not an object")
        return answer

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        return await self._http.exchange(method, url, headers, body, verify=self._endpoint.verify)
