"""The API's answers beside those a real Docker Engine 26.1 gave to the same requests (tests/golden/api).

`KNOWN` lists every place where landbridge differs, and why; a difference that is not there fails, and so does an
entry that no longer differs.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import api_scenario
import images
import pytest
from api_scenario import GOLDEN, IMAGE, Step, ask, differences, plain, root_of, scenario
from lab import Lab

# (part of the step, pattern for "path: ours != theirs", why)
KNOWN: tuple[tuple[str, str, str], ...] = (
    ("", r"\.GraphDriver\.Data", "directories have other names"),
    ("", r"\.HostConfig\.Runtime: ", "crun or runc, whichever works here"),
    ("", r"\.LogPath: ", "the log is not JSON, so its name does not say so"),
    ("", r"\.SandboxKey: ", "namespaces are pinned below the run directory"),
    ("", r"\.State\.Pid: ", "a process of its own"),
    ("", r"\.NetworkSettings\.SandboxID: \"\" != ", "a stopped container has no sandbox; Docker shows the old one"),
    ("/networks/create", r"predefined bridge network\" != ", "without Docker's blank at the end"),
    ("DELETE /networks", r"\.message: .*active endpoints \(name:", "names who is there, as newer engines do"),
)


@pytest.fixture(scope="module")
def engine(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of the engine under test, with the scenario's image loaded."""
    archive = tmp_path_factory.mktemp("api") / "image.tar"
    images.build("busybox", archive, IMAGE)
    path = str(lab.socket)
    ask(path, Step("POST", "/images/load?quiet=1"), raw=archive.read_bytes())
    api_scenario.clear(path)
    yield path
    api_scenario.clear(path)
    ask(path, Step("DELETE", f"/images/{IMAGE}"))


def test_answers_are_those_of_a_docker_engine(engine: str) -> None:
    recorded = json.loads(GOLDEN.read_text())
    steps = scenario()
    assert [str(step) for step in steps] == [one["step"] for one in recorded], "record again: the scenario changed"
    root = root_of(engine)
    wrong: list[str] = []
    used: set[int] = set()
    for step, theirs in zip(steps, recorded, strict=True):
        ours = plain(ask(engine, step), root)
        found = list(differences(ours, {"status": theirs["status"], "body": theirs["body"]}))
        if step.compare == "status":
            found = [line for line in found if line.startswith(".status")]
        for line in found:
            reasons = [
                number for number, (part, pattern, _) in enumerate(KNOWN)
                if part in str(step) and re.search(pattern, line)
            ]
            used.update(reasons)
            if not reasons:
                wrong.append(f"{step}\n    {line}")
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong)
    stale = [KNOWN[number] for number in range(len(KNOWN)) if number not in used]
    assert not stale, f"these no longer differ: {stale}"


def test_the_record_is_there_and_whole() -> None:
    assert Path(GOLDEN).exists() and len(json.loads(GOLDEN.read_text())) == len(scenario())
