"""Where the real Docker comes from: commands on this machine, and an engine whose socket is given."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from play import cli_version

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / ".tools/docker/usr/bin/docker"


def clients() -> list[str]:
    """Every docker command here, one per version: the machine's own and the one scripts/setup unpacked."""
    found: dict[str, str] = {}
    for candidate in (shutil.which("docker"), str(UNPACKED) if UNPACKED.exists() else None):
        if candidate:
            found.setdefault(cli_version(candidate), candidate)
    return list(found.values())


@contextmanager
def engine(address: str) -> Iterator[str]:
    """The path of a real engine's socket. Raises: RuntimeError when there is none."""
    if not address.startswith("unix://"):
        raise RuntimeError("set LANDBRIDGE_PARITY_DOCKER to unix://… of a Docker Engine")
    yield address.removeprefix("unix://")
