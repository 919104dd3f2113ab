"""Image names: `busybox`, `host:5000/a/b:tag@sha256:…`. Pure."""

from __future__ import annotations

LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
TAG = LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-"
HEX = "0123456789abcdef"
DEFAULT_DOMAIN = "docker.io"


class Reference:
    """A parsed name. `domain` and `path` make the repository; `tag` and `digest` may be empty."""

    __slots__ = ("digest", "domain", "path", "tag")

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain, self.path, self.tag, self.digest = domain, path, tag, digest

    @property
    def name(self) -> str:
        """The full repository name (`docker.io/library/busybox`)."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The repository as people write it (`busybox`)."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        return self.path.removeprefix("library/") if self.path.count("/") == 1 else self.path

    def with_default_tag(self) -> Reference:
        return self if self.tag or self.digest else Reference(self.domain, self.path, "latest", "")

    def suffix(self) -> str:
        """`:tag` and `@digest`, what there is."""
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.familiar + self.suffix()


def _component_ok(part: str) -> bool:
    """Lower-case words joined by one dot, one or two underscores or any number of dashes."""
    if not part or part[0] not in LOWER or part[-1] not in LOWER or part.strip(LOWER + "._-"):
        return False
    separators = "".join(c if c in "._-" else " " for c in part).split()
    return all(s in (".", "_", "__") or not s.strip("-") for s in separators)


def parse_reference(text: str) -> Reference:
    """Read an image name, filling in the registry and `library/`. Raises: ValueError with Docker's words."""
    if len(text) == 64 and not text.strip(HEX):
        raise ValueError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, at, digest = text.partition("@")
    first, slash, others = rest.partition("/")
    if not slash or not (set(first) & {".", ":"} or first == "localhost" or first.lower() != first):
        domain, path = DEFAULT_DOMAIN, rest
    else:
        domain, path = first, others
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    path, colon, tag = path.partition(":")
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    if path.lower() != path and _component_ok(path.lower().replace("/", "")):
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    algorithm, _, value = digest.partition(":")
    fine = all(_component_ok(part) for part in path.split("/"))
    fine = fine and (not colon or (0 < len(tag) <= 128 and tag[0] not in ".-" and not tag.strip(TAG)))
    fine = fine and (not at or (bool(algorithm) and len(value) >= 32 and not value.strip(HEX)))
    if not fine or any(character.isspace() for character in domain):
        raise ValueError("invalid reference format")
    return Reference(domain, path, tag, digest)
