"""Where a registry is: from the name in a reference to the addresses to try, in order. Pure.

``docker.io`` is special three times: its API is at registry-1.docker.io, its logins are stored under
``https://index.docker.io/v1/``, and only it has mirrors. A registry on a loopback address or named as insecure
may answer without TLS, or with a certificate nobody vouches for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from landbridge.errors import Invalid
from landbridge.model.reference import DEFAULT_REGISTRY

HUB = "registry-1.docker.io"
HUB_INDEX = "https://index.docker.io/v1/"
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base address to try: ``https://registry-1.docker.io``. `verify`: its certificate must be good."""

    url: str
    verify: bool = True
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class Insecure:
    """Registries that need no TLS: by name (``host`` or ``host:port``) and by network."""

    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def allows(self, registry: str, addresses: Iterable[str]) -> bool:
        """`addresses`: what the registry's host name resolves to."""
        if registry in self.names:
            return True
        return any(_inside(address, self.networks) for address in addresses)


def parse_insecure(texts: Iterable[str]) -> Insecure:
    """``--insecure-registry`` values; loopback is always in. Raises: Invalid."""
    names: set[str] = set()
    networks = [ip_network(text) for text in LOOPBACK]
    for text in texts:
        if "://" in text:
            raise Invalid(f"insecure registry {text} should not contain '://'")
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            if not text or "/" in text:
                raise Invalid(f"insecure registry {text} is not valid: give host, host:port or a network") from None
            names.add(text)
    return Insecure(frozenset(names), tuple(networks))


def parse_mirror(text: str) -> str:
    """A ``--registry-mirror`` value without its last slash. Raises: Invalid with Docker's words."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f'invalid mirror: unsupported scheme "{parts.scheme}" in "{text}"')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Invalid(f'invalid mirror: path, query, or fragment at end of the URI "{text}"')
    return f"{parts.scheme}://{parts.netloc}"


def _inside(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(found in network for network in networks)


def host_of(registry: str) -> str:
    """The host part of ``host``, ``host:port`` or ``[::1]:port``."""
    return urlsplit(f"//{registry}").hostname or registry


def endpoints(registry: str, mirrors: Sequence[str], *, insecure: bool) -> tuple[Endpoint, ...]:
    """The addresses of a reference's registry, in the order Docker tries them."""
    if registry == DEFAULT_REGISTRY:
        return (*(Endpoint(mirror, mirror=True) for mirror in mirrors), Endpoint(f"https://{HUB}"))
    if insecure:
        return (Endpoint(f"https://{registry}", verify=False), Endpoint(f"http://{registry}", verify=False))
    return (Endpoint(f"https://{registry}"),)


def login_registry(server: str) -> str:
    """The registry a client logs in to, from ``serveraddress`` in any of its forms; empty means Docker Hub."""
    text = server.strip().removeprefix("https://").removeprefix("http://")
    host = text.partition("/")[0]
    return DEFAULT_REGISTRY if host in ("", DEFAULT_REGISTRY, "index.docker.io", HUB) else host
