"""Which proxy a request goes through: ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, read as Go programs read them.

Loopback is always reached directly. Upper-case names win over lower-case ones; CGI's ``HTTP_PROXY`` trouble does
not concern a daemon. Decides only; `registry_dial` connects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from landbridge.errors import Unreachable


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where to connect instead; `authorization` is ``user:password`` or empty."""

    host: str
    port: int
    authorization: str = ""


class Proxies:
    """The rules of one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        def read(name: str) -> str:
            return environment.get(name) or environment.get(name.lower(), "")

        self.http, self.https, self.none = read("HTTP_PROXY"), read("HTTPS_PROXY"), read("NO_PROXY")

    def __repr__(self) -> str:
        return f"<Proxies http={bool(self.http)} https={bool(self.https)} except {self.none!r}>"

    def choose(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for a request, None: go there directly. Raises: Unreachable for a proxy that cannot be used."""
        text = self.https if scheme == "https" else self.http
        if not text or _loopback(host) or any(_matches(rule.strip().lower(), host, port) for rule in _rules(self.none)):
            return None
        return _parse(text)


def _rules(text: str) -> list[str]:
    return [rule for rule in text.split(",") if rule.strip()]


def _parse(text: str) -> Proxy:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or not parts.hostname:
        raise Unreachable(f'invalid proxy address "{_shown(parts)}": only http:// proxies are supported')
    user = unquote(parts.username or "")
    return Proxy(parts.hostname, parts.port or 80, f"{user}:{unquote(parts.password or '')}" if user else "")


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname or ''}"  # without the password


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def _matches(rule: str, host: str, port: int) -> bool:
    """One entry of NO_PROXY: ``*``, a network, an address or a domain, the last two with a port or without."""
    if rule == "*":
        return True
    host = host.lower()
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if "/" in rule:
        try:
            return address is not None and address in ip_network(rule, strict=False)
        except ValueError:
            return False
    wanted, wanted_port = _host_port(rule)
    if wanted_port and wanted_port != str(port):
        return False
    if address is not None:
        try:
            return ip_address(wanted) == address
        except ValueError:
            return False
    wanted = wanted.removeprefix("*")
    if wanted.startswith("."):
        return host.endswith(wanted)
    return host == wanted or host.endswith(f".{wanted}")


def _host_port(rule: str) -> tuple[str, str]:
    if rule.startswith("["):
        inside, _, rest = rule[1:].partition("]")
        return inside, rest.removeprefix(":")
    if rule.count(":") == 1:
        wanted, _, port = rule.partition(":")
        return wanted, port
    return rule, ""
