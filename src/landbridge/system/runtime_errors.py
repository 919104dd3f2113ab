"""What an OCI runtime says when it fails, in the words Docker's clients know.

The docker command line derives its exit status from phrases in the text (127 for a missing program, 126 for one
that may not run), so crun's and runc's different sentences must become the same ones. Only text, no effects.
"""

import json
import re

from landbridge.errors import StartFailed

# Docker's exit code when neither of its two phrases fits.
UNCLEAR = 128

_MISSING = re.compile(r"executable file [`'\"]?(?P<name>.*?)[`'\"]? not found in \$PATH")
_CHDIR = re.compile(r"chdir [`'\"](?P<path>.*?)[`'\"]: (?P<reason>.*)")
_SYSCTL = re.compile(r"(?P<verb>open|write)(?: to)? [`'\"]?(?P<path>/proc/sys/.*?)[`'\"]?: (?P<reason>.*)")
_RUNC_PREFIX = re.compile(r"^(runc )?(create|exec|run|start) failed: |^unable to start container process: ")


def create_failed(message: str, program: str) -> StartFailed:
    """The error of a failed create or start of a container whose first argument is `program`."""
    detail = describe(message, program)
    return StartFailed(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: "
        f"runc create failed: unable to start container process: {detail}",
        exit_code=exit_code(detail),
    )


def sysctl_failed(key: str, value: str | None, reason: str) -> StartFailed:
    """The error of a start with a kernel setting there is not (`value` None), or whose value the kernel refuses."""
    return create_failed(f"{'open' if value is None else 'write'} /proc/sys/{key}: {reason}", "")


def exec_failed(message: str, program: str) -> StartFailed:
    """The error of a failed exec of `program`."""
    detail = describe(message, program)
    return StartFailed(
        f"OCI runtime exec failed: exec failed: unable to start container process: {detail}",
        exit_code=exit_code(detail),
    )


def exit_code(detail: str) -> int:
    """Docker's reading of a start error: 127 not found, 126 not allowed, 128 anything else."""
    text = detail.lower()
    if "permission denied" in text or "is a directory" in text:
        return 126
    if "executable file not found" in text or "no such file or directory" in text:
        return 127
    return UNCLEAR


def describe(message: str, program: str) -> str:
    """One runtime's sentence as Docker would print it, ending in containerd's ``: unknown``."""
    text = message.strip()
    while _RUNC_PREFIX.match(text):
        text = _RUNC_PREFIX.sub("", text, count=1)
    if match := _MISSING.search(text):
        name = match["name"] or program
        if name.startswith("exec:"):
            return f"{text}: unknown"
        return _missing(name)
    if text.startswith("open executable: "):  # crun
        if text.endswith("Operation not permitted"):
            return f'exec: "{program}": is a directory: unknown: permission denied'
        return f'exec: "{program}": {text.removeprefix("open executable: ").lower()}: unknown'
    if match := _SYSCTL.match(text):
        return f"error during container init: {match['verb']} {match['path']}: {match['reason'].lower()}: unknown"
    if match := _CHDIR.match(text):
        return f'chdir to cwd ("{match["path"]}") set in config.json failed: {match["reason"].lower()}: unknown'
    return f"{text or 'the runtime failed without a word'}: unknown"


def last_error(log: str) -> str:
    """The last message of a runtime's log, JSON or plain lines, or empty."""
    found = ""
    for line in filter(None, log.splitlines()):
        if not line.startswith("{"):
            found = line
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a line cut off by a dying runtime says nothing
        if isinstance(record, dict) and record.get("level") in ("error", "fatal"):
            found = str(record.get("msg", ""))
    return found


def _missing(name: str) -> str:
    if "/" in name:
        return f'exec: "{name}": stat {name}: no such file or directory: unknown'
    return f'exec: "{name}": executable file not found in $PATH: unknown'
