"""Platforms as users and manifest lists name them, and which of a list fits a machine.

Pure. Spelling and preferences are those of containerd's ``platforms`` package, which Docker uses: ``linux/arm64``
runs 32-bit arm of its version and below, ``linux/amd64`` also runs 386; a better variant comes first.
"""

from collections.abc import Iterable
from dataclasses import replace

from landbridge.errors import Invalid
from landbridge.oci.archive import Platform

_OS = frozenset(
    "aix android darwin dragonfly freebsd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split()
)
_ARCHITECTURES = frozenset(
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le"
    " ppc riscv riscv64 s390 s390x sparc sparc64 wasm".split()
)
_ALIASES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_PART = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def parse_platform(text: str, host: Platform) -> Platform:
    """``linux``, ``arm64``, ``linux/arm64`` or ``linux/arm64/v8``; what is left out is the host's.

    Raises: Invalid with Docker's words.
    """
    parts = text.split("/")
    if len(parts) > 3:
        raise Invalid(f'"{text}": cannot parse platform specifier: invalid argument')
    for part in parts:
        if not part or not set(part) <= _PART:
            raise Invalid(f'"{part}" is an invalid component of "{text}": platform specifier component must match'
                          " \"^[A-Za-z0-9_.-]+$\": invalid argument")  # fmt: skip
    if len(parts) == 1:
        system = _system(parts[0])
        if system in _OS:
            return replace(host, os=system)
        found = _normal(Platform(host.os, parts[0]))
        if found.architecture not in _ARCHITECTURES:
            raise Invalid(f'"{text}": unknown operating system or architecture: invalid argument')
        return found
    found = _normal(Platform(_system(parts[0]), *parts[1:]))
    if len(parts) == 3 and found.architecture == "arm64" and not found.variant:
        return replace(found, variant="v8")  # asked for, so shown
    return replace(found, variant="") if len(parts) == 2 and found == Platform(found.os, "arm", "v7") else found


def show_platform(platform: Platform) -> str:
    """``linux/arm64/v8``."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def _system(text: str) -> str:
    return "darwin" if text.lower() == "macos" else text.lower()


def _normal(platform: Platform) -> Platform:
    architecture, variant = platform.architecture.lower(), platform.variant.lower()
    if architecture in _ALIASES:
        architecture, implied = _ALIASES[architecture]
        variant = implied or variant
    if architecture == "arm64" and variant in ("8", "v8", "v8.0"):
        variant = ""
    elif architecture == "arm":
        variant = "v7" if variant in ("", "7") else f"v{variant}" if variant in ("5", "6", "8") else variant
    elif architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(platform.os, architecture, variant)


def accepted(wanted: Platform) -> tuple[Platform, ...]:
    """What a machine of platform `wanted` runs, best first."""
    best = _normal(wanted)
    found = [best]
    if best.architecture == "amd64":
        found += [Platform(best.os, "amd64", f"v{number}") for number in range(_version(best.variant) - 1, 1, -1)]
        found += [Platform(best.os, "amd64")] if best.variant else []
        found.append(Platform(best.os, "386"))
    elif best.architecture == "arm":
        found += [Platform(best.os, "arm", f"v{number}") for number in range(_version(best.variant) - 1, 4, -1)]
    elif best.architecture == "arm64":
        found += [Platform(best.os, "arm64")] if best.variant else []
        found += [Platform(best.os, "arm", f"v{number}") for number in range(8, 4, -1)]
    return tuple(found)


def _version(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdigit() and len(digits) < 3 else 1


def rank(platform: Platform, wanted: Iterable[Platform]) -> int:
    """The place of `platform` among those `accepted`; -1 when it is not there."""
    normal = _normal(replace(platform, os=platform.os.lower()))
    return next((place for place, one in enumerate(wanted) if one == normal), -1)


def satisfies(platform: Platform, wanted: Platform) -> bool:
    """Whether an image of `platform` is what somebody who asked for `wanted` may get."""
    return rank(platform, accepted(wanted)) >= 0
