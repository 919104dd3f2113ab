"""One landbridge for the whole corpus, and what Docker answered to it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import leaks
from landbridge.model.world import Instance

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

import answers
import imagery
import reference
from lab import Lab
from play import Engine, cli_version


@pytest.fixture(scope="session")
def docker_command() -> str:
    """A docker command whose answers are recorded."""
    known = answers.versions()
    found = {cli_version(client): client for client in reference.clients()}
    for version in sorted(known & found.keys(), reverse=True):
        return found[version]
    pytest.fail(f"answers are recorded for docker {', '.join(sorted(known))}; here is {', '.join(found) or 'none'}")


@pytest.fixture(scope="session")
def engine(
    run_token: str, tmp_path_factory: pytest.TempPathFactory, watch: leaks.Watch, docker_command: str
) -> Iterator[Engine]:
    """landbridge with the images of the corpus."""
    directory = tmp_path_factory.mktemp("parity")
    lab = Lab(f"tst{run_token}pt", directory / "lab")
    lab.directory.mkdir()
    watch.add_instance(Instance.of(str(lab.data_root)))
    with lab:
        made = Engine(str(lab.socket), docker_command, directory / "play")
        with made.images(imagery.build(directory / "images"), list(imagery.NAMES)):
            yield made
