"""Write tests/golden/cli-flags.json again from a docker command: `python record_flags.py [docker-binary]`.

Every command outside what landbridge leaves out, by its full name, with its flags as `--help` lists them:
{"run": {"name": ["", "string"], "publish": ["p", "list"]}}: one letter and kind. Not run by the tests.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cli-flags.json"
# No daemon: help then lists the flags of every version of the API. DOCKER_CLI_HINTS keeps advertising out.
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": "unix:///nonexistent", "DOCKER_CLI_HINTS": "false"}
# `completion` is not listed in help since 24.
UNLISTED = ("completion bash", "completion fish", "completion zsh")

_COMMAND = re.compile(r"  ([a-z]+) ")
_FLAG = re.compile(r"  (?:-(\w), |    )--([\w-]+)(?: (\S+))?(?:  |$)")


def ask(docker: str, words: list[str]) -> str:
    """The help text of a command."""
    return subprocess.run([docker, *words, "--help"], capture_output=True, text=True, env=ENV, check=False).stdout


def section(text: str, end: str) -> list[str]:
    """The lines of every section whose heading ends so."""
    found, inside = [], False
    for line in text.splitlines():
        if line and not line.startswith(" "):
            inside = line.endswith(end)
        elif inside:
            found.append(line)
    return found


def flags(text: str) -> dict[str, tuple[str, str]]:
    """Flags by name."""
    matches = (_FLAG.match(line) for line in section(text, "Options:"))
    return {match[2]: (match[1] or "", match[3] or "bool") for match in matches if match}


def walk(docker: str, words: list[str], found: dict[str, dict[str, tuple[str, str]]]) -> None:
    """Add a command, or all commands under it."""
    text = ask(docker, words)
    below = [match[1] for line in section(text, "Commands:") if (match := _COMMAND.match(line))]
    if not words or not below:
        found[" ".join(words)] = flags(text)
    for name in below:
        walk(docker, [*words, name], found)


def main() -> None:
    docker = sys.argv[1] if len(sys.argv) > 1 else "docker"
    found: dict[str, dict[str, tuple[str, str]]] = {}
    walk(docker, [], found)
    for name in UNLISTED:
        found[name] = flags(ask(docker, name.split()))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name], sort_keys=True)}" for name in sorted(found))
    GOLDEN.write_text(f"{{\n{lines}\n}}\n")
    print(GOLDEN.name, len(found))


if __name__ == "__main__":
    main()
