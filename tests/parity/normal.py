"""What two engines may answer differently without differing: ids, times, dynamic addresses and ports, sizes.

Each becomes a word in angle brackets. Pure: text or JSON in, text or JSON out.
"""

import re
from typing import Any

# By name of the JSON member: its value is the machine's or the moment's.
_NUMBERS = frozenset(
    "Pid Created Size VirtualSize SharedSize SizeRw SizeRootFs LayersSize SpaceReclaimed time timeNano mtime"
    " NFd NGoroutines MemTotal NCPU size".split()
)
_PLACES = frozenset("SandboxKey Mountpoint Source ResolvConfPath HostnamePath HostsPath LogPath DockerRootDir".split())

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b\d{10}\.\d{9}\b", "<moment>"),
        (r"\bsha256:[0-9a-f]{64}", "sha256:<id>"),
        (r"\bdocker-import-\d+", "docker-import-<number>"),
        (r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", "<id>"),
        (r"(?<![0-9a-f:.<-])(?=[0-9a-f]*[0-9])[0-9a-f]{12}(?![0-9a-f:.])", "<short>"),
        (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", "<time>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4} [A-Z]+", "<time>"),
        (r"\b(?:About an? (?:minute|hour)|Less than a second|\d+ (?:second|minute|hour|day|week|month|year)s?)\b", "<span>"),
        (r"\b(?:172\.(?:1[6-9]|2\d|3[01])|10\.(?:1[3-9]\d|12[89]|2\d\d)|192\.168)\.\d+\.\d+(?:/(?:16|20|24))?", "<ip>"),
        (r"(?<=:)(?:3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3})\b", "<port>"),
        (r"(?<![\w.])\d+(?:\.\d+)? ?(?:B|kB|MB|GB|KiB|MiB|GiB)\b", "<size>"),
    )
)  # fmt: skip
_DYNAMIC_PORT = re.compile(r"3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3}")
# What the client logs of itself (20.10: "error waiting for container") depends on who wins a race; where it points to
# its help depends on whether creating or starting failed.
_CLIENTS_OWN = re.compile(r"time=\"|(?:See|Run) 'docker [a-z ]*--help'")
_UNORDERED = frozenset({"Binds"})
_ZERO_TIME = "0001-01-01T00:00:00Z"


def text(value: str, roots: tuple[str, ...] = ()) -> str:
    """`value` with everything that varies replaced; `roots` are directories of the engine or of the test."""
    for root in roots:
        value = value.replace(root, "<root>")
    for pattern, replacement in _RULES:
        value = pattern.sub(replacement, value)
    return value


def output(value: str, roots: tuple[str, ...] = ()) -> str:
    """What a command printed: as `text`, and columns two blanks apart, since their width follows their content."""
    shown = text(value, roots).replace("\r\n", "\n").splitlines()
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in shown if not _CLIENTS_OWN.match(line)).rstrip("\n")


def document(value: Any, roots: tuple[str, ...] = (), name: str = "") -> Any:
    """A JSON value; `name` is the member it stands under."""
    if isinstance(value, dict):
        return {
            text(key, roots): document(item, roots, "" if key.startswith("/") else key) for key, item in value.items()
        }
    if isinstance(value, list):
        # Go keeps these in maps, so that their order is a new one every time.
        ordered = sorted(value, key=_order) if name in _UNORDERED or all(map(_named, value)) else value
        return [document(item, roots, name) for item in ordered]
    if isinstance(value, str):
        if value == _ZERO_TIME:
            return value
        if name in _PLACES and value:
            return "<path>"
        if name in ("Runtime", "DefaultRuntime"):
            return "<runtime>"  # whichever of crun and runc works on the machine
        if name == "HostPort" and _DYNAMIC_PORT.fullmatch(value):
            return "<port>"
        return text(value, roots)
    if name in _NUMBERS and value:
        return "<number>"
    if name == "PublicPort" and _DYNAMIC_PORT.fullmatch(str(value)):
        return "<port>"
    if name == "IPPrefixLen" and value in (16, 20):
        return "<length>"
    return value


def _named(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() & {"Name", "Destination", "Path", "PrivatePort"})


def _order(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "PrivatePort" in value:
        return f"{value['PrivatePort']:05}/{value['Type']}{value.get('IP', '')}"
    return str(value.get("Destination") or value.get("Path") or value.get("Name"))
