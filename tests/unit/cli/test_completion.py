"""Completion: what the daemon's things and our own words give, asked through bash itself."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from capture import CaptureServer

ROOT = Path(__file__).parents[3]


def ask(*words: str, environment: dict[str, str] | None = None) -> list[str]:
    """`landbridge __complete WORD…` against a server with the listings of `listings`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        with CaptureServer(path):
            done = subprocess.run(
                [str(ROOT / "bin/landbridge"), "__complete", *words], capture_output=True, text=True, check=True,
                env={"PATH": "/usr/bin:/bin", "LANDBRIDGE_HOST": f"unix://{path}", **(environment or {})},
            )  # fmt: skip
    return done.stdout.splitlines()


def words(*asked: str, **more: str) -> list[str]:
    return [line.partition("\t")[0] for line in ask(*asked, environment=more)]


def test_commands_and_their_flags() -> None:
    assert words("net") == ["network"]
    assert ask("network", "conn") == ["connect\tConnect a container to a network"]
    assert words("--no-descriptions", "image", "pr") == ["prune"]
    assert words("run", "--health-st") == ["--health-start-interval", "--health-start-period"]
    assert words("-H", "unix:///x", "vers") == ["version"]
    assert words("-H", "unix") == []
    assert words("run", "--use-api") == []


def test_values_of_flags() -> None:
    assert words("run", "--restart", "on") == ["on-failure"]
    assert words("run", "--pull=n") == ["--pull=never"]
    assert words("kill", "-s", "SIGU") == ["SIGUSR1", "SIGUSR2"]
    assert words("exec", "-e", "MARK", MARKED="x") == ["MARKED"]


def test_things_of_the_daemon() -> None:
    containers = words("rm", "")
    assert containers and words("container", "rm", "-f", "") == containers
    assert words("run", "image-that-is-not-there", "--res") == []  # flags of the program inside
    assert set(words("network", "connect", words("network", "rm", "")[0], "")) == set(containers)
    assert sorted(f"{name}:" for name in containers) == sorted(words("cp", ""))
    assert words("run", "")


def test_without_a_daemon_there_are_no_names() -> None:
    assert words("rm", "", LANDBRIDGE_HOST="unix:///nowhere") == []


def bash(line: str) -> list[str]:
    """COMPREPLY for a command line with the cursor at its end, the words split as readline splits them."""
    script = """
eval "$(landbridge completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_landbridge landbridge 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
    return subprocess.run(
        ["bash", "-c", script, "bash", line], capture_output=True, text=True, check=True,
        env={"PATH": f"{ROOT}/bin:/usr/bin:/bin", "LANDBRIDGE_HOST": "unix:///nowhere"},
    ).stdout.split()  # fmt: skip


def test_bash_asks_with_its_own_script() -> None:
    assert bash("landbridge netw") == ["network"]
    assert bash("landbridge run --restart ") == ["no", "on-failure", "always", "unless-stopped"]
    assert bash("landbridge run --pull=al") == ["always"]
    assert bash("landbridge system ") == ["df", "events", "info", "prune"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_sound(shell: str) -> None:
    printed = subprocess.run([str(ROOT / "bin/landbridge"), "completion", shell], capture_output=True, text=True, check=True)
    assert "__complete" in printed.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=printed.stdout, text=True, check=True)
