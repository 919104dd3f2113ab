"""Image names as users type them, read exactly as Docker's reference package does.

A name is ``[registry/]repository[:tag][@digest]``. Without a registry it means docker.io, without a path there
``library/``. What is only hexadecimal, or ``sha256:`` and 64 digits, is an id and no name (`parse_any`).
"""

import re
from dataclasses import replace

from landbridge.errors import Invalid
from landbridge.model.image import Reference

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_FULL = re.compile(rf"({_DOMAIN})/({_PART}(?:/{_PART})*)(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_ID = re.compile(r"[a-f0-9]{64}")
_SIZES = {"sha256": 64, "sha384": 96, "sha512": 128}

DEFAULT_REGISTRY = "docker.io"


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or (not set(".:") & set(first) and first != "localhost" and first == first.lower()):
        first, rest = DEFAULT_REGISTRY, name
    if first == "index.docker.io":
        first = DEFAULT_REGISTRY
    if first == DEFAULT_REGISTRY and "/" not in rest:
        rest = f"library/{rest}"
    return first, rest


def parse(text: str) -> Reference:
    """Read an image name; tag and digest stay empty when they are not given.

    Raises: Invalid with Docker's sentence.
    """
    if _ID.fullmatch(text):
        raise Invalid(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    registry, rest = _split_registry(text)
    remote = rest.partition(":")[0]
    if remote != remote.lower():
        raise Invalid(f"invalid reference format: repository name ({remote}) must be lowercase")
    found = _FULL.fullmatch(f"{registry}/{rest}")
    if not found:
        raise Invalid("invalid reference format")
    if len(found[1]) + 1 + len(found[2]) > 255:
        raise Invalid("repository name must not be more than 255 characters")
    if found[4]:
        check_digest(found[4])
    return Reference(found[1], found[2], found[3] or "", found[4] or "")


def check_digest(digest: str) -> str:
    """Return `digest` when its algorithm is known and its length right. Raises: Invalid."""
    algorithm, _, value = digest.partition(":")
    if algorithm not in _SIZES:
        raise Invalid("unsupported digest algorithm")
    if len(value) != _SIZES[algorithm]:
        raise Invalid("invalid checksum digest length")
    if value != value.lower():
        raise Invalid("invalid checksum digest format")
    return digest


def parse_any(text: str) -> Reference | str:
    """A name, or an image id as ``sha256:…`` when `text` is one in full. Raises: Invalid."""
    if _ID.fullmatch(text):
        return f"sha256:{text}"
    if text.startswith("sha256:") and _ID.fullmatch(text.removeprefix("sha256:")):
        return text
    return parse(text)


def tagged(reference: Reference) -> Reference:
    """`reference` with ``latest`` when it has neither tag nor digest."""
    return reference if reference.tag or reference.digest else replace(reference, tag="latest")


def parse_repo_tag(repo: str, tag: str) -> Reference:
    """The name to give an image, from Docker's parameters ``repo`` and ``tag`` (which wins over a tag in `repo`).

    Raises: Invalid.
    """
    reference = parse(repo)
    if reference.digest:
        raise Invalid("cannot import digest reference")
    if tag:
        if not re.fullmatch(_TAG, tag, re.ASCII):
            raise Invalid("invalid tag format")
        reference = replace(reference, tag=tag)
    return tagged(reference)
