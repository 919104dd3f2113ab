"""A real engine for system tests: one per session, on its own data root, in its own network namespace.

`client` runs every test twice: through landbridge's command line and through the unmodified docker command.
Everything a test makes is removed by its fixture; the leak check of tests/conftest.py then looks at the kernel.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import images
import pytest
from clients import Background, Client, MakeLab, clean
from lab import Lab, Result, docker_cli

import leaks
from landbridge.model.world import Instance


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need a real kernel; those that say more keep it."""
    for item in items:
        if "tests/system" in str(item.path):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Image archives by name; apache only where it is installed."""
    directory = tmp_path_factory.mktemp("images")
    found = {}
    for name in images.BUILDERS:
        if name == "apache" and not images.APACHE.exists():
            continue
        found[name] = directory / f"{name}.tar"
        images.build(name, found[name])
    return found


@pytest.fixture(scope="session")
def lab(
    run_token: str, tmp_path_factory: pytest.TempPathFactory, watch: leaks.Watch, archives: dict[str, Path]
) -> Iterator[Lab]:
    """The engine, its host and the machine outside; images loaded."""
    made = Lab(f"tst{run_token}", tmp_path_factory.mktemp("lab"))
    watch.add_instance(Instance.of(str(made.data_root)))
    with made:
        for path in archives.values():
            done = made.landbridge("load", "-q", "-i", str(path))
            assert done.code == 0, done.text
        yield made


@pytest.fixture
def own_lab(run_token: str, tmp_path: Path, watch: leaks.Watch, archives: dict[str, Path]) -> Iterator[Lab]:
    """An engine of the test's own, which it may kill and start again."""
    made = Lab(f"tst{run_token}own", tmp_path / "lab")
    made.directory.mkdir()
    watch.add_instance(Instance.of(str(made.data_root)))
    with made:
        for name in ("busybox", "httpd"):
            assert made.landbridge("load", "-q", "-i", str(archives[name])).code == 0
        yield made


@pytest.fixture
def lab_with(run_token: str, tmp_path: Path, watch: leaks.Watch, archives: dict[str, Path]) -> Iterator[MakeLab]:
    """`lab_with("--icc=false")` -> a started engine with flags of its own, busybox and httpd loaded.

    With `start=False` nothing is there yet: see `Lab.start_machines` and `Lab.start_daemon`.
    """
    made: list[Lab] = []

    def make(*flags: str, start: bool = True) -> Lab:
        lab = Lab(f"tst{run_token}f{len(made)}", tmp_path / f"lab{len(made)}", flags)
        lab.directory.mkdir()
        watch.add_instance(Instance.of(str(lab.data_root)))
        made.append(lab)
        if start:
            lab.start()
            for name in ("busybox", "httpd"):
                assert lab.landbridge("load", "-q", "-i", str(archives[name])).code == 0
        return lab

    yield make
    for lab in made:
        lab.close()


@pytest.fixture(params=["landbridge", "docker"])
def client(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Client]:
    """Each command line in turn; containers, user networks and volumes made by the test are removed afterwards."""
    if request.param == "docker" and not docker_cli():
        pytest.fail("the docker command is missing: scripts/setup test unpacks it")
    made = Client(lab, request.param)
    yield made
    clean(lab)


@pytest.fixture
def ours(lab: Lab) -> Iterator[Client]:
    """Our own command line alone, for what the client does not matter to."""
    yield Client(lab, "landbridge")
    clean(lab)


@pytest.fixture
def background() -> Iterator[Background]:
    """`background(lab, "cmd", …, outside=False)`: started on the host or outside, ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(lab: Lab, *argv: str, outside: bool = False) -> subprocess.Popen[bytes]:
        started.append(lab.background(*argv, outside=outside))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def retry() -> Callable[[Callable[[], Result], str], Result]:
    """Repeat a command until its output holds a text: a server in a container needs a moment to listen."""
    def again(run: Callable[[], Result], wanted: str) -> Result:
        for _ in range(50):
            done = run()
            if wanted in done.text:
                return done
            time.sleep(0.1)
        raise AssertionError(f"never saw {wanted!r}:\n{done.text}")

    return again
