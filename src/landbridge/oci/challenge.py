"""What a registry asks for when it says 401: the ``WWW-Authenticate`` header (RFC 9110, 11.6.1; RFC 6750, 3).

Pure. Several headers, or several challenges in one, are all read; what cannot be read is left out, since a
registry that offers one scheme we know is good enough.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|$|(?=,))")
_COMMA = re.compile(r"\s*,\s*")
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove who one is: `scheme` in lower case, parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def realm(self) -> str:
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        return self.parameters.get("service", "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all ``WWW-Authenticate`` headers of an answer, in order."""
    return tuple(challenge for header in headers for challenge in _parse(header))


def _parse(header: str) -> Iterable[Challenge]:
    at = 0
    while found := _SCHEME.match(header, at):
        scheme, at = found[1].lower(), found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            quoted = parameter[2]
            value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(parameter[1].lower(), value)
            at = parameter.end()
        yield Challenge(scheme, parameters)
        comma = _COMMA.match(header, at)
        if not comma:
            return
        at = comma.end()


def repository_scope(repository: str, *actions: str) -> str:
    """What a token is asked for: ``repository:library/busybox:pull,push``."""
    return f"repository:{repository}:{','.join(actions)}"
