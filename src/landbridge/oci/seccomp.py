"""System call filters in the form an OCI runtime reads.

Two sources, one result: the default policy (`seccomp_policy`, data) and a profile a user brings in Docker's
JSON format. Whoever wants to cache compiled filters keys them on `fingerprint` of the result.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landbridge.errors import Invalid
from landbridge.oci import seccomp_policy as policy

# uname's names beside those of Docker's profiles.
_UNAME = {"amd64": "x86_64", "386": "i386", "x86": "i386", "i686": "i386", "arm64": "aarch64", "arm": "armv7l"}
_PROFILE_NAME = {"x86_64": "amd64", "i386": "x86", "aarch64": "arm64", "armv7l": "arm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a policy may depend on besides capabilities: uname's machine and the kernel's version."""

    arch: str = "x86_64"
    kernel: tuple[int, int] = (5, 10)


def default(capabilities: tuple[str, ...], machine: Machine) -> dict[str, Any]:
    """The default policy for a process with `capabilities`, as OCI ``linux.seccomp``."""
    arch = _UNAME.get(machine.arch, machine.arch)
    rules = [_allow(policy.ALWAYS)]
    rules += [_allow(names) for since, names in policy.SINCE_KERNEL.items() if machine.kernel >= since]
    rules.append(_allow("socket", policy.SOCKET))
    rules += [
        _allow("personality", [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]) for value in policy.PERSONALITIES
    ]
    if arch in policy.WITH_ARCHITECTURE:
        rules.append(_allow(policy.WITH_ARCHITECTURE[arch]))
    rules += [_allow(names) for cap, names in policy.WITH_CAPABILITY.items() if cap in capabilities]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules.append(_allow("clone", policy.clone_arguments(arch)))
        # Its flags are behind a pointer a filter cannot follow; ENOSYS makes libc fall back to clone(2).
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": policy.ERRNO_ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": policy.ERRNO_EPERM,
        "architectures": list(policy.ARCHITECTURES.get(arch, ())),
        "syscalls": rules,
    }


def from_profile(text: str, capabilities: tuple[str, ...], machine: Machine) -> dict[str, Any]:
    """A profile in Docker's JSON format, its conditions resolved, as OCI ``linux.seccomp``.

    Raises: Invalid when it is no such profile.
    """
    try:
        profile = json.loads(text)
    except ValueError as problem:
        raise Invalid(f"Decoding seccomp profile failed: {problem}") from None
    if not isinstance(profile, Mapping) or "defaultAction" not in profile:
        raise Invalid("Decoding seccomp profile failed: defaultAction is missing")
    rules = []
    for rule in profile.get("syscalls") or ():
        if not _applies(rule, capabilities, machine):
            continue
        names = list(rule.get("names") or ([rule["name"]] if rule.get("name") else []))
        if names:
            kept = {key: rule[key] for key in ("action", "errnoRet", "args") if rule.get(key) not in (None, [])}
            rules.append({"names": names, **kept})
    result: dict[str, Any] = {
        "defaultAction": profile["defaultAction"],
        "architectures": _architectures(profile, machine),
        "syscalls": rules,
    }
    for key in ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"):
        if profile.get(key) is not None:
            result[key] = profile[key]
    return result


def fingerprint(filters: Mapping[str, Any], machine: Machine) -> str:
    """A key under which a compiled filter for exactly these rules may be kept."""
    text = json.dumps([filters, machine.arch, machine.kernel], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _allow(names: str, arguments: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names.split(), "action": "SCMP_ACT_ALLOW"}
    return {**rule, "args": arguments} if arguments else rule


def _architectures(profile: Mapping[str, Any], machine: Machine) -> list[str]:
    native = policy.ARCHITECTURES.get(_UNAME.get(machine.arch, machine.arch), ())
    for entry in profile.get("archMap") or ():
        if native and entry.get("architecture") == native[0]:
            return [native[0], *(entry.get("subArchitectures") or ())]
    return list(profile.get("architectures") or ())


def _applies(rule: Mapping[str, Any], capabilities: tuple[str, ...], machine: Machine) -> bool:
    """A rule's ``includes`` must all hold and none of its ``excludes``."""
    uname = _UNAME.get(machine.arch, machine.arch)
    arch = _PROFILE_NAME.get(uname, uname)
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if not set(includes.get("caps") or ()) <= set(capabilities):
        return False
    if includes.get("minKernel") and machine.kernel < _version(includes["minKernel"]):
        return False
    if arch in (excludes.get("arches") or ()):
        return False
    if set(excludes.get("caps") or ()) & set(capabilities):
        return False
    return not (excludes.get("minKernel") and machine.kernel >= _version(excludes["minKernel"]))


def _version(text: str) -> tuple[int, int]:
    try:
        major, minor = str(text).split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        raise Invalid(f"Decoding seccomp profile failed: invalid kernel version {text!r}") from None
