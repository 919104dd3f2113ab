"""Starting quickly: what `ps` imports, and the launcher as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from capture import CaptureServer

from landbridge.cli.address import chosen_host

ROOT = Path(__file__).resolve().parents[3]
# Each of these costs 5 to 25 ms of a command that takes 12.
HEAVY = {
    "argparse", "asyncio", "collections", "dataclasses", "datetime", "email", "enum", "functools", "http", "inspect",
    "ipaddress", "json", "logging", "pathlib", "re", "shutil", "signal", "socket", "ssl", "subprocess", "tarfile", "tempfile",
    "threading", "typing", "urllib",
}  # fmt: skip
SCRIPT = """
import sys
sys.path.insert(0, {src!r})
before = set(sys.modules)
from landbridge.cli.main import main
status = main({argv!r}, {env!r}, sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
sys.stderr.write(" ".join(sorted(set(sys.modules) - before)))
sys.exit(status)
"""


def modules_of(argv: list[str], tmp_path: Path) -> set[str]:
    """What `argv` imports beyond what the bare interpreter has."""
    with CaptureServer(tmp_path / "s") as server:
        script = SCRIPT.format(src=str(ROOT / "src"), argv=argv, env={"LANDBRIDGE_HOST": f"unix://{server.path}"})
        done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "argv",
    [["ps"], ["run", "-d", "-p", "80", "img"], ["network", "ls"], ["port", "c"], ["rm", "-f", "c"], ["logs", "c"]],
)
def test_common_commands_avoid_the_heavy_parts_of_the_standard_library(argv: list[str], tmp_path: Path) -> None:
    assert not {name.partition(".")[0] for name in modules_of(argv, tmp_path)} & HEAVY


def test_ps_imports_few_modules(tmp_path: Path) -> None:
    modules = modules_of(["ps"], tmp_path)
    assert "landbridge.cli.ps" in modules
    assert len(modules) <= 36, sorted(modules)
    assert not modules & {"landbridge.cli.template", "landbridge.cli.run", "landbridge.cli.usage"}


def launch(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-IS", str(ROOT / "bin" / "landbridge"), *argv], env={"PATH": os.defpath, **env},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_launcher_finds_its_code_from_anywhere(tmp_path: Path) -> None:
    link = tmp_path / "lb"
    link.symlink_to(ROOT / "bin" / "landbridge")
    done = subprocess.run(
        [sys.executable, "-IS", str(link), "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Landbridge version ")


def test_without_a_daemon_the_error_names_the_socket_and_the_way_out(tmp_path: Path) -> None:
    done = launch("ps", LANDBRIDGE_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert f"Cannot connect to the landbridge daemon at unix://{tmp_path}/none.sock" in done.stderr
    assert "landbridge daemon" in done.stderr
    assert launch("run", "img", LANDBRIDGE_HOST=f"unix://{tmp_path}/none.sock").returncode == 125


def test_landbridge_host_wins_over_docker_host_and_the_flag_over_both(tmp_path: Path) -> None:
    one, two, three = (f"unix://{tmp_path}/{name}" for name in ("one", "two", "three"))
    assert two in launch("ps", DOCKER_HOST=two).stderr
    assert one in launch("ps", LANDBRIDGE_HOST=one, DOCKER_HOST=two).stderr
    assert three in launch("-H", three, "ps", LANDBRIDGE_HOST=one, DOCKER_HOST=two).stderr
    assert chosen_host([], {}) == "unix:///run/landbridge/landbridge.sock"


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    with CaptureServer(
        tmp_path / "s", answers={("GET", "/containers/c/logs"): (200, b"\1\0\0\0\0\0\0\2a\n" * 30000)}
    ) as server:
        process = subprocess.Popen(
            [sys.executable, "-IS", str(ROOT / "bin" / "landbridge"), "-H", f"unix://{server.path}", "logs", "c"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(2)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 141
